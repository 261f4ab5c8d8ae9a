#include "codegen/host/kernels/MicroKernel.h"

namespace levin::host::kernels {

// Steps of k in one iteration of the loop.
static constexpr int64_t unroll = 8;

// An FMA takes four cycles and two start in each: fewer sums than this wait for each other.
static constexpr int64_t sumsInFlight = 8;

int64_t maxTileRows(const HostTarget &target) { return target.vectorRegisters >= 32 ? 12 : 6; }

// So many steps of k ahead a matrix that streams from memory is fetched.
static constexpr int64_t prefetchDistance = 32;

/// How many sets of sums a tile keeps, each for every n-th k.
static int64_t sumSets(int64_t rows) {
  if (rows >= 3)
    return 1;
  return sumsInFlight / (rows * 2);
}

/// Two vectors of columns, from `column` on.
static void emitColumns(Emit &e, const MicroTile &t, int64_t column) {
  int64_t sets = sumSets(t.rows), vectors = 2;
  SmallVector<Value> sums;
  auto place = [&](int64_t row, int64_t v) {
    return e.add(t.cBegin, row * t.cStride + column + v * e.lanes);
  };
  // From zero, and added to C at the end: the sum of short sums is more exact than one long one.
  sums.assign(sets * t.rows * vectors, e.splat(0, e.lanes));

  auto bType = llvm::cast<mlir::MemRefType>(t.b.getType());
  int64_t bSize = bType.getNumElements(), lineElements = 512 / bType.getElementTypeBitWidth();
  auto steps = [&](Value k, ValueRange carried, int64_t count) {
    SmallVector<Value> next(carried);
    Value aRow = e.add(t.aBegin, k), bRow = e.add(t.bBegin, e.mul(k, panelWidth));
    Value ahead;
    if (t.streams && column == 0)
      ahead = e.min(e.add(bRow, prefetchDistance * panelWidth),
                    e.index(bSize - unroll * panelWidth));
    for (int64_t u = 0; u < count; ++u) {
      for (int64_t line = 0; ahead && line < panelWidth; line += lineElements)
        e.prefetch(t.b, e.add(ahead, u * panelWidth + line));
      Value b[2];
      for (int64_t v = 0; v < vectors; ++v)
        b[v] = e.load(t.b, e.add(bRow, u * panelWidth + column + v * e.lanes), e.lanes);
      for (int64_t row = 0; row < t.rows; ++row) {
        Value a = e.broadcast(e.loadScalar(t.a, e.add(aRow, row * t.aStride + u)), e.lanes);
        for (int64_t v = 0; v < vectors; ++v) {
          Value &sum = next[((u % sets) * t.rows + row) * vectors + v];
          sum = e.fma(a, b[v], sum);
        }
      }
    }
    return next;
  };
  Value zero = e.index(0);
  Value whole = t.depthUnrolls ? t.depth : e.mul(e.div(t.depth, unroll), unroll);
  sums = e.loop(zero, whole, unroll, sums,
                [&](Value k, ValueRange carried) { return steps(k, carried, unroll); });
  if (!t.depthUnrolls)
    sums = e.loop(whole, t.depth, 1, sums,
                  [&](Value k, ValueRange carried) { return steps(k, carried, 1); });

  for (int64_t row = 0; row < t.rows; ++row)
    for (int64_t v = 0; v < vectors; ++v) {
      Value sum = sums[row * vectors + v];
      for (int64_t set = 1; set < sets; ++set)
        sum = e.addf(sum, sums[(set * t.rows + row) * vectors + v]);
      e.store(e.addf(e.load(t.c, place(row, v), e.lanes), sum), t.c, place(row, v));
    }
}

void emitMicroKernel(Emit &e, const MicroTile &tile) {
  for (int64_t column = 0; column < panelWidth; column += 2 * e.lanes)
    emitColumns(e, tile, column);
}

static MicroTile moved(Emit &e, const MicroTile &tile, Value row) {
  MicroTile result = tile;
  result.aBegin = e.add(tile.aBegin, e.mul(row, tile.aStride));
  result.cBegin = e.add(tile.cBegin, e.mul(row, tile.cStride));
  return result;
}

void emitTiles(Emit &e, MicroTile tile, Value rows, int64_t maxRows, int64_t tileRows,
               std::optional<int64_t> rowsRemainder) {
  Value done = e.index(0);
  if (maxRows >= tileRows) {
    done = e.mul(e.div(rows, tileRows), tileRows);
    e.loop(e.index(0), done, tileRows, [&](Value row) {
      MicroTile part = moved(e, tile, row);
      part.rows = tileRows;
      emitMicroKernel(e, part);
    });
  }
  auto step = [&](int64_t size) {
    Value last = e.add(done, size);
    done = e.either(
        e.less(rows, last), [&] { return SmallVector<Value>{done}; },
        [&] {
          MicroTile part = moved(e, tile, done);
          part.rows = size;
          emitMicroKernel(e, part);
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
