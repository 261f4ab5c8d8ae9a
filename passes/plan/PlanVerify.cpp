#include "passes/plan/Passes.h"

#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"

#include <map>

namespace levin::plan {
#define GEN_PASS_DEF_PLANVERIFYPASS
#include "passes/plan/Passes.h.inc"

namespace {

// Bytes [begin, end) of one arena.
struct Range {
  mlir::Value arena;
  int64_t begin, end;

  bool overlaps(const Range &other) const {
    return arena == other.arena && begin < other.end && other.begin < end;
  }
};

Range rangeOf(mlir::Value slice) {
  auto op = slice.getDefiningOp<exec::SliceOp>();
  return {op.getArena(), op.getPlace()[0], op.getPlace()[0] + op.getPlace()[1]};
}

exec::ArenaOp arenaOf(mlir::Value slice) {
  return slice.getDefiningOp<exec::SliceOp>().getArena().getDefiningOp<exec::ArenaOp>();
}

// Which slice wrote each byte of the workspace last.
class Owners {
public:
  void write(mlir::Value slice) {
    Range range = rangeOf(slice);
    if (range.begin == range.end)
      return;
    split(range.begin);
    split(range.end);
    pieces.erase(pieces.lower_bound(range.begin), pieces.lower_bound(range.end));
    pieces[range.begin] = {range.end, slice};
  }

  // Whether every byte of `slice` was last written as `slice`.
  bool holds(mlir::Value slice) const {
    Range range = rangeOf(slice);
    int64_t at = range.begin;
    while (at < range.end) {
      auto next = pieces.upper_bound(at);
      if (next == pieces.begin())
        return false;
      const Piece &piece = std::prev(next)->second;
      if (piece.end <= at || piece.owner != slice)
        return false;
      at = piece.end;
    }
    return true;
  }

private:
  struct Piece {
    int64_t end;
    mlir::Value owner;
  };

  // Makes a piece begin at `at` if one covers it.
  void split(int64_t at) {
    auto next = pieces.upper_bound(at);
    if (next == pieces.begin())
      return;
    auto [begin, piece] = *std::prev(next);
    if (begin == at || piece.end <= at)
      return;
    pieces[begin].end = at;
    pieces[at] = piece;
  }

  std::map<int64_t, Piece> pieces; // by first byte
};

// For each binding of a kernel: the bytes it needs and whether it is written.
struct Signature {
  llvm::SmallVector<int64_t> bytes;
  llvm::SmallVector<bool> reads, writes;
};

int64_t bytesOf(mlir::Type type) {
  auto shaped = llvm::cast<mlir::ShapedType>(type);
  return shaped.getNumElements() * ((shaped.getElementTypeBitWidth() + 7) / 8);
}

// The argument whose memory `value` shares, following updates in place; null if it is new.
mlir::BlockArgument updatedArgument(mlir::Value value) {
  bool updated = false;
  while (auto stateful = value.getDefiningOp<StatefulOpInterface>()) {
    auto operand = stateful.getTiedOperand(llvm::cast<mlir::OpResult>(value).getResultNumber());
    if (!operand)
      return nullptr;
    value = stateful->getOperand(*operand);
    updated = true;
  }
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  return updated ? argument : mlir::BlockArgument();
}

Signature signatureOf(mlir::func::FuncOp kernel) {
  Signature signature;
  for (mlir::Type type : kernel.getArgumentTypes()) {
    signature.bytes.push_back(bytesOf(type));
    signature.reads.push_back(true);
    signature.writes.push_back(false);
  }
  for (mlir::Value result : kernel.getBody().front().getTerminator()->getOperands()) {
    if (auto argument = updatedArgument(result)) {
      signature.writes[argument.getArgNumber()] = true;
      continue;
    }
    signature.bytes.push_back(bytesOf(result.getType()));
    signature.reads.push_back(false);
    signature.writes.push_back(true);
  }
  return signature;
}

class ProgramVerifier {
public:
  ProgramVerifier(exec::ProgramOp program, mlir::SymbolTableCollection &symbols, int64_t alignment)
      : program(program), symbols(symbols), alignment(alignment) {}

  mlir::LogicalResult verify() {
    mlir::Block &body = program.getBody().front();
    for (auto slice : body.getOps<exec::SliceOp>())
      if (mlir::failed(verifySlice(slice)))
        return mlir::failure();
    for (auto bind : body.getOps<exec::BindOp>())
      if (bind.getKind() == exec::BindKind::Input)
        owners.write(bind.getSlice());
    for (mlir::Operation &op : body) {
      if (!llvm::isa<exec::LaunchOp, exec::CopyOp>(op))
        continue;
      auto launch = llvm::dyn_cast<exec::LaunchOp>(op);
      if (mlir::failed(launch ? verifyLaunch(launch) : verifyCopy(llvm::cast<exec::CopyOp>(op))))
        return mlir::failure();
      ++command;
    }
    return verifyOutputs(body);
  }

private:
  mlir::LogicalResult verifySlice(exec::SliceOp slice) {
    auto arena = slice.getArena().getDefiningOp<exec::ArenaOp>();
    auto place = slice.getPlace();
    if (!arena || place[0] % alignment || place[0] + place[1] > arena.getExtent()[0])
      return slice.emitOpError("at [")
             << place[0] << ", " << place[1] << "] does not lie in its arena at a multiple of "
             << alignment << " (P1)";
    return mlir::success();
  }

  mlir::LogicalResult touch(mlir::Operation *op, mlir::Value slice, bool reads, bool writes) {
    auto live = slice.getDefiningOp<exec::SliceOp>().getLive();
    if (command < live[0] || command > live[1])
      return op->emitOpError("is command ") << command << " and touches a slice that lives from "
                                            << live[0] << " to " << live[1] << " (P3)";
    exec::ArenaKind kind = arenaOf(slice).getKind();
    if (kind == exec::ArenaKind::Parameters && writes)
      return op->emitOpError("writes a parameter (P4)");
    if (kind == exec::ArenaKind::Workspace && reads && !owners.holds(slice))
      return op->emitOpError("reads bytes that were last written as another slice (P2)");
    return mlir::success();
  }

  mlir::LogicalResult verifyLaunch(exec::LaunchOp launch) {
    auto kernel = symbols.lookupNearestSymbolFrom<mlir::func::FuncOp>(launch, launch.getKernel());
    if (!kernel || kernel.isExternal())
      return launch.emitOpError("launches ") << launch.getKernel() << ", which is no kernel (P5)";
    Signature signature = signatureOf(kernel);
    auto bindings = launch.getBindings();
    if (bindings.size() != signature.bytes.size())
      return launch.emitOpError("has ") << bindings.size() << " bindings, its kernel needs "
                                        << signature.bytes.size() << " (P5)";
    for (auto [index, slice] : llvm::enumerate(bindings)) {
      Range range = rangeOf(slice);
      if (range.end - range.begin != signature.bytes[index])
        return launch.emitOpError("binds ")
               << range.end - range.begin << " bytes as binding " << index << ", expected "
               << signature.bytes[index] << " (P5)";
      if (mlir::failed(touch(launch, slice, signature.reads[index], signature.writes[index])))
        return mlir::failure();
      for (auto [other, otherSlice] : llvm::enumerate(bindings.take_front(index)))
        if ((signature.writes[index] || signature.writes[other]) &&
            range.overlaps(rangeOf(otherSlice)))
          return launch.emitOpError("has the bindings ")
                 << other << " and " << index << " overlap while one is written (P8)";
    }
    for (auto [slice, writes] : llvm::zip(bindings, signature.writes))
      if (writes && arenaOf(slice).getKind() == exec::ArenaKind::Workspace)
        owners.write(slice);
    return mlir::success();
  }

  mlir::LogicalResult verifyCopy(exec::CopyOp copy) {
    Range source = rangeOf(copy.getSource()), target = rangeOf(copy.getTarget());
    if (source.end - source.begin != target.end - target.begin || source.overlaps(target))
      return copy.emitOpError("has slices that overlap or differ in size (P8)");
    if (mlir::failed(touch(copy, copy.getSource(), true, false)) ||
        mlir::failed(touch(copy, copy.getTarget(), false, true)))
      return mlir::failure();
    if (arenaOf(copy.getTarget()).getKind() == exec::ArenaKind::Workspace)
      owners.write(copy.getTarget());
    return mlir::success();
  }

  mlir::LogicalResult verifyOutputs(mlir::Block &body) {
    for (auto bind : body.getOps<exec::BindOp>()) {
      if (bind.getKind() != exec::BindKind::Output)
        continue;
      if (arenaOf(bind.getSlice()).getKind() != exec::ArenaKind::Workspace ||
          !owners.holds(bind.getSlice()))
        return bind.emitOpError("does not hold its own bytes at the end (P6)");
    }
    return mlir::success();
  }

  exec::ProgramOp program;
  mlir::SymbolTableCollection &symbols;
  int64_t alignment;
  Owners owners;
  int64_t command = 0;
};

// What all programs must have in common.
class SharedVerifier {
public:
  explicit SharedVerifier(int64_t alignment) : alignment(alignment) {}

  mlir::LogicalResult verifyWeights(mlir::ModuleOp module) {
    std::map<int64_t, exec::WeightOp> byOffset;
    for (auto weight : module.getOps<exec::WeightOp>()) {
      auto place = weight.getPlace();
      if (place[0] % alignment)
        return weight.emitOpError("lies at ")
               << place[0] << ", no multiple of " << alignment << " (P1)";
      if (place[1] == 0)
        continue;
      auto [after, isNew] = byOffset.insert({place[0], weight});
      bool overlaps = !isNew;
      if (after != byOffset.begin() && !overlaps) {
        auto before = std::prev(after)->second.getPlace();
        overlaps = before[0] + before[1] > place[0];
      }
      if (auto next = std::next(after); next != byOffset.end())
        overlaps |= place[0] + place[1] > next->first;
      if (overlaps)
        return weight.emitOpError("overlaps another weight (P1)");
      end = std::max(end, place[0] + place[1]);
    }
    return mlir::success();
  }

  mlir::LogicalResult verifyProgram(exec::ProgramOp program) {
    for (auto arena : program.getBody().getOps<exec::ArenaOp>()) {
      int64_t size = arena.getExtent()[0];
      if (arena.getKind() == exec::ArenaKind::Workspace)
        continue;
      if (arena.getKind() == exec::ArenaKind::Parameters && size < end)
        return arena.emitOpError("ends before the last weight (P1)");
      auto [known, isNew] = sizes.insert({arena.getKind(), size});
      if (!isNew && known->second != size)
        return arena.emitOpError("has ")
               << size << " bytes, in an earlier program " << known->second << " (P7)";
    }
    for (auto bind : program.getBody().getOps<exec::BindOp>()) {
      if (bind.getKind() != exec::BindKind::State)
        continue;
      Range range = rangeOf(bind.getSlice());
      for (const auto &[name, place] : states)
        if (name != bind.getName() && range.begin < place.second && place.first < range.end)
          return bind.emitOpError("places state '")
                 << bind.getName() << "' where '" << name << "' lies (P7)";
      auto [known, isNew] = states.insert({bind.getName().str(), {range.begin, range.end}});
      if (!isNew && known->second != std::pair(range.begin, range.end))
        return bind.emitOpError("places state '")
               << bind.getName() << "' elsewhere than an earlier program (P7)";
    }
    return mlir::success();
  }

private:
  int64_t alignment, end = 0;
  std::map<exec::ArenaKind, int64_t> sizes;
  std::map<std::string, std::pair<int64_t, int64_t>> states;
};

struct PlanVerify : impl::PlanVerifyPassBase<PlanVerify> {
  using PlanVerifyPassBase::PlanVerifyPassBase;

  void runOnOperation() override {
    mlir::ModuleOp module = getOperation();
    if (alignment < 1) {
      module.emitError("levin-plan-verify: alignment is ")
          << int64_t(alignment) << ", expected at least 1";
      return signalPassFailure();
    }
    mlir::SymbolTableCollection symbols;
    SharedVerifier shared(alignment);
    if (mlir::failed(shared.verifyWeights(module)))
      return signalPassFailure();
    for (auto program : module.getOps<exec::ProgramOp>())
      if (mlir::failed(ProgramVerifier(program, symbols, alignment).verify()) ||
          mlir::failed(shared.verifyProgram(program)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace levin::plan
