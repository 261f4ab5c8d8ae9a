// The GPUs that code is compiled for.
#ifndef LEVIN_CODEGEN_CUDA_CUDATARGET_H
#define LEVIN_CODEGEN_CUDA_CUDATARGET_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <cstdint>
#include <optional>
#include <string>

namespace levin::cuda {

struct CudaTarget {
  std::string name;         // "cuda-sm_90a"
  std::string chip;         // ptxas' name for it: "sm_90a"
  std::string ptxName;      // of the variant that the driver assembles: "cuda-ptx_90a"
  unsigned capability = 0;  // 90
  unsigned processors = 0;  // multiprocessors to plan for; grids of persistent kernels adapt
  uint32_t sharedBytes = 0; // that one block may have
  uint64_t memoryBytes = 0; // of the card that a plan is made for
};

/// Every target, the most capable last.
llvm::ArrayRef<CudaTarget> cudaTargets();

/// The target called `name` ("cuda" is the most capable one); nothing if there is none.
std::optional<CudaTarget> lookupCudaTarget(llvm::StringRef name);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_CUDATARGET_H
