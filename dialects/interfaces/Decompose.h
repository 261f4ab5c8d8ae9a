// Replaces ops by what they mean.
#ifndef LEVIN_DIALECTS_INTERFACES_DECOMPOSE_H
#define LEVIN_DIALECTS_INTERFACES_DECOMPOSE_H

#include "mlir/IR/Operation.h"

namespace levin {

/// Replaces every op beneath `root` that has a decomposition, and the ops that come of it, until
/// only upstream ops are left.  Fails, with an error at the op, where a shape is not static.
mlir::LogicalResult decomposeAll(mlir::Operation *root);

} // namespace levin

#endif // LEVIN_DIALECTS_INTERFACES_DECOMPOSE_H
