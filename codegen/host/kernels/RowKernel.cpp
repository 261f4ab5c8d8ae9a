// Kernels whose results are rows made from rows: norms, with the elementwise ops around them, and
// the gathers, embeddings and sums of expert rows that they read.
//
// Grid: (blocks of rows).  A row is made in stages: all that does not wait for a norm, then what
// waits for the first, and so on.  A stage is one pass over the columns; values that a later stage
// needs stay in scratch.
#include "codegen/host/kernels/Epilogue.h"
#include "codegen/host/kernels/Heads.h"
#include "codegen/host/kernels/Templates.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Math/IR/Math.h"

#include "llvm/ADT/SetVector.h"

namespace levin::host::kernels {

// Elements of a grid point: enough to be worth a launch.
static constexpr int64_t pointElements = 8192;
static constexpr int64_t maxColumns = 16384; // a row of scratch
static constexpr size_t maxSaved = 4;        // rows of scratch
static constexpr int64_t maxChoices = 16;

namespace {
struct RowGroup {
  int64_t rows = 0, columns = 0;
  SmallVector<mlir::Operation *> ops; // in order, without constants
  llvm::DenseMap<mlir::Operation *, unsigned> stages;
  unsigned stageCount = 1;
  llvm::SetVector<Value> saved; // results that a later stage reads

  int64_t rowsPerPoint() const { return std::clamp<int64_t>(pointElements / columns, 1, rows); }
};

class RowKernel : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "rows"; }
  bool matches(mlir::func::FuncOp kernel) const override;
  std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const override;
  mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                           const HostTarget &target) const override;
};
} // namespace

static mlir::RankedTensorType tensorType(Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

static bool allArguments(mlir::OperandRange operands) {
  return llvm::all_of(operands, [](Value value) { return argumentNumber(value).has_value(); });
}

/// Whether `op` reads rows of its arguments by number.
static bool isGather(mlir::Operation *op) {
  if (auto combine = llvm::dyn_cast<moe::CombineOp>(op))
    return allArguments(op->getOperands()) &&
           tensorType(combine.getRows()).getDimSize(1) <= maxChoices &&
           tensorType(combine.getExpertRows()).getDimSize(0) > 0;
  if (auto embed = llvm::dyn_cast<nn::EmbedOp>(op))
    return allArguments(op->getOperands()) && tensorType(embed.getTable()).getDimSize(0) > 0;
  if (auto take = llvm::dyn_cast<nn::TakeRowsOp>(op))
    return allArguments(op->getOperands()) && tensorType(take.getInput()).getDimSize(0) > 0;
  return false;
}

static bool isNorm(mlir::Operation *op) {
  auto norm = llvm::dyn_cast<nn::RmsNormOp>(op);
  return norm && argumentNumber(norm.getWeight()) &&
         tensorType(norm.getInput()).getElementType().isF32();
}

/// Numbers the stages, and notes what they leave for later ones.
static void assignStages(RowGroup &group) {
  for (mlir::Operation *op : group.ops) {
    unsigned stage = 0;
    for (Value operand : op->getOperands())
      if (mlir::Operation *producer = operand.getDefiningOp())
        stage = std::max(stage, group.stages.lookup(producer));
    group.stages[op] = stage + (isNorm(op) ? 1 : 0);
    group.stageCount = std::max(group.stageCount, group.stages[op] + 1);
  }
  for (mlir::Operation *op : group.ops)
    for (Value operand : op->getOperands()) {
      mlir::Operation *producer = operand.getDefiningOp();
      if (producer && group.stages.count(producer) && group.stages[producer] < group.stages[op])
        group.saved.insert(operand);
    }
}

static std::optional<RowGroup> analyse(mlir::func::FuncOp kernel) {
  RowGroup group;
  for (mlir::Operation &op : kernel.getBody().front()) {
    if (llvm::isa<mlir::func::ReturnOp>(op) || isSplatConstant(&op))
      continue;
    if (!isGather(&op) && !isNorm(&op) && !isElementwise(&op))
      return std::nullopt;
    auto type = tensorType(op.getResult(0));
    if (!llvm::isa<mlir::FloatType>(type.getElementType()) || !type.hasStaticShape())
      return std::nullopt;
    if (group.ops.empty()) {
      group.rows = type.getDimSize(0);
      group.columns = type.getDimSize(1);
    } else if (type.getDimSize(0) != group.rows || type.getDimSize(1) != group.columns) {
      return std::nullopt;
    }
    group.ops.push_back(&op);
  }
  if (group.ops.empty() || group.rows == 0 || group.columns == 0 || group.columns > maxColumns)
    return std::nullopt;
  for (Value result : kernel.getBody().front().getTerminator()->getOperands())
    if (!llvm::is_contained(group.ops, result.getDefiningOp()))
      return std::nullopt;
  assignStages(group);
  if (group.saved.size() > maxSaved)
    return std::nullopt;
  return group;
}

bool RowKernel::matches(mlir::func::FuncOp kernel) const { return analyse(kernel).has_value(); }

std::array<int64_t, 3> RowKernel::grid(mlir::func::FuncOp kernel) const {
  RowGroup group = *analyse(kernel);
  return {ceilDiv(group.rows, group.rowsPerPoint()), 1, 1};
}

namespace {
/// Where a gather reads for the current row.
struct GatherPlace {
  SmallVector<Value> begins;  // the first element of each row it reads
  SmallVector<Value> present; // whether there is such a row (combine)
  SmallVector<Value> weights; // (combine)
};

class RowEmitter {
public:
  RowEmitter(mlir::func::FuncOp kernel, mlir::func::FuncOp function, const RowGroup &group,
             const HostTarget &target);
  void emit();

private:
  Emit e;
  mlir::func::FuncOp kernel, function;
  const RowGroup &g;
  llvm::DenseMap<Value, Value> scratch; // of saved values
  llvm::DenseMap<mlir::Operation *, GatherPlace> places;
  llvm::DenseMap<mlir::Operation *, Value> inverses; // of the root mean squares

  Value buffer(Value argument) {
    return e.flat(function.getArgument(llvm::cast<mlir::BlockArgument>(argument).getArgNumber()));
  }
  void findPlace(mlir::Operation *op, Value row);
  Value gather(mlir::Operation *op, Value column, Value mask);
  Value normalise(nn::RmsNormOp op, Value input, Value column, Value mask);
  SmallVector<nn::RmsNormOp> normsAfter(unsigned stage) const;
  SmallVector<Value> emitColumns(unsigned stage, Value row, Value column, Value mask,
                                 ValueRange squares);
  void emitStage(unsigned stage, Value row);
};
} // namespace

RowEmitter::RowEmitter(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                       const RowGroup &group, const HostTarget &target)
    : e(function, target), kernel(kernel), function(function), g(group) {
  for (Value value : group.saved)
    scratch[value] = e.scratch(roundUp(group.columns, 16), tensorType(value).getElementType());
}

void RowEmitter::emit() {
  Value x = function.getArgument(function.getNumArguments() - 3);
  int64_t rows = g.rowsPerPoint();
  Value first = e.mul(x, rows);
  e.loop(first, e.min(e.add(first, rows), e.index(g.rows)), 1, [&](Value row) {
    for (mlir::Operation *op : g.ops)
      if (isGather(op))
        findPlace(op, row);
    for (unsigned stage = 0; stage < g.stageCount; ++stage)
      emitStage(stage, row);
  });
  e.finish();
}

/// Finds what rows `op` reads for `row`: numbers out of range are row 0, or none for combine.
void RowEmitter::findPlace(mlir::Operation *op, Value row) {
  GatherPlace place;
  auto isInside = [&](Value number, int64_t extent) -> Value {
    return mlir::arith::CmpIOp::create(e.builder, e.loc, mlir::arith::CmpIPredicate::ult, number,
                                       e.index(extent));
  };
  auto add = [&](Value number, int64_t extent) {
    Value inside = isInside(number, extent);
    place.begins.push_back(e.mul(e.select(inside, number, e.index(0)), g.columns));
    place.present.push_back(inside);
  };
  if (auto embed = llvm::dyn_cast<nn::EmbedOp>(op)) {
    add(e.loadIndex(buffer(embed.getIds()), row), tensorType(embed.getTable()).getDimSize(0));
  } else if (auto take = llvm::dyn_cast<nn::TakeRowsOp>(op)) {
    add(e.loadIndex(buffer(take.getIndices()), row), tensorType(take.getInput()).getDimSize(0));
  } else {
    auto combine = llvm::cast<moe::CombineOp>(op);
    int64_t choices = tensorType(combine.getRows()).getDimSize(1);
    for (int64_t c = 0; c < choices; ++c) {
      Value at = e.add(e.mul(row, choices), c);
      add(e.loadIndex(buffer(combine.getRows()), at),
          tensorType(combine.getExpertRows()).getDimSize(0));
      Value weight = e.loadScalar(buffer(combine.getWeights()), at);
      place.weights.push_back(e.broadcast(weight, e.lanes));
    }
  }
  places[op] = place;
}

Value RowEmitter::gather(mlir::Operation *op, Value column, Value mask) {
  const GatherPlace &place = places[op];
  Type element = tensorType(op->getResult(0)).getElementType();
  auto read = [&](Value argument, size_t i) {
    return e.load(buffer(argument), e.add(place.begins[i], column), e.lanes, mask);
  };
  if (auto embed = llvm::dyn_cast<nn::EmbedOp>(op))
    return e.toFloat(read(embed.getTable(), 0), element);
  if (auto take = llvm::dyn_cast<nn::TakeRowsOp>(op))
    return e.toFloat(read(take.getInput(), 0), element);
  auto combine = llvm::cast<moe::CombineOp>(op);
  Value zero = e.splat(0, e.lanes), sum = zero;
  for (size_t i = 0; i < place.begins.size(); ++i) {
    // A row that is not there holds anything: it must not meet the sum even times 0.
    Value term = e.select(place.present[i], read(combine.getExpertRows(), i), zero);
    Value weight = e.select(place.present[i], place.weights[i], zero);
    sum = e.fma(weight, term, sum);
  }
  return e.toFloat(sum, element);
}

Value RowEmitter::normalise(nn::RmsNormOp op, Value input, Value column, Value mask) {
  Value scaled = e.mulf(input, e.broadcast(inverses[op], e.lanes));
  return e.mulf(scaled, e.load(buffer(op.getWeight()), column, e.lanes, mask));
}

/// The norms whose input `stage` makes or, if it is an argument, reads first.
SmallVector<nn::RmsNormOp> RowEmitter::normsAfter(unsigned stage) const {
  SmallVector<nn::RmsNormOp> norms;
  for (mlir::Operation *op : g.ops)
    if (auto norm = llvm::dyn_cast<nn::RmsNormOp>(op))
      if (g.stages.lookup(op) == stage + 1)
        norms.push_back(norm);
  return norms;
}

/// One vector of columns of a stage; returns the sums of squares with it.
SmallVector<Value> RowEmitter::emitColumns(unsigned stage, Value row, Value column, Value mask,
                                           ValueRange squares) {
  VectorScope scope(e, row, column, mask);
  for (mlir::BlockArgument argument : kernel.getArguments())
    if (tensorType(argument).getRank() == 2)
      scope.setBuffer(argument, buffer(argument));
  for (Value value : g.saved)
    if (g.stages.lookup(value.getDefiningOp()) < stage)
      scope.set(value, e.loadRaw(scratch[value], column, e.lanes));
  for (mlir::Operation *op : g.ops) {
    if (g.stages.lookup(op) != stage)
      continue;
    Value result = op->getResult(0);
    if (isGather(op))
      scope.set(result, gather(op, column, mask));
    else if (auto norm = llvm::dyn_cast<nn::RmsNormOp>(op))
      scope.set(result, normalise(norm, scope.get(norm.getInput()), column, mask));
    if (g.saved.contains(result))
      e.store(scope.get(result), scratch[result], column);
  }
  auto results = kernel.getBody().front().getTerminator()->getOperands();
  for (auto [i, result] : llvm::enumerate(results))
    if (g.stages.lookup(result.getDefiningOp()) == stage)
      e.store(scope.get(result), e.flat(function.getArgument(kernel.getNumArguments() + i)),
              e.at(row, g.columns, column), mask);
  SmallVector<Value> next;
  for (auto [norm, sum] : llvm::zip(normsAfter(stage), squares)) {
    Value input = scope.get(norm.getInput());
    if (mask)
      input = e.select(mask, input, e.splat(0, e.lanes));
    next.push_back(e.fma(input, input, sum));
  }
  return next;
}

void RowEmitter::emitStage(unsigned stage, Value row) {
  auto norms = normsAfter(stage);
  SmallVector<Value> squares(norms.size(), e.splat(0, e.lanes));
  int64_t whole = g.columns / e.lanes * e.lanes;
  squares =
      e.loop(e.index(0), e.index(whole), e.lanes, squares, [&](Value column, ValueRange carried) {
        return emitColumns(stage, row, column, {}, carried);
      });
  if (whole < g.columns)
    squares = emitColumns(stage, row, e.index(whole), e.mask(e.index(g.columns - whole), e.lanes),
                          squares);
  for (auto [norm, sum] : llvm::zip(norms, squares)) {
    Value mean = e.divf(e.reduceAdd(sum), e.scalar(static_cast<double>(g.columns)));
    Value biased = e.addf(mean, e.scalar(norm.getEps().convertToDouble()));
    Value root = mlir::math::SqrtOp::create(e.builder, e.loc, biased);
    inverses[norm] = e.divf(e.scalar(1), root);
  }
}

mlir::LogicalResult RowKernel::emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                                    const HostTarget &target) const {
  RowGroup group = *analyse(kernel);
  RowEmitter(kernel, function, group, target).emit();
  return mlir::success();
}

const KernelTemplate &rowKernel() {
  static const RowKernel kernel;
  return kernel;
}

} // namespace levin::host::kernels
