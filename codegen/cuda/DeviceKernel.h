// A kernel on tensors to code for the device, by the best way there is.
#ifndef LEVIN_CODEGEN_CUDA_DEVICEKERNEL_H
#define LEVIN_CODEGEN_CUDA_DEVICEKERNEL_H

#include "codegen/cuda/DeviceCode.h"
#include "codegen/cuda/KernelTemplate.h"

namespace levin::cuda {

struct DeviceKernel {
  host::KernelSignature signature;
  std::string method;
  std::optional<KernelPlan> plan; // of a template
  DeviceCode code;                // if there is no plan
};

/// What may replace the decomposition of a kernel.
enum class Replace {
  Nothing,
  Kernels, // templates and generated kernels
  Library  // and, before them, products by cuBLASLt
};

/// How `kernel` runs on `target`: by a template or a generated kernel if one matches and `replace`
/// allows it, else from the decomposition.  A kernel that becomes code is consumed; the
/// code stands beside it.
mlir::FailureOr<DeviceKernel> emitDeviceKernel(mlir::func::FuncOp kernel, const CudaTarget &target,
                                               Replace replace);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_DEVICEKERNEL_H
