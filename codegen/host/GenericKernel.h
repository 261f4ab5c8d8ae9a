// Any kernel, from the meaning of its ops.
#ifndef LEVIN_CODEGEN_HOST_GENERICKERNEL_H
#define LEVIN_CODEGEN_HOST_GENERICKERNEL_H

#include "codegen/host/KernelSignature.h"

#include <array>

namespace levin::host {

struct GenericKernel {
  mlir::func::FuncOp function; // on buffers; its body is loops
  std::array<int64_t, 3> grid{1, 1, 1};
  bool tiled; // else the grid is one point
};

struct GenericOptions {
  /// Tile the last op; off, the body does the work of all points, op by op.
  bool tile = true;
  /// Buffers are memref.alloca; off, they are memref.alloc of static shape on entry.
  bool stack = true;
};

/// Decomposes `kernel`, tiles its last op with all others fused into the tiles, and bufferises it
/// into a function `name` beside it.  What cannot be tiled as one runs in one piece.  `kernel` is
/// consumed.
mlir::FailureOr<GenericKernel> lowerGenericKernel(mlir::func::FuncOp kernel, llvm::StringRef name,
                                                  const KernelSignature &signature,
                                                  const GenericOptions &options = {});

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_GENERICKERNEL_H
