#include "dialects/interfaces/TiedResults.h"
#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

#include "dialects/exec/Exec.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OperationSupport.h"

#include <functional>
#include <map>
#include <set>

namespace levin::fuse {
#define GEN_PASS_DEF_FUSEFORMKERNELSPASS
#include "passes/fuse/Passes.h.inc"

namespace {

using mlir::Operation;

// One kernel to be: the ops of a group and the values that cross its border.
struct Region {
  llvm::SmallVector<Operation *> ops; // in program order
  llvm::SetVector<mlir::Value> inputs;
  llvm::SmallVector<mlir::Value> outputs;
  llvm::SmallVector<int64_t> producers; // groups whose results it reads
};

// The ops that name a kernel: not those that only say how its operands are stored.
bool isNamed(Operation *op) {
  return !llvm::isa<exec::UnpackOp, mlir::arith::ExtFOp, mlir::arith::TruncFOp>(op);
}

// "64x768x192": rows, results and summands of a matmul (and its experts), else the extents of the
// first result.
std::string extentsOf(const Region &region) {
  llvm::SmallVector<int64_t> extents;
  for (Operation *op : region.ops)
    if (auto linear = llvm::dyn_cast<nn::LinearOp>(op)) {
      extents = {linear.getInput().getType().getShape()[0]};
      llvm::append_range(extents, linear.getWeight().getType().getShape());
      break;
    } else if (auto grouped = llvm::dyn_cast<moe::GroupedLinearOp>(op)) {
      extents = {grouped.getInput().getType().getShape()[0]};
      llvm::append_range(extents, grouped.getWeight().getType().getShape());
      break;
    }
  if (extents.empty() && !region.outputs.empty())
    if (auto type = llvm::dyn_cast<mlir::RankedTensorType>(region.outputs[0].getType()))
      llvm::append_range(extents, type.getShape());
  std::string text;
  for (int64_t extent : extents)
    text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

// Kernels take and return tensors: a number that crosses a border does so as a tensor of rank 0,
// an index as a 64-bit integer.
mlir::Type carrierOf(mlir::Type type) {
  if (llvm::isa<mlir::RankedTensorType>(type))
    return type;
  return mlir::RankedTensorType::get(
      {}, type.isIndex() ? mlir::IntegerType::get(type.getContext(), 64) : type);
}

mlir::Value carry(mlir::OpBuilder &builder, mlir::Value value) {
  mlir::Type type = carrierOf(value.getType());
  if (type == value.getType())
    return value;
  mlir::Location loc = value.getLoc();
  if (value.getType().isIndex())
    value = mlir::arith::IndexCastOp::create(builder, loc, builder.getI64Type(), value);
  return mlir::tensor::FromElementsOp::create(builder, loc, type, value);
}

// The value of `type` that `carrier` carries.
mlir::Value uncarry(mlir::OpBuilder &builder, mlir::Value carrier, mlir::Type type) {
  if (carrier.getType() == type)
    return carrier;
  mlir::Location loc = carrier.getLoc();
  mlir::Value value = mlir::tensor::ExtractOp::create(builder, loc, carrier, mlir::ValueRange());
  if (type.isIndex())
    value = mlir::arith::IndexCastOp::create(builder, loc, type, value);
  return value;
}

// A readable name of letters, digits and "_" that depends on the ops and extents only.
std::string nameOf(const Region &region) {
  constexpr size_t longest = 64;
  std::string name;
  for (Operation *op : region.ops) {
    llvm::StringRef mnemonic = op->getName().stripDialect();
    if (!isNamed(op) || name.size() + mnemonic.size() > longest)
      continue;
    name += (name.empty() ? "" : "_") + mnemonic.str();
  }
  if (name.empty())
    name = region.ops.front()->getName().stripDialect();
  std::string extents = extentsOf(region);
  if (!extents.empty())
    name += "_" + extents;
  for (char &c : name)
    if (!llvm::isAlnum(c))
      c = '_';
  return name;
}

// The kernels of the module, each once.
class KernelLibrary {
public:
  explicit KernelLibrary(mlir::ModuleOp module) : module(module) {}

  // A kernel like `candidate`, which was just built outside of any module and is taken over or
  // erased.
  mlir::func::FuncOp keep(mlir::func::FuncOp candidate, const std::string &base) {
    std::vector<mlir::func::FuncOp> &known = byBase[base];
    for (mlir::func::FuncOp kernel : known)
      if (kernel.getFunctionType() == candidate.getFunctionType() &&
          mlir::OperationEquivalence::isRegionEquivalentTo(
              &kernel.getBody(), &candidate.getBody(),
              mlir::OperationEquivalence::IgnoreLocations)) {
        candidate.erase();
        return kernel;
      }
    std::string name = base;
    for (unsigned number = 2; !names.insert(name).second; ++number)
      name = base + "_" + std::to_string(number);
    candidate.setSymName(name);
    kernels().getBody()->push_back(candidate);
    known.push_back(candidate);
    return candidate;
  }

private:
  mlir::ModuleOp kernels() {
    if (!library) {
      mlir::OpBuilder builder = mlir::OpBuilder::atBlockBegin(module.getBody());
      library = mlir::ModuleOp::create(builder, module.getLoc(), "kernels");
    }
    return library;
  }

  mlir::ModuleOp module, library;
  std::map<std::string, std::vector<mlir::func::FuncOp>> byBase;
  std::set<std::string> names;
};

// Replaces the groups of one function by dispatches.
class KernelFormer {
public:
  KernelFormer(mlir::func::FuncOp function, KernelLibrary &library)
      : function(function), library(library), block(function.getBody().front()) {}

  mlir::LogicalResult run() {
    for (Operation &op : block)
      if (auto group = groupOf(&op))
        regions[*group].ops.push_back(&op);
    for (auto &[group, region] : regions)
      findBorder(group, region);
    for (auto &[group, region] : regions)
      if (mlir::failed(dispatch(group)))
        return mlir::failure();
    replace();
    return mlir::success();
  }

private:
  void findBorder(int64_t group, Region &region);
  void addInput(int64_t group, Region &region, mlir::Value value);
  mlir::LogicalResult dispatch(int64_t group);
  mlir::func::FuncOp build(const Region &region);
  void replace();

  mlir::func::FuncOp function;
  KernelLibrary &library;
  mlir::Block &block;
  std::map<int64_t, Region> regions;
  std::map<int64_t, bool> done; // false while its producers are dispatched
  mlir::IRMapping values;       // results of groups to results of dispatches
};

void KernelFormer::addInput(int64_t group, Region &region, mlir::Value value) {
  Operation *producer = value.getDefiningOp();
  if (producer && isRepeated(producer)) {
    forEachRead(producer, [&](mlir::Value read) { addInput(group, region, read); });
    return;
  }
  auto other = producer ? groupOf(producer) : std::nullopt;
  if (other == group)
    return;
  region.inputs.insert(value);
  if (other && !llvm::is_contained(region.producers, *other))
    region.producers.push_back(*other);
}

void KernelFormer::findBorder(int64_t group, Region &region) {
  for (Operation *op : region.ops) {
    forEachRead(op, [&](mlir::Value value) { addInput(group, region, value); });
    for (mlir::OpResult result : op->getResults()) {
      bool needed = false;
      std::function<void(mlir::Value)> look = [&](mlir::Value value) {
        for (Operation *user : value.getUsers()) {
          Operation *here = block.findAncestorOpInBlock(*user);
          if (isRepeated(here))
            llvm::for_each(here->getResults(), look);
          else
            needed |= groupOf(here) != group;
        }
      };
      look(result);
      if (needed)
        region.outputs.push_back(result);
    }
  }
  // A result that is only rounded before it is stored keeps its place among the results.
  auto placeOf = [](mlir::Value value) {
    auto rounded = value.getDefiningOp<mlir::arith::TruncFOp>();
    auto made = llvm::dyn_cast<mlir::OpResult>(rounded ? rounded.getIn() : value);
    return made ? made : llvm::cast<mlir::OpResult>(value);
  };
  llvm::stable_sort(region.outputs, [&](mlir::Value a, mlir::Value b) {
    mlir::OpResult first = placeOf(a), second = placeOf(b);
    if (first.getOwner() == second.getOwner())
      return first.getResultNumber() < second.getResultNumber();
    return first.getOwner()->isBeforeInBlock(second.getOwner());
  });
}

// The kernel of `region`, outside of any module.
mlir::func::FuncOp KernelFormer::build(const Region &region) {
  mlir::MLIRContext *context = function.getContext();
  mlir::OpBuilder builder(context);
  llvm::SmallVector<mlir::Type> inputs, outputs;
  for (mlir::Value value : region.inputs)
    inputs.push_back(carrierOf(value.getType()));
  for (mlir::Value value : region.outputs)
    outputs.push_back(carrierOf(value.getType()));
  auto kernel = mlir::func::FuncOp::create(region.ops.front()->getLoc(), "kernel",
                                           builder.getFunctionType(inputs, outputs));
  mlir::Block *body = kernel.addEntryBlock();
  builder.setInsertionPointToStart(body);
  mlir::IRMapping mapping;
  for (auto [value, argument] : llvm::zip(region.inputs, body->getArguments()))
    mapping.map(value, uncarry(builder, argument, value.getType()));

  std::function<void(mlir::Value)> provide = [&](mlir::Value value) {
    Operation *producer = value.getDefiningOp();
    if (mapping.contains(value) || !producer || !isRepeated(producer))
      return;
    forEachRead(producer, provide);
    builder.clone(*producer, mapping);
  };
  for (Operation *op : region.ops) {
    forEachRead(op, provide);
    Operation *copy = builder.clone(*op, mapping);
    copy->removeAttr(kindAttrName);
    copy->removeAttr(groupAttrName);
  }
  llvm::SmallVector<mlir::Value> results;
  for (mlir::Value value : region.outputs)
    results.push_back(carry(builder, mapping.lookup(value)));
  mlir::func::ReturnOp::create(builder, kernel.getLoc(), results);
  return kernel;
}

mlir::LogicalResult KernelFormer::dispatch(int64_t group) {
  auto [state, isNew] = done.insert({group, false});
  Region &region = regions[group];
  if (!isNew) {
    if (!state->second)
      return region.ops.front()->emitOpError("is in a group that waits for itself");
    return mlir::success();
  }
  for (int64_t producer : region.producers)
    if (mlir::failed(dispatch(producer)))
      return mlir::failure();
  done[group] = true;
  if (region.outputs.empty())
    return mlir::success(); // nobody needs it
  std::string base = nameOf(region);
  mlir::func::FuncOp kernel = library.keep(build(region), base);
  mlir::OpBuilder builder(block.getTerminator());
  llvm::SmallVector<mlir::Value> inputs;
  for (mlir::Value value : region.inputs)
    inputs.push_back(values.lookupOrDefault(value));
  auto symbol = mlir::SymbolRefAttr::get(builder.getStringAttr("kernels"),
                                         {mlir::FlatSymbolRefAttr::get(kernel.getSymNameAttr())});
  auto call =
      exec::DispatchOp::create(builder, region.ops.front()->getLoc(), kernel.getResultTypes(),
                               symbol, inputs, tiedResults(kernel));
  values.map(region.outputs, call.getOutputs());
  return mlir::success();
}

// Lets the return read the dispatches, and erases what they replace.
void KernelFormer::replace() {
  for (mlir::OpOperand &operand : block.getTerminator()->getOpOperands())
    operand.set(values.lookupOrDefault(operand.get()));
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(block)))
    if (groupOf(&op) || isRepeated(&op)) {
      op.dropAllUses();
      op.erase();
    }
}

struct FuseFormKernels : impl::FuseFormKernelsPassBase<FuseFormKernels> {
  void runOnOperation() override {
    KernelLibrary library(getOperation());
    llvm::SmallVector<mlir::func::FuncOp> functions(getOperation().getOps<mlir::func::FuncOp>());
    for (mlir::func::FuncOp function : functions)
      if (!function.isExternal() && mlir::failed(KernelFormer(function, library).run()))
        return signalPassFailure();
  }
};

} // namespace
} // namespace levin::fuse
