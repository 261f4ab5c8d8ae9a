// Native code out of an artifact, loaded into this process.
#ifndef LEVIN_RUNTIME_HAL_HOSTEXECUTABLE_H
#define LEVIN_RUNTIME_HAL_HOSTEXECUTABLE_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"
#include "runtime/hal/CpuFeatures.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace levin::hal {

/// One point of a kernel's grid.  Each binding is a contiguous row-major buffer.
using Kernel = void (*)(void *const *bindings, int64_t x, int64_t y, int64_t z);

/// The first variant of `executable` that the machine can run; LV3004 with what is missing if there
/// is none.
Result<size_t> chooseVariant(const artifact::Executable &executable, const CpuFeatures &machine);

class HostExecutable {
public:
  HostExecutable() = default;
  ~HostExecutable();
  HostExecutable(HostExecutable &&other) noexcept;
  HostExecutable &operator=(HostExecutable &&other) noexcept;

  /// Loads a shared object from its bytes and finds every export.  `name` names it in messages.
  /// Failure: LV3019 if the system refuses it or an export is not there.
  static Result<HostExecutable> load(std::span<const std::byte> elf,
                                     std::span<const artifact::Export> exports,
                                     const std::string &name);

  Kernel kernel(size_t exportIndex) const { return kernels[exportIndex]; }
  size_t size() const { return kernels.size(); }

private:
  // The descriptor stays open: the loader knows objects by their path /proc/self/fd/N, and a second
  // file under the same number would be taken for the first.
  int fd = -1;
  void *handle = nullptr;
  std::vector<Kernel> kernels;
};

} // namespace levin::hal

#endif // LEVIN_RUNTIME_HAL_HOSTEXECUTABLE_H
