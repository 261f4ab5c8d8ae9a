#include "models/Nearest.h"

#include "runtime/base/DidYouMean.h"

namespace levin::models {

std::string_view nearest(std::string_view name, const std::vector<std::string_view> &known,
                         unsigned limit) {
  std::string_view best;
  size_t least = size_t(limit) + 1;
  for (std::string_view candidate : known) {
    // The lengths alone bound the distance, which spares the table for names from hostile files.
    size_t gap = candidate.size() > name.size() ? candidate.size() - name.size()
                                                : name.size() - candidate.size();
    if (gap >= least)
      continue;
    if (size_t distance = editDistance(name, candidate); distance < least) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}

} // namespace levin::models
