// Structured ops on buffers as loops that threads share.
#ifndef LEVIN_CODEGEN_CUDA_DEVICELOOPS_H
#define LEVIN_CODEGEN_CUDA_DEVICELOOPS_H

#include "mlir/Dialect/Linalg/IR/Linalg.h"

namespace levin::cuda {

/// The elements that a thread takes: `first`, `first + step`, ...
struct ThreadRange {
  mlir::Value first, step; // index
};

/// Replaces `op` (on buffers) by loops: its parallel points are numbered row-major and shared
/// among the threads, reductions are taken in order by one thread, in a register.
void emitThreadLoops(mlir::OpBuilder &builder, mlir::linalg::LinalgOp op, ThreadRange range);

/// How many parallel points `op` has; nothing if that is not known at compile time.
std::optional<int64_t> parallelPoints(mlir::linalg::LinalgOp op);

/// Replaces the structured ops and stores beneath `root`, which all threads of one block run, by
/// code where the threads share the work and wait for each other before and after what writes
/// memory.  Everything else stays as it is, computed by every thread.
void shareAmongBlock(mlir::Operation *root, mlir::Value thread, mlir::Value threads);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_DEVICELOOPS_H
