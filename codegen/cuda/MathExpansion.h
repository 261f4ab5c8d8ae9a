// Mathematical functions as arithmetic.
#ifndef LEVIN_CODEGEN_CUDA_MATHEXPANSION_H
#define LEVIN_CODEGEN_CUDA_MATHEXPANSION_H

#include "mlir/Pass/PassManager.h"

namespace levin::cuda {

/// Adds the passes that replace exp, tanh, erf and the like, of scalars and vectors, by arithmetic
/// in float32, and arithmetic on bfloat16 and half mathematics by that on float32.
void addMathExpansion(mlir::OpPassManager &manager);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_MATHEXPANSION_H
