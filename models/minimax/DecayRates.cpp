#include "models/minimax/Config.h"

#include <bit>
#include <cmath>

namespace levin::models::minimax {

// 2^(-8(h+1)/count), h = 0..count-1.
static std::vector<double> geometricSlopes(uint64_t count) {
  std::vector<double> slopes(count);
  for (uint64_t h = 0; h < count; ++h)
    slopes[h] = std::exp2(-8.0 * static_cast<double>(h + 1) / static_cast<double>(count));
  return slopes;
}

// ALiBi's list: for a count that is no power of two, the slopes of the next lower power, then every
// other one of the next higher.
static std::vector<double> alibiSlopes(uint64_t count) {
  uint64_t power = std::bit_floor(count);
  std::vector<double> slopes = geometricSlopes(power);
  if (power == count)
    return slopes;
  std::vector<double> finer = geometricSlopes(2 * power);
  for (uint64_t i = 0; slopes.size() < count; i += 2)
    slopes.push_back(finer[i]);
  return slopes;
}

std::vector<double> decayRates(const Config &config, uint64_t layer) {
  bool text01 = config.dialect == Dialect::Text01;
  std::vector<double> rates = text01 ? alibiSlopes(config.heads) : geometricSlopes(config.heads);
  double last = static_cast<double>(config.layers - 1) + (text01 ? 0.0 : 1e-5);
  double depth = 1.0 - static_cast<double>(layer) / last + 1e-5;
  for (double &rate : rates)
    rate *= depth;
  return rates;
}

} // namespace levin::models::minimax
