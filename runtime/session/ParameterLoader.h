// Parameters: read from weight files and segments, joined, cast and packed into their arena.
#ifndef LEVIN_RUNTIME_SESSION_PARAMETERLOADER_H
#define LEVIN_RUNTIME_SESSION_PARAMETERLOADER_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/WeightFiles.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>

namespace levin {

/// Where the bytes of parameters go.  Workers ask for disjoint parts at the same time.
class ParameterTarget {
public:
  virtual ~ParameterTarget() = default;
  /// Bytes of the arena.
  virtual uint64_t size() const = 0;
  /// Memory into which `worker` (they count from 0) writes bytes [offset, offset + bytes) of the
  /// arena, which lie within it.
  virtual Result<std::byte *> begin(uint64_t worker, uint64_t offset, uint64_t bytes) = 0;
  /// The bytes that `worker` began are written.
  virtual Status end(uint64_t worker, uint64_t offset, uint64_t bytes) = 0;
};

struct LoadWork {
  /// The bytes of a segment of the artifact.
  std::function<std::span<const std::byte>(uint32_t segment)> segment;
  bool verifyDigests = true;
  /// Fill only the parameters whose values lie in segments; no weight file is needed.
  bool segmentsOnly = false;
  /// Told on the calling thread: bytes of the weight files that are done, and all of them.
  std::function<void(uint64_t done, uint64_t total)> progress;
};

/// Fills `target` with every parameter of `manifest`, at its offset.
///
/// The threads of `pool` read disjoint parts at the same time, each through at most a few MiB of
/// its own, so that memory stays what the plan says; weight files are hashed meanwhile.
/// Failures: LV1016 a parameter has no values; LV1012, LV1014, LV1015 (see WeightFiles::find),
/// LV1017 a digest differs, LV3021 a parameter does not fit its source or the arena, LV1016 a file
/// cannot be read.
Status loadParameters(const artifact::Manifest &manifest, const WeightFiles &files,
                      ParameterTarget &target, hal::ThreadPool &pool, const LoadWork &work);
/// The same for an arena in the memory of the host.
Status loadParameters(const artifact::Manifest &manifest, const WeightFiles &files,
                      std::span<std::byte> arena, hal::ThreadPool &pool, const LoadWork &work);

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_PARAMETERLOADER_H
