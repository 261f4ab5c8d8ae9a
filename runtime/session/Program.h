// A compiled program, bound to memory and ready to run.
#ifndef LEVIN_RUNTIME_SESSION_PROGRAM_H
#define LEVIN_RUNTIME_SESSION_PROGRAM_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"
#include "runtime/hal/HostExecutable.h"
#include "runtime/hal/ThreadPool.h"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace levin {

/// The memory of each arena of a manifest, in its order.
using Arenas = std::vector<std::span<std::byte>>;

class BoundProgram {
public:
  BoundProgram() = default;

  /// Turns every reference of `program` into an address.  Failure: LV3016 or LV3017 if one leaves
  /// its arena or names nothing, LV3010 if the program is for several ranks.
  static Result<BoundProgram> bind(const artifact::Manifest &manifest,
                                   const artifact::Program &program, const Arenas &arenas,
                                   std::span<const hal::HostExecutable> executables);

  /// Runs all commands, one after the other.
  void run(hal::ThreadPool &pool) const;
  /// run() that looks at every launch first.  Failure: LV3017 for a binding that is not aligned.
  Status runChecked(hal::ThreadPool &pool) const;

  /// The bytes of slice `index`.
  std::span<std::byte> slice(uint32_t index) const { return slices[index]; }
  uint64_t launches() const { return launchCount; }

private:
  struct Command {
    hal::Kernel kernel = nullptr; // none: a copy of bindings[0] to bindings[1]
    uint64_t grid[3] = {1, 1, 1};
    uint64_t bytes = 0;        // of a copy
    uint32_t firstBinding = 0; // in `bindings`
    uint32_t bindingCount = 0;
    uint32_t alignment = 1;
  };
  Status bindCopy(const artifact::Copy &copy, Command &command);
  Status bindLaunch(const artifact::Launch &launch, std::span<const artifact::Executable> described,
                    std::span<const hal::HostExecutable> executables, Command &command);
  void execute(const Command &command, hal::ThreadPool &pool) const;

  std::vector<std::span<std::byte>> slices;
  std::vector<Command> commands;
  std::vector<void *> bindings;
  uint64_t launchCount = 0;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_PROGRAM_H
