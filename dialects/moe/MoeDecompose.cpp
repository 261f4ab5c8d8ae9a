// What routing and experts mean.
#include "dialects/interfaces/DecomposeBuilder.h"
#include "dialects/moe/Moe.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;

namespace levin::moe {

using Values = SmallVector<Value>;
using Offsets = SmallVector<OpFoldResult>;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

static Value compare(DecomposeBuilder &b, arith::CmpIPredicate predicate, Value x, Value y) {
  return arith::CmpIOp::create(b, predicate, x, y);
}

//===-- route ------------------------------------------------------------------===//

namespace {
/// Builds a routing: probabilities and choices of each token, then a counting sort by expert.
struct Router {
  RouteOp op;
  DecomposeBuilder &b;
  int64_t tokens, experts, choices;

  Value softmax(Value t, Value row);
  std::pair<Value, Value> best(Value row);
  Values choose(Value t, ValueRange carried);
  Values count(Value live, Value chosen);
  Value place(Value live, Value chosen, Value offsets);
};
} // namespace

/// The probabilities of token t, in `row`.
Value Router::softmax(Value t, Value row) {
  Value zero = b.index(0), end = b.index(experts);
  auto score = [&](Value e) { return b.read(op.getScores(), {t, e}); };
  Value lowest = b.f32(-std::numeric_limits<double>::infinity());
  Value largest = b.loop(zero, end, lowest, [&](Value e, ValueRange inner) -> Values {
    return {arith::MaximumFOp::create(b, inner[0], score(e))};
  })[0];
  Values powers = b.loop(zero, end, {row, b.f32(0)}, [&](Value e, ValueRange inner) -> Values {
    Value power = math::ExpOp::create(b, b.sub(score(e), largest));
    return {b.write(inner[0], e, power), b.add(inner[1], power)};
  });
  return b.loop(zero, end, powers[0], [&](Value e, ValueRange inner) -> Values {
    Value share = arith::DivFOp::create(b, b.read(inner[0], e), powers[1]);
    return {b.write(inner[0], e, share)};
  })[0];
}

/// The expert of highest probability among those not taken, and that probability.  Taken ones are
/// negative.  The first that is free is taken even if all are NaN, so that the result is an expert.
std::pair<Value, Value> Router::best(Value row) {
  Value none = b.index(-1);
  Values found = b.loop(
      b.index(0), b.index(experts), {none, b.f32(0)}, [&](Value e, ValueRange inner) -> Values {
        Value share = b.read(row, e);
        Value free = arith::CmpFOp::create(b, arith::CmpFPredicate::UGE, share, b.f32(0));
        Value higher = arith::CmpFOp::create(b, arith::CmpFPredicate::OGT, share, inner[1]);
        Value first = compare(b, arith::CmpIPredicate::eq, inner[0], none);
        Value better =
            arith::AndIOp::create(b, free, arith::OrIOp::create(b, first, higher).getResult());
        return {arith::SelectOp::create(b, better, e, inner[0]),
                arith::SelectOp::create(b, better, share, inner[1])};
      });
  return {found[0], found[1]};
}

/// Chooses for token t: `carried` is the weights, the chosen experts and a row of probabilities.
Values Router::choose(Value t, ValueRange carried) {
  Value zero = b.index(0), end = b.index(choices);
  Value row = softmax(t, carried[2]);
  Values done = b.loop(
      zero, end, {carried[0], carried[1], row, b.f32(0)}, [&](Value c, ValueRange inner) -> Values {
        auto [expert, share] = best(inner[2]);
        Value number = arith::IndexCastOp::create(b, b.getI32Type(), expert);
        return {b.write(inner[0], {t, c}, share), b.write(inner[1], {t, c}, number),
                b.write(inner[2], expert, b.f32(-1)), b.add(inner[3], share)};
      });
  Value weights = done[0];
  if (op.getNormalize())
    weights = b.loop(zero, end, weights, [&](Value c, ValueRange inner) -> Values {
      Value share = arith::DivFOp::create(b, b.read(inner[0], {t, c}), done[3]);
      return {b.write(inner[0], {t, c}, share)};
    })[0];
  return {weights, done[1], done[2]};
}

/// How many rows each expert has, as offsets [experts + 1].
Values Router::count(Value live, Value chosen) {
  Value zero = b.index(0), one = b.index(1);
  Value offsets = b.filled({experts + 1}, b.getI32Type(), 0);
  offsets = b.loop(zero, live, offsets, [&](Value t, ValueRange outer) {
    return b.loop(zero, b.index(choices), outer, [&](Value c, ValueRange inner) -> Values {
      Value next = b.add(b.readIndex(chosen, {t, c}), one);
      return {b.write(inner[0], next, b.add(b.read(inner[0], next), b.i32(1)))};
    });
  })[0];
  return b.loop(one, b.index(experts + 1), offsets, [&](Value e, ValueRange inner) -> Values {
    Value before = b.read(inner[0], b.sub(e, one));
    return {b.write(inner[0], e, b.add(b.read(inner[0], e), before))};
  });
}

/// Gives out rows in order of expert, token, choice.
Value Router::place(Value live, Value chosen, Value offsets) {
  Value zero = b.index(0);
  Value rows = b.filled({tokens, choices}, b.getI32Type(), -1);
  Value next = b.copyInto(b.slice(offsets, {b.getIndexAttr(0)}, {experts}, {experts}),
                          b.empty({experts}, b.getI32Type()));
  return b.loop(zero, live, {rows, next}, [&](Value t, ValueRange outer) {
    return b.loop(zero, b.index(choices), outer, [&](Value c, ValueRange inner) -> Values {
      Value expert = b.readIndex(chosen, {t, c});
      Value row = b.read(inner[1], expert);
      return {b.write(inner[0], {t, c}, row), b.write(inner[1], expert, b.add(row, b.i32(1)))};
    });
  })[0];
}

FailureOr<Values> RouteOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getScores());
  Router router{*this, b, type.getDimSize(0), type.getDimSize(1),
                static_cast<int64_t>(getChoices())};
  Value zero = b.index(0);
  Value sequences = b.index(typeOf(getStarts()).getDimSize(0) - 1);
  Value live = b.clamp(b.readIndex(getStarts(), sequences), zero, b.index(router.tokens));
  Value weights = b.filled({router.tokens, router.choices}, b.getF32Type(), 0);
  Value chosen = b.empty({router.tokens, router.choices}, b.getI32Type());
  Value row = b.empty({router.experts}, b.getF32Type());
  Values done = b.loop(zero, live, {weights, chosen, row},
                       [&](Value t, ValueRange inner) { return router.choose(t, inner); });
  Value offsets = router.count(live, done[1])[0];
  return Values{done[0], router.place(live, done[1], offsets), offsets};
}

//===-- dispatch and combine -----------------------------------------------------===//

/// For each choice c of token t whose row (of `extent`) is one: `body(row)`.
static Values forChoices(DecomposeBuilder &b, Value rows, Value t, int64_t extent,
                         ValueRange carried,
                         function_ref<Values(Value c, Value row, ValueRange)> body) {
  return b.loop(
      b.index(0), b.index(typeOf(rows).getDimSize(1)), carried, [&](Value c, ValueRange inner) {
        Value row = b.readIndex(rows, {t, c});
        return b.onlyIf(b.isInside(row, extent), inner, [&] { return body(c, row, inner); });
      });
}

FailureOr<Values> DispatchOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getDispatched());
  int64_t columns = type.getDimSize(1);
  Value output = b.filled(type.getShape(), type.getElementType(), 0);
  return b.loop(b.index(0), b.index(typeOf(getTokens()).getDimSize(0)), output,
                [&](Value t, ValueRange outer) {
                  return forChoices(
                      b, getRows(), t, type.getDimSize(0), outer,
                      [&](Value, Value row, ValueRange inner) -> Values {
                        Offsets from{t, b.getIndexAttr(0)}, to{row, b.getIndexAttr(0)};
                        Value token = b.slice(getTokens(), from, {1, columns}, {columns});
                        Value part =
                            b.copyInto(token, b.slice(inner[0], to, {1, columns}, {columns}));
                        return {b.unslice(part, inner[0], to, {1, columns})};
                      });
                });
}

FailureOr<Values> CombineOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getTokens());
  int64_t columns = type.getDimSize(1), rows = typeOf(getExpertRows()).getDimSize(0);
  Value output = b.empty(type.getShape(), type.getElementType());
  Value sums = b.empty({columns}, b.getF32Type());
  auto token = [&](Value t, ValueRange carried) -> Values {
    Value zeros = b.zeroed(carried[1]);
    Value sum = forChoices(
        b, getRows(), t, rows, zeros, [&](Value c, Value row, ValueRange inner) -> Values {
          Value weight = b.read(getWeights(), {t, c});
          Value part = b.slice(getExpertRows(), {row, b.getIndexAttr(0)}, {1, columns}, {columns});
          return {b.reduce(part, {b.identity(1), b.identity(1)}, inner[0],
                           [&](Value s, ValueRange e) { return b.add(s, b.mul(weight, e[0])); })};
        })[0];
    Offsets place{t, b.getIndexAttr(0)};
    Value row = b.copyInto(sum, b.slice(carried[0], place, {1, columns}, {columns}));
    return {b.unslice(row, carried[0], place, {1, columns}), sum};
  };
  return Values{b.loop(b.index(0), b.index(type.getDimSize(0)), {output, sums}, token)[0]};
}

//===-- experts ----------------------------------------------------------------===//

FailureOr<Values> GroupedLinearOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  RankedTensorType type = typeOf(getOutput()), weight = typeOf(getWeight());
  int64_t experts = weight.getDimSize(0), n = weight.getDimSize(1), k = weight.getDimSize(2);
  RaggedBatch batch{b, getOffsets(), type.getDimSize(0)};
  Value output = b.filled(type.getShape(), type.getElementType(), 0);
  Value sums = b.empty({n}, b.getF32Type());
  auto expert = [&](Value e, ValueRange outer) {
    auto [first, last] = batch.rows(e);
    Value matrix =
        b.slice(getWeight(), {e, b.getIndexAttr(0), b.getIndexAttr(0)}, {1, n, k}, {n, k});
    return b.loop(first, last, outer, [&](Value r, ValueRange inner) -> Values {
      Offsets place{r, b.getIndexAttr(0)};
      Value input = b.slice(getInput(), place, {1, k}, {k});
      Value sum = b.reduce(
          {input, matrix}, {b.map(2, {1}), b.identity(2), b.map(2, {0})}, b.zeroed(inner[1]),
          [&](Value s, ValueRange elements) { return b.add(s, b.mul(elements[0], elements[1])); });
      Value row = b.copyInto(sum, b.slice(inner[0], place, {1, n}, {n}));
      return {b.unslice(row, inner[0], place, {1, n}), sum};
    });
  };
  return Values{b.loop(b.index(0), b.index(experts), {output, sums}, expert)[0]};
}

FailureOr<Values> ExpertsOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  auto times = [&](Value rows, Value weight) -> Value {
    return GroupedLinearOp::create(b, rows, weight, getOffsets());
  };
  Value gate = times(getInput(), getW1()), up = times(getInput(), getW3());
  RankedTensorType type = typeOf(gate);
  Value inner =
      b.elementwise({gate, up}, b.empty(type.getShape(), type.getElementType()),
                    [&](ValueRange e) { return b.mul(createSilu(b, b.getLoc(), e[0]), e[1]); });
  return Values{times(inner, getW2())};
}

} // namespace levin::moe
