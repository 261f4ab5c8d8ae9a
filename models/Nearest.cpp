#include "models/Nearest.h"

#include <algorithm>
#include <numeric>

namespace levin::models {

unsigned editDistance(std::string_view a, std::string_view b) {
  std::vector<unsigned> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0u);
  for (size_t i = 1; i <= a.size(); ++i) {
    unsigned diagonal = row[0];
    row[0] = static_cast<unsigned>(i);
    for (size_t j = 1; j <= b.size(); ++j) {
      unsigned replaced = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row.back();
}

std::string_view nearest(std::string_view name, const std::vector<std::string_view> &known,
                         unsigned limit) {
  std::string_view best;
  unsigned least = limit + 1;
  for (std::string_view candidate : known) {
    // The lengths alone bound the distance, which spares the table for names from hostile files.
    size_t gap = candidate.size() > name.size() ? candidate.size() - name.size()
                                                : name.size() - candidate.size();
    if (gap >= least)
      continue;
    if (unsigned distance = editDistance(name, candidate); distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace levin::models
