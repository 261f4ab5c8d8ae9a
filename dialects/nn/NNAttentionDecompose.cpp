// What the ops on heads, sequences and state mean.  Loops run over sequences, heads and rows; the
// state is carried through them, and each step replaces one box of it, so that bufferization
// updates it in place.
#include "dialects/interfaces/DecomposeBuilder.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <cmath>
#include <numbers>

using namespace mlir;

namespace levin::nn {

using Values = SmallVector<Value>;
using Offsets = SmallVector<OpFoldResult>;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

//===-- split_heads ------------------------------------------------------------===//

FailureOr<Values> SplitHeadsOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  Values results;
  AffineExpr token = b.getAffineDimExpr(0), head = b.getAffineDimExpr(1);
  AffineExpr channel = b.getAffineDimExpr(2);
  int64_t plainOffset = 0;
  for (auto [part, result] : llvm::enumerate(getHeads())) {
    RankedTensorType type = typeOf(result);
    int64_t size = type.getDimSize(2);
    int64_t stride = getInterleaved() ? size * static_cast<int64_t>(getHeads().size()) : size;
    int64_t offset = getInterleaved() ? size * static_cast<int64_t>(part) : plainOffset;
    AffineMap map = AffineMap::get(3, 0, {token, head * stride + channel + offset}, b.getContext());
    results.push_back(b.elementwise(getInput(), map,
                                    b.empty(type.getShape(), type.getElementType()),
                                    [](ValueRange e) { return e[0]; }));
    plainOffset += type.getDimSize(1) * size;
  }
  return results;
}

//===-- rotary -----------------------------------------------------------------===//

/// The position of each row, an int32 tensor [tokens]; 0 for padding.
static Value rowPositions(DecomposeBuilder &b, Value starts, Value past, int64_t tokens) {
  RaggedBatch batch{b, starts, tokens};
  Value zeros = b.filled({tokens}, b.getI32Type(), 0);
  return b.loop(b.index(0), b.index(batch.sequences()), zeros, [&](Value s, ValueRange outer) {
    auto [first, last] = batch.rows(s);
    Value shift = b.sub(b.readIndex(past, s), first);
    return b.loop(first, last, outer, [&](Value t, ValueRange inner) -> Values {
      Value position = arith::IndexCastOp::create(b, b.getI32Type(), b.add(t, shift));
      return {b.write(inner[0], t, position)};
    });
  })[0];
}

llvm::SmallVector<float> rotaryFrequencies(double theta, int64_t width) {
  llvm::SmallVector<float> frequencies;
  for (int64_t j = 0; j < width / 2; ++j) {
    float exponent = static_cast<float>(2 * j) / static_cast<float>(width);
    frequencies.push_back(1.0f / static_cast<float>(std::pow(theta, exponent)));
  }
  return frequencies;
}

/// `position frequency` as float32, reduced to -pi .. pi in float64, as float32 again.
static Value reducedAngle(DecomposeBuilder &b, Value position, Value frequency) {
  auto f64 = [&](double number) { return createFloat(b, b.getLoc(), b.getF64Type(), number); };
  Value rounded =
      arith::MulFOp::create(b, arith::SIToFPOp::create(b, b.getF32Type(), position), frequency);
  Value angle = arith::ExtFOp::create(b, b.getF64Type(), rounded);
  // Positions are not negative, so cutting off the fraction rounds down.  No libm is needed.
  Value turns = arith::AddFOp::create(
      b, arith::MulFOp::create(b, angle, f64(0.5 / std::numbers::pi)), f64(0.5));
  Value whole =
      arith::SIToFPOp::create(b, b.getF64Type(), arith::FPToSIOp::create(b, b.getI64Type(), turns));
  Value reduced =
      arith::SubFOp::create(b, angle, arith::MulFOp::create(b, whole, f64(2 * std::numbers::pi)));
  return arith::TruncFOp::create(b, b.getF32Type(), reduced);
}

namespace {
struct Tables {
  Value cosines, sines; // [tokens, width / 2], float32
};
} // namespace

static Tables angleTables(DecomposeBuilder &b, Value positions, double theta, int64_t width) {
  int64_t half = width / 2, tokens = typeOf(positions).getDimSize(0);
  auto type = RankedTensorType::get({half}, b.getF32Type());
  Value constant = arith::ConstantOp::create(
      b, DenseElementsAttr::get(type, ArrayRef<float>(rotaryFrequencies(theta, width))));
  Value angles = b.elementwise(positions, b.map(2, {0}), b.empty({tokens, half}, b.getF32Type()),
                               [&](ValueRange e) {
                                 Value j = linalg::IndexOp::create(b, 1);
                                 Value frequency = tensor::ExtractOp::create(b, constant, j);
                                 return reducedAngle(b, e[0], frequency);
                               });
  auto table = [&](auto function) {
    return b.elementwise(angles, b.empty({tokens, half}, b.getF32Type()), function);
  };
  return {table([&](ValueRange e) -> Value { return math::CosOp::create(b, e[0]); }),
          table([&](ValueRange e) -> Value { return math::SinOp::create(b, e[0]); })};
}

FailureOr<Values> RotaryOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getInput());
  int64_t tokens = type.getDimSize(0), heads = type.getDimSize(1), size = type.getDimSize(2);
  int64_t width = static_cast<int64_t>(getWidth()), half = width / 2;
  Value positions = rowPositions(b, getStarts(), getPast(), tokens);
  Tables tables = angleTables(b, positions, getTheta().convertToDouble(), width);

  Value output = b.empty(type.getShape(), type.getElementType());
  auto place = [&](int64_t from) {
    return Offsets{b.getIndexAttr(0), b.getIndexAttr(0), b.getIndexAttr(from)};
  };
  auto channels = [&](Value tensor, int64_t from, int64_t count) {
    SmallVector<int64_t> sizes{tokens, heads, count};
    return b.slice(tensor, place(from), sizes, sizes);
  };
  // Fills the channels from `at` on.
  auto fill = [&](int64_t at, int64_t count, ValueRange inputs, ArrayRef<AffineMap> maps,
                  DecomposeBuilder::ElementBody body) {
    Value part = b.elementwise(inputs, maps, channels(output, at, count), body);
    output = b.unslice(part, output, place(at), {tokens, heads, count});
  };
  Values pair{channels(getInput(), 0, half), channels(getInput(), half, half), tables.cosines,
              tables.sines};
  AffineMap same = b.identity(3), row = b.map(3, {0, 2});
  fill(0, half, pair, {same, same, row, row},
       [&](ValueRange e) { return b.sub(b.mul(e[0], e[2]), b.mul(e[1], e[3])); });
  fill(half, half, pair, {same, same, row, row},
       [&](ValueRange e) { return b.add(b.mul(e[1], e[2]), b.mul(e[0], e[3])); });
  if (width < size)
    fill(width, size - width, channels(getInput(), width, size - width), same,
         [](ValueRange e) { return e[0]; });
  return Values{output};
}

//===-- lightning_attention ------------------------------------------------------===//

namespace {
/// Builds lightning attention in the recurrent form.
struct Lightning {
  LightningAttentionOp op;
  DecomposeBuilder &b;
  int64_t heads, size;

  Values head(Value h, Value slot, Value fresh, std::pair<Value, Value> rows, ValueRange carried);
  Values row(Value t, Value h, Value decay, ValueRange carried);
};
} // namespace

/// Row t of head h: `carried` is the output, a row for sums and the state of the head.
Values Lightning::row(Value t, Value h, Value decay, ValueRange carried) {
  auto vector = [&](Value heads) {
    return b.slice(heads, {t, h, b.getIndexAttr(0)}, {1, 1, size}, {size});
  };
  Value k = vector(op.getK()), v = vector(op.getV()), q = vector(op.getQ());
  Value state =
      b.reduce({k, v}, {b.map(2, {0}), b.map(2, {1}), b.identity(2)}, carried[2],
               [&](Value s, ValueRange e) { return b.add(b.mul(decay, s), b.mul(e[0], e[1])); });
  Value sums =
      b.reduce({q, state}, {b.map(2, {0}), b.identity(2), b.map(2, {1})}, b.zeroed(carried[1]),
               [&](Value sum, ValueRange e) { return b.add(sum, b.mul(e[0], e[1])); });
  Offsets place{t, b.mul(h, b.index(size))};
  Value row = b.copyInto(sums, b.slice(carried[0], place, {1, size}, {size}));
  return {b.unslice(row, carried[0], place, {1, size}), sums, state};
}

/// Head h of one sequence: `carried` is the output, a row for sums and the states of all slots.
Values Lightning::head(Value h, Value slot, Value fresh, std::pair<Value, Value> rows,
                       ValueRange carried) {
  Offsets place{slot, h, b.getIndexAttr(0), b.getIndexAttr(0)};
  SmallVector<int64_t> box{1, 1, size, size};
  Value old = b.slice(carried[2], place, box, {size, size});
  Value state = b.reduce({}, {b.identity(2)}, old, [&](Value s, ValueRange) -> Value {
    return arith::SelectOp::create(b, fresh, b.f32(0), s);
  });
  Value slope = b.read(op.getSlopes(), h);
  Value decay = math::ExpOp::create(b, arith::NegFOp::create(b, slope).getResult());
  Values done = b.loop(rows.first, rows.second, {carried[0], carried[1], state},
                       [&](Value t, ValueRange inner) { return row(t, h, decay, inner); });
  return {done[0], done[1], b.unslice(done[2], carried[2], place, box)};
}

FailureOr<Values> LightningAttentionOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getQ());
  int64_t heads = type.getDimSize(1), size = type.getDimSize(2);
  Lightning lightning{*this, b, heads, size};
  RaggedBatch batch{b, getStarts(), type.getDimSize(0)};
  Value lastSlot = b.index(typeOf(getState()).getDimSize(0) - 1), zero = b.index(0);
  Value output = b.filled(typeOf(getOutput()).getShape(), typeOf(getOutput()).getElementType(), 0);
  Value sums = b.empty({size}, b.getF32Type());

  Values done =
      b.loop(zero, b.index(batch.sequences()), {output, sums, getState()},
             [&](Value s, ValueRange carried) {
               std::pair<Value, Value> rows = batch.rows(s);
               Value slot = b.clamp(b.readIndex(getSlots(), s), zero, lastSlot);
               auto compare = [&](arith::CmpIPredicate predicate, Value x, Value y) -> Value {
                 return arith::CmpIOp::create(b, predicate, x, y);
               };
               Value fresh = compare(arith::CmpIPredicate::sle, b.readIndex(getPast(), s), zero);
               // A sequence without rows leaves its slot alone: no head is computed.
               Value any = compare(arith::CmpIPredicate::slt, rows.first, rows.second);
               Value count = arith::SelectOp::create(b, any, b.index(heads), zero);
               return b.loop(zero, count, carried, [&](Value h, ValueRange inner) {
                 return lightning.head(h, slot, fresh, rows, inner);
               });
             });
  return Values{done[0], done[2]};
}

} // namespace levin::nn
