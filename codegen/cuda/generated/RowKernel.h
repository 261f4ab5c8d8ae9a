// Kernels that move memory: norms, gathers and elementwise ops, written for 16-byte accesses.
#ifndef LEVIN_CODEGEN_CUDA_GENERATED_ROWKERNEL_H
#define LEVIN_CODEGEN_CUDA_GENERATED_ROWKERNEL_H

#include "codegen/cuda/DeviceCode.h"
#include "codegen/cuda/generated/RowGroup.h"

namespace levin::cuda {

/// Whether emitRowKernel can write `group`.
bool canEmitRows(const RowGroup &group, mlir::func::FuncOp kernel);

/// Writes `kernel` as one launch, in a gpu.module beside it; `kernel` is consumed.
///
/// A group without norms and gathers is flat: each thread takes a few vectors, whole blocks apart.
/// Else a row belongs to a warp or to a block, which reads each element once and keeps it in
/// registers; sums over a row are taken in an order that depends on its length only.
DeviceCode emitRowKernel(mlir::func::FuncOp kernel, const RowGroup &group);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_GENERATED_ROWKERNEL_H
