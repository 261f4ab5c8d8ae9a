// Arenas: memory of the host, taken once and as large as the plan says.
#ifndef LEVIN_RUNTIME_HAL_HOSTMEMORY_H
#define LEVIN_RUNTIME_HAL_HOSTMEMORY_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace levin::hal {

/// Counts the bytes that several arenas may take together.
class MemoryBudget {
public:
  /// A budget of `bytes`; 0 means what the machine has.
  explicit MemoryBudget(uint64_t bytes = 0);

  uint64_t left() const { return remaining; }
  /// Failure: LV4103 if `bytes` are more than left.
  Status take(uint64_t bytes, std::string_view purpose);

private:
  uint64_t total, remaining;
};

/// Bytes of memory of the machine, or of the control group if that is less.
uint64_t machineMemory();

/// Zeroed memory that starts at a page.  Move-only.
class HostMemory {
public:
  HostMemory() = default;
  ~HostMemory();
  HostMemory(HostMemory &&other) noexcept;
  HostMemory &operator=(HostMemory &&other) noexcept;

  /// Takes `bytes`.  With `prefault` the pages exist when the call returns, so that no later access
  /// finds the machine out of memory.
  /// Failures: LV4103 by the budget, LV4001 if the system refuses; both name `purpose`.
  static Result<HostMemory> allocate(uint64_t bytes, std::string_view purpose, MemoryBudget &budget,
                                     bool prefault = true);

  std::byte *data() const { return base; }
  uint64_t size() const { return length; }
  std::span<std::byte> bytes() const { return {base, length}; }

private:
  std::byte *base = nullptr;
  size_t length = 0;
};

} // namespace levin::hal

#endif // LEVIN_RUNTIME_HAL_HOSTMEMORY_H
