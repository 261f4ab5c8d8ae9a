// What the ops on rows and elements mean.
#include "dialects/interfaces/DecomposeBuilder.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>
#include <numbers>

using namespace mlir;

namespace levin::nn {

using Values = SmallVector<Value>;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

static Value emptyLike(DecomposeBuilder &b, Value value) {
  return b.empty(typeOf(value).getShape(), typeOf(value).getElementType());
}

//===-- parameters -----------------------------------------------------------===//

/// The integer that `byte` (i8, or ui8 of two) holds for the column `column`, as float32.
static Value widenInteger(DecomposeBuilder &b, Value byte, Value column) {
  Value number;
  if (byte.getType().isUnsignedInteger()) {
    Value bits = UnrealizedConversionCastOp::create(b, TypeRange{b.getI8Type()}, ValueRange{byte})
                     .getResult(0);
    Value odd = arith::RemUIOp::create(b, column, b.index(2));
    Value shift = arith::IndexCastOp::create(b, b.getI32Type(), b.mul(odd, b.index(4)));
    Value half = arith::ShRUIOp::create(
        b, arith::ExtUIOp::create(b, b.getI32Type(), bits).getResult(), shift);
    half = arith::AndIOp::create(b, half, b.i32(15));
    number = b.sub(arith::XOrIOp::create(b, half, b.i32(8)), b.i32(8));
  } else {
    number = arith::ExtSIOp::create(b, b.getI32Type(), byte);
  }
  return arith::SIToFPOp::create(b, b.getF32Type(), number);
}

FailureOr<Values> DequantizeOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getOutput());
  unsigned rank = static_cast<unsigned>(type.getRank());
  bool isPacked = typeOf(getQ()).getElementType().isUnsignedInteger();
  Value init = b.empty(type.getShape(), type.getElementType());
  return Values{b.elementwise(ValueRange{}, init, [&](ValueRange) {
    Values place;
    for (unsigned d = 0; d < rank; ++d)
      place.push_back(linalg::IndexOp::create(b, d));
    Value column = place.back();
    auto at = [&](Value last) {
      Values result(place);
      result.back() = last;
      return result;
    };
    Value byte = isPacked ? arith::DivUIOp::create(b, column, b.index(2)).getResult() : column;
    Value group = arith::DivUIOp::create(b, column, b.index(static_cast<int64_t>(getGroup())));
    Value integer =
        widenInteger(b, tensor::ExtractOp::create(b, getQ(), at(byte)).getResult(), column);
    return b.mul(b.read(getScales(), at(group)), integer);
  })};
}

//===-- rows -----------------------------------------------------------------===//

/// `result[t, c] = table[rows[t], c]`, row 0 for what is no row of the table.
static Value takeRows(DecomposeBuilder &b, Value table, Value rows, RankedTensorType type) {
  int64_t extent = typeOf(table).getDimSize(0);
  Value init = b.empty(type.getShape(), type.getElementType());
  return b.elementwise(rows, b.map(2, {0}), init, [&](ValueRange elements) -> Value {
    Value row = b.toIndex(elements[0]);
    Value safe = arith::SelectOp::create(b, b.isInside(row, extent), row, b.index(0));
    Value column = linalg::IndexOp::create(b, 1);
    return b.read(table, {safe, column});
  });
}

FailureOr<Values> EmbedOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  return Values{takeRows(b, getTable(), getIds(), typeOf(getRows()))};
}

FailureOr<Values> TakeRowsOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  return Values{takeRows(b, getInput(), getIndices(), typeOf(getTaken()))};
}

FailureOr<Values> LinearOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getOutput());
  Value sums =
      b.reduce({getInput(), getWeight()}, {b.map(3, {0, 2}), b.map(3, {1, 2}), b.map(3, {0, 1})},
               b.filled(type.getShape(), b.getF32Type(), 0),
               [&](Value sum, ValueRange e) { return b.add(sum, b.mul(e[0], e[1])); });
  if (Value bias = getBias())
    return Values{b.elementwise({sums, bias}, {b.identity(2), b.map(2, {1})},
                                emptyLike(b, getOutput()),
                                [&](ValueRange e) { return b.add(e[0], e[1]); })};
  if (type.getElementType().isF32())
    return Values{sums};
  return Values{b.copyInto(sums, emptyLike(b, getOutput()))};
}

/// The sum over the columns of `f` of each element, for each row of `inputs` [rows, columns]; an
/// input of rank 1 gives one element a row.
static Value sumColumns(DecomposeBuilder &b, ValueRange inputs, DecomposeBuilder::ElementBody f) {
  SmallVector<AffineMap> maps;
  for (Value input : inputs)
    maps.push_back(typeOf(input).getRank() == 2 ? b.identity(2) : b.map(2, {0}));
  maps.push_back(b.map(2, {0}));
  Value zeros = b.filled({typeOf(inputs[0]).getDimSize(0)}, b.getF32Type(), 0);
  return b.reduce(inputs, maps, zeros, [&](Value sum, ValueRange e) { return b.add(sum, f(e)); });
}

/// `1 / sqrt(sum / columns + eps)`
static Value inverseRoot(DecomposeBuilder &b, Value sum, int64_t columns, double eps) {
  Value mean = arith::DivFOp::create(b, sum, b.f32(columns));
  return math::RsqrtOp::create(b, b.add(mean, b.f32(eps)));
}

FailureOr<Values> RmsNormOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getOutput());
  Value squares = sumColumns(b, getInput(), [&](ValueRange e) { return b.mul(e[0], e[0]); });
  Value output = b.elementwise(
      {getInput(), squares, getWeight()}, {b.identity(2), b.map(2, {0}), b.map(2, {1})},
      emptyLike(b, getOutput()), [&](ValueRange e) {
        Value scale = inverseRoot(b, e[1], type.getDimSize(1), getEps().convertToDouble());
        Value normed = b.fromF32(b.mul(e[0], scale), type.getElementType());
        return b.mul(b.toF32(normed), e[2]);
      });
  return Values{output};
}

FailureOr<Values> LayerNormOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  int64_t columns = typeOf(getOutput()).getDimSize(1);
  auto centred = [&](Value x, Value sum) -> Value {
    return b.sub(x, arith::DivFOp::create(b, sum, b.f32(columns)));
  };
  Value sums = sumColumns(b, getInput(), [](ValueRange e) { return e[0]; });
  Value squares = sumColumns(b, {getInput(), sums}, [&](ValueRange e) {
    Value distance = centred(e[0], e[1]);
    return b.mul(distance, distance);
  });
  AffineMap rows = b.map(2, {0}), vector = b.map(2, {1});
  Value output = b.elementwise(
      {getInput(), sums, squares, getWeight(), getBias()},
      {b.identity(2), rows, rows, vector, vector}, emptyLike(b, getOutput()), [&](ValueRange e) {
        Value scale = inverseRoot(b, e[2], columns, getEps().convertToDouble());
        return b.add(b.mul(b.mul(centred(e[0], e[1]), scale), e[3]), e[4]);
      });
  return Values{output};
}

FailureOr<Values> MaskTailOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  return Values{b.elementwise(getInput(), emptyLike(b, getOutput()), [&](ValueRange e) -> Value {
    Value column = linalg::IndexOp::create(b, 1);
    Value minusInfinity = b.f32(-std::numeric_limits<double>::infinity());
    return arith::SelectOp::create(b, b.isInside(column, getLive()), e[0], minusInfinity);
  })};
}

//===-- elements -------------------------------------------------------------===//

template <typename Op> static FailureOr<Values> decomposeElements(Op op, OpBuilder &builder) {
  DecomposeBuilder b(builder, op);
  return Values{b.elementwise(op->getOperands(), emptyLike(b, op.getOutput()),
                              [&](ValueRange e) { return op.buildElement(b, e); })};
}

Value SiluOp::buildElement(OpBuilder &builder, ValueRange operands) {
  return createSilu(builder, getLoc(), operands[0]);
}

Value SigmoidOp::buildElement(OpBuilder &builder, ValueRange operands) {
  return createSigmoid(builder, getLoc(), operands[0]);
}

Value GeluOp::buildElement(OpBuilder &builder, ValueRange operands) {
  ImplicitLocOpBuilder b(getLoc(), builder);
  Value x = operands[0];
  auto number = [&](double n) { return createFloat(b, getLoc(), x.getType(), n); };
  // 1 + erf(y) = erfc(-y), which keeps its digits where x is far below zero.
  Value gate =
      math::ErfcOp::create(b, arith::MulFOp::create(b, x, number(-1 / std::numbers::sqrt2)));
  return arith::MulFOp::create(b, arith::MulFOp::create(b, x, number(0.5)), gate);
}

Value ResidualOp::buildElement(OpBuilder &builder, ValueRange operands) {
  ImplicitLocOpBuilder b(getLoc(), builder);
  auto times = [&](Value x, APFloat factor) -> Value {
    if (factor.isExactlyValue(1.0))
      return x;
    return arith::MulFOp::create(b, x,
                                 createFloat(b, getLoc(), x.getType(), factor.convertToDouble()));
  };
  return arith::AddFOp::create(b, times(operands[0], getAlpha()), times(operands[1], getBeta()));
}

FailureOr<Values> SiluOp::decompose(OpBuilder &b) { return decomposeElements(*this, b); }
FailureOr<Values> SigmoidOp::decompose(OpBuilder &b) { return decomposeElements(*this, b); }
FailureOr<Values> GeluOp::decompose(OpBuilder &b) { return decomposeElements(*this, b); }
FailureOr<Values> ResidualOp::decompose(OpBuilder &b) { return decomposeElements(*this, b); }

} // namespace levin::nn
