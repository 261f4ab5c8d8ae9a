#include "codegen/host/kernels/Heads.h"

#include "dialects/nn/NN.h"

namespace levin::host::kernels {

HostTarget targetForHeads(HostTarget target, int64_t size) {
  if (size % target.floatLanes() != 0)
    target.vectorBits = 256;
  return target;
}

std::optional<unsigned> argumentNumber(Value value) {
  if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
    return argument.getArgNumber();
  return std::nullopt;
}

std::optional<HeadView> traceHeads(Value heads) {
  auto type = llvm::cast<mlir::RankedTensorType>(heads.getType());
  if (!type.hasStaticShape() || !type.getElementType().isF32())
    return std::nullopt;
  int64_t count = type.getDimSize(1), size = type.getDimSize(2);
  if (auto argument = argumentNumber(heads))
    return HeadView{*argument, count * size, size, 0};
  auto split = heads.getDefiningOp<nn::SplitHeadsOp>();
  if (!split)
    return std::nullopt;
  auto argument = argumentNumber(split.getInput());
  if (!argument)
    return std::nullopt;
  auto inputType = llvm::cast<mlir::RankedTensorType>(split.getInput().getType());
  HeadView view{*argument, inputType.getDimSize(1), size, 0};
  unsigned part = llvm::cast<mlir::OpResult>(heads).getResultNumber();
  if (split.getInterleaved()) {
    view.headStride = size * split.getNumResults();
    view.offset = size * part;
  } else {
    for (unsigned i = 0; i < part; ++i) {
      auto before = llvm::cast<mlir::RankedTensorType>(split->getResult(i).getType());
      view.offset += before.getDimSize(1) * size;
    }
  }
  return view;
}

SequenceRows loadSequenceRows(Emit &e, Value starts, Value sequence, int64_t tokens) {
  Value first = e.clamp(e.loadIndex(starts, sequence), 0, tokens);
  Value last = e.clamp(e.loadIndex(starts, e.add(sequence, 1)), 0, tokens);
  return {first, e.max(first, last)};
}

void emitCopy(Emit &e, Value from, Value fromBegin, Value to, Value toBegin, int64_t count,
              Value factor) {
  for (int64_t c = 0; c < count; c += e.lanes) {
    Value vector = e.load(from, e.add(fromBegin, c), e.lanes);
    if (factor)
      vector = e.mulf(vector, factor);
    e.store(vector, to, e.add(toBegin, c));
  }
}

void emitFill(Emit &e, Value to, Value toBegin, int64_t count, double value) {
  Value vector = e.splat(value, e.lanes);
  e.loop(toBegin, e.add(toBegin, count), e.lanes, [&](Value i) { e.store(vector, to, i); });
}

} // namespace levin::host::kernels
