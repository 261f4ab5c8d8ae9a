// Where the operands that kernels use as addresses come from.
#ifndef LEVIN_PASSES_PIPELINES_VERIFYORIGINS_H
#define LEVIN_PASSES_PIPELINES_VERIFYORIGINS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace levin::pipelines {

/// Refuses ops of `function` whose sequence bounds, slots, lengths or rows of experts are computed
/// values: kernels use them as addresses, and the runtime checks only arguments (I9, I10).
mlir::LogicalResult verifyOrigins(mlir::func::FuncOp function);

} // namespace levin::pipelines

#endif // LEVIN_PASSES_PIPELINES_VERIFYORIGINS_H
