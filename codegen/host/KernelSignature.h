// How a kernel on tensors becomes a kernel on buffers.
#ifndef LEVIN_CODEGEN_HOST_KERNELSIGNATURE_H
#define LEVIN_CODEGEN_HOST_KERNELSIGNATURE_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace levin::host {

/// The bindings of a kernel: its arguments in order, then its results that are not tied.
struct KernelSignature {
  /// For each result the argument whose memory it shares (updated in place), or -1.
  llvm::SmallVector<int64_t> tied;
  /// For each binding whether the kernel writes it.
  llvm::SmallVector<bool> written;
  /// For each result its binding.
  llvm::SmallVector<unsigned> bindingOfResult;
};

/// A result is tied if it comes from an op that updates an argument in place
/// (StatefulOpInterface).
KernelSignature signatureOf(mlir::func::FuncOp kernel);

/// An empty function `name(memref.. bindings, index x, index y, index z)` behind `kernel`.
mlir::func::FuncOp createBufferKernel(mlir::OpBuilder &builder, mlir::func::FuncOp kernel,
                                      llvm::StringRef name, const KernelSignature &signature);

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_KERNELSIGNATURE_H
