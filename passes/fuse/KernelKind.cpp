#include "passes/fuse/KernelKind.h"

#include "dialects/exec/Exec.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Transforms/RegionUtils.h"

namespace levin::fuse {

llvm::StringRef stringify(KernelKind kind) {
  switch (kind) {
  case KernelKind::Matmul:
    return "matmul";
  case KernelKind::Attention:
    return "attention";
  case KernelKind::Lightning:
    return "lightning";
  case KernelKind::View:
    return "view";
  case KernelKind::Rotary:
    return "rotary";
  case KernelKind::Row:
    return "row";
  case KernelKind::Column:
    return "column";
  case KernelKind::Elementwise:
    return "elementwise";
  case KernelKind::Gather:
    return "gather";
  case KernelKind::Route:
    return "route";
  case KernelKind::Combine:
    return "combine";
  case KernelKind::Other:
    return "other";
  }
  return "other";
}

// All operands and results are tensors of one shape, and each element comes from its own place.
static bool isElementwise(mlir::Operation *op) {
  if (llvm::isa<ElementwiseOpInterface>(op))
    return true;
  if (!mlir::OpTrait::hasElementwiseMappableTraits(op) || op->getNumResults() != 1 ||
      op->getNumOperands() == 0)
    return false;
  auto result = llvm::dyn_cast<mlir::RankedTensorType>(op->getResult(0).getType());
  return result && llvm::all_of(op->getOperandTypes(), [&](mlir::Type type) {
           auto operand = llvm::dyn_cast<mlir::RankedTensorType>(type);
           return operand && operand.getShape() == result.getShape();
         });
}

KernelKind classify(mlir::Operation *op) {
  return llvm::TypeSwitch<mlir::Operation *, KernelKind>(op)
      .Case<nn::LinearOp, moe::GroupedLinearOp>([](auto) { return KernelKind::Matmul; })
      .Case<nn::AttentionOp, nn::PagedAttentionOp>([](auto) { return KernelKind::Attention; })
      .Case<nn::LightningAttentionOp>([](auto) { return KernelKind::Lightning; })
      .Case<nn::SplitHeadsOp>([](auto) { return KernelKind::View; })
      .Case<nn::RotaryOp>([](auto) { return KernelKind::Rotary; })
      .Case<nn::RmsNormOp, nn::LayerNormOp>([](auto) { return KernelKind::Row; })
      .Case<nn::MaskTailOp>([](auto) { return KernelKind::Column; })
      .Case<nn::EmbedOp, nn::TakeRowsOp, moe::DispatchOp>([](auto) { return KernelKind::Gather; })
      .Case<moe::RouteOp>([](auto) { return KernelKind::Route; })
      .Case<moe::CombineOp>([](auto) { return KernelKind::Combine; })
      .Default([](mlir::Operation *other) {
        return isElementwise(other) ? KernelKind::Elementwise : KernelKind::Other;
      });
}

std::optional<KernelKind> markedKind(mlir::Operation *op) {
  auto name = op->getAttrOfType<mlir::StringAttr>(kindAttrName);
  if (!name)
    return std::nullopt;
  for (int kind = 0; kind <= static_cast<int>(KernelKind::Other); ++kind)
    if (stringify(static_cast<KernelKind>(kind)) == name)
      return static_cast<KernelKind>(kind);
  return std::nullopt;
}

std::optional<int64_t> groupOf(mlir::Operation *op) {
  if (auto group = op->getAttrOfType<mlir::IntegerAttr>(groupAttrName))
    return group.getInt();
  return std::nullopt;
}

bool isRepeated(mlir::Operation *op) {
  if (staysOutside(op) || op->getNumResults() == 0 || !mlir::isPure(op))
    return false;
  for (mlir::Operation *user : op->getUsers())
    if (user->hasTrait<mlir::OpTrait::IsTerminator>() && user->getBlock() == op->getBlock())
      return false;
  if (op->hasTrait<mlir::OpTrait::ConstantLike>() ||
      llvm::isa<mlir::tensor::EmptyOp, mlir::tensor::SplatOp, mlir::linalg::FillOp,
                nn::DequantizeOp>(op))
    return true;
  return op->getNumRegions() == 0 &&
         llvm::none_of(op->getResultTypes(), llvm::IsaPred<mlir::ShapedType>);
}

bool staysOutside(mlir::Operation *op) {
  return llvm::isa<nn::UseOp, exec::PackOp>(op) || op->hasTrait<mlir::OpTrait::IsTerminator>();
}

void forEachUser(mlir::Operation *op, llvm::function_ref<void(mlir::Operation *)> visit) {
  for (mlir::Operation *user : op->getUsers()) {
    mlir::Operation *here = op->getBlock()->findAncestorOpInBlock(*user);
    if (isRepeated(here))
      forEachUser(here, visit);
    else
      visit(here);
  }
}

void forEachRead(mlir::Operation *op, llvm::function_ref<void(mlir::Value)> visit) {
  for (mlir::Value operand : op->getOperands())
    visit(operand);
  if (op->getNumRegions() == 0)
    return;
  llvm::SetVector<mlir::Value> captured;
  mlir::getUsedValuesDefinedAbove(op->getRegions(), captured);
  for (mlir::Value value : captured)
    visit(value);
}

} // namespace levin::fuse
