// Elementwise ops of a kernel, computed on vectors of a row.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_EPILOGUE_H
#define LEVIN_CODEGEN_HOST_KERNELS_EPILOGUE_H

#include "codegen/host/kernels/Emit.h"

#include "llvm/ADT/DenseMap.h"

namespace levin::host::kernels {

/// Whether `op` computes each element of its one result, of rank 2, from the elements at the same
/// place of its operands: an op with ElementwiseOpInterface, an elementwise arith or math op,
/// nn.mask_tail.
bool isElementwise(mlir::Operation *op);

/// Whether `op` is a constant with one value for all elements.
bool isSplatConstant(mlir::Operation *op);

/// The values of a kernel at one row and a vector of columns.
class VectorScope {
public:
  /// `row` and `column` say where arguments are read; `mask` which lanes exist (none: all).
  VectorScope(Emit &e, Value row, Value column, Value mask)
      : e(e), row(row), column(column), mask(mask) {}

  void set(Value tensor, Value vector) { known[tensor] = vector; }
  void setBuffer(Value argument, Value flat) { buffers[argument] = flat; }

  /// The vector of `tensor`: one that was set, an argument read from its buffer, a constant, or
  /// what an elementwise op makes of its operands.
  Value get(Value tensor);

private:
  Emit &e;
  Value row, column, mask;
  llvm::DenseMap<Value, Value> known, buffers;

  Value compute(mlir::Operation *op);
};

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_EPILOGUE_H
