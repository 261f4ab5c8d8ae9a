// What packing means.
#include "dialects/exec/Exec.h"
#include "dialects/interfaces/DecomposeBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace levin::exec {

using Values = SmallVector<Value>;

/// The indices of the element that is computed, inside the body of a `linalg.generic`.
static SmallVector<Value> indices(DecomposeBuilder &b, int64_t rank) {
  SmallVector<Value> result;
  for (int64_t dim = 0; dim < rank; ++dim)
    result.push_back(linalg::IndexOp::create(b, dim));
  return result;
}

// Elements are copied as they are: a cast to float32 and back could change a NaN.
static Value mapIndices(DecomposeBuilder &b, RankedTensorType type,
                        DecomposeBuilder::ElementBody body) {
  return b.elementwise({}, b.empty(type.getShape(), type.getElementType()), body);
}

FailureOr<Values> PackOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  auto panels = cast<RankedTensorType>(getPanels().getType());
  auto matrix = cast<RankedTensorType>(getMatrix().getType());
  int64_t rank = matrix.getRank(), rows = matrix.getDimSize(rank - 2);
  return Values{mapIndices(b, panels, [&](ValueRange) -> Value {
    SmallVector<Value> at = indices(b, rank + 1); // [.., i, k, r]
    Value row = b.add(b.mul(at[rank - 2], b.index(panels.getShape().back())), at[rank]);
    at.truncate(rank);
    at[rank - 2] = b.minimum(row, b.index(rows - 1));
    Value element = tensor::ExtractOp::create(b, getMatrix(), at);
    Value zero = arith::ConstantOp::create(b, b.getZeroAttr(matrix.getElementType()));
    return arith::SelectOp::create(b, b.isInside(row, rows), element, zero);
  })};
}

FailureOr<Values> UnpackOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  auto matrix = cast<RankedTensorType>(getMatrix().getType());
  int64_t rank = matrix.getRank();
  int64_t panelRows = cast<RankedTensorType>(getPanels().getType()).getShape().back();
  return Values{mapIndices(b, matrix, [&](ValueRange) -> Value {
    SmallVector<Value> at = indices(b, rank); // [.., n, k]
    Value row = at[rank - 2], size = b.index(panelRows);
    at[rank - 2] = arith::DivUIOp::create(b, row, size);
    at.push_back(arith::RemUIOp::create(b, row, size));
    return tensor::ExtractOp::create(b, getPanels(), at);
  })};
}

} // namespace levin::exec
