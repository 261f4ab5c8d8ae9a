#include "codegen/cuda/CudaTarget.h"

#include <vector>

namespace levin::cuda {

static constexpr uint64_t mebibyte = uint64_t(1) << 20;

// What the driver, the context and the libraries take of a card beside what a program asks for.
static constexpr uint64_t reservedBytes = 2048 * mebibyte;

llvm::ArrayRef<CudaTarget> cudaTargets() {
  // CUDA C++ Programming Guide, compute capability 9.0; the memory is what an H200 reports.
  static const std::vector<CudaTarget> targets{{
      .name = "cuda-sm_90a",
      .chip = "sm_90a",
      .ptxName = "cuda-ptx_90a",
      .capability = 90,
      .processors = 132,
      .sharedBytes = 227 * 1024,
      .memoryBytes = 143771 * mebibyte - reservedBytes,
  }};
  return targets;
}

std::optional<CudaTarget> lookupCudaTarget(llvm::StringRef name) {
  if (name == "cuda")
    return cudaTargets().back();
  for (const CudaTarget &target : cudaTargets())
    if (target.name == name)
      return target;
  return std::nullopt;
}

} // namespace levin::cuda
