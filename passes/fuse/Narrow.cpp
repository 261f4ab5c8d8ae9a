#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include <map>
#include <optional>

namespace levin::fuse {
#define GEN_PASS_DEF_FUSENARROWPASS
#include "passes/fuse/Passes.h.inc"

namespace {

using mlir::Operation;
using mlir::Value;
using mlir::func::FuncOp;

// Whether `use` needs float32: experts are chosen by small differences, decays and states are
// multiplied over the whole sequence, and weights of norms are few.
bool readsFloat32(mlir::OpOperand &use) {
  Operation *op = use.getOwner();
  if (auto stateful = llvm::dyn_cast<StatefulOpInterface>(op))
    for (unsigned result = 0; result < op->getNumResults(); ++result)
      if (stateful.getTiedOperand(result) == use.getOperandNumber())
        return true;
  return llvm::TypeSwitch<Operation *, bool>(op)
      .Case([](moe::RouteOp) { return true; })
      .Case(
          [&](nn::LightningAttentionOp lightning) { return &use == &lightning.getSlopesMutable(); })
      .Case<nn::RmsNormOp, nn::LayerNormOp>([&](auto norm) { return use.getOperandNumber() > 0; })
      .Default([](Operation *) { return false; });
}

bool makesFloat32(mlir::OpResult result) {
  if (auto stateful = llvm::dyn_cast<StatefulOpInterface>(result.getOwner()))
    return stateful.getTiedOperand(result.getResultNumber()).has_value();
  return llvm::isa<moe::RouteOp>(result.getOwner());
}

bool isStep(FuncOp function) {
  for (unsigned i = 0; i < function.getNumResults(); ++i)
    if (auto role = function.getResultAttrOfType<nn::RoleAttr>(i, "nn.role");
        role && role.getValue() == nn::Role::Logits)
      return true;
  return false;
}

// Narrows the values of one step.
class Narrowing {
public:
  Narrowing(FuncOp function, mlir::FloatType type) : block(function.getBody().front()), type(type) {
    for (mlir::OpOperand &operand : block.getTerminator()->getOpOperands()) {
      auto role = function.getResultAttrOfType<nn::RoleAttr>(operand.getOperandNumber(), "nn.role");
      Operation *producer = operand.get().getDefiningOp();
      if (role && role.getValue() == nn::Role::Logits && producer)
        logitsGroup = groupOf(producer);
    }
  }

  void run() {
    llvm::SmallVector<Operation *> ops;
    for (Operation &op : block)
      if (groupOf(&op))
        ops.push_back(&op);
    for (Operation *op : ops)
      for (mlir::OpResult result : op->getResults())
        if (auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(result.getType());
            tensor && tensor.getElementType().isF32() && !makesFloat32(result))
          narrow(result, *groupOf(op));
  }

private:
  // The readers of `value` in other groups; nothing if one of all readers needs float32.
  std::optional<llvm::SmallVector<mlir::OpOperand *>> readersOf(Value value, int64_t group) {
    llvm::SmallVector<mlir::OpOperand *> readers;
    for (mlir::OpOperand &use : value.getUses()) {
      auto reader = groupOf(block.findAncestorOpInBlock(*use.getOwner()));
      if (!reader || readsFloat32(use))
        return std::nullopt;
      if (*reader == group)
        continue;
      if (reader == logitsGroup)
        return std::nullopt;
      readers.push_back(&use);
    }
    return readers;
  }

  void narrow(mlir::OpResult value, int64_t group) {
    auto readers = readersOf(value, group);
    if (!readers || readers->empty())
      return;
    auto wide = llvm::cast<mlir::RankedTensorType>(value.getType());
    mlir::OpBuilder builder(value.getContext());
    auto mark = [&](Operation *op, int64_t number) {
      op->setAttr(groupAttrName, builder.getI64IntegerAttr(number));
    };
    builder.setInsertionPointAfter(value.getOwner());
    auto stored = mlir::arith::TruncFOp::create(builder, value.getLoc(), wide.clone(type), value);
    mark(stored, group);
    std::map<int64_t, llvm::SmallVector<mlir::OpOperand *>> byGroup;
    for (mlir::OpOperand *reader : *readers)
      byGroup[*groupOf(block.findAncestorOpInBlock(*reader->getOwner()))].push_back(reader);
    for (auto &[number, uses] : byGroup) {
      Operation *first = nullptr;
      for (mlir::OpOperand *use : uses) {
        Operation *here = block.findAncestorOpInBlock(*use->getOwner());
        if (!first || here->isBeforeInBlock(first))
          first = here;
      }
      builder.setInsertionPoint(first);
      mlir::Value loaded =
          mlir::arith::ExtFOp::create(builder, first->getLoc(), wide, stored.getResult());
      mark(loaded.getDefiningOp(), number);
      for (mlir::OpOperand *use : uses)
        use->set(loaded);
    }
  }

  mlir::Block &block;
  mlir::FloatType type;
  std::optional<int64_t> logitsGroup;
};

struct FuseNarrow : impl::FuseNarrowPassBase<FuseNarrow> {
  using FuseNarrowPassBase::FuseNarrowPassBase;

  void runOnOperation() override {
    if (type == "f32")
      return;
    if (type != "bf16") {
      getOperation().emitError("levin-fuse-narrow: type is '")
          << type.getValue() << "', expected bf16 or f32";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<FuncOp>())
      if (!function.isExternal() && isStep(function))
        Narrowing(function, mlir::BFloat16Type::get(&getContext())).run();
  }
};

} // namespace
} // namespace levin::fuse
