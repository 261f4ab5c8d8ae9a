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

/// Decomposes `kernel`, tiles its last op with all others fused into the tiles, and bufferises it
/// into a function `name` beside it.  What cannot be tiled as one runs in one piece.  `kernel` is
/// consumed.
mlir::FailureOr<GenericKernel> lowerGenericKernel(mlir::func::FuncOp kernel, llvm::StringRef name,
                                                  const KernelSignature &signature);

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_GENERICKERNEL_H
