// The headers that kernel templates instantiate, as text.
#ifndef LEVIN_CODEGEN_CUDA_KERNELHEADERS_H
#define LEVIN_CODEGEN_CUDA_KERNELHEADERS_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/StringRef.h"

#include <map>
#include <string>

namespace levin::cuda {

struct KernelHeader {
  llvm::StringLiteral name; // "gemm.cuh"
  llvm::StringLiteral text;
};

/// Every file of codegen/cuda/kernels, by name.
llvm::ArrayRef<KernelHeader> kernelHeaders();

/// `name` and the headers that it includes, directly or not, by name; empty if there is no such
/// header.
std::map<std::string, llvm::StringRef> headersFor(llvm::StringRef name);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_KERNELHEADERS_H
