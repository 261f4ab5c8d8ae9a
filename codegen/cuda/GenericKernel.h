// Any kernel, from the meaning of its ops.
#ifndef LEVIN_CODEGEN_CUDA_GENERICKERNEL_H
#define LEVIN_CODEGEN_CUDA_GENERICKERNEL_H

#include "codegen/cuda/DeviceCode.h"

namespace levin::cuda {

/// Decomposes `kernel` and compiles what comes of it, in order: a structured op becomes a launch
/// of its own in which each thread makes elements; loops with what they carry become launches of
/// one block, whose threads share each structured op within.  Buffers between them are scratch
/// bytes.  Right for every op, and made to be simple rather than fast.  `kernel` is consumed; the
/// code is put into a gpu.module beside it.
mlir::FailureOr<DeviceCode> emitGenericKernel(mlir::func::FuncOp kernel,
                                              const host::KernelSignature &signature);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_GENERICKERNEL_H
