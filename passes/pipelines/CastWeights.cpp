#include "passes/pipelines/Passes.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_CASTWEIGHTSPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

// Whether the reader of a matrix takes it in any float type.
bool takesAnyFloat(mlir::OpOperand &use) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(use.getOwner())
      .Case([&](nn::LinearOp op) { return &use == &op.getWeightMutable(); })
      .Case([&](nn::EmbedOp op) { return &use == &op.getTableMutable(); })
      .Case([&](moe::GroupedLinearOp op) { return &use == &op.getWeightMutable(); })
      .Case([&](moe::ExpertsOp op) { return use.getOperandNumber() >= 2; })
      .Default([](mlir::Operation *) { return false; });
}

struct CastWeights : impl::CastWeightsPassBase<CastWeights> {
  using CastWeightsPassBase::CastWeightsPassBase;

  void runOnOperation() override {
    if (dtype == "auto")
      return;
    mlir::Builder builder(&getContext());
    auto target = llvm::StringSwitch<mlir::Type>(dtype)
                      .Case("f32", builder.getF32Type())
                      .Case("bf16", builder.getBF16Type())
                      .Case("f16", builder.getF16Type())
                      .Default(mlir::Type());
    if (!target) {
      getOperation().emitError("levin-cast-weights: dtype is '")
          << dtype.getValue() << "', expected auto, f32, bf16 or f16";
      return signalPassFailure();
    }
    llvm::StringMap<llvm::SmallVector<nn::UseOp>> uses;
    getOperation().walk([&](nn::UseOp use) { uses[use.getParameter()].push_back(use); });
    for (auto parameter : getOperation().getOps<nn::ParameterOp>())
      cast(parameter, uses[parameter.getSymName()], target);
  }

  static void cast(nn::ParameterOp parameter, llvm::ArrayRef<nn::UseOp> uses, mlir::Type target) {
    auto type = llvm::cast<mlir::RankedTensorType>(parameter.getType());
    if (type.getRank() < 2 || !llvm::isa<mlir::FloatType>(type.getElementType()) ||
        parameter.getValue() || type.getElementType() == target)
      return;
    for (nn::UseOp use : uses)
      if (!llvm::all_of(use->getUses(), takesAnyFloat))
        return;
    auto castType = type.clone(target);
    parameter.setType(castType);
    for (nn::UseOp use : uses)
      use.getValue().setType(castType);
  }
};

} // namespace
} // namespace levin::pipelines
