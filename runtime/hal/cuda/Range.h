// A named span of time that NVIDIA's profilers show.
#ifndef LEVIN_RUNTIME_HAL_CUDA_RANGE_H
#define LEVIN_RUNTIME_HAL_CUDA_RANGE_H

#include <string>

namespace levin::hal::cuda {

/// Lasts as long as the object, on the calling thread.  Nothing without a profiler, or if the build
/// found no NVTX.
class Range {
public:
  explicit Range(const std::string &name);
  ~Range();
  Range(const Range &) = delete;
  Range &operator=(const Range &) = delete;
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_RANGE_H
