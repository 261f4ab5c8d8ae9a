// The gpu dialect -> NVVM -> PTX.
#ifndef LEVIN_CODEGEN_CUDA_LOWERING_H
#define LEVIN_CODEGEN_CUDA_LOWERING_H

#include "codegen/cuda/CudaTarget.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include <string>
#include <vector>

namespace levin::cuda {

/// Lowers the kernels of `module` (buffers, vectors, loops, arith, math and gpu ops) to the LLVM
/// dialect.  `written` says which of their bindings they write.
mlir::LogicalResult lowerToNvvm(mlir::gpu::GPUModuleOp module, const std::vector<bool> &written);

/// PTX text of `module` (LLVM dialect), for the driver or ptxas.
mlir::FailureOr<std::string> emitPtx(mlir::gpu::GPUModuleOp module, const CudaTarget &target);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_LOWERING_H
