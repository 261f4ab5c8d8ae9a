#include "codegen/host/kernels/MicroKernel.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <array>

namespace levin::host::kernels {

// Steps of k in one iteration of the loop.
static constexpr int64_t unroll = 8;

// An FMA takes four cycles and two start in each: fewer sums than this wait for each other.
static constexpr int64_t sumsInFlight = 8;

// So many steps of k ahead a matrix that streams from memory is fetched.
static constexpr int64_t prefetchDistance = 32;

int64_t maxTileRows(const HostTarget &target) { return target.vectorRegisters >= 32 ? 12 : 6; }

namespace {
/// A tile's product for one or two vectors of columns.
struct ColumnStrip {
  Emit &e;
  const MicroTile &t;
  int64_t column, vectors;
  int64_t sets; // of sums, each for every n-th k

  ColumnStrip(Emit &e, const MicroTile &t, int64_t column, int64_t vectors)
      : e(e), t(t), column(column), vectors(vectors),
        sets(std::max<int64_t>(1, sumsInFlight / (t.rows * vectors))) {}

  /// Whether B is bfloat16 whose even and odd columns are summed apart: the bits of a pair make the
  /// float32 of one by a shift, of the other by a mask, which beats widening each vector.
  bool paired() const {
    Type element = llvm::cast<mlir::MemRefType>(t.b.getType()).getElementType();
    return element.isBF16() && vectors == 2 && t.bGroup == 0;
  }

  int64_t bOffset(int64_t v) const {
    int64_t at = column + v * e.lanes;
    return t.bGroup ? at / t.bGroup * t.bGroupStride + at % t.bGroup : at;
  }

  void fetchAhead(Value bRow, int64_t count);
  std::array<Value, 2> loadColumns(Value bRow);
  std::array<Value, 2> inOrder(Value even, Value odd);
  SmallVector<Value> steps(Value k, ValueRange carried, int64_t count);
  void finish(ArrayRef<Value> sums);
  void emit();
};
} // namespace

/// Asks for the lines of B that are read some steps from now, inside the buffer.
void ColumnStrip::fetchAhead(Value bRow, int64_t count) {
  auto type = llvm::cast<mlir::MemRefType>(t.b.getType());
  int64_t last = std::max<int64_t>(type.getNumElements() - unroll * t.bStride, 0);
  int64_t line = 512 / type.getElementTypeBitWidth();
  Value ahead = e.min(e.add(bRow, prefetchDistance * t.bStride), e.index(last));
  for (int64_t at = 0; at < count * t.bStride; at += line)
    e.prefetch(t.b, e.add(ahead, at));
}

/// The vectors of columns of the row of B that begins at `bRow`.
std::array<Value, 2> ColumnStrip::loadColumns(Value bRow) {
  if (!paired()) {
    std::array<Value, 2> result;
    for (int64_t v = 0; v < vectors; ++v)
      result[v] = e.load(t.b, e.add(bRow, bOffset(v)), e.lanes);
    return result;
  }
  mlir::OpBuilder &b = e.builder;
  auto bits = e.vectorType(e.lanes, b.getI32Type());
  auto splat = [&](uint32_t value) -> Value {
    return mlir::arith::ConstantOp::create(
        b, e.loc, mlir::DenseElementsAttr::get(bits, llvm::APInt(32, value)));
  };
  auto asFloat = [&](Value value) -> Value {
    return mlir::vector::BitCastOp::create(b, e.loc, e.vectorType(e.lanes), value);
  };
  Value pairs = mlir::vector::BitCastOp::create(
      b, e.loc, bits, e.loadRaw(t.b, e.add(bRow, bOffset(0)), 2 * e.lanes));
  return {asFloat(mlir::arith::ShLIOp::create(b, e.loc, pairs, splat(16))),
          asFloat(mlir::arith::AndIOp::create(b, e.loc, pairs, splat(0xffff0000)))};
}

/// Sums of even and of odd columns as those of the first and the second vector.
std::array<Value, 2> ColumnStrip::inOrder(Value even, Value odd) {
  SmallVector<int64_t> low, high;
  for (int64_t i = 0; i < e.lanes; ++i) {
    low.push_back(i / 2 + (i % 2) * e.lanes);
    high.push_back(low.back() + e.lanes / 2);
  }
  return {mlir::vector::ShuffleOp::create(e.builder, e.loc, even, odd, low),
          mlir::vector::ShuffleOp::create(e.builder, e.loc, even, odd, high)};
}

/// `count` steps from k on.
SmallVector<Value> ColumnStrip::steps(Value k, ValueRange carried, int64_t count) {
  SmallVector<Value> sums(carried);
  Value aRow = e.add(t.aBegin, k), bRow = e.add(t.bBegin, e.mul(k, t.bStride));
  if (t.streams && column == 0)
    fetchAhead(bRow, count);
  for (int64_t u = 0; u < count; ++u) {
    std::array<Value, 2> b = loadColumns(e.add(bRow, u * t.bStride));
    for (int64_t row = 0; row < t.rows; ++row) {
      Value a = e.broadcast(e.loadScalar(t.a, e.add(aRow, row * t.aStride + u)), e.lanes);
      for (int64_t v = 0; v < vectors; ++v) {
        Value &sum = sums[((u % sets) * t.rows + row) * vectors + v];
        sum = e.fma(a, b[v], sum);
      }
    }
  }
  return sums;
}

/// Adds the sets up and brings the sums into C.
void ColumnStrip::finish(ArrayRef<Value> sums) {
  Value scale = t.scale ? e.broadcast(t.scale, e.lanes) : Value();
  for (int64_t row = 0; row < t.rows; ++row) {
    std::array<Value, 2> total;
    for (int64_t v = 0; v < vectors; ++v) {
      total[v] = sums[row * vectors + v];
      for (int64_t set = 1; set < sets; ++set)
        total[v] = e.addf(total[v], sums[(set * t.rows + row) * vectors + v]);
    }
    if (paired())
      total = inOrder(total[0], total[1]);
    for (int64_t v = 0; v < vectors; ++v) {
      Value sum = total[v];
      Value place = e.add(t.cBegin, row * t.cStride + column + v * e.lanes);
      if (!t.overwrite) {
        Value old = e.load(t.c, place, e.lanes);
        sum = scale ? e.fma(scale, old, sum) : e.addf(old, sum);
      }
      e.store(sum, t.c, place);
    }
  }
}

void ColumnStrip::emit() {
  // From zero, and added to C at the end: the sum of short sums is more exact than one long one.
  SmallVector<Value> sums(sets * t.rows * vectors, e.splat(0, e.lanes));
  Value whole = t.depthUnrolls ? t.depth : e.mul(e.div(t.depth, unroll), unroll);
  sums = e.loop(e.index(0), whole, unroll, sums,
                [&](Value k, ValueRange carried) { return steps(k, carried, unroll); });
  if (!t.depthUnrolls)
    sums = e.loop(whole, t.depth, 1, sums,
                  [&](Value k, ValueRange carried) { return steps(k, carried, 1); });
  finish(sums);
}

void emitMicroKernel(Emit &e, const MicroTile &tile) {
  for (int64_t column = 0; column < tile.columns; column += 2 * e.lanes)
    ColumnStrip(e, tile, column, std::min<int64_t>(2, (tile.columns - column) / e.lanes)).emit();
}

/// `tile` moved down to `row`, with `rows` rows.
static MicroTile part(Emit &e, const MicroTile &tile, Value row, int64_t rows) {
  MicroTile result = tile;
  result.rows = rows;
  result.aBegin = e.add(tile.aBegin, e.mul(row, tile.aStride));
  result.cBegin = e.add(tile.cBegin, e.mul(row, tile.cStride));
  return result;
}

void emitProduct(Emit &e, const HostTarget &target, const MicroTile &tile, int64_t rows) {
  int64_t tileRows = ceilDiv(rows, ceilDiv(rows, maxTileRows(target)));
  emitTiles(e, tile, e.index(rows), rows, tileRows, rows % tileRows);
}

void emitTiles(Emit &e, const MicroTile &tile, Value rows, int64_t maxRows, int64_t tileRows,
               std::optional<int64_t> rowsRemainder) {
  Value done = e.index(0);
  if (maxRows >= tileRows) {
    done = e.mul(e.div(rows, tileRows), tileRows);
    e.loop(e.index(0), done, tileRows,
           [&](Value row) { emitMicroKernel(e, part(e, tile, row, tileRows)); });
  }
  auto step = [&](int64_t size) {
    Value last = e.add(done, size);
    done = e.either(
        e.less(rows, last), [&] { return SmallVector<Value>{done}; },
        [&] {
          emitMicroKernel(e, part(e, tile, done, size));
          return SmallVector<Value>{last};
        })[0];
  };
  if (rowsRemainder) {
    if (*rowsRemainder > 0)
      step(*rowsRemainder);
    return;
  }
  for (int64_t size : {8, 4, 2, 1})
    if (size < tileRows && size <= maxRows)
      step(size);
}

} // namespace levin::host::kernels
