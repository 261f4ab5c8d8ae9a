// The known name that is nearest to an unknown one.
#ifndef LEVIN_MODELS_NEAREST_H
#define LEVIN_MODELS_NEAREST_H

#include <string_view>
#include <vector>

namespace levin::models {

/// The entry of `known` at the least editDistance() from `name` (the first of several), or an
/// empty view if `known` is empty or none is within `limit`.
std::string_view nearest(std::string_view name, const std::vector<std::string_view> &known,
                         unsigned limit);

} // namespace levin::models

#endif // LEVIN_MODELS_NEAREST_H
