// Passes that show what code generation for the GPU does.
#ifndef LEVIN_CODEGEN_CUDA_PASSES_H
#define LEVIN_CODEGEN_CUDA_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace levin::cuda {

#define GEN_PASS_DECL
#include "codegen/cuda/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "codegen/cuda/Passes.h.inc"

/// What code generation needs registered: dialects, the external models by which upstream's
/// dialects are bufferised, and translations to LLVM IR.
void registerCudaCodegen(mlir::DialectRegistry &registry);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_PASSES_H
