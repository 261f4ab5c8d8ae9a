#include "passes/plan/ArenaPlanner.h"
#include "passes/plan/MemoryPlan.h"
#include "passes/plan/Passes.h"

#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"
#include "runtime/base/Checked.h"

#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/StringMap.h"

namespace levin::plan {
#define GEN_PASS_DEF_PLANMEMORYPASS
#include "passes/plan/Passes.h.inc"

namespace {

struct Place {
  uint64_t offset = 0, size = 0;
};

// An arena that all programs share: places are given out once for each key.
class SharedArena {
public:
  explicit SharedArena(uint64_t alignment) : alignment(alignment) {}

  // The place of `key`, made on first sight; nothing if it had another size before or the arena
  // grows beyond 62 bits.
  std::optional<Place> placeOf(llvm::StringRef key, uint64_t size) {
    auto [at, isNew] = places.insert({key.str(), Place{end, size}});
    if (!isNew)
      return at->second.size == size ? std::optional(at->second) : std::nullopt;
    auto next = checkedAdd(end, size);
    next = next ? checkedAlign(*next, alignment) : std::nullopt;
    if (!next || *next >= uint64_t(1) << 62)
      return std::nullopt;
    end = *next;
    return at->second;
  }
  bool contains(llvm::StringRef key) const { return places.contains(key.str()); }
  uint64_t size() const { return end; }

private:
  llvm::MapVector<std::string, Place, llvm::StringMap<unsigned>> places;
  uint64_t alignment, end = 0;
};

// A parameter in one layout.
struct Weight {
  std::string name, parameter;
  int64_t panelRows;
  Place place;
  mlir::Location loc;
};

struct Shared {
  explicit Shared(uint64_t alignment)
      : alignment(alignment), parameters(alignment), state(alignment) {}

  uint64_t alignment; // of slices and weights, in bytes
  SharedArena parameters, state;
  std::vector<Weight> weights;
};

struct Buffer {
  exec::ArenaKind arena;
  Place place; // of the workspace: set by the planner
  uint32_t first = 0, last = 0;
  bool isInput = false;  // must keep the caller's bytes
  bool isOutput = false; // already bound to a result
};

// A launch of `dispatch`, or (without one) a copy of bindings[0] to bindings[1].
struct Command {
  exec::DispatchOp dispatch;
  llvm::SmallVector<unsigned> bindings;
  mlir::Location loc;
};

struct Bound {
  exec::BindKind kind;
  std::string name;
  unsigned buffer;
  mlir::Type type;
  mlir::Attribute role;
};

// How a caller names an argument or result: by its name, else its role, else its number.
std::string nameOf(mlir::DictionaryAttr attributes, llvm::StringRef fallback, unsigned number) {
  if (attributes) {
    if (auto name = attributes.getAs<mlir::StringAttr>("nn.name"))
      return name.str();
    if (auto role = attributes.getAs<nn::RoleAttr>("nn.role"))
      return nn::stringifyRole(role.getValue()).str();
  }
  return (fallback + llvm::Twine(number)).str();
}

nn::RoleAttr roleOf(mlir::DictionaryAttr attributes) {
  return attributes ? attributes.getAs<nn::RoleAttr>("nn.role") : nn::RoleAttr();
}

bool isState(mlir::DictionaryAttr attributes) {
  nn::RoleAttr role = roleOf(attributes);
  return role && role.getValue() == nn::Role::State;
}

// Turns one function into commands on buffers.
class ProgramPlanner {
public:
  ProgramPlanner(mlir::func::FuncOp function, Shared &shared)
      : function(function), shared(shared) {}

  mlir::LogicalResult plan() {
    if (mlir::failed(bindArguments()))
      return mlir::failure();
    for (mlir::Operation &op : function.getBody().front().without_terminator())
      if (mlir::failed(addOp(op)))
        return mlir::failure();
    if (mlir::failed(bindResults()))
      return mlir::failure();
    return placeWorkspace();
  }

  void emit(mlir::OpBuilder &builder);

  uint64_t workspaceBytes = 0;

private:
  mlir::LogicalResult bindArguments();
  mlir::LogicalResult bindResults();
  mlir::LogicalResult addOp(mlir::Operation &op);
  mlir::LogicalResult addWeight(mlir::Operation &op, nn::UseOp use, int64_t panelRows);
  mlir::LogicalResult addDispatch(exec::DispatchOp dispatch);
  mlir::LogicalResult placeWorkspace();

  std::optional<unsigned> addWorkspace(mlir::Location loc, mlir::Type type);
  void addCommand(Command command);
  unsigned addCopy(mlir::Location loc, unsigned source, unsigned target);
  bool mayOverwrite(exec::DispatchOp dispatch, unsigned operand);
  bool isTouchedLater(mlir::Value value, mlir::Operation *op);
  std::optional<llvm::SmallVector<int64_t>> bucket();

  mlir::func::FuncOp function;
  Shared &shared;
  std::vector<Buffer> buffers;
  std::vector<Command> commands;
  std::vector<Bound> bound;
  llvm::DenseMap<mlir::Value, unsigned> bufferOf;
  llvm::StringMap<unsigned> stateBuffers;
};

// The bytes of `type`, or an error.
mlir::FailureOr<uint64_t> sizeOf(mlir::Location loc, mlir::Type type) {
  auto shaped = llvm::dyn_cast<mlir::RankedTensorType>(type);
  auto bytes = shaped ? byteSizeOf(shaped) : std::nullopt;
  if (!bytes)
    return mlir::emitError(loc)
           << "value of type " << type
           << " cannot be planned, expected a static tensor of numbers that fits into memory";
  return *bytes;
}

mlir::LogicalResult ProgramPlanner::bindArguments() {
  for (mlir::BlockArgument argument : function.getArguments()) {
    unsigned number = argument.getArgNumber();
    mlir::DictionaryAttr attributes = function.getArgAttrDict(number);
    auto size = sizeOf(argument.getLoc(), argument.getType());
    if (mlir::failed(size))
      return mlir::failure();
    std::string name = nameOf(attributes, "arg", number);
    bool state = isState(attributes);
    Buffer buffer{state ? exec::ArenaKind::State : exec::ArenaKind::Workspace, {0, *size}};
    if (state) {
      auto place = shared.state.placeOf(name, *size);
      if (!place)
        return function.emitError("state '")
               << name << "' has another size here than in an earlier program";
      buffer.place = *place;
      stateBuffers[name] = static_cast<unsigned>(buffers.size());
    }
    buffer.isInput = !state;
    bufferOf[argument] = static_cast<unsigned>(buffers.size());
    bound.push_back({state ? exec::BindKind::State : exec::BindKind::Input, name,
                     static_cast<unsigned>(buffers.size()), argument.getType(),
                     roleOf(attributes)});
    buffers.push_back(buffer);
  }
  return mlir::success();
}

mlir::LogicalResult ProgramPlanner::addOp(mlir::Operation &op) {
  if (auto use = llvm::dyn_cast<nn::UseOp>(op)) {
    bool onlyPacked = llvm::all_of(op.getUsers(), llvm::IsaPred<exec::PackOp>);
    return onlyPacked ? mlir::success() : addWeight(op, use, 0);
  }
  if (auto pack = llvm::dyn_cast<exec::PackOp>(op)) {
    auto use = pack.getMatrix().getDefiningOp<nn::UseOp>();
    if (!use)
      return op.emitOpError("packs a computed value, expected a parameter");
    return addWeight(op, use, pack.getPanels().getType().getShape().back());
  }
  if (auto dispatch = llvm::dyn_cast<exec::DispatchOp>(op))
    return addDispatch(dispatch);
  return op.emitOpError("is not in a kernel; run the fuse phase first");
}

mlir::LogicalResult ProgramPlanner::addWeight(mlir::Operation &op, nn::UseOp use,
                                              int64_t panelRows) {
  auto size = sizeOf(op.getLoc(), op.getResult(0).getType());
  if (mlir::failed(size))
    return mlir::failure();
  std::string name = use.getParameter().str();
  name += panelRows ? ".panels" + std::to_string(panelRows) : ".plain";
  bool isNew = !shared.parameters.contains(name);
  auto place = shared.parameters.placeOf(name, *size);
  if (!place)
    return op.emitOpError("is a parameter of another size than before, or too large");
  if (isNew)
    shared.weights.push_back({name, use.getParameter().str(), panelRows, *place, op.getLoc()});
  bufferOf[op.getResult(0)] = static_cast<unsigned>(buffers.size());
  buffers.push_back({exec::ArenaKind::Parameters, *place});
  return mlir::success();
}

// Whether `value` is read after `op` (or returned).
bool ProgramPlanner::isTouchedLater(mlir::Value value, mlir::Operation *op) {
  return llvm::any_of(value.getUsers(),
                      [&](mlir::Operation *user) { return op->isBeforeInBlock(user); });
}

bool ProgramPlanner::mayOverwrite(exec::DispatchOp dispatch, unsigned operand) {
  mlir::Value value = dispatch.getInputs()[operand];
  const Buffer &buffer = buffers[bufferOf[value]];
  if (buffer.isInput || buffer.arena == exec::ArenaKind::Parameters)
    return false;
  // The kernel would read bytes through one binding while it writes them through another.
  unsigned bindings = 0;
  for (mlir::Value input : dispatch.getInputs())
    bindings += bufferOf[input] == bufferOf[value];
  return bindings == 1 && !isTouchedLater(value, dispatch);
}

mlir::LogicalResult ProgramPlanner::addDispatch(exec::DispatchOp dispatch) {
  Command launch{dispatch, {}, dispatch.getLoc()};
  for (mlir::Value input : dispatch.getInputs()) {
    auto known = bufferOf.find(input);
    if (known == bufferOf.end())
      return dispatch.emitOpError("reads a value that has no memory");
    launch.bindings.push_back(known->second);
  }
  llvm::SmallVector<unsigned> results;
  for (auto [tied, result] : llvm::zip(dispatch.getTied(), dispatch.getOutputs())) {
    if (tied >= 0 && mayOverwrite(dispatch, static_cast<unsigned>(tied))) {
      results.push_back(launch.bindings[tied]);
      continue;
    }
    auto buffer = addWorkspace(dispatch.getLoc(), result.getType());
    if (!buffer)
      return mlir::failure();
    results.push_back(*buffer);
    if (tied >= 0) {
      addCopy(dispatch.getLoc(), launch.bindings[tied], *buffer);
      launch.bindings[tied] = *buffer;
    } else {
      launch.bindings.push_back(*buffer);
    }
  }
  for (auto [result, buffer] : llvm::zip(dispatch.getOutputs(), results))
    bufferOf[result] = buffer;
  addCommand(std::move(launch));
  return mlir::success();
}

std::optional<unsigned> ProgramPlanner::addWorkspace(mlir::Location loc, mlir::Type type) {
  auto size = sizeOf(loc, type);
  if (mlir::failed(size))
    return std::nullopt;
  Buffer buffer{exec::ArenaKind::Workspace, {0, *size}};
  buffer.first = buffer.last = static_cast<uint32_t>(commands.size());
  buffers.push_back(buffer);
  return static_cast<unsigned>(buffers.size() - 1);
}

void ProgramPlanner::addCommand(Command command) {
  for (unsigned buffer : command.bindings)
    buffers[buffer].last = static_cast<uint32_t>(commands.size());
  commands.push_back(std::move(command));
}

unsigned ProgramPlanner::addCopy(mlir::Location loc, unsigned source, unsigned target) {
  addCommand({nullptr, {source, target}, loc});
  return target;
}

// Outputs and state at the end.  Every old state is read before any new one is written, so that
// states may be exchanged.
mlir::LogicalResult ProgramPlanner::bindResults() {
  mlir::Operation *terminator = function.getBody().front().getTerminator();
  llvm::SmallVector<std::pair<unsigned, unsigned>> stateCopies;
  for (mlir::OpOperand &operand : terminator->getOpOperands()) {
    unsigned number = operand.getOperandNumber();
    mlir::DictionaryAttr attributes = function.getResultAttrDict(number);
    std::string name = nameOf(attributes, "result", number);
    auto known = bufferOf.find(operand.get());
    if (known == bufferOf.end())
      return terminator->emitOpError("returns a value that has no memory");
    unsigned source = known->second;
    if (isState(attributes)) {
      auto home = stateBuffers.find(name);
      if (home == stateBuffers.end())
        return terminator->emitOpError("returns state '") << name << "', which is no argument";
      if (source == home->second)
        continue;
      if (buffers[source].arena == exec::ArenaKind::State) {
        auto temporary = addWorkspace(terminator->getLoc(), operand.get().getType());
        if (!temporary)
          return mlir::failure();
        source = addCopy(terminator->getLoc(), source, *temporary);
      }
      stateCopies.push_back({source, home->second});
      continue;
    }
    const Buffer &made = buffers[source];
    if (made.arena != exec::ArenaKind::Workspace || made.isInput || made.isOutput) {
      auto output = addWorkspace(terminator->getLoc(), operand.get().getType());
      if (!output)
        return mlir::failure();
      source = addCopy(terminator->getLoc(), source, *output);
    }
    buffers[source].isOutput = true;
    bound.push_back(
        {exec::BindKind::Output, name, source, operand.get().getType(), roleOf(attributes)});
  }
  for (auto [source, target] : stateCopies)
    addCopy(terminator->getLoc(), source, target);
  return mlir::success();
}

mlir::LogicalResult ProgramPlanner::placeWorkspace() {
  uint32_t end = commands.empty() ? 0 : static_cast<uint32_t>(commands.size() - 1);
  std::vector<Lifetime> lifetimes;
  std::vector<unsigned> owners;
  for (auto [index, buffer] : llvm::enumerate(buffers)) {
    if (buffer.isInput)
      buffer.first = 0;
    if (buffer.isInput || buffer.isOutput)
      buffer.last = end;
    if (buffer.arena != exec::ArenaKind::Workspace) {
      buffer.first = 0;
      buffer.last = end;
      continue;
    }
    buffer.first = std::min(buffer.first, end); // an output of a program without commands
    lifetimes.push_back({buffer.place.size, buffer.first, buffer.last});
    owners.push_back(static_cast<unsigned>(index));
  }
  auto placement = placeBuffers(lifetimes, shared.alignment);
  if (!placement)
    return function.emitError("needs more workspace than 62 bits can count");
  for (auto [owner, offset] : llvm::zip(owners, placement->offsets))
    buffers[owner].place.offset = offset;
  workspaceBytes = placement->size;
  return mlir::success();
}

std::optional<llvm::SmallVector<int64_t>> ProgramPlanner::bucket() {
  llvm::SmallVector<int64_t> extents;
  for (nn::Role role : {nn::Role::Ids, nn::Role::Slots, nn::Role::Rows})
    for (const Bound &binding : bound)
      if (auto attr = llvm::dyn_cast_if_present<nn::RoleAttr>(binding.role);
          attr && binding.kind == exec::BindKind::Input && attr.getValue() == role)
        extents.push_back(llvm::cast<mlir::RankedTensorType>(binding.type).getDimSize(0));
  if (extents.size() != 3)
    return std::nullopt;
  return extents;
}

void ProgramPlanner::emit(mlir::OpBuilder &builder) {
  mlir::DenseI64ArrayAttr bucketAttr;
  if (auto extents = bucket())
    bucketAttr = builder.getDenseI64ArrayAttr(*extents);
  mlir::Location loc = function.getLoc();
  auto program = exec::ProgramOp::create(builder, loc, function.getSymName(), bucketAttr);
  mlir::OpBuilder body = mlir::OpBuilder::atBlockEnd(&program.getBody().emplaceBlock());

  llvm::DenseMap<exec::ArenaKind, mlir::Value> arenas;
  auto addArena = [&](exec::ArenaKind kind, uint64_t size) {
    auto arena = exec::ArenaOp::create(body, loc, exec::ArenaType::get(body.getContext()), kind,
                                       llvm::ArrayRef<int64_t>{static_cast<int64_t>(size)});
    arenas[kind] = arena.getArena();
  };
  addArena(exec::ArenaKind::Parameters, shared.parameters.size());
  addArena(exec::ArenaKind::State, shared.state.size());
  addArena(exec::ArenaKind::Workspace, workspaceBytes);

  llvm::SmallVector<mlir::Value> slices;
  for (const Buffer &buffer : buffers)
    slices.push_back(exec::SliceOp::create(
        body, loc, exec::SliceType::get(body.getContext()), arenas[buffer.arena],
        llvm::ArrayRef<int64_t>{static_cast<int64_t>(buffer.place.offset),
                                static_cast<int64_t>(buffer.place.size)},
        llvm::ArrayRef<int64_t>{buffer.first, buffer.last}));
  for (const Bound &binding : bound)
    exec::BindOp::create(body, loc, binding.kind, binding.name, slices[binding.buffer],
                         llvm::cast<mlir::RankedTensorType>(binding.type), binding.role);
  for (Command &command : commands) {
    if (!command.dispatch) {
      exec::CopyOp::create(body, command.loc, slices[command.bindings[0]],
                           slices[command.bindings[1]]);
      continue;
    }
    llvm::SmallVector<mlir::Value> bindings;
    for (unsigned buffer : command.bindings)
      bindings.push_back(slices[buffer]);
    exec::LaunchOp::create(body, command.loc, command.dispatch.getKernel(),
                           llvm::ArrayRef<int64_t>{1, 1, 1}, bindings);
  }
}

struct PlanMemory : impl::PlanMemoryPassBase<PlanMemory> {
  using PlanMemoryPassBase::PlanMemoryPassBase;

  void runOnOperation() override {
    if (alignment < 8 || alignment > 4096 || !llvm::isPowerOf2_64(uint64_t(alignment))) {
      getOperation().emitError("levin-plan-memory: alignment is ")
          << int64_t(alignment) << ", expected a power of two from 8 to 4096";
      return signalPassFailure();
    }
    Shared shared(static_cast<uint64_t>(alignment));
    llvm::SmallVector<mlir::func::FuncOp> functions(getOperation().getOps<mlir::func::FuncOp>());
    std::vector<ProgramPlanner> planners;
    for (mlir::func::FuncOp function : functions) {
      planners.emplace_back(function, shared);
      if (mlir::failed(planners.back().plan()))
        return signalPassFailure();
    }
    // The shared arenas are complete only now, and each program states their sizes.
    mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(getOperation().getBody());
    mlir::SymbolTable symbols(getOperation());
    for (const Weight &weight : shared.weights) {
      auto op = exec::WeightOp::create(
          builder, weight.loc, weight.name, weight.parameter, weight.panelRows,
          llvm::ArrayRef<int64_t>{static_cast<int64_t>(weight.place.offset),
                                  static_cast<int64_t>(weight.place.size)});
      op->remove();
      symbols.insert(op); // renames it if the name is taken
    }
    for (ProgramPlanner &planner : planners)
      planner.emit(builder);
    for (mlir::func::FuncOp function : functions)
      function.erase();
  }
};

} // namespace
} // namespace levin::plan
