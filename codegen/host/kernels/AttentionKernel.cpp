// Softmax attention over the cache, blocks of queries against tiles of positions.
//
// Grid: (KV heads, sequences, shares of the query blocks).  A point first writes the step's keys
// and values of its head to the cache, rotated, then reads all of them back.  If a head has several
// shares, each of them writes the same bytes to the same places; what any of them reads is then
// the one value that all of them write, whoever came first, and none waits for another.
//
// For a block of queries, with the maximum m, the sum l and the result o of each row so far, a tile
// of positions with scores s gives
//
//   m' = max(m, max s),  w = e^(s - m'),  l' = e^(m - m') l + sum w,  o' = e^(m - m') o + w V.
#include "codegen/host/kernels/MicroKernel.h"
#include "codegen/host/kernels/Rotary.h"
#include "codegen/host/kernels/Templates.h"

#include "dialects/nn/NN.h"

#include <limits>
#include <numeric>

namespace levin::host::kernels {

// Queries of a block, over all query heads of a KV head.
static constexpr int64_t queryRows = 24;
// Positions of a tile at most, and of the strips that its scores are computed in.
static constexpr int64_t maxTile = 128;
static constexpr int64_t maxStrip = 32;
// Grid points of a sequence when there are few KV heads.
static constexpr int64_t enoughPoints = 4;
static constexpr int64_t worthSharing = 64; // tokens

namespace {
struct AttentionGroup {
  nn::AttentionOp op;
  HeadView q, k, v;
  double scale = 1, theta = 1;
  int64_t width = 0; // 0: no rotation
  unsigned keys, values, starts, slots, past;
  int64_t tokens, heads, groups, size, slotCount, blocks, blockRows, sequences;

  int64_t capacity() const { return blocks * blockRows; }
  int64_t headsPerGroup() const { return heads / groups; }
};

class AttentionKernel : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "attention"; }
  bool matches(mlir::func::FuncOp kernel) const override;
  std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const override;
  mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                           const HostTarget &target) const override;
};
} // namespace

/// `heads` behind its rotation, if it has one by the batch and the constants of the group.
static bool traceRotated(AttentionGroup &group, bool isQuery, Value heads, HeadView &view) {
  auto rotary = heads.getDefiningOp<nn::RotaryOp>();
  int64_t width = rotary ? static_cast<int64_t>(rotary.getWidth()) : 0;
  double theta = rotary ? rotary.getTheta().convertToDouble() : 1;
  if (rotary) {
    if (rotary.getStarts() != group.op.getStarts() || rotary.getPast() != group.op.getPast())
      return false;
    heads = rotary.getInput();
  }
  if (isQuery) {
    group.width = width;
    group.theta = theta;
  } else if (group.width != width || group.theta != theta) {
    return false;
  }
  auto traced = traceHeads(heads);
  if (traced)
    view = *traced;
  return traced.has_value();
}

static std::optional<AttentionGroup> analyse(mlir::func::FuncOp kernel) {
  AttentionGroup g;
  mlir::Operation *terminator = kernel.getBody().front().getTerminator();
  for (mlir::Operation &op : kernel.getBody().front()) {
    if (auto attention = llvm::dyn_cast<nn::AttentionOp>(op)) {
      if (g.op)
        return std::nullopt;
      g.op = attention;
    } else if (!llvm::isa<nn::SplitHeadsOp, nn::RotaryOp>(op) && &op != terminator) {
      return std::nullopt;
    }
  }
  if (!g.op || terminator->getOperands() != g.op->getResults())
    return std::nullopt;
  auto v = traceHeads(g.op.getV());
  if (!v || !traceRotated(g, true, g.op.getQ(), g.q) || !traceRotated(g, false, g.op.getK(), g.k))
    return std::nullopt;
  g.v = *v;
  g.scale = g.op.getScale().convertToDouble();
  auto arguments = {std::pair<unsigned *, Value>(&g.keys, g.op.getKeys()),
                    {&g.values, g.op.getValues()},
                    {&g.starts, g.op.getStarts()},
                    {&g.slots, g.op.getSlots()},
                    {&g.past, g.op.getPast()}};
  for (auto [number, value] : arguments) {
    auto argument = argumentNumber(value);
    if (!argument)
      return std::nullopt;
    *number = *argument;
  }
  auto type = llvm::cast<mlir::RankedTensorType>(g.op.getQ().getType());
  auto cache = llvm::cast<mlir::RankedTensorType>(g.op.getKeys().getType());
  g.tokens = type.getDimSize(0), g.heads = type.getDimSize(1), g.size = type.getDimSize(2);
  g.slotCount = cache.getDimSize(0), g.groups = cache.getDimSize(1);
  g.blocks = cache.getDimSize(2), g.blockRows = cache.getDimSize(4);
  g.sequences = llvm::cast<mlir::RankedTensorType>(g.op.getSlots().getType()).getDimSize(0);
  auto output = llvm::cast<mlir::RankedTensorType>(g.op.getOutput().getType());
  if (!output.getElementType().isF32() || g.size % 8 != 0 || g.size < 8 || g.size > 256 ||
      g.blockRows != 16 || g.blocks == 0 || g.slotCount == 0 || g.tokens == 0 ||
      g.headsPerGroup() > 64)
    return std::nullopt;
  return g;
}

bool AttentionKernel::matches(mlir::func::FuncOp kernel) const {
  return analyse(kernel).has_value();
}

static int64_t sharesOf(const AttentionGroup &g) {
  return g.tokens >= worthSharing ? ceilDiv(enoughPoints, std::min(g.groups, enoughPoints)) : 1;
}

std::array<int64_t, 3> AttentionKernel::grid(mlir::func::FuncOp kernel) const {
  AttentionGroup g = *analyse(kernel);
  return {g.groups, g.sequences, sharesOf(g)};
}

namespace {
/// The code of one KV head of one sequence.
class AttentionEmitter {
public:
  AttentionEmitter(mlir::func::FuncOp function, const AttentionGroup &group,
                   const HostTarget &target);
  void emit();

private:
  Emit e;
  const HostTarget &target;
  const AttentionGroup &g;
  const int64_t size;
  const int64_t strip, tile; // positions: parts of the capacity, so that none reads beyond it
  Value q, k, v, keys, values, output;
  Value group, sequence, share, cacheBegin, shift;
  SequenceRows rows;
  Rotary rotary;
  Value row, queries, scores, results, maxima, sums; // scratch

  void emitStore(Value t, Value position);
  void emitQueries(Value first, int64_t count);
  void emitWeights(Value tileBegin, Value columns, Value position, int64_t count);
  void emitTile(Value tileBegin, Value end, Value position, int64_t count);
  void emitOutput(Value first, int64_t count);
  void emitBlock(Value first, int64_t count);
};
} // namespace

AttentionEmitter::AttentionEmitter(mlir::func::FuncOp function, const AttentionGroup &group,
                                   const HostTarget &target)
    : e(function, target), target(target), g(group), size(group.size),
      strip(std::gcd(group.capacity(), maxStrip)), tile(std::gcd(group.capacity(), maxTile)),
      rotary(e, group.theta, group.width, group.size) {
  unsigned arguments = function.getNumArguments();
  q = e.flat(function.getArgument(g.q.argument));
  k = e.flat(function.getArgument(g.k.argument));
  v = e.flat(function.getArgument(g.v.argument));
  keys = e.flat(function.getArgument(g.keys));
  values = e.flat(function.getArgument(g.values));
  output = e.flat(function.getArgument(arguments - 4));
  this->group = function.getArgument(arguments - 3);
  sequence = function.getArgument(arguments - 2);
  share = function.getArgument(arguments - 1);
  Value slot = e.clamp(e.loadIndex(function.getArgument(g.slots), sequence), 0, g.slotCount - 1);
  cacheBegin = e.mul(e.at(slot, g.groups, this->group), g.capacity() * size);
  rows = loadSequenceRows(e, function.getArgument(g.starts), sequence, g.tokens);
  Value past = e.clamp(e.loadIndex(function.getArgument(g.past), sequence), 0, g.capacity());
  shift = e.sub(past, rows.first);

  row = e.scratch(size);
  int64_t most = std::max(queryRows, g.headsPerGroup());
  queries = e.scratch(most * size);
  scores = e.scratch(most * tile);
  results = e.scratch(most * size);
  maxima = e.scratch(most);
  sums = e.scratch(most);
}

void AttentionEmitter::emit() {
  // Positions from the capacity on are not stored.
  Value lastStored = e.min(rows.last, e.sub(e.index(g.capacity()), shift));
  e.loop(rows.first, lastStored, 1, [&](Value t) { emitStore(t, e.add(t, shift)); });

  int64_t blockTokens = std::max<int64_t>(1, queryRows / g.headsPerGroup());
  int64_t shares = sharesOf(g);
  if (blockTokens == 1 || g.tokens < blockTokens) {
    e.loop(e.add(rows.first, share), rows.last, shares, [&](Value t) { emitBlock(t, 1); });
    return e.finish();
  }
  // Whole blocks, dealt out to the shares; the rows behind them one by one.
  Value length = e.sub(rows.last, rows.first);
  Value behind = e.add(rows.first, e.mul(e.div(length, blockTokens), blockTokens));
  e.loop(e.at(share, blockTokens, rows.first), behind, shares * blockTokens,
         [&](Value t) { emitBlock(t, blockTokens); });
  e.loop(e.add(behind, share), rows.last, shares, [&](Value t) { emitBlock(t, 1); });
  e.finish();
}

/// Writes the key and the value of row t to the cache.
void AttentionEmitter::emitStore(Value t, Value position) {
  rotary.setPosition(position);
  rotary.emit(k, g.k.at(e, t, group), row, e.index(0), 1);
  Value block = e.add(cacheBegin, e.mul(e.div(position, g.blockRows), size * g.blockRows));
  Value within = e.rem(position, g.blockRows);
  Type element = llvm::cast<mlir::MemRefType>(keys.getType()).getElementType();
  e.loop(e.index(0), e.index(size), 1, [&](Value c) {
    Value key = e.toFloat(e.loadScalar(row, c), element);
    e.storeScalar(key, keys, e.add(block, e.at(c, g.blockRows, within)));
  });
  emitCopy(e, v, g.v.at(e, t, group), values, e.at(within, size, block), size);
}

/// The queries of `count` rows from `first` on, rotated and scaled: row by row, head by head.
void AttentionEmitter::emitQueries(Value first, int64_t count) {
  int64_t heads = g.headsPerGroup();
  e.loop(e.index(0), e.index(count), 1, [&](Value r) {
    Value t = e.add(first, r);
    rotary.setPosition(e.add(t, shift));
    e.loop(e.index(0), e.index(heads), 1, [&](Value h) {
      rotary.emit(q, g.q.at(e, t, e.at(group, heads, h)), queries, e.mul(e.at(r, heads, h), size),
                  g.scale);
    });
  });
}

/// The first `columns` scores of a tile to weights, with the running maxima and sums; results are
/// scaled to match.
void AttentionEmitter::emitWeights(Value tileBegin, Value columns, Value position, int64_t count) {
  int64_t heads = g.headsPerGroup();
  Value lowest = e.splat(std::numeric_limits<float>::lowest(), e.lanes);
  Value zero = e.splat(0, e.lanes);
  e.loop(e.index(0), e.index(count * heads), 1, [&](Value r) {
    Value live = e.add(e.sub(e.add(position, e.div(r, heads)), tileBegin), 1);
    Value begin = e.mul(r, tile);
    auto mask = [&](Value c) { return e.mask(e.sub(live, c), e.lanes); };
    // Positions after the query's do not count.
    Value largest = e.loop(e.index(0), columns, strip, lowest, [&](Value c, ValueRange carried) {
      Value most = carried[0];
      for (int64_t i = 0; i < strip; i += e.lanes) {
        Value at = e.add(c, i), score = e.load(scores, e.add(begin, at), e.lanes);
        most = e.maxf(most, e.select(mask(at), score, lowest));
      }
      return SmallVector<Value>{most};
    })[0];
    Value before = e.broadcast(e.loadScalar(maxima, r), e.lanes);
    Value maximum = e.maxf(e.broadcast(e.reduceMax(largest), e.lanes), before);
    Value total = e.loop(e.index(0), columns, strip, zero, [&](Value c, ValueRange carried) {
      Value sum = carried[0];
      for (int64_t i = 0; i < strip; i += e.lanes) {
        Value at = e.add(c, i), place = e.add(begin, at);
        Value power = e.expf(e.subf(e.load(scores, place, e.lanes), maximum));
        Value weight = e.select(mask(at), power, zero);
        e.store(weight, scores, place);
        sum = e.addf(sum, weight);
      }
      return SmallVector<Value>{sum};
    })[0];
    Value factor = e.expf(e.subf(before, maximum));
    Value one = e.mask(e.index(1), e.lanes); // the first lane holds the row's number
    Value sum = e.broadcast(e.loadScalar(sums, r), e.lanes);
    sum = e.fma(sum, factor, e.broadcast(e.reduceAdd(total), e.lanes));
    e.store(sum, sums, r, one);
    e.store(maximum, maxima, r, one);
    for (int64_t c = 0; c < size; c += e.lanes) {
      Value at = e.add(e.mul(r, size), c);
      e.store(e.mulf(e.load(results, at, e.lanes), factor), results, at);
    }
  });
}

/// Takes the positions [tileBegin, min(tileBegin + tile, end)).
void AttentionEmitter::emitTile(Value tileBegin, Value end, Value position, int64_t count) {
  int64_t queryCount = count * g.headsPerGroup();
  Value positions = e.min(e.index(tile), e.sub(end, tileBegin));
  Value columns = e.mul(e.div(e.add(positions, strip - 1), strip), strip);
  Value cacheTile = e.add(cacheBegin, e.mul(tileBegin, size));
  e.loop(e.index(0), columns, strip, [&](Value c) {
    MicroTile product;
    product.depth = e.index(size);
    product.a = queries, product.aBegin = e.index(0), product.aStride = size;
    product.b = keys, product.bBegin = e.add(cacheTile, e.mul(c, size));
    product.bStride = product.bGroup = g.blockRows;
    product.bGroupStride = size * g.blockRows;
    product.c = scores, product.cBegin = c, product.cStride = tile;
    product.columns = strip;
    product.overwrite = true;
    emitProduct(e, target, product, queryCount);
  });

  emitWeights(tileBegin, columns, position, count);

  // Positions past the end hold anything, which a weight of 0 would not keep out.
  MicroTile sum;
  sum.depth = positions;
  sum.depthUnrolls = false;
  sum.a = scores, sum.aBegin = e.index(0), sum.aStride = tile;
  sum.b = values, sum.bBegin = cacheTile, sum.bStride = size;
  sum.c = results, sum.cBegin = e.index(0), sum.cStride = size;
  sum.columns = size;
  emitProduct(e, target, sum, queryCount);
}

void AttentionEmitter::emitOutput(Value first, int64_t count) {
  int64_t heads = g.headsPerGroup();
  e.loop(e.index(0), e.index(count), 1, [&](Value r) {
    e.loop(e.index(0), e.index(heads), 1, [&](Value h) {
      Value from = e.at(r, heads, h);
      Value to = e.add(e.mul(e.add(first, r), g.heads * size), e.mul(e.at(group, heads, h), size));
      Value total = e.loadScalar(sums, from);
      Value inverse = e.broadcast(e.divf(e.scalar(1), total), e.lanes);
      emitCopy(e, results, e.mul(from, size), output, to, size, inverse);
    });
  });
}

/// The rows [first, first + count): every tile of positions up to that of the last row.
void AttentionEmitter::emitBlock(Value first, int64_t count) {
  int64_t queryCount = count * g.headsPerGroup();
  emitQueries(first, count);
  emitFill(e, results, e.index(0), queryCount * size, 0);
  e.loop(e.index(0), e.index(queryCount), 1, [&](Value r) {
    e.storeScalar(e.scalar(std::numeric_limits<float>::lowest()), maxima, r);
    e.storeScalar(e.scalar(0), sums, r);
  });
  Value position = e.add(first, shift);
  Value end = e.min(e.add(position, count), e.index(g.capacity()));
  e.loop(e.index(0), end, tile,
         [&](Value tileBegin) { emitTile(tileBegin, end, position, count); });
  emitOutput(first, count);
}

mlir::LogicalResult AttentionKernel::emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                                          const HostTarget &target) const {
  AttentionGroup group = *analyse(kernel);
  AttentionEmitter(function, group, targetForHeads(target, group.size)).emit();
  return mlir::success();
}

const KernelTemplate &attentionKernel() {
  static const AttentionKernel kernel;
  return kernel;
}

} // namespace levin::host::kernels
