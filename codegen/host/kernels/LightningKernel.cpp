// Lightning attention: a sequence in blocks, its last few rows one by one.
//
// Grid: (heads, sequences).  A point owns one head's state of one slot.  With decay s, a block of m
// rows, i and j from 0 and S the state before it:
//
//   O  = diag(e^(-s(i+1))) Q S + ((Q K^T) . M) V        M_ij = e^(-s(i-j)) for i >= j, else 0
//   S' = e^(-s m) S + K^T (diag(e^(-s(m-1-j))) V)
//
// Powers are taken of differences, all of them at most 1, so that nothing overflows.  Rows of a
// block past m are zeros in scratch: they add nothing.
#include "codegen/host/kernels/Heads.h"
#include "codegen/host/kernels/MicroKernel.h"
#include "codegen/host/kernels/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace levin::host::kernels {

// Fewer rows than this go faster one by one than as a block of mostly zeros.
static constexpr int64_t worthABlock = 9;

namespace {
struct LightningGroup {
  nn::LightningAttentionOp op;
  HeadView q, k, v;
  unsigned slopes, state, starts, slots, past;
  int64_t tokens, heads, size, slotCount, sequences;
};

class LightningKernel : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "lightning_attention"; }
  bool matches(mlir::func::FuncOp kernel) const override;
  std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const override;
  mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                           const HostTarget &target) const override;
};
} // namespace

static std::optional<LightningGroup> analyse(mlir::func::FuncOp kernel) {
  LightningGroup group;
  mlir::Operation *terminator = kernel.getBody().front().getTerminator();
  for (mlir::Operation &op : kernel.getBody().front()) {
    if (auto attention = llvm::dyn_cast<nn::LightningAttentionOp>(op)) {
      if (group.op)
        return std::nullopt;
      group.op = attention;
    } else if (!llvm::isa<nn::SplitHeadsOp>(op) && &op != terminator) {
      return std::nullopt;
    }
  }
  if (!group.op || terminator->getOperands() != group.op->getResults())
    return std::nullopt;
  auto views = {std::pair(&group.q, group.op.getQ()),
                {&group.k, group.op.getK()},
                {&group.v, group.op.getV()}};
  for (auto [view, value] : views) {
    auto traced = traceHeads(value);
    if (!traced)
      return std::nullopt;
    *view = *traced;
  }
  auto arguments = {std::pair<unsigned *, Value>(&group.slopes, group.op.getSlopes()),
                    {&group.state, group.op.getState()},
                    {&group.starts, group.op.getStarts()},
                    {&group.slots, group.op.getSlots()},
                    {&group.past, group.op.getPast()}};
  for (auto [number, value] : arguments) {
    auto argument = argumentNumber(value);
    if (!argument)
      return std::nullopt;
    *number = *argument;
  }
  auto type = llvm::cast<mlir::RankedTensorType>(group.op.getQ().getType());
  group.tokens = type.getDimSize(0);
  group.heads = type.getDimSize(1);
  group.size = type.getDimSize(2);
  group.slotCount = llvm::cast<mlir::RankedTensorType>(group.op.getState().getType()).getDimSize(0);
  group.sequences = llvm::cast<mlir::RankedTensorType>(group.op.getSlots().getType()).getDimSize(0);
  auto output = llvm::cast<mlir::RankedTensorType>(group.op.getOutput().getType());
  if (!output.getElementType().isF32() || group.size % 8 != 0 || group.size < 16 ||
      group.size > 128 || group.slotCount == 0 || group.tokens == 0)
    return std::nullopt;
  return group;
}

bool LightningKernel::matches(mlir::func::FuncOp kernel) const {
  return analyse(kernel).has_value();
}

std::array<int64_t, 3> LightningKernel::grid(mlir::func::FuncOp kernel) const {
  LightningGroup group = *analyse(kernel);
  return {group.heads, group.sequences, 1};
}

namespace {
/// The code of one head of one sequence.
class LightningEmitter {
public:
  LightningEmitter(mlir::func::FuncOp function, const LightningGroup &group,
                   const HostTarget &target);
  void emit();

private:
  Emit e;
  const HostTarget &target;
  const LightningGroup &g;
  const int64_t size, block; // D, and the rows of a block
  Value q, k, v, output, state;
  Value head, sequence, stateBegin, slope, past;
  SequenceRows rows;
  // powers[x] = e^(-slope (block - x)) for x <= block, then zeros: rows of M, and every factor.
  Value powers;
  // Blocks of Q, Q times its factors, K transposed, V, V times its factors, scores and results.
  Value queries, scaledQueries, keys, values, scaledValues, scores, results;

  Value power(Value at) { return e.loadScalar(powers, at); }
  Value emitBlocks();
  void emitPowers();
  void emitRow(Value row, Value decay);
  void emitLoadBlock(Value row, Value count);
  void emitBlock(Value row, Value count);
  void emitBlockProducts(Value count);
};
} // namespace

LightningEmitter::LightningEmitter(mlir::func::FuncOp function, const LightningGroup &group,
                                   const HostTarget &target)
    : e(function, target), target(target), g(group), size(group.size),
      block(group.size > 64 ? 64 : 32) {
  unsigned arguments = function.getNumArguments();
  q = e.flat(function.getArgument(g.q.argument));
  k = e.flat(function.getArgument(g.k.argument));
  v = e.flat(function.getArgument(g.v.argument));
  state = e.flat(function.getArgument(g.state));
  output = e.flat(function.getArgument(arguments - 4));
  head = function.getArgument(arguments - 3);
  sequence = function.getArgument(arguments - 2);
  slope = e.loadScalar(function.getArgument(g.slopes), head);
  Value slot = e.clamp(e.loadIndex(function.getArgument(g.slots), sequence), 0, g.slotCount - 1);
  stateBegin = e.mul(e.at(slot, g.heads, head), size * size);

  past = e.loadIndex(function.getArgument(g.past), sequence);
  rows = loadSequenceRows(e, function.getArgument(g.starts), sequence, g.tokens);
}

void LightningEmitter::emit() {
  e.when(e.less(rows.first, rows.last), [&] {
    e.when(e.less(past, e.index(1)), [&] { emitFill(e, state, stateBegin, size * size, 0); });
    Value row = g.tokens >= worthABlock ? emitBlocks() : rows.first;
    Value negated = e.mulf(e.broadcast(slope, 1), e.splat(-1, 1));
    Value decay = mlir::vector::ExtractOp::create(e.builder, e.loc, e.expf(negated), int64_t(0));
    e.loop(row, rows.last, 1, [&](Value r) { emitRow(r, decay); });
  });
  e.finish();
}

/// As many blocks as are worth it; returns the row behind them.
Value LightningEmitter::emitBlocks() {
  powers = e.scratch(2 * block + 64);
  for (Value *part : {&queries, &scaledQueries, &keys, &values, &scaledValues, &results})
    *part = e.scratch(block * size);
  scores = e.scratch(block * block);
  Value length = e.sub(rows.last, rows.first);
  Value blocks = e.div(e.add(length, block - worthABlock), block);
  e.when(e.less(e.index(0), blocks), [&] { emitPowers(); });
  e.loop(e.index(0), blocks, 1, [&](Value i) {
    Value begin = e.at(i, block, rows.first);
    emitBlock(begin, e.min(e.index(block), e.sub(rows.last, begin)));
  });
  return e.min(rows.last, e.at(blocks, block, rows.first));
}

void LightningEmitter::emitPowers() {
  SmallVector<float> steps;
  for (int64_t i = 0; i < e.lanes; ++i)
    steps.push_back(static_cast<float>(i));
  Value step = mlir::arith::ConstantOp::create(
      e.builder, e.loc,
      mlir::DenseElementsAttr::get(e.vectorType(e.lanes), ArrayRef<float>(steps)));
  Value minusSlope = e.mulf(e.broadcast(slope, e.lanes), e.splat(-1, e.lanes));
  for (int64_t x = 0; x < 2 * block + 64; x += e.lanes) {
    Value exponent = e.subf(e.splat(static_cast<double>(block - x), e.lanes), step);
    Value vector = e.expf(e.mulf(minusSlope, exponent));
    if (x > block)
      vector = e.splat(0, e.lanes);
    else if (x + e.lanes > block + 1)
      vector = e.select(e.mask(e.index(block + 1 - x), e.lanes), vector, e.splat(0, e.lanes));
    e.store(vector, powers, e.index(x));
  }
}

/// One row in the recurrent form: S = decay S + k^T v, out = q S.
void LightningEmitter::emitRow(Value row, Value decay) {
  Value qBegin = g.q.at(e, row, head), kBegin = g.k.at(e, row, head), vBegin = g.v.at(e, row, head);
  Value outBegin = e.add(e.mul(row, g.heads * size), e.mul(head, size));
  Value factor = e.broadcast(decay, e.lanes);
  constexpr int64_t strip = 4; // vectors of columns at once
  for (int64_t column = 0; column < size; column += strip * e.lanes) {
    int64_t vectors = std::min(strip, (size - column) / e.lanes);
    // Sums of even and odd rows of S do not wait for each other.
    SmallVector<Value> sums(2 * vectors, e.splat(0, e.lanes)), values;
    for (int64_t i = 0; i < vectors; ++i)
      values.push_back(e.load(v, e.add(vBegin, column + i * e.lanes), e.lanes));
    sums = e.loop(e.index(0), e.index(size), 2, sums, [&](Value r, ValueRange carried) {
      SmallVector<Value> next(carried);
      for (int64_t u = 0; u < 2; ++u) {
        Value key = e.broadcast(e.loadScalar(k, e.add(e.add(kBegin, r), u)), e.lanes);
        Value query = e.broadcast(e.loadScalar(q, e.add(e.add(qBegin, r), u)), e.lanes);
        Value place = e.add(e.add(stateBegin, e.mul(r, size)), u * size + column);
        for (int64_t i = 0; i < vectors; ++i) {
          Value at = e.add(place, i * e.lanes);
          Value old = e.mulf(factor, e.load(state, at, e.lanes));
          Value now = e.fma(key, values[i], old);
          e.store(now, state, at);
          next[u * vectors + i] = e.fma(query, now, next[u * vectors + i]);
        }
      }
      return next;
    });
    for (int64_t i = 0; i < vectors; ++i)
      e.store(e.addf(sums[i], sums[vectors + i]), output, e.add(outBegin, column + i * e.lanes));
  }
}

/// Brings `count` rows from `row` on into scratch, and zeros behind them.
void LightningEmitter::emitLoadBlock(Value row, Value count) {
  e.loop(e.index(0), count, 1, [&](Value i) {
    Value t = e.add(row, i), to = e.mul(i, size);
    Value toPower = e.broadcast(power(e.sub(e.index(block - 1), i)), e.lanes);
    Value fromEnd = e.broadcast(power(e.add(e.sub(i, count), block + 1)), e.lanes);
    Value qBegin = g.q.at(e, t, head), kBegin = g.k.at(e, t, head), vBegin = g.v.at(e, t, head);
    emitCopy(e, q, qBegin, queries, to, size);
    emitCopy(e, q, qBegin, scaledQueries, to, size, toPower);
    emitCopy(e, v, vBegin, values, to, size);
    emitCopy(e, v, vBegin, scaledValues, to, size, fromEnd);
    e.loop(e.index(0), e.index(size), 1, [&](Value c) {
      e.storeScalar(e.loadScalar(k, e.add(kBegin, c)), keys, e.at(c, block, i));
    });
  });
  e.loop(count, e.index(block), 1, [&](Value i) {
    for (Value part : {queries, scaledQueries, values, scaledValues})
      emitFill(e, part, e.mul(i, size), size, 0);
    e.loop(e.index(0), e.index(size), 1,
           [&](Value c) { e.storeScalar(e.scalar(0), keys, e.at(c, block, i)); });
  });
}

/// scores = (Q K^T) . M;  results = Q' S + scores V;  S = e^(-s m) S + K^T V'.
void LightningEmitter::emitBlockProducts(Value count) {
  Value zero = e.index(0);
  MicroTile tile;
  tile.depth = e.index(size);
  tile.a = queries, tile.aBegin = zero, tile.aStride = size;
  tile.b = keys, tile.bBegin = zero, tile.bStride = block;
  tile.c = scores, tile.cBegin = zero, tile.cStride = block;
  tile.columns = block;
  tile.overwrite = true;
  emitProduct(e, target, tile, block);
  e.loop(zero, e.index(block), 1, [&](Value i) {
    Value begin = e.mul(i, block), factors = e.sub(e.index(block), i);
    for (int64_t j = 0; j < block; j += e.lanes) {
      Value at = e.add(begin, j);
      Value factor = e.load(powers, e.add(factors, j), e.lanes);
      e.store(e.mulf(e.load(scores, at, e.lanes), factor), scores, at);
    }
  });

  tile.a = scaledQueries;
  tile.b = state, tile.bBegin = stateBegin, tile.bStride = size;
  tile.c = results, tile.cStride = size;
  tile.columns = size;
  emitProduct(e, target, tile, block);

  tile.depth = e.index(block);
  tile.a = scores, tile.aStride = block;
  tile.b = values, tile.bBegin = zero;
  tile.overwrite = false;
  emitProduct(e, target, tile, block);

  tile.a = keys;
  tile.b = scaledValues;
  tile.c = state, tile.cBegin = stateBegin;
  tile.scale = power(e.sub(e.index(block), count));
  emitProduct(e, target, tile, size);
}

void LightningEmitter::emitBlock(Value row, Value count) {
  emitLoadBlock(row, count);
  emitBlockProducts(count);
  e.loop(e.index(0), count, 1, [&](Value i) {
    Value to = e.add(e.mul(e.add(row, i), g.heads * size), e.mul(head, size));
    emitCopy(e, results, e.mul(i, size), output, to, size);
  });
}

mlir::LogicalResult LightningKernel::emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                                          const HostTarget &target) const {
  LightningGroup group = *analyse(kernel);
  LightningEmitter(function, group, targetForHeads(target, group.size)).emit();
  return mlir::success();
}

const KernelTemplate &lightningKernel() {
  static const LightningKernel kernel;
  return kernel;
}

} // namespace levin::host::kernels
