// Kernels to machine code of a GPU.
#ifndef LEVIN_CODEGEN_CUDA_CUDACODEGEN_H
#define LEVIN_CODEGEN_CUDA_CUDACODEGEN_H

#include "codegen/cuda/CudaTarget.h"
#include "codegen/cuda/Toolkit.h"
#include "runtime/artifact/Manifest.h"

#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace levin::cuda {

struct CudaCodegenOptions {
  /// Whether kernel templates and generated kernels may replace the decomposition (off: what every
  /// op means, compiled).
  bool templates = true;
  /// Whether cuBLASLt computes products that nothing follows; needs `templates`.
  bool useCublas = false;
  /// Keep the IR or source of each kernel in CudaKernel::ir.
  bool keepIr = false;
  /// Called as sources are compiled, from any thread, one call at a time.
  std::function<void(size_t done, size_t total)> progress;
  /// How many programs of the toolkit run at a time; 0: as many as there are processors.
  unsigned threads = 0;
};

/// What a launch needs to know of a kernel.
struct CudaKernel {
  std::string name;
  std::vector<bool> written; // one for each binding
  std::vector<artifact::DeviceLaunch> launches;
  uint64_t scratchBytes = 0;
  std::optional<artifact::LibraryProduct> product; // instead of launches
  std::string method; // the template's name, "rows", "elements" or "plain"
  std::string ir;
};

/// One image of code: machine code for the target, and PTX for the driver of a newer card.
struct CudaImage {
  std::string cubin, ptx;
};

struct CudaModule {
  std::vector<CudaKernel> kernels;   // in the order of the functions
  CudaImage image;                   // of all of them; empty if none has launches
  std::vector<CudaKernel> utilities; // that the runtime launches itself; one launch each
  CudaImage utilityImage;
};

/// Compiles every function of `kernels` (one fused group each, on static tensors).  Deterministic:
/// the same module gives the same bytes.  Failures are diagnostics at the kernel's location.
mlir::FailureOr<CudaModule> compileKernels(mlir::ModuleOp kernels, const CudaTarget &target,
                                           const CudaToolkit &toolkit,
                                           const CudaCodegenOptions &options = {});

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_CUDACODEGEN_H
