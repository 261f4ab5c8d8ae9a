// A compiled program bound to memory of a GPU.
#ifndef LEVIN_RUNTIME_SESSION_CUDAPROGRAM_H
#define LEVIN_RUNTIME_SESSION_CUDAPROGRAM_H

#include "runtime/session/CudaModel.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

namespace levin {

/// Addresses on the device that programs are bound to.
struct CudaArenas {
  std::vector<hal::cuda::CUdeviceptr> base; // of each arena of the manifest
  hal::cuda::CUdeviceptr scratch = 0, products = 0;
};

/// Streams that a program is put on.
struct CudaStreams {
  hal::cuda::CUstream main = nullptr;
  hal::cuda::CUstream side = nullptr; // for concurrent launches
  hal::cuda::CUevent fork = nullptr, join = nullptr;
};

class CudaProgram {
public:
  /// Turns every reference of `program`, whose inputs and outputs are those of `entry`, into an
  /// address.  Failures: LV3010 the program is for several ranks, LV3016 or LV3017 a reference
  /// leaves its arena, or the driver accepts no tensor map for it.
  static Result<CudaProgram> bind(const artifact::Manifest &manifest, const artifact::Entry &entry,
                                  const CudaModel &model, const CudaArenas &arenas);

  /// A run of bytes of the staging memory that goes to the device at once.  Inputs that lie
  /// together, or nearly, lie so in the staging memory, too.
  struct Upload {
    hal::cuda::CUdeviceptr target = 0;
    uint64_t offset = 0, bytes = 0;
  };
  std::span<const Upload> uploads() const { return inputRuns; }
  uint64_t stagingBytes() const { return staged; }
  /// Where an input lies in the staging memory.
  uint64_t stagingOffset(const artifact::Binding &binding) const {
    return inputOffsets[binding.slices[0]];
  }
  hal::cuda::CUdeviceptr address(const artifact::Binding &binding) const {
    return slices[binding.slices[0]].address;
  }

  size_t commands() const { return steps.size(); }
  uint64_t launches() const { return launchCount; }
  /// Puts command `index` on the streams.  `afterKernel` says whether a kernel was put on the main
  /// stream last, before and after.
  Status enqueue(size_t index, const hal::cuda::Device &device, const CudaStreams &streams,
                 bool &afterKernel) const;
  /// Adds the kernel's name and what it was made from to a failure of command `index`.
  Status describe(Status failure, size_t index, const artifact::Manifest &manifest) const;

private:
  struct Range {
    hal::cuda::CUdeviceptr address = 0;
    uint64_t size = 0;
    uint32_t arena = 0;
  };
  struct Launch {
    hal::cuda::PreparedLaunch launch;
    bool concurrent = false;
  };
  /// A command: a copy, a product, or launches.
  struct Step {
    const artifact::Item *item = nullptr;
    hal::cuda::CUdeviceptr source = 0, target = 0;
    uint64_t bytes = 0; // of a copy
    std::optional<hal::cuda::PreparedProduct> product;
    std::vector<Launch> launches;
  };

  Result<hal::cuda::CUdeviceptr> addressOf(const artifact::Ref &ref) const;
  Status bindSlices(const artifact::RankProgram &rank, const artifact::Manifest &manifest,
                    const CudaArenas &arenas);
  void layOutInputs(const artifact::Entry &entry);
  Status bindCopy(const artifact::Copy &copy, Step &step);
  Status bindLaunch(const artifact::Launch &launch, const artifact::Manifest &manifest,
                    const CudaModel &model, const CudaArenas &arenas, Step &step);
  Status enqueueLaunches(const Step &step, const hal::cuda::Device &device,
                         const CudaStreams &streams, bool &afterKernel) const;

  std::vector<Range> slices;
  std::vector<Step> steps;
  std::vector<Upload> inputRuns;
  std::vector<uint64_t> inputOffsets; // by slice
  uint64_t staged = 0, launchCount = 0;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_CUDAPROGRAM_H
