// Hand-shaped CUDA kernels for the fused groups that carry most of the time.
#ifndef LEVIN_CODEGEN_CUDA_KERNELTEMPLATE_H
#define LEVIN_CODEGEN_CUDA_KERNELTEMPLATE_H

#include "codegen/cuda/CudaTarget.h"
#include "runtime/artifact/Manifest.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace levin::cuda {

/// How a fused group runs on the device.
struct KernelPlan {
  std::string header; // a file of codegen/cuda/kernels
  /// C++ after `#include`ing the header: functors and `extern "C" __global__` kernels.  Symbols
  /// depend on what is constant in the code and on nothing else; plans of equal source share it.
  std::string source;
  /// Further sources of the same header, compiled apart: kernels that not every plan with `source`
  /// has.
  std::vector<std::string> moreSources;
  std::vector<artifact::DeviceLaunch> launches; // of symbols that `source` defines
  uint64_t scratchBytes = 0;
  std::optional<artifact::LibraryProduct> product; // instead of source and launches
};

/// Replaces the compiled decomposition of a kernel where it matches.
///
/// A kernel is one fused group on static tensors: its arguments are tensors, its body nn, moe,
/// arith and math ops, and it returns the results.  Bindings are its arguments in order, then its
/// results that no stateful op ties to an argument.  Values agree with the decomposition up to
/// rounding; rows that the ops leave unspecified may hold anything.
class KernelTemplate {
public:
  virtual ~KernelTemplate() = default;

  /// Names the template in plans and remarks.
  virtual llvm::StringRef name() const = 0;

  /// How this template runs `kernel`; nothing if it cannot.
  virtual std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                         const CudaTarget &target) const = 0;
};

/// Every template, in the order in which they are tried.
llvm::ArrayRef<const KernelTemplate *> cudaKernelTemplates();

/// The template of products that cuBLASLt computes; tried first where it is asked for.
const KernelTemplate &libraryKernelTemplate();

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_KERNELTEMPLATE_H
