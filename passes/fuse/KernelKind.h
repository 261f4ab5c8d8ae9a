// What the passes of the fuse phase tell one another about an op.
#ifndef LEVIN_PASSES_FUSE_KERNELKIND_H
#define LEVIN_PASSES_FUSE_KERNELKIND_H

#include "mlir/IR/Operation.h"

#include <optional>

namespace levin::fuse {

inline constexpr llvm::StringLiteral kindAttrName = "fuse.kind";
inline constexpr llvm::StringLiteral groupAttrName = "fuse.group";

enum class KernelKind {
  Matmul,
  Attention,
  Lightning,
  View,
  Rotary,
  Row,
  Column,
  Elementwise,
  Gather,
  Route,
  Combine,
  Other
};

llvm::StringRef stringify(KernelKind kind);

/// The kind of kernel work that `op` is.
KernelKind classify(mlir::Operation *op);

/// What `levin-fuse-match` wrote on `op`, if anything.
std::optional<KernelKind> markedKind(mlir::Operation *op);

/// The group that `levin-fuse-group` gave `op`, if any.
std::optional<int64_t> groupOf(mlir::Operation *op);

/// Whether `op` is repeated in every kernel that needs it: constants, fills, scalars and the
/// widening of quantised weights, unless the function returns them.
bool isRepeated(mlir::Operation *op);

/// Whether `op` stays in the function: parameters, their packing, and the return.
bool staysOutside(mlir::Operation *op);

/// Calls `visit` for the op, in the block of `op`, behind each use of a result of `op`, looking
/// through repeated ops.
void forEachUser(mlir::Operation *op, llvm::function_ref<void(mlir::Operation *)> visit);

/// Calls `visit` for every value that `op` or its regions read and that is defined outside of it.
void forEachRead(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit);

} // namespace levin::fuse

#endif // LEVIN_PASSES_FUSE_KERNELKIND_H
