// The processors that host code is compiled for.
#ifndef LEVIN_CODEGEN_HOST_HOSTTARGET_H
#define LEVIN_CODEGEN_HOST_HOSTTARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <optional>
#include <string>
#include <vector>

namespace levin::host {

/// One of the x86-64 micro-architecture levels.
struct HostTarget {
  std::string name; // "host-x86_64-v3" or "host-x86_64-v4"
  std::string cpu;  // LLVM's name for it, such as "x86-64-v4"
  unsigned vectorBits = 0;
  unsigned vectorRegisters = 0;
  /// What a machine must have, in the words of /proc/cpuinfo.
  std::vector<std::string> cpuFeatures;

  /// How many float32 a vector register holds.
  unsigned floatLanes() const { return vectorBits / 32; }
};

/// Every target, the most capable last.
llvm::ArrayRef<HostTarget> hostTargets();

/// The target called `name`; nothing if there is none.
std::optional<HostTarget> lookupHostTarget(llvm::StringRef name);

/// The most capable target whose features all stand in the "flags" line of `cpuinfo`, the text of
/// /proc/cpuinfo; nothing if no target runs there.
std::optional<HostTarget> hostTargetFor(llvm::StringRef cpuinfo);

/// The target for this machine.
std::optional<HostTarget> nativeHostTarget();

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_HOSTTARGET_H
