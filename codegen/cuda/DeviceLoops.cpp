#include "codegen/cuda/DeviceLoops.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Utils/Utils.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/IR/IRMapping.h"

namespace levin::cuda {

namespace arith = mlir::arith;
namespace linalg = mlir::linalg;
using llvm::SmallVector;
using mlir::Value;
using mlir::ValueRange;

namespace {
/// One structured op on its way to loops.
struct LoopEmitter {
  mlir::OpBuilder &b;
  linalg::LinalgOp op;
  mlir::Location loc;
  SmallVector<Value> sizes, indices; // of all loops
  SmallVector<unsigned> parallel, reduced;

  LoopEmitter(mlir::OpBuilder &b, linalg::LinalgOp op);
  void emit(ThreadRange range);

private:
  Value index(int64_t value) { return arith::ConstantIndexOp::create(b, loc, value); }
  SmallVector<Value> place(mlir::OpOperand &operand);
  Value read(mlir::OpOperand &operand);
  SmallVector<Value> emitBody(ValueRange accumulators);
  SmallVector<Value> emitReduction(unsigned loop, ValueRange accumulators);
  void emitPoint();
  bool keepsPlace(mlir::OpOperand &output);
};
} // namespace

LoopEmitter::LoopEmitter(mlir::OpBuilder &b, linalg::LinalgOp op) : b(b), op(op), loc(op.getLoc()) {
  for (mlir::Range range : op.createLoopRanges(b, loc))
    sizes.push_back(mlir::getValueOrCreateConstantIndexOp(b, loc, range.size));
  indices.resize(sizes.size());
  for (auto [d, kind] : llvm::enumerate(op.getIteratorTypesArray()))
    (kind == mlir::utils::IteratorType::parallel ? parallel : reduced).push_back(d);
}

SmallVector<Value> LoopEmitter::place(mlir::OpOperand &operand) {
  mlir::AffineMap map = op.getMatchingIndexingMap(&operand);
  SmallVector<mlir::OpFoldResult> operands(indices.begin(), indices.end());
  SmallVector<Value> result;
  for (unsigned r = 0; r < map.getNumResults(); ++r)
    result.push_back(mlir::getValueOrCreateConstantIndexOp(
        b, loc, mlir::affine::makeComposedFoldedAffineApply(b, loc, map.getSubMap({r}), operands)));
  return result;
}

Value LoopEmitter::read(mlir::OpOperand &operand) {
  if (!llvm::isa<mlir::MemRefType>(operand.get().getType()))
    return operand.get();
  return mlir::memref::LoadOp::create(b, loc, operand.get(), place(operand));
}

/// What the op yields at the current point.
SmallVector<Value> LoopEmitter::emitBody(ValueRange accumulators) {
  mlir::IRMapping values;
  size_t next = 0;
  for (mlir::OpOperand &operand : op->getOpOperands()) {
    mlir::BlockArgument argument = op.getMatchingBlockArgument(&operand);
    if (op.isDpsInit(&operand)) {
      Value accumulator = accumulators[next++];
      if (accumulator)
        values.map(argument, accumulator);
    } else if (!argument.use_empty()) {
      values.map(argument, read(operand));
    }
  }
  mlir::Block *body = op.getBlock();
  for (mlir::Operation &inner : body->without_terminator()) {
    mlir::Operation *copy = b.clone(inner, values);
    copy->walk([&](linalg::IndexOp number) {
      number.replaceAllUsesWith(indices[number.getDim()]);
      if (number != copy)
        number.erase();
    });
    if (auto number = llvm::dyn_cast<linalg::IndexOp>(inner)) {
      values.map(number.getResult(), indices[number.getDim()]);
      copy->erase();
    }
  }
  SmallVector<Value> yielded;
  for (Value value : body->getTerminator()->getOperands())
    yielded.push_back(values.lookupOrDefault(value));
  return yielded;
}

SmallVector<Value> LoopEmitter::emitReduction(unsigned loop, ValueRange accumulators) {
  if (loop == reduced.size())
    return emitBody(accumulators);
  auto op = mlir::scf::ForOp::create(
      b, loc, index(0), sizes[reduced[loop]], index(1), accumulators,
      [&](mlir::OpBuilder &, mlir::Location, Value i, ValueRange carried) {
        indices[reduced[loop]] = i;
        mlir::scf::YieldOp::create(b, loc, emitReduction(loop + 1, carried));
      });
  return SmallVector<Value>(op.getResults());
}

/// Whether the place of `output` stays the same while the op reduces.
bool LoopEmitter::keepsPlace(mlir::OpOperand &output) {
  mlir::AffineMap map = op.getMatchingIndexingMap(&output);
  return llvm::none_of(reduced, [&](unsigned d) { return map.isFunctionOfDim(d); });
}

void LoopEmitter::emitPoint() {
  auto outputs = op.getDpsInitsMutable();
  auto load = [&]() {
    SmallVector<Value> values;
    for (mlir::OpOperand &output : outputs)
      // A value that the body does not use is none of its own.
      values.push_back(reduced.empty() && !op.payloadUsesValueFromOperand(&output) ? Value()
                                                                                   : read(output));
    return values;
  };
  auto store = [&](ValueRange values) {
    for (auto [output, value] : llvm::zip_equal(outputs, values))
      mlir::memref::StoreOp::create(b, loc, value, output.get(), place(output));
  };
  if (llvm::all_of(outputs, [&](mlir::OpOperand &output) { return keepsPlace(output); })) {
    SmallVector<Value> start = load();
    store(emitReduction(0, start));
    return;
  }
  SmallVector<Value> saved = indices;
  std::function<void(unsigned)> nest = [&](unsigned loop) {
    if (loop == reduced.size())
      return store(emitBody(load()));
    mlir::scf::ForOp::create(b, loc, index(0), sizes[reduced[loop]], index(1), ValueRange(),
                             [&](mlir::OpBuilder &, mlir::Location, Value i, ValueRange) {
                               indices[reduced[loop]] = i;
                               nest(loop + 1);
                               mlir::scf::YieldOp::create(b, loc);
                             });
  };
  nest(0);
}

void LoopEmitter::emit(ThreadRange range) {
  Value total = index(1);
  for (unsigned d : parallel)
    total = b.createOrFold<arith::MulIOp>(loc, total, sizes[d]);
  mlir::scf::ForOp::create(
      b, loc, range.first, total, range.step, ValueRange(),
      [&](mlir::OpBuilder &, mlir::Location, Value point, ValueRange) {
        for (unsigned d : llvm::reverse(parallel)) {
          bool outermost = d == parallel.front();
          indices[d] = outermost ? point : b.createOrFold<arith::RemUIOp>(loc, point, sizes[d]);
          if (!outermost)
            point = b.createOrFold<arith::DivUIOp>(loc, point, sizes[d]);
        }
        emitPoint();
        mlir::scf::YieldOp::create(b, loc);
      });
}

void emitThreadLoops(mlir::OpBuilder &builder, linalg::LinalgOp op, ThreadRange range) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPoint(op);
  LoopEmitter(builder, op).emit(range);
  op->erase();
}

std::optional<int64_t> parallelPoints(linalg::LinalgOp op) {
  int64_t points = 1;
  for (auto [range, kind] : llvm::zip(op.getStaticLoopRanges(), op.getIteratorTypesArray())) {
    if (kind != mlir::utils::IteratorType::parallel)
      continue;
    if (mlir::ShapedType::isDynamic(range))
      return std::nullopt;
    points *= range;
  }
  return points;
}

void shareAmongBlock(mlir::Operation *root, Value thread, Value threads) {
  SmallVector<linalg::LinalgOp> structured;
  SmallVector<mlir::memref::StoreOp> stores;
  // What stands in the body of a structured op is part of it.
  root->walk<mlir::WalkOrder::PreOrder>([&](mlir::Operation *op) {
    if (auto found = llvm::dyn_cast<linalg::LinalgOp>(op)) {
      structured.push_back(found);
      return mlir::WalkResult::skip();
    }
    if (auto store = llvm::dyn_cast<mlir::memref::StoreOp>(op))
      stores.push_back(store);
    return mlir::WalkResult::advance();
  });
  auto wait = [](mlir::OpBuilder &b, mlir::Operation *op) {
    b.setInsertionPoint(op);
    mlir::gpu::BarrierOp::create(b, op->getLoc());
    b.setInsertionPointAfter(op);
    mlir::gpu::BarrierOp::create(b, op->getLoc());
    b.setInsertionPoint(op);
  };
  for (linalg::LinalgOp op : structured) {
    mlir::OpBuilder b(op);
    wait(b, op);
    emitThreadLoops(b, op, {thread, threads});
  }
  for (mlir::memref::StoreOp store : stores) {
    mlir::OpBuilder b(store);
    wait(b, store);
    mlir::Location loc = store.getLoc();
    Value zero = arith::ConstantIndexOp::create(b, loc, 0);
    Value first = arith::CmpIOp::create(b, loc, arith::CmpIPredicate::eq, thread, zero);
    auto when = mlir::scf::IfOp::create(b, loc, first, /*withElseRegion=*/false);
    store->moveBefore(when.thenYield());
  }
}

} // namespace levin::cuda
