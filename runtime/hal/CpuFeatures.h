// What the machine's processor can do, in the words of /proc/cpuinfo.
#ifndef LEVIN_RUNTIME_HAL_CPUFEATURES_H
#define LEVIN_RUNTIME_HAL_CPUFEATURES_H

#include "runtime/base/Status.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin::hal {

class CpuFeatures {
public:
  CpuFeatures() = default;
  /// The features named in `words`, separated by spaces.
  explicit CpuFeatures(std::string_view words);

  /// Those of this machine ("flags" or "Features" of /proc/cpuinfo).  Failure: LV3004 if they
  /// cannot be read.
  static Result<CpuFeatures> ofThisMachine();

  bool has(std::string_view feature) const;
  /// Those of `needed` that are not there, separated by spaces.
  std::string missing(std::span<const std::string> needed) const;

private:
  std::vector<std::string> names; // sorted
};

} // namespace levin::hal

#endif // LEVIN_RUNTIME_HAL_CPUFEATURES_H
