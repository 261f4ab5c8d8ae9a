#include "codegen/cuda/generated/RowKernel.h"

#include "codegen/cuda/generated/VectorCode.h"
#include "dialects/interfaces/Interfaces.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "llvm/ADT/SmallString.h"

#include <limits>

namespace levin::cuda {

namespace arith = mlir::arith;
namespace gpu = mlir::gpu;
using llvm::SmallVector;
using mlir::Type;
using mlir::Value;

static constexpr int64_t accessBytes = 16;
static constexpr int64_t warp = 32;
static constexpr int64_t mostThreads = 1024;
static constexpr int64_t flatThreads = 256, flatVectors = 4;
static constexpr int64_t rowThreads = 256; // of a block whose warps have a row each
static constexpr int64_t mostVectors = 8;  // that a thread keeps of a row
static constexpr int64_t manyRows = 1024;  // enough to fill a card with blocks

static mlir::RankedTensorType typeOf(Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

namespace {
/// How rows are shared out.
struct RowShape {
  int64_t lanes = 1;    // elements of a vector
  int64_t vectors = 1;  // of a row; of everything if the group is flat
  int64_t threads = 1;  // that share a row
  int64_t each = 1;     // vectors of a thread
  int64_t together = 1; // rows of a block
  int64_t blocks = 1;

  int64_t blockThreads() const { return threads * together; }
};
} // namespace

/// The arguments and results of `kernel` that are read or written row by row.
static SmallVector<mlir::RankedTensorType> rowTypes(mlir::func::FuncOp kernel,
                                                    const RowGroup &group) {
  SmallVector<mlir::RankedTensorType> types;
  for (mlir::BlockArgument argument : kernel.getArguments())
    if (typeOf(argument).getRank() > 1 && typeOf(argument).getShape().back() == group.columns)
      types.push_back(typeOf(argument));
  for (Type type : kernel.getResultTypes())
    types.push_back(llvm::cast<mlir::RankedTensorType>(type));
  return types;
}

static int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

static RowShape shapeOf(mlir::func::FuncOp kernel, const RowGroup &group) {
  RowShape shape;
  int64_t narrowest = 4;
  for (mlir::RankedTensorType type : rowTypes(kernel, group))
    narrowest = std::min<int64_t>(narrowest, type.getElementTypeBitWidth() / 8);
  shape.lanes = accessBytes / std::max<int64_t>(narrowest, 2);
  bool masked =
      llvm::any_of(group.ops, [](mlir::Operation *op) { return llvm::isa<nn::MaskTailOp>(op); });
  int64_t extent = group.isFlat() && !masked ? group.rows * group.columns : group.columns;
  while (extent % shape.lanes != 0)
    shape.lanes /= 2;
  if (group.isFlat()) {
    shape.vectors = group.rows * group.columns / shape.lanes;
    // Few vectors are spread over more blocks.
    shape.each = shape.vectors >= manyRows * flatThreads * flatVectors / 2 ? flatVectors : 1;
    shape.threads = flatThreads;
    shape.blocks = ceilDiv(shape.vectors, shape.threads * shape.each);
    return shape;
  }
  shape.vectors = group.columns / shape.lanes;
  int64_t wanted = group.rows >= manyRows ? 4 : 2;
  shape.threads = std::min(ceilDiv(ceilDiv(shape.vectors, wanted), warp) * warp, mostThreads);
  shape.each = ceilDiv(shape.vectors, shape.threads);
  if (shape.threads <= warp)
    shape.together = std::min(rowThreads / warp, group.rows);
  shape.blocks = ceilDiv(group.rows, shape.together);
  return shape;
}

bool canEmitRows(const RowGroup &group, mlir::func::FuncOp kernel) {
  RowShape shape = shapeOf(kernel, group);
  if (shape.blocks > std::numeric_limits<int32_t>::max())
    return false;
  return group.isFlat() || shape.each <= mostVectors;
}

namespace {
/// Where a gather reads for the current row.
struct Place {
  SmallVector<Value> begins;  // the first element of each row it reads
  SmallVector<Value> present; // whether there is such a row
  SmallVector<Value> weights; // (combine) of each, as a vector
};

class RowEmitter {
public:
  RowEmitter(mlir::func::FuncOp kernel, const RowGroup &group, const RowShape &shape,
             gpu::GPUFuncOp function, mlir::OpBuilder &builder)
      : v(builder, kernel.getLoc(), shape.lanes), kernel(kernel), g(group), s(shape),
        function(function) {}
  void emit();

private:
  using Vectors = SmallVector<Value>; // one for each turn

  VectorCode v;
  mlir::func::FuncOp kernel;
  const RowGroup &g;
  const RowShape &s;
  gpu::GPUFuncOp function;

  Value row, rowExists, lane; // of this thread (rows only)
  Vectors columns;            // the first of each vector
  Vectors offsets;            // of each vector, in a tensor of the group's shape
  Vectors exists;             // whether there is such a vector; null: always
  llvm::DenseMap<Value, Vectors> known;
  unsigned reductions = 0;
  Value partials; // of warps, in shared memory

  Value buffer(Value argument) {
    return v.flat(function.getArgument(llvm::cast<mlir::BlockArgument>(argument).getArgNumber()));
  }
  void findPlace();
  void findFlatPlace();
  void loadArguments();
  Vectors &get(Value tensor);
  Vectors eachTurn(llvm::function_ref<Value(size_t)> body);
  Value applyElement(mlir::Operation *op, size_t turn);
  Place placeOf(mlir::Operation *op);
  Value gatherElement(mlir::Operation *op, const Place &place, size_t turn);
  Value sumRow(const Vectors &terms);
  void normalise(mlir::Operation *op);
  void compute(mlir::Operation *op);
  Value canStore(size_t turn);
  void storeResults();
};
} // namespace

// --- places --------------------------------------------------------------------------------------

void RowEmitter::findFlatPlace() {
  Value thread = v.threadId(), block = v.blockId();
  Value first = v.add(v.mul(block, s.threads * s.each), thread);
  bool whole = s.vectors % (s.threads * s.each) == 0;
  for (int64_t turn = 0; turn < s.each; ++turn) {
    Value number = v.add(first, turn * s.threads);
    Value inside = whole ? Value() : v.less(number, s.vectors);
    if (!whole)
      number = v.min(number, s.vectors - 1);
    Value offset = v.mul(number, s.lanes);
    exists.push_back(inside);
    offsets.push_back(offset);
    columns.push_back(offset);
  }
}

void RowEmitter::findPlace() {
  Value thread = v.threadId();
  lane = thread;
  row = v.blockId();
  if (s.together > 1) {
    lane = v.rem(thread, s.threads);
    row = v.add(v.mul(row, s.together), v.div(thread, s.threads));
  }
  if (g.rows % s.together != 0) {
    rowExists = v.less(row, g.rows);
    row = v.min(row, g.rows - 1);
  }
  Value begin = v.mul(row, g.columns);
  for (int64_t turn = 0; turn < s.each; ++turn) {
    Value number = v.add(lane, turn * s.threads);
    bool whole = (turn + 1) * s.threads <= s.vectors;
    exists.push_back(whole ? Value() : v.less(number, s.vectors));
    if (!whole)
      number = v.min(number, s.vectors - 1);
    columns.push_back(v.mul(number, s.lanes));
    offsets.push_back(v.add(begin, columns.back()));
  }
}

/// Whether this thread has a vector to store in `turn`; null: always.
Value RowEmitter::canStore(size_t turn) {
  if (!rowExists || !exists[turn])
    return rowExists ? rowExists : exists[turn];
  return v.both(rowExists, exists[turn]);
}

// --- values --------------------------------------------------------------------------------------

RowEmitter::Vectors RowEmitter::eachTurn(llvm::function_ref<Value(size_t)> body) {
  Vectors result;
  for (size_t turn = 0; turn < columns.size(); ++turn)
    result.push_back(body(turn));
  return result;
}

/// Reads all that is read at the thread's own places before anything waits for it.
void RowEmitter::loadArguments() {
  for (mlir::BlockArgument argument : kernel.getArguments()) {
    bool own = false, perColumn = false;
    for (mlir::OpOperand &use : argument.getUses()) {
      mlir::Operation *op = use.getOwner();
      if (isNorm(op) && use.getOperandNumber() > 0)
        perColumn = true;
      else if (!isGather(op) && !isTable(op) && !(op == g.dispatch && use.getOperandNumber() == 1))
        own = true;
    }
    if (!own && !perColumn)
      continue;
    Value memory = buffer(argument);
    known[argument] =
        eachTurn([&](size_t turn) { return v.load(memory, own ? offsets[turn] : columns[turn]); });
  }
}

RowEmitter::Vectors &RowEmitter::get(Value tensor) {
  if (auto found = known.find(tensor); found != known.end())
    return found->second;
  auto constant = llvm::cast<arith::ConstantOp>(tensor.getDefiningOp());
  Value splat = v.constant(llvm::cast<mlir::SplatElementsAttr>(constant.getValue()));
  return known[tensor] = Vectors(columns.size(), splat);
}

/// One vector of an elementwise op.
Value RowEmitter::applyElement(mlir::Operation *op, size_t turn) {
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand)[turn]);
  Type element = typeOf(op->getResult(0)).getElementType();
  if (auto tail = llvm::dyn_cast<nn::MaskTailOp>(op)) {
    Value column = columns[turn];
    if (!row)
      column = v.rem(column, g.columns);
    return v.maskTail(operands[0], column, static_cast<int64_t>(tail.getLive()));
  }
  if (auto elementwise = llvm::dyn_cast<ElementwiseOpInterface>(op)) {
    for (Value &operand : operands)
      operand = v.toFloat(operand, v.f32());
    return v.toFloat(elementwise.buildElement(v.builder, operands), element);
  }
  mlir::OperationState state(v.loc, op->getName(), operands, v.vectorType(element), op->getAttrs());
  return v.builder.create(state)->getResult(0);
}

/// Finds what rows `op` reads: numbers out of range are row 0, or none for combine.
Place RowEmitter::placeOf(mlir::Operation *op) {
  Place place;
  auto add = [&](Value numbers, Value at, int64_t extent) {
    Value number = v.loadIndex(buffer(numbers), at);
    Value inside = v.isInside(number, extent);
    place.begins.push_back(v.mul(v.select(inside, number, v.index(0)), g.columns));
    place.present.push_back(inside);
  };
  if (auto embed = llvm::dyn_cast<nn::EmbedOp>(op)) {
    add(embed.getIds(), row, typeOf(embed.getTable()).getDimSize(0));
  } else if (auto take = llvm::dyn_cast<nn::TakeRowsOp>(op)) {
    add(take.getIndices(), row, typeOf(take.getInput()).getDimSize(0));
  } else {
    auto combine = llvm::cast<moe::CombineOp>(op);
    int64_t choices = typeOf(combine.getRows()).getDimSize(1);
    for (int64_t c = 0; c < choices; ++c) {
      Value at = v.add(v.mul(row, choices), c);
      add(combine.getRows(), at, typeOf(combine.getExpertRows()).getDimSize(0));
      place.weights.push_back(v.broadcast(v.loadScalar(buffer(combine.getWeights()), at)));
    }
  }
  return place;
}

Value RowEmitter::gatherElement(mlir::Operation *op, const Place &place, size_t turn) {
  Type element = typeOf(op->getResult(0)).getElementType();
  Value table = buffer(tableOf(op));
  auto read = [&](size_t i) {
    return v.toFloat(v.load(table, v.add(place.begins[i], columns[turn])), v.f32());
  };
  if (!llvm::isa<moe::CombineOp>(op))
    return v.toFloat(read(0), element);
  Value zero = v.splat(0), sum = zero;
  for (size_t i = 0; i < place.begins.size(); ++i) {
    // A row that is not there holds anything: it must not meet the sum even times 0.
    Value term = v.select(place.present[i], read(i), zero);
    Value weight = v.select(place.present[i], place.weights[i], zero);
    sum = v.fma(weight, term, sum);
  }
  return v.toFloat(sum, element);
}

// --- rows ----------------------------------------------------------------------------------------

/// The sum of all elements of `terms` over the row, in every thread of it.
Value RowEmitter::sumRow(const Vectors &terms) {
  Value sum;
  for (auto [turn, term] : llvm::enumerate(terms)) {
    Value kept = exists[turn] ? v.select(exists[turn], term, v.splat(0)) : term;
    sum = sum ? v.addf(sum, kept) : kept;
  }
  Value total = v.sumAcrossWarp(v.sumLanes(sum));
  int64_t warps = s.threads / warp;
  if (warps <= 1)
    return total;
  // Each reduction has places of its own, so that none waits for the readers of the one before.
  Value begin = v.index(static_cast<int64_t>(reductions++) * warps);
  v.when(v.isZero(v.rem(lane, warp)),
         [&] { v.storeScalar(total, partials, v.add(begin, v.div(lane, warp))); });
  v.barrier();
  Value all;
  for (int64_t w = 0; w < warps; ++w) {
    Value partial = v.loadScalar(partials, v.add(begin, w));
    all = all ? v.addf(all, partial) : partial;
  }
  return all;
}

void RowEmitter::normalise(mlir::Operation *op) {
  Vectors input = get(op->getOperand(0)), weight = get(op->getOperand(1));
  auto mean = [&](llvm::function_ref<Value(size_t)> term) {
    return v.mulf(sumRow(eachTurn(term)), v.scalar(1.0 / static_cast<double>(g.columns)));
  };
  Vectors bias;
  llvm::APFloat eps(0.0);
  if (auto norm = llvm::dyn_cast<nn::LayerNormOp>(op)) {
    bias = get(norm.getBias());
    eps = norm.getEps();
    Value average = v.broadcast(mean([&](size_t turn) { return input[turn]; }));
    input = eachTurn([&](size_t turn) { return v.subf(input[turn], average); });
  } else {
    eps = llvm::cast<nn::RmsNormOp>(op).getEps();
  }
  Value square = mean([&](size_t turn) { return v.mulf(input[turn], input[turn]); });
  Value inverse = v.broadcast(v.inverseRoot(v.addf(square, v.scalar(eps.convertToDouble()))));
  known[op->getResult(0)] = eachTurn([&](size_t turn) {
    Value scaled = v.mulf(v.mulf(input[turn], inverse), v.toFloat(weight[turn], v.f32()));
    return bias.empty() ? scaled : v.addf(scaled, v.toFloat(bias[turn], v.f32()));
  });
}

void RowEmitter::compute(mlir::Operation *op) {
  v.loc = op->getLoc();
  if (isNorm(op))
    return normalise(op);
  Value result = op->getResult(0);
  if (isGather(op)) {
    Place place = placeOf(op);
    known[result] = eachTurn([&](size_t turn) { return gatherElement(op, place, turn); });
  } else if (op == g.dispatch) {
    Vectors tokens = get(op->getOperand(0));
    Type element = typeOf(result).getElementType();
    known[result] = eachTurn([&](size_t turn) { return v.toFloat(tokens[turn], element); });
  } else {
    known[result] = eachTurn([&](size_t turn) { return applyElement(op, turn); });
  }
}

void RowEmitter::storeResults() {
  auto results = kernel.getBody().front().getTerminator()->getOperands();
  auto storeAt = [&](Value condition, Value value, Value memory, Value at) {
    if (condition)
      v.when(condition, [&] { v.store(value, memory, at); });
    else
      v.store(value, memory, at);
  };
  for (auto [i, result] : llvm::enumerate(results)) {
    Value memory = v.flat(function.getArgument(kernel.getNumArguments() + i));
    Vectors &vectors = get(result);
    if (!g.scattered.contains(result)) {
      for (size_t turn = 0; turn < vectors.size(); ++turn)
        storeAt(canStore(turn), vectors[turn], memory, offsets[turn]);
      continue;
    }
    auto dispatch = llvm::cast<moe::DispatchOp>(g.dispatch);
    int64_t choices = typeOf(dispatch.getRows()).getDimSize(1);
    for (int64_t c = 0; c < choices; ++c) {
      Value number = v.loadIndex(buffer(dispatch.getRows()), v.add(v.mul(row, choices), c));
      Value inside = v.isInside(number, typeOf(result).getDimSize(0));
      Value begin = v.mul(v.select(inside, number, v.index(0)), g.columns);
      for (size_t turn = 0; turn < vectors.size(); ++turn) {
        Value own = canStore(turn);
        storeAt(own ? v.both(own, inside) : inside, vectors[turn], memory,
                v.add(begin, columns[turn]));
      }
    }
  }
}

void RowEmitter::emit() {
  v.waitForPredecessor();
  if (g.isFlat())
    findFlatPlace();
  else
    findPlace();
  if (g.hasNorm && s.threads > warp) {
    int64_t sums = 0;
    for (mlir::Operation *op : g.ops)
      sums += isNorm(op) ? (llvm::isa<nn::LayerNormOp>(op) ? 2 : 1) : 0;
    partials = v.shared(function, sums * (s.threads / warp));
  }
  loadArguments();
  for (mlir::Operation *op : g.ops)
    compute(op);
  v.loc = kernel.getLoc();
  storeResults();
  gpu::ReturnOp::create(v.builder, v.loc);
}

/// Whether the instructions for `op` are a straight line.  Exact quotients and roots call a
/// function for numbers at the ends of the range, and around a call registers may be put aside.
static bool callsNothing(mlir::Operation *op) {
  return isNorm(op) || isGather(op) ||
         llvm::isa<moe::DispatchOp, nn::MaskTailOp, nn::ResidualOp, nn::SigmoidOp, nn::SiluOp,
                   arith::AddFOp, arith::ExtFOp, arith::MulFOp, arith::NegFOp, arith::SubFOp,
                   arith::TruncFOp>(op);
}

DeviceCode emitRowKernel(mlir::func::FuncOp kernel, const RowGroup &group) {
  RowShape shape = shapeOf(kernel, group);
  DeviceCode code;
  mlir::OpBuilder builder(kernel);
  std::string symbol = symbolFor(kernel.getName());
  code.module = gpu::GPUModuleOp::create(builder, kernel.getLoc(), symbol + "_module");
  SmallVector<Type> bindings;
  auto addBinding = [&](Type type) {
    auto tensor = llvm::cast<mlir::RankedTensorType>(type);
    bindings.push_back(mlir::MemRefType::get(tensor.getShape(), tensor.getElementType()));
  };
  llvm::for_each(kernel.getArgumentTypes(), addBinding);
  llvm::for_each(kernel.getResultTypes(), addBinding);
  auto threads = static_cast<uint32_t>(shape.blockThreads());
  gpu::GPUFuncOp function =
      createDeviceKernel(builder, code.module, symbol, bindings, /*scratchBytes=*/0, threads);
  RowEmitter(kernel, group, shape, function, builder).emit();
  artifact::DeviceLaunch launch;
  launch.symbol = symbol;
  launch.grid[0] = static_cast<uint32_t>(shape.blocks);
  launch.block[0] = threads;
  launch.programmatic = true;
  code.launches.push_back(std::move(launch));
  code.refuseSpills = llvm::all_of(group.ops, callsNothing);
  code.method = group.isFlat() ? "elements" : "rows";
  kernel.erase();
  return code;
}

} // namespace levin::cuda
