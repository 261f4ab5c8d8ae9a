#include "codegen/cuda/GenericKernel.h"

#include "codegen/cuda/DeviceLoops.h"
#include "codegen/host/GenericKernel.h"
#include "runtime/artifact/Limits.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llvm/ADT/SetVector.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

namespace gpu = mlir::gpu;
namespace memref = mlir::memref;
using mlir::Value;

static constexpr uint32_t gridBlockThreads = 256; // of a structured op's own launch
static constexpr uint32_t loopBlockThreads = 512; // of the one block that runs loops
static constexpr int64_t mostBlocks = 1 << 16;    // threads of larger launches take turns
static constexpr uint64_t scratchAlignment = 256;

namespace {
/// What one launch runs.
struct Segment {
  llvm::SmallVector<mlir::Operation *> ops;
  bool shared = false; // one structured op, by the threads of the whole grid
};

/// A function on buffers on its way to launches.
class Splitter {
public:
  Splitter(mlir::func::FuncOp function, mlir::StringRef name) : function(function), name(name) {}
  mlir::FailureOr<DeviceCode> split();

private:
  mlir::func::FuncOp function;
  std::string name;
  llvm::DenseMap<mlir::Operation *, uint64_t> places; // of buffers, in the scratch bytes
  DeviceCode code;

  mlir::LogicalResult placeBuffers();
  llvm::SmallVector<Segment> segments();
  bool needsOther(const Segment &segment);
  void emit(const Segment &segment, size_t number, size_t count);
  Value bring(mlir::OpBuilder &b, Value value, mlir::IRMapping &values, Value scratch);
};
} // namespace

/// Whether `op` can be done again by every launch that needs its value.
static bool isRepeatable(mlir::Operation *op) {
  return llvm::isa<memref::AllocOp>(op) || (mlir::isMemoryEffectFree(op) && op->getNumResults());
}

mlir::LogicalResult Splitter::placeBuffers() {
  uint64_t bytes = 0;
  auto result = function.walk([&](memref::AllocOp op) {
    mlir::MemRefType type = op.getType();
    if (!type.hasStaticShape() || op->getBlock() != &function.getBody().front()) {
      op.emitError("needs scratch memory whose size has no bound at compile time");
      return mlir::WalkResult::interrupt();
    }
    bytes = llvm::alignTo(bytes, scratchAlignment);
    places[op] = bytes;
    bytes +=
        static_cast<uint64_t>(type.getNumElements()) * ((type.getElementTypeBitWidth() + 7) / 8);
    return mlir::WalkResult::advance();
  });
  code.scratchBytes = llvm::alignTo(bytes, scratchAlignment);
  return mlir::failure(result.wasInterrupted());
}

llvm::SmallVector<Segment> Splitter::segments() {
  llvm::SmallVector<Segment> result;
  Segment all;
  for (mlir::Operation &op : function.getBody().front().without_terminator()) {
    if (isRepeatable(&op))
      continue;
    all.ops.push_back(&op);
    auto structured = llvm::dyn_cast<mlir::linalg::LinalgOp>(op);
    bool shared = structured && parallelPoints(structured);
    if (shared || result.empty() || result.back().shared)
      result.push_back({{}, shared});
    result.back().ops.push_back(&op);
  }
  // What one launch reads from memory or computes in a loop stays in it: if another needs the
  // value, or there are too many launches, one block does everything.
  if (result.size() > artifact::limits::launches ||
      llvm::any_of(result, [&](const Segment &segment) { return needsOther(segment); }))
    return {all};
  return result;
}

/// Whether an op of `segment` uses a value that another segment makes.
bool Splitter::needsOther(const Segment &segment) {
  llvm::DenseSet<mlir::Operation *> own(segment.ops.begin(), segment.ops.end());
  llvm::SetVector<mlir::Operation *> seen;
  auto visit = [&](mlir::Operation *op) {
    op->walk([&](mlir::Operation *inner) {
      for (Value operand : inner->getOperands())
        if (mlir::Operation *maker = operand.getDefiningOp())
          if (maker->getBlock() == &function.getBody().front() && !own.contains(maker))
            seen.insert(maker);
    });
  };
  for (mlir::Operation *op : segment.ops)
    visit(op);
  for (size_t i = 0; i < seen.size(); ++i) {
    if (!isRepeatable(seen[i]))
      return true;
    visit(seen[i]);
  }
  return false;
}

/// Makes `value`, which the function computes at its top, in the kernel that `b` writes.
Value Splitter::bring(mlir::OpBuilder &b, Value value, mlir::IRMapping &values, Value scratch) {
  if (Value known = values.lookupOrNull(value))
    return known;
  mlir::Operation *op = value.getDefiningOp();
  if (auto found = places.find(op); found != places.end()) {
    Value offset =
        mlir::arith::ConstantIndexOp::create(b, op->getLoc(), static_cast<int64_t>(found->second));
    Value view =
        memref::ViewOp::create(b, op->getLoc(), llvm::cast<mlir::MemRefType>(value.getType()),
                               scratch, offset, mlir::ValueRange());
    values.map(value, view);
    return view;
  }
  op->walk([&](mlir::Operation *inner) {
    for (Value operand : inner->getOperands())
      if (operand.getParentBlock() == &function.getBody().front())
        bring(b, operand, values, scratch);
  });
  b.clone(*op, values);
  return values.lookup(value);
}

void Splitter::emit(const Segment &segment, size_t number, size_t count) {
  std::string symbol = symbolFor(name) + (count > 1 ? "_" + std::to_string(number) : "");
  uint32_t threads = segment.shared ? gridBlockThreads : loopBlockThreads;
  mlir::OpBuilder b(function.getContext());
  mlir::Location loc = function.getLoc();
  // The last three arguments are a grid point.
  auto bindings = function.getArgumentTypes().drop_back(3);
  gpu::GPUFuncOp kernel =
      createDeviceKernel(b, code.module, symbol, bindings, code.scratchBytes, threads);
  Value scratch = code.scratchBytes ? Value(kernel.getArguments().back()) : Value();
  mlir::IRMapping values;
  for (size_t i = 0; i < bindings.size(); ++i)
    values.map(function.getArgument(i), kernel.getArgument(i));
  llvm::SmallVector<mlir::Operation *> copies;
  for (mlir::Operation *op : segment.ops) {
    op->walk([&](mlir::Operation *inner) {
      for (Value operand : inner->getOperands())
        if (operand.getParentBlock() == &function.getBody().front())
          bring(b, operand, values, scratch);
    });
    copies.push_back(b.clone(*op, values));
  }
  gpu::ReturnOp::create(b, loc);
  b.setInsertionPointToStart(&kernel.getBody().front());
  artifact::DeviceLaunch launch;
  launch.symbol = symbol;
  launch.block = {threads, 1, 1};
  if (segment.shared) {
    auto op = llvm::cast<mlir::linalg::LinalgOp>(copies.front());
    int64_t points = *parallelPoints(op);
    int64_t blocks = llvm::divideCeil(std::max<int64_t>(points, 1), gridBlockThreads);
    launch.grid[0] = static_cast<uint32_t>(std::min(blocks, mostBlocks));
    Value first = gridThread(b, loc), step = gridThreads(b, loc);
    emitThreadLoops(b, op, {first, step});
  } else {
    Value thread = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
    Value width = mlir::arith::ConstantIndexOp::create(b, loc, threads);
    shareAmongBlock(kernel, thread, width);
  }
  code.launches.push_back(std::move(launch));
}

mlir::FailureOr<DeviceCode> Splitter::split() {
  if (mlir::failed(placeBuffers()))
    return mlir::failure();
  mlir::OpBuilder b(function);
  code.module = gpu::GPUModuleOp::create(b, function.getLoc(), symbolFor(name) + "_module");
  // Constant tables come with the kernels.
  for (auto global : function->getParentOfType<mlir::ModuleOp>().getOps<memref::GlobalOp>()) {
    b.setInsertionPointToStart(code.module.getBody());
    b.clone(*global);
  }
  llvm::SmallVector<Segment> parts = segments();
  for (auto [number, segment] : llvm::enumerate(parts))
    emit(segment, number, parts.size());
  code.method = "plain";
  function.erase();
  return std::move(code);
}

mlir::FailureOr<DeviceCode> emitGenericKernel(mlir::func::FuncOp kernel,
                                              const host::KernelSignature &signature) {
  std::string name = kernel.getName().str();
  host::GenericOptions options{.tile = false, .stack = false};
  auto made = host::lowerGenericKernel(kernel, name + ".body", signature, options);
  if (mlir::failed(made))
    return mlir::failure();
  return Splitter(made->function, name).split();
}

} // namespace levin::cuda
