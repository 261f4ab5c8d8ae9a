// Fused groups whose results are rows made from rows.
#ifndef LEVIN_CODEGEN_CUDA_GENERATED_ROWGROUP_H
#define LEVIN_CODEGEN_CUDA_GENERATED_ROWGROUP_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include "llvm/ADT/DenseSet.h"

#include <optional>

namespace levin::cuda {

/// The ops of a kernel that threads compute row by row, each from the same row of its operands or
/// from rows that an index names.
struct RowGroup {
  int64_t rows = 0, columns = 0;
  llvm::SmallVector<mlir::Operation *> ops; // in order, without constants
  /// Values whose rows go where moe.dispatch puts them: all that comes of it.
  llvm::DenseSet<mlir::Value> scattered;
  mlir::Operation *dispatch = nullptr;
  bool hasNorm = false, hasGather = false;

  /// Whether an element depends on nothing but elements at the same place (and its column).
  bool isFlat() const { return !hasNorm && !hasGather && !dispatch; }
};

/// Whether `op` reads rows of arguments by number: embed, take_rows, combine.
bool isGather(mlir::Operation *op);
/// The argument whose rows `op`, a gather, reads; it may be converted first.
mlir::BlockArgument tableOf(mlir::Operation *op);
/// Whether `op` does nothing but convert the table of gathers.
bool isTable(mlir::Operation *op);
/// Whether `op` is a norm of rows with weights from arguments.
bool isNorm(mlir::Operation *op);
/// Whether `op` is a constant with one value for all elements.
bool isSplat(mlir::Operation *op);

/// What threads have to do for `kernel`; nothing if it is no such group.
std::optional<RowGroup> analyseRows(mlir::func::FuncOp kernel);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_GENERATED_ROWGROUP_H
