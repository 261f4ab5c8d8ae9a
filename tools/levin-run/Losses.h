// The loss of each token of a text.
#ifndef LEVIN_TOOLS_LEVIN_RUN_LOSSES_H
#define LEVIN_TOOLS_LEVIN_RUN_LOSSES_H

#include "tools/levin-run/Feeder.h"

#include <cmath>
#include <functional>
#include <span>
#include <vector>

namespace levin::run {

/// -log softmax(logits)[token] in nats, in double.
inline double lossOf(std::span<const float> logits, int32_t token) {
  double largest = -INFINITY, sum = 0;
  for (float logit : logits)
    largest = std::max(largest, static_cast<double>(logit));
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit) - largest);
  return std::log(sum) + largest - static_cast<double>(logits[static_cast<size_t>(token)]);
}

inline double mean(std::span<const float> values) {
  double sum = 0;
  for (float value : values)
    sum += static_cast<double>(value);
  return values.empty() ? 0 : sum / static_cast<double>(values.size());
}

/// Loss number i is that of token i + 1 after the tokens up to i; one less than there are `ids`.
inline Result<std::vector<float>> lossesOf(Session &session, const Model &model,
                                           std::span<const int32_t> ids, const Chunks &chunks,
                                           const std::function<void(size_t)> &done = {}) {
  std::vector<float> losses(ids.size() - 1);
  std::span<const int32_t> fed = ids.first(ids.size() - 1);
  auto onRow = [&](size_t, size_t position, const float *logits) {
    losses[position] =
        static_cast<float>(lossOf(std::span(logits, model.info().vocabulary), ids[position + 1]));
  };
  LEVIN_RETURN_IF_ERROR(
      feedAll(session, model, std::span(&fed, 1), chunks, LEVIN_LOGITS_ALL, onRow, done));
  return losses;
}

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_LOSSES_H
