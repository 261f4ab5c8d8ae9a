// linalg on tensors -> tiles (scf.forall) -> buffers -> loops.
//
// The loops are vectorised by LLVM: after fusion each innermost loop reads and writes contiguous
// rows, and reductions may be reordered (they carry `reassoc`), which is all it needs.
#include "codegen/host/GenericKernel.h"

#include "dialects/interfaces/Decompose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/Bufferization/Transforms/OneShotAnalysis.h"
#include "mlir/Dialect/Bufferization/Transforms/Transforms.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Linalg/Transforms/Transforms.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/SCF/Transforms/TileUsingInterface.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/ValueBoundsOpInterface.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

namespace levin::host {

// --- tensors -------------------------------------------------------------------------------------

/// linalg.softmax and the like become the structured ops they stand for.
static mlir::LogicalResult decomposeAggregates(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::linalg::AggregatedOpInterface> aggregates;
  function.walk([&](mlir::linalg::AggregatedOpInterface op) { aggregates.push_back(op); });
  for (mlir::linalg::AggregatedOpInterface op : aggregates) {
    mlir::OpBuilder builder(op);
    auto values = op.decomposeOperation(builder);
    if (mlir::failed(values))
      return op->emitError("cannot be decomposed");
    op->replaceAllUsesWith(*values);
    op->erase();
  }
  return mlir::success();
}

/// Sums may be taken in any order: allow it where an op reduces.
static void allowReassociation(mlir::func::FuncOp function) {
  function.walk([](mlir::linalg::LinalgOp op) {
    if (op.getNumReductionLoops() == 0)
      return;
    for (mlir::Operation &inner : op->getRegion(0).front())
      if (auto fast = llvm::dyn_cast<mlir::arith::ArithFastMathInterface>(inner))
        inner.setAttr(fast.getFastMathAttrName(),
                      mlir::arith::FastMathFlagsAttr::get(
                          inner.getContext(), mlir::arith::FastMathFlags::reassoc |
                                                  mlir::arith::FastMathFlags::contract));
  });
}

/// The largest divisor of `extent` that is at most `limit`.
static int64_t divisorUpTo(int64_t extent, int64_t limit) {
  for (int64_t divisor = std::min(extent, std::max<int64_t>(limit, 1)); divisor > 1; --divisor)
    if (extent % divisor == 0)
      return divisor;
  return 1;
}

// About this many elements make a grid point worth its launch.
static constexpr int64_t elementsPerPoint = 8192;

/// Tile sizes of the loops of `op` (0: not tiled): outer parallel loops first.
static llvm::SmallVector<int64_t> chooseTiles(mlir::linalg::LinalgOp op) {
  llvm::SmallVector<int64_t> ranges = op.getStaticLoopRanges();
  auto kinds = op.getIteratorTypesArray();
  llvm::SmallVector<int64_t> tiles(ranges.size(), 0);
  int64_t work = 1;
  for (int64_t range : ranges)
    work *= std::max<int64_t>(range, 1);
  unsigned dims = 0;
  for (size_t d = 0; d < ranges.size() && dims < 3 && work > elementsPerPoint; ++d) {
    bool innermost = d + 1 == ranges.size();
    if (kinds[d] != mlir::utils::IteratorType::parallel || innermost || ranges[d] <= 1)
      continue;
    int64_t perIndex = work / ranges[d];
    int64_t tile = divisorUpTo(ranges[d], elementsPerPoint / std::max<int64_t>(perIndex, 1));
    if (tile == ranges[d])
      break;
    tiles[d] = tile;
    work = perIndex * tile;
    ++dims;
  }
  return tiles;
}

/// Gives each linalg op of `function` a result that starts empty, or as a fill or copy of what it
/// started from: these are fused into tiles, while a value from outside would be copied whole by
/// every grid point, over what others have written.
static void startFromEmpty(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::linalg::LinalgOp> ops;
  function.walk([&](mlir::linalg::LinalgOp op) { ops.push_back(op); });
  for (mlir::linalg::LinalgOp op : ops)
    for (mlir::OpOperand &init : op.getDpsInitsMutable()) {
      auto type = llvm::dyn_cast<mlir::RankedTensorType>(init.get().getType());
      mlir::Operation *maker = init.get().getDefiningOp();
      if (!type || !type.hasStaticShape() ||
          llvm::isa_and_present<mlir::tensor::EmptyOp, mlir::linalg::LinalgOp>(maker))
        continue;
      mlir::OpBuilder builder(op);
      mlir::Location loc = op.getLoc();
      mlir::Value start =
          mlir::tensor::EmptyOp::create(builder, loc, type.getShape(), type.getElementType());
      mlir::DenseElementsAttr constant;
      if (op.payloadUsesValueFromOperand(&init)) {
        if (mlir::matchPattern(init.get(), mlir::m_Constant(&constant)) && constant.isSplat()) {
          mlir::Value value = mlir::arith::ConstantOp::create(
              builder, loc, constant.getSplatValue<mlir::TypedAttr>());
          start = mlir::linalg::FillOp::create(builder, loc, value, start).getResult(0);
        } else {
          start = mlir::linalg::CopyOp::create(builder, loc, init.get(), start).getResult(0);
        }
      }
      init.set(start);
    }
}

/// Whether nothing but values without work is left beside `forall`, and no grid point writes more
/// of the result than its own tile.
static bool standsAlone(mlir::scf::ForallOp forall) {
  for (mlir::Value output : forall.getOutputs())
    if (!output.getDefiningOp<mlir::tensor::EmptyOp>())
      return false;
  for (mlir::Operation &op : *forall->getBlock())
    if (&op != forall && !op.hasTrait<mlir::OpTrait::ReturnLike>() &&
        !llvm::isa<mlir::arith::ConstantOp, mlir::tensor::EmptyOp, mlir::tensor::ExpandShapeOp,
                   mlir::tensor::CollapseShapeOp>(op))
      return false;
  return true;
}

static mlir::LogicalResult runPasses(mlir::Operation *op,
                                     llvm::function_ref<void(mlir::OpPassManager &)> build) {
  mlir::PassManager manager(op->getContext(), op->getName().getStringRef());
  manager.enableVerifier(false); // each stage ends in a verified module
  build(manager);
  return manager.run(op);
}

static mlir::LogicalResult simplify(mlir::Operation *op) {
  return runPasses(op, [](mlir::OpPassManager &manager) {
    manager.addPass(mlir::createCanonicalizerPass());
    manager.addPass(mlir::createCSEPass());
  });
}

/// Tiles the op that makes the only result, and fuses all others into its tiles.  On success the
/// body is one scf.forall; else `kernel` is as it was.
static bool tileKernel(mlir::func::FuncOp kernel, const KernelSignature &signature) {
  if (signature.tied.size() != 1 || signature.tied[0] >= 0)
    return false;
  mlir::func::FuncOp trial = kernel.clone();
  kernel->getBlock()->getOperations().insert(mlir::Block::iterator(kernel), trial);
  trial.setName("tiled");
  startFromEmpty(trial);
  auto root = trial.getBody()
                  .front()
                  .getTerminator()
                  ->getOperand(0)
                  .getDefiningOp<mlir::linalg::LinalgOp>();
  llvm::SmallVector<int64_t> tiles;
  if (root && root->getNumResults() == 1)
    tiles = chooseTiles(root);
  bool done = false;
  if (llvm::any_of(tiles, [](int64_t tile) { return tile != 0; })) {
    mlir::IRRewriter rewriter(kernel.getContext());
    rewriter.setInsertionPoint(root);
    mlir::scf::SCFTileAndFuseOptions options;
    options.tilingOptions.setLoopType(mlir::scf::SCFTilingOptions::LoopType::ForallOp);
    options.tilingOptions.setTileSizes(mlir::getAsIndexOpFoldResult(kernel.getContext(), tiles));
    auto fused = mlir::scf::tileConsumerAndFuseProducersUsingSCF(
        rewriter, llvm::cast<mlir::TilingInterface>(root.getOperation()), options);
    if (mlir::succeeded(fused) && fused->loops.size() == 1) {
      for (auto [from, to] : fused->replacements)
        rewriter.replaceAllUsesWith(from, to);
      auto forall = llvm::dyn_cast<mlir::scf::ForallOp>(fused->loops.front().getOperation());
      done = forall && mlir::succeeded(simplify(trial));
      trial.walk([&](mlir::scf::ForallOp loop) { forall = loop; });
      done = done && forall && forall->getParentOp() == trial && standsAlone(forall);
    }
  }
  if (done)
    kernel.getBody().takeBody(trial.getBody());
  trial.erase();
  return done;
}

// --- buffers -------------------------------------------------------------------------------------

/// Moves the body of `kernel` into `function`: arguments are read from its buffers, results
/// stored in them.
static void moveIntoBuffers(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                            const KernelSignature &signature) {
  mlir::Block &from = kernel.getBody().front(), &to = function.getBody().front();
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(&to);
  llvm::SmallVector<mlir::Value> arguments;
  for (mlir::BlockArgument argument : from.getArguments())
    arguments.push_back(mlir::bufferization::ToTensorOp::create(
        builder, kernel.getLoc(), argument.getType(), to.getArgument(argument.getArgNumber()),
        /*restrict=*/true, /*writable=*/signature.written[argument.getArgNumber()]));
  for (auto [argument, value] : llvm::zip(from.getArguments(), arguments))
    argument.replaceAllUsesWith(value);
  mlir::Operation *terminator = from.getTerminator();
  to.getOperations().splice(to.end(), from.getOperations(), from.begin(),
                            mlir::Block::iterator(terminator));
  builder.setInsertionPointToEnd(&to);
  for (auto [result, binding] : llvm::zip(terminator->getOperands(), signature.bindingOfResult))
    mlir::bufferization::MaterializeInDestinationOp::create(builder, kernel.getLoc(), mlir::Type(),
                                                            result, to.getArgument(binding),
                                                            /*restrict=*/true, /*writable=*/true);
  mlir::func::ReturnOp::create(builder, kernel.getLoc());
}

/// Refuses an op on tensors that has no form on buffers.
static mlir::LogicalResult verifyBufferizable(mlir::func::FuncOp function) {
  auto isTensor = [](mlir::Type type) { return llvm::isa<mlir::TensorType>(type); };
  auto result = function.getBody().walk([&](mlir::Operation *op) {
    if (llvm::isa<mlir::bufferization::BufferizableOpInterface>(op) ||
        (llvm::none_of(op->getOperandTypes(), isTensor) &&
         llvm::none_of(op->getResultTypes(), isTensor)))
      return mlir::WalkResult::advance();
    op->emitOpError("has no code on the host; write what it does as linalg.generic");
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(result.wasInterrupted());
}

/// Gives loops that start from an empty tensor one of their own.  Bufferization takes two that
/// became one for the same memory, and does not see that what the loop wrote there is still read
/// when the other is written.
static void separateEmptyTensors(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::tensor::EmptyOp> empties;
  function.walk([&](mlir::tensor::EmptyOp op) { empties.push_back(op); });
  for (mlir::tensor::EmptyOp op : empties) {
    for (mlir::OpOperand &use : llvm::make_early_inc_range(op->getUses())) {
      if (op->hasOneUse() || !llvm::isa<mlir::LoopLikeOpInterface>(use.getOwner()))
        continue;
      mlir::OpBuilder builder(op);
      use.set(builder.clone(*op)->getResult(0));
    }
  }
}

static mlir::LogicalResult bufferize(mlir::func::FuncOp function) {
  if (mlir::failed(verifyBufferizable(function)))
    return mlir::failure();
  separateEmptyTensors(function);
  mlir::IRRewriter rewriter(function.getContext());
  if (mlir::failed(mlir::bufferization::eliminateEmptyTensors(rewriter, function)))
    return mlir::failure();
  mlir::bufferization::OneShotBufferizationOptions options;
  options.bufferAlignment = 64;
  options.allowReturnAllocsFromLoops = true; // a loop may carry a value that it computes anew
  options.setFunctionBoundaryTypeConversion(
      mlir::bufferization::LayoutMapOption::IdentityLayoutMap);
  mlir::bufferization::BufferizationState state;
  if (mlir::failed(mlir::bufferization::runOneShotBufferize(function, options, state)))
    return mlir::failure();
  return simplify(function);
}

/// A buffer for `value` that is made on entry.
static mlir::FailureOr<mlir::Value> createLike(mlir::OpBuilder &builder, mlir::Value value) {
  auto type = llvm::cast<mlir::MemRefType>(value.getType());
  if (!type.hasStaticShape())
    return mlir::emitError(value.getLoc(), "a loop carries ")
           << type << ", expected static extents";
  auto plain = mlir::MemRefType::get(type.getShape(), type.getElementType());
  mlir::Value buffer =
      mlir::memref::AllocOp::create(builder, value.getLoc(), plain, builder.getI64IntegerAttr(64));
  if (plain == type)
    return buffer;
  return mlir::Value(mlir::memref::CastOp::create(builder, value.getLoc(), type, buffer));
}

/// Whether a turn that yields `yielded` updated the buffer `argument` itself.
static bool isUpdateOf(mlir::Value yielded, mlir::Value argument) {
  while (auto cast = yielded.getDefiningOp<mlir::memref::CastOp>())
    yielded = cast.getSource();
  if (yielded == argument)
    return true;
  auto after = llvm::dyn_cast<mlir::BlockArgument>(yielded);
  auto loop = llvm::dyn_cast<mlir::scf::WhileOp>(argument.getParentBlock()->getParentOp());
  return after && loop && after.getOwner() == loop.getAfterBody() &&
         isUpdateOf(loop.getConditionOp().getArgs()[after.getArgNumber()], argument);
}

/// Gives what a loop carries buffers that stay the same in all turns: `inits` are copied there
/// before the loop, `yields` after each turn.  Memory that a turn makes can then be reused by the
/// next, which `allocateOnEntry` does.
static mlir::LogicalResult keepInPlace(mlir::Operation *loop,
                                       mlir::MutableArrayRef<mlir::OpOperand> inits,
                                       mlir::Block::BlockArgListType carried,
                                       mlir::MutableArrayRef<mlir::OpOperand> yields) {
  mlir::OpBuilder before(loop), after(yields.empty() ? loop : yields.front().getOwner());
  mlir::Location loc = loop->getLoc();
  llvm::SmallVector<std::array<mlir::Value, 2>> copies; // from a turn's scratch to the next
  for (auto [init, argument, yield] : llvm::zip_equal(inits, carried, yields)) {
    if (!llvm::isa<mlir::MemRefType>(argument.getType()) || isUpdateOf(yield.get(), argument))
      continue;
    auto place = createLike(before, argument), scratch = createLike(before, argument);
    if (mlir::failed(place) || mlir::failed(scratch))
      return mlir::failure();
    mlir::memref::CopyOp::create(before, loc, init.get(), *place);
    init.set(*place);
    // All are read before any is written: a turn may exchange them.
    mlir::memref::CopyOp::create(after, loc, yield.get(), *scratch);
    copies.push_back({*scratch, *place});
    yield.set(*place);
  }
  for (auto [scratch, place] : copies)
    mlir::memref::CopyOp::create(after, loc, scratch, place);
  return mlir::success();
}

static mlir::LogicalResult keepLoopsInPlace(mlir::func::FuncOp function) {
  auto result = function.walk([](mlir::Operation *op) {
    mlir::LogicalResult kept = mlir::success();
    if (auto loop = llvm::dyn_cast<mlir::scf::ForOp>(op))
      kept = keepInPlace(op, loop.getInitArgsMutable(), loop.getRegionIterArgs(),
                         *loop.getYieldedValuesMutable());
    else if (auto loop = llvm::dyn_cast<mlir::scf::WhileOp>(op))
      kept = keepInPlace(op, loop.getInitsMutable(), loop.getBeforeArguments(),
                         loop.getYieldOp()->getOpOperands());
    return mlir::failed(kept) ? mlir::WalkResult::interrupt() : mlir::WalkResult::advance();
  });
  return mlir::failure(result.wasInterrupted());
}

/// Replaces the one scf.forall by its body at the point x, y, z of the grid.
static std::array<int64_t, 3> takeGridPoint(mlir::func::FuncOp function) {
  std::array<int64_t, 3> grid{1, 1, 1};
  mlir::scf::ForallOp forall;
  function.walk([&](mlir::scf::ForallOp loop) {
    if (loop->getParentOp() == function)
      forall = loop;
  });
  if (!forall)
    return grid;
  mlir::OpBuilder builder(forall);
  mlir::Location loc = forall.getLoc();
  unsigned first = function.getNumArguments() - 3;
  auto lower = forall.getStaticLowerBound(), upper = forall.getStaticUpperBound(),
       step = forall.getStaticStep();
  for (auto [d, variable] : llvm::enumerate(forall.getInductionVars())) {
    grid[d] = (upper[d] - lower[d] + step[d] - 1) / step[d];
    mlir::Value scale = mlir::arith::ConstantIndexOp::create(builder, loc, step[d]);
    mlir::Value base = mlir::arith::ConstantIndexOp::create(builder, loc, lower[d]);
    mlir::Value offset =
        mlir::arith::MulIOp::create(builder, loc, function.getArgument(first + d), scale);
    variable.replaceAllUsesWith(mlir::arith::AddIOp::create(builder, loc, offset, base));
  }
  mlir::Block *body = forall.getBody();
  body->getTerminator()->erase();
  forall->getBlock()->getOperations().splice(mlir::Block::iterator(forall), body->getOperations());
  forall.erase();
  return grid;
}

/// Buffers of a kernel are made once on entry, on the stack unless it has another place for them:
/// heap memory would need a run-time library.
static mlir::LogicalResult allocateOnEntry(mlir::func::FuncOp function, bool stack) {
  llvm::SmallVector<mlir::memref::AllocOp> allocations;
  function.walk([&](mlir::memref::AllocOp op) { allocations.push_back(op); });
  for (mlir::memref::AllocOp op : allocations) {
    mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(&function.getBody().front());
    mlir::MemRefType type = op.getType();
    llvm::SmallVector<int64_t> shape(type.getShape());
    for (auto [d, extent] : llvm::enumerate(shape)) {
      if (!mlir::ShapedType::isDynamic(extent))
        continue;
      auto bound = mlir::ValueBoundsConstraintSet::computeConstantBound(
          mlir::presburger::BoundType::UB, {op.getResult(), static_cast<int64_t>(d)},
          /*stopCondition=*/nullptr, /*closedUB=*/true);
      if (mlir::failed(bound))
        return op.emitError("needs scratch memory whose size has no bound at compile time");
      extent = *bound;
    }
    auto largest = mlir::MemRefType::get(shape, type.getElementType());
    mlir::IntegerAttr alignment = builder.getI64IntegerAttr(64);
    mlir::Value buffer;
    if (stack)
      buffer = mlir::memref::AllocaOp::create(builder, op.getLoc(), largest, alignment);
    else
      buffer = mlir::memref::AllocOp::create(builder, op.getLoc(), largest, alignment);
    if (largest != type) {
      builder.setInsertionPoint(op);
      llvm::SmallVector<mlir::OpFoldResult> zeros(shape.size(), builder.getIndexAttr(0)),
          ones(shape.size(), builder.getIndexAttr(1));
      buffer = mlir::memref::SubViewOp::create(builder, op.getLoc(), buffer, zeros,
                                               op.getMixedSizes(), ones);
      if (buffer.getType() != type) {
        // Uses may expect the layout of a plain allocation.
        op.getResult().setType(llvm::cast<mlir::MemRefType>(buffer.getType()));
      }
    }
    op.replaceAllUsesWith(buffer);
    op.erase();
  }
  return mlir::success();
}

/// Copies become loops: they would call a run-time library otherwise.
static void expandCopies(mlir::func::FuncOp function) {
  llvm::SmallVector<mlir::memref::CopyOp> copies;
  function.walk([&](mlir::memref::CopyOp op) { copies.push_back(op); });
  for (mlir::memref::CopyOp op : copies) {
    mlir::OpBuilder builder(op);
    mlir::linalg::CopyOp::create(builder, op.getLoc(), op.getSource(), op.getTarget());
    op.erase();
  }
}

mlir::FailureOr<GenericKernel> lowerGenericKernel(mlir::func::FuncOp kernel, llvm::StringRef name,
                                                  const KernelSignature &signature,
                                                  const GenericOptions &options) {
  if (mlir::failed(decomposeAll(kernel)) || mlir::failed(decomposeAggregates(kernel)))
    return mlir::failure();
  if (mlir::failed(runPasses(kernel, [](mlir::OpPassManager &manager) {
        manager.addPass(mlir::createCanonicalizerPass());
        manager.addPass(mlir::createCSEPass());
        manager.addPass(mlir::createConvertElementwiseToLinalgPass());
        manager.addPass(mlir::createLinalgElementwiseOpFusionPass());
        manager.addPass(mlir::createCSEPass());
      })))
    return mlir::failure();
  allowReassociation(kernel);
  GenericKernel result;
  result.tiled = options.tile && tileKernel(kernel, signature);
  mlir::OpBuilder builder(kernel.getContext());
  result.function = createBufferKernel(builder, kernel, name, signature);
  moveIntoBuffers(kernel, result.function, signature);
  mlir::Location loc = kernel.getLoc();
  kernel.erase();
  if (mlir::failed(bufferize(result.function)))
    return mlir::emitError(loc, "kernel '") << name << "' cannot be bufferised";
  if (result.tiled)
    result.grid = takeGridPoint(result.function);
  if (mlir::failed(keepLoopsInPlace(result.function)))
    return mlir::failure();
  if (mlir::failed(allocateOnEntry(result.function, options.stack)))
    return mlir::failure();
  expandCopies(result.function);
  return result;
}

} // namespace levin::host
