// What softmax attention means, over a cache of each sequence and over one in pages.  Both caches
// are read in the same order, so that they give the same bits.
#include "dialects/interfaces/DecomposeBuilder.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

#include <limits>

using namespace mlir;

namespace levin::nn {

using Values = SmallVector<Value>;
using Offsets = SmallVector<OpFoldResult>;

static RankedTensorType typeOf(Value value) { return cast<RankedTensorType>(value.getType()); }

namespace {

/// A part of a cache.
struct Box {
  Offsets place;
  SmallVector<int64_t> extents;
};

/// Where the keys and values of a sequence lie.
struct Cache {
  DecomposeBuilder &b;
  int64_t size;              // of a head
  int64_t blocks, blockRows; // of a sequence
  int64_t places;            // slots or pages there are
  Value table;               // slot [S] or pages [S, blocks] of each sequence

  int64_t capacity() const { return blocks * blockRows; }
  bool isPaged() const { return typeOf(table).getRank() == 2; }
  /// The slot or page of a block of a sequence, as it is given.
  Value given(Value sequence, Value block) const {
    return isPaged() ? b.readIndex(table, {sequence, block}) : b.readIndex(table, sequence);
  }
  /// The same inside of the cache.
  Value place(Value sequence, Value block) const {
    return b.clamp(given(sequence, block), b.index(0), b.index(places - 1));
  }
  /// Whether keys may be stored there.  A slot that is none stands for the nearest.
  Value isPlace(Value sequence, Value block) const {
    return b.isInside(given(sequence, block), places);
  }
  /// The key of one position.
  Box key(Value place, Value group, Value block, Value within) const {
    if (isPaged())
      return {{place, group, within, b.getIndexAttr(0)}, {1, 1, 1, size}};
    return {{place, group, block, b.getIndexAttr(0), within}, {1, 1, 1, size, 1}};
  }
  Box value(Value place, Value group, Value block, Value within) const {
    if (isPaged())
      return {{place, group, within, b.getIndexAttr(0)}, {1, 1, 1, size}};
    return {{place, group, block, within, b.getIndexAttr(0)}, {1, 1, 1, 1, size}};
  }
  /// The keys of a block as [D, B].  Those of a page are turned into `scratch` [D, B] first, so
  /// that both caches are summed in one order; also gives the scratch that is left.
  std::pair<Value, Value> panel(Value keys, Value place, Value group, Value block,
                                Value scratch) const {
    OpFoldResult all = b.getIndexAttr(0);
    if (!isPaged())
      return {b.slice(keys, {place, group, block, all, all}, {1, 1, 1, size, blockRows},
                      {size, blockRows}),
              scratch};
    Value page =
        b.slice(keys, {place, group, all, all}, {1, 1, blockRows, size}, {blockRows, size});
    Value turned =
        b.elementwise(page, b.map(2, {1, 0}), scratch, [](ValueRange e) { return e[0]; });
    return {turned, turned};
  }
};

/// Builds softmax attention over a cache.
struct Softmax {
  DecomposeBuilder &b;
  const Cache &cache;
  Value q, k, v;
  int64_t heads, groups;
  double scale;

  Values run(Value output, Value starts, Value past, ValueRange caches);

private:
  Values store(Value t, Value sequence, Value position, ValueRange caches);
  Values scores(Value query, Value sequence, Value group, Value positions, Value keys,
                ValueRange carried);
  std::pair<Value, Value> weigh(Value scores, Value positions);
  Values head(Value t, Value h, Value sequence, Value positions, Value keys, Value values,
              ValueRange carried);
};

} // namespace

/// Stores the keys and values of row t.
Values Softmax::store(Value t, Value sequence, Value position, ValueRange caches) {
  Value rows = b.index(cache.blockRows), zero = b.index(0), end = b.index(groups);
  Value block = arith::DivUIOp::create(b, position, rows);
  Value within = arith::RemUIOp::create(b, position, rows);
  Value place = cache.place(sequence, block);
  if (cache.isPaged()) // a number that is no page stores nothing
    end = arith::SelectOp::create(b, cache.isPlace(sequence, block), end, zero);
  return b.loop(zero, end, caches, [&](Value g, ValueRange inner) -> Values {
    auto put = [&](Value from, Value to, const Box &box) {
      Value row = b.slice(from, {t, g, b.getIndexAttr(0)}, {1, 1, cache.size}, {cache.size});
      Value part = b.copyInto(row, b.slice(to, box.place, box.extents, {cache.size}));
      return b.unslice(part, to, box.place, box.extents);
    };
    return {put(k, inner[0], cache.key(place, g, block, within)),
            put(v, inner[1], cache.value(place, g, block, within))};
  });
}

/// `query . key` for every position of the blocks that hold the first `positions`: `carried` is a
/// row of scores and scratch for keys.
Values Softmax::scores(Value query, Value sequence, Value group, Value positions, Value keys,
                       ValueRange carried) {
  int64_t blockRows = cache.blockRows;
  Value count = arith::CeilDivUIOp::create(b, positions, b.index(blockRows));
  return b.loop(b.index(0), count, carried, [&](Value block, ValueRange inner) -> Values {
    auto [panel, scratch] = cache.panel(keys, cache.place(sequence, block), group, block, inner[1]);
    Offsets place{b.mul(block, b.index(blockRows))};
    Value sums = b.reduce({query, panel}, {b.map(2, {0}), b.identity(2), b.map(2, {1})},
                          b.zeroed(b.slice(inner[0], place, {blockRows}, {blockRows})),
                          [&](Value sum, ValueRange e) { return b.add(sum, b.mul(e[0], e[1])); });
    return {b.unslice(sums, inner[0], place, {blockRows}), scratch};
  });
}

/// The scores as `exp(scale score - max)`, and their sum.
std::pair<Value, Value> Softmax::weigh(Value scores, Value positions) {
  Value zero = b.index(0), factor = b.f32(scale);
  Value lowest = b.f32(-std::numeric_limits<double>::infinity());
  Value largest = b.loop(zero, positions, lowest, [&](Value j, ValueRange inner) -> Values {
    return {arith::MaximumFOp::create(b, inner[0], b.mul(b.read(scores, j), factor))};
  })[0];
  Values done =
      b.loop(zero, positions, {scores, b.f32(0)}, [&](Value j, ValueRange inner) -> Values {
        Value distance = b.sub(b.mul(b.read(inner[0], j), factor), largest);
        Value weight = math::ExpOp::create(b, distance);
        return {b.write(inner[0], j, weight), b.add(inner[1], weight)};
      });
  return {done[0], done[1]};
}

/// Head h of row t over the first `positions`: `carried` is the output, a row of sums, one of
/// scores, and scratch for keys.
Values Softmax::head(Value t, Value h, Value sequence, Value positions, Value keys, Value values,
                     ValueRange carried) {
  int64_t size = cache.size;
  Value group = arith::DivUIOp::create(b, h, b.index(heads / groups));
  Value query = b.slice(q, {t, h, b.getIndexAttr(0)}, {1, 1, size}, {size});
  Values scored = scores(query, sequence, group, positions, keys, carried.drop_front(2));
  auto [weights, total] = weigh(scored[0], positions);
  Value rows = b.index(cache.blockRows);
  Value sums =
      b.loop(b.index(0), positions, b.zeroed(carried[1]), [&](Value j, ValueRange inner) -> Values {
        Value block = arith::DivUIOp::create(b, j, rows);
        Value within = arith::RemUIOp::create(b, j, rows);
        Box box = cache.value(cache.place(sequence, block), group, block, within);
        Value value = b.slice(values, box.place, box.extents, {size});
        Value weight = b.read(weights, j);
        return {b.reduce(value, {b.identity(1), b.identity(1)}, inner[0],
                         [&](Value sum, ValueRange e) { return b.add(sum, b.mul(weight, e[0])); })};
      })[0];
  Offsets place{t, b.mul(h, b.index(size))};
  Value part =
      b.elementwise(sums, b.slice(carried[0], place, {1, size}, {size}),
                    [&](ValueRange e) -> Value { return arith::DivFOp::create(b, e[0], total); });
  return {b.unslice(part, carried[0], place, {1, size}), sums, weights, scored[1]};
}

/// The output and the caches.
Values Softmax::run(Value output, Value starts, Value past, ValueRange caches) {
  RaggedBatch batch{b, starts, typeOf(q).getDimSize(0)};
  Value zero = b.index(0), one = b.index(1), capacity = b.index(cache.capacity());
  Value scores = b.empty({cache.capacity()}, b.getF32Type());
  Value sums = b.empty({cache.size}, b.getF32Type());
  int64_t scratchRows = cache.isPaged() ? cache.size : 1; // not read of other caches
  Value scratch = b.empty({scratchRows, cache.blockRows}, b.getF32Type());
  Values done = b.loop(
      zero, b.index(batch.sequences()), {output, sums, scores, scratch, caches[0], caches[1]},
      [&](Value s, ValueRange carried) -> Values {
        auto [first, last] = batch.rows(s);
        Value fed = b.clamp(b.readIndex(past, s), zero, capacity);
        Value shift = b.sub(fed, first); // position of a row minus its number
        // Rows at positions from the capacity on are not stored.
        Value lastStored = b.minimum(last, b.sub(capacity, shift));
        Values stored =
            b.loop(first, lastStored, carried.drop_front(4),
                   [&](Value t, ValueRange inner) { return store(t, s, b.add(t, shift), inner); });
        Values rows = b.loop(first, last, carried.take_front(4), [&](Value t, ValueRange inner) {
          Value positions = b.minimum(b.add(b.add(t, shift), one), capacity);
          return b.loop(zero, b.index(heads), inner, [&](Value h, ValueRange row) {
            return head(t, h, s, positions, stored[0], stored[1], row);
          });
        });
        llvm::append_range(rows, stored);
        return rows;
      });
  return {done[0], done[4], done[5]};
}

template <typename Op> static Values decomposeSoftmax(Op op, DecomposeBuilder &b, Cache cache) {
  RankedTensorType output = typeOf(op.getOutput());
  Softmax softmax{b,
                  cache,
                  op.getQ(),
                  op.getK(),
                  op.getV(),
                  typeOf(op.getQ()).getDimSize(1),
                  typeOf(op.getK()).getDimSize(1),
                  op.getScale().convertToDouble()};
  return softmax.run(b.filled(output.getShape(), output.getElementType(), 0), op.getStarts(),
                     op.getPast(), {op.getKeys(), op.getValues()});
}

FailureOr<Values> AttentionOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  ArrayRef<int64_t> keys = typeOf(getKeys()).getShape(); // [slots, G, blocks, D, B]
  return decomposeSoftmax(*this, b, {b, keys[3], keys[2], keys[4], keys[0], getSlots()});
}

FailureOr<Values> PagedAttentionOp::decompose(OpBuilder &builder) {
  DecomposeBuilder b(builder, *this);
  ArrayRef<int64_t> keys = typeOf(getKeys()).getShape(); // [pages, G, B, D]
  int64_t blocks = typeOf(getPages()).getDimSize(1);
  return decomposeSoftmax(*this, b, {b, keys[3], blocks, keys[2], keys[0], getPages()});
}

} // namespace levin::nn
