#include "codegen/host/kernels/Gemm.h"

#include "dialects/exec/Exec.h"

namespace levin::host::kernels {

// A panel of this depth stays in the first-level cache (48 KiB) beside a tile's rows.
static constexpr int64_t maxDepth = 256;

// A packed block of the input stays in the second level.  A multiple of every target's tile.
static constexpr int64_t maxRowBlock = 96;

// Columns of a point, in panels: the sums of a block stay in the second level as well.
static constexpr int64_t maxPanelGroup = 8;

// About a microsecond of work, by multiplications: below it a launch costs more than it gains.
static constexpr double worthAPoint = 1 << 15;
static constexpr double enoughPoints = 64;

// Up to this many rows the input is read where it lies.
static constexpr int64_t fewRows = 4;

std::optional<WeightSource> traceWeight(Value weight) {
  auto type = llvm::cast<mlir::RankedTensorType>(weight.getType());
  WeightSource source{0, WeightLayout::Rows, type.getDimSize(type.getRank() - 2),
                      type.getDimSize(type.getRank() - 1)};
  if (auto unpack = weight.getDefiningOp<exec::UnpackOp>()) {
    weight = unpack.getPanels();
    source.layout = WeightLayout::Panels;
    if (llvm::cast<mlir::RankedTensorType>(weight.getType()).getShape().back() != panelWidth)
      return std::nullopt;
  }
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(weight);
  if (!argument || !type.hasStaticShape() || !llvm::isa<mlir::FloatType>(type.getElementType()) ||
      type.getElementTypeBitWidth() > 32)
    return std::nullopt;
  source.argument = argument.getArgNumber();
  return source;
}

GemmGrid planGemm(int64_t m, int64_t n, int64_t k, int64_t products) {
  GemmGrid grid;
  grid.rowBlocks = ceilDiv(m, maxRowBlock);
  grid.rowBlock = roundUp(ceilDiv(m, grid.rowBlocks), 12);
  int64_t panels = ceilDiv(n, panelWidth);
  double work = static_cast<double>(m) * static_cast<double>(k) *
                static_cast<double>(panels * panelWidth * products);
  auto points = static_cast<int64_t>(std::clamp(work / worthAPoint, 1.0, enoughPoints));
  int64_t groups = std::clamp<int64_t>(ceilDiv(points, grid.rowBlocks), 1, panels);
  grid.panelGroup = std::min(ceilDiv(panels, groups), maxPanelGroup);
  grid.panelGroups = ceilDiv(panels, grid.panelGroup);
  return grid;
}

Gemm::Gemm(Emit &e, int64_t n, int64_t k, Value input, ArrayRef<Factor> factors, int64_t maxRows,
           int64_t maxPanels, int64_t tileRows, std::optional<int64_t> rowsRemainder)
    : e(e), n(n), k(k), maxRows(maxRows), maxPanels(maxPanels), tileRows(tileRows),
      rowsRemainder(rowsRemainder), input(input), factors(factors) {
  bool packs =
      llvm::any_of(factors, [](const Factor &f) { return f.layout != WeightLayout::Panels; });
  copyInput = maxRows > fewRows;
  depth = k;
  if (copyInput || packs)
    depth = std::min(k, roundUp(ceilDiv(k, ceilDiv(k, maxDepth)), 8));
  if (copyInput)
    inputBlock = e.scratch(maxRows * (depth + 16));
  if (packs)
    panelBlock = e.scratch(depth * panelWidth);
  for (size_t i = 0; i < factors.size(); ++i)
    sums.push_back(e.scratch(maxRows * sumStride()));
}

void Gemm::emitClear(Value rows) {
  Value zero = e.splat(0, e.lanes);
  for (Value sum : sums)
    e.loop(e.index(0), e.mul(rows, sumStride()), e.lanes, [&](Value i) { e.store(zero, sum, i); });
}

void Gemm::emitCopyInput(Value row, Value rows, Value k0, Value count) {
  e.loop(e.index(0), rows, 1, [&](Value r) {
    Value from = e.at(e.add(row, r), k, k0), to = e.mul(r, depth + 16);
    e.columns(e.index(0), count, k % e.lanes == 0 && depth % e.lanes == 0,
              [&](Value c, Value mask) {
                Value vector = e.load(input, e.add(from, c), e.lanes, mask);
                e.store(vector, inputBlock, e.add(to, c));
              });
  });
}

/// Packs rows of [n, k] from `first` on: squares of a vector's lanes are transposed in registers.
void Gemm::emitPackRows(const Factor &factor, Value first, Value k0, Value count) {
  // Rows past the matrix repeat its last one; nobody reads those columns.
  auto rowBegin = [&](Value c) {
    Value row = e.min(e.add(first, c), e.index(n - 1));
    return e.add(factor.begin, e.at(row, k, k0));
  };
  Value whole = e.mul(e.div(count, e.lanes), e.lanes);
  for (int64_t c = 0; c < panelWidth; c += e.lanes)
    e.loop(e.index(0), whole, e.lanes, [&](Value i) {
      SmallVector<Value> rows;
      for (int64_t row = 0; row < e.lanes; ++row)
        rows.push_back(e.load(factor.flat, e.add(rowBegin(e.index(c + row)), i), e.lanes));
      SmallVector<Value> columns = e.transpose(rows);
      for (int64_t column = 0; column < e.lanes; ++column)
        e.store(columns[column], panelBlock, e.add(e.mul(i, panelWidth), column * panelWidth + c));
    });
  e.loop(whole, count, 1, [&](Value i) {
    e.loop(e.index(0), e.index(panelWidth), 1, [&](Value c) {
      Value element = e.loadScalar(factor.flat, e.add(rowBegin(c), i));
      e.storeScalar(e.toFloat(element, e.f32()), panelBlock, e.at(i, panelWidth, c));
    });
  });
}

void Gemm::emitPackPanel(const Factor &factor, Value panel, Value k0, Value count) {
  Value first = e.mul(panel, panelWidth);
  if (factor.layout == WeightLayout::Rows)
    return emitPackRows(factor, first, k0, count);
  bool whole = n % panelWidth == 0;
  e.loop(e.index(0), count, 1, [&](Value i) {
    Value from = e.add(factor.begin, e.at(e.add(k0, i), n, first));
    for (int64_t v = 0; v < panelWidth; v += e.lanes) {
      Value mask = whole ? Value() : e.mask(e.sub(e.index(n - v), first), e.lanes);
      Value vector = e.load(factor.flat, e.add(from, v), e.lanes, mask);
      e.store(vector, panelBlock, e.add(e.mul(i, panelWidth), v));
    }
  });
}

void Gemm::emitDepthBlock(Value row, Value rows, Value panel, Value panels, Value k0, Value count) {
  if (copyInput)
    emitCopyInput(row, rows, k0, count);
  e.loop(e.index(0), panels, 1, [&](Value p) {
    Value thisPanel = e.add(panel, p);
    for (auto [factor, sum] : llvm::zip(factors, sums)) {
      MicroTile tile;
      tile.columns = tile.bStride = panelWidth;
      tile.overwrite = depth == k;
      tile.depth = count;
      tile.depthUnrolls = k % 8 == 0;
      tile.a = copyInput ? inputBlock : input;
      tile.aBegin = copyInput ? e.index(0) : e.at(row, k, k0);
      tile.aStride = copyInput ? depth + 16 : k;
      if (factor.layout == WeightLayout::Panels) {
        tile.b = factor.flat;
        tile.bBegin = e.add(factor.begin, e.mul(e.at(thisPanel, k, k0), panelWidth));
      } else {
        emitPackPanel(factor, thisPanel, k0, count);
        tile.b = panelBlock;
        tile.bBegin = e.index(0);
      }
      // One tile takes all rows: nobody else fetches the panel.
      tile.streams = factor.layout == WeightLayout::Panels && maxRows <= tileRows;
      tile.c = sum;
      tile.cBegin = e.mul(p, panelWidth);
      tile.cStride = sumStride();
      emitTiles(e, tile, rows, maxRows, tileRows, rowsRemainder);
    }
  });
}

void Gemm::emit(Value row, Value rows, Value panel, Value panels, Epilogue epilogue) {
  if (depth == k) {
    emitDepthBlock(row, rows, panel, panels, e.index(0), e.index(k));
  } else {
    emitClear(rows);
    e.loop(e.index(0), e.index(k), depth, [&](Value k0) {
      Value count = e.min(e.index(depth), e.sub(e.index(k), k0));
      emitDepthBlock(row, rows, panel, panels, k0, count);
    });
  }
  Value from = e.mul(panel, panelWidth);
  Value to = e.min(e.index(n), e.add(from, e.mul(panels, panelWidth)));
  e.loop(e.index(0), rows, 1, [&](Value r) {
    e.columns(from, to, n % e.lanes == 0, [&](Value column, Value mask) {
      SmallVector<Value> vectors;
      Value at = e.at(r, sumStride(), e.sub(column, from));
      for (Value sum : sums)
        vectors.push_back(e.load(sum, at, e.lanes));
      epilogue(e.add(row, r), column, mask, vectors);
    });
  });
}

} // namespace levin::host::kernels
