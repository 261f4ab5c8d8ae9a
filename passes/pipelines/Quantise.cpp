#include "passes/pipelines/Passes.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/IR/Remarks.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_QUANTISEPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

using mlir::Operation;
using mlir::RankedTensorType;
using mlir::func::FuncOp;

constexpr int64_t smallestGroup = 16;

bool isLogits(mlir::OpOperand &use) {
  auto function = llvm::dyn_cast<FuncOp>(use.getOwner()->getParentOp());
  if (!function || !use.getOwner()->hasTrait<mlir::OpTrait::IsTerminator>())
    return false;
  auto role = function.getResultAttrOfType<nn::RoleAttr>(use.getOperandNumber(), "nn.role");
  return role && role.getValue() == nn::Role::Logits;
}

// Whether small differences in `value` decide what comes out: it is routed by, or is the logits,
// if only through ops on elements.
bool isDecisive(mlir::Value value) {
  return llvm::any_of(value.getUses(), [&](mlir::OpOperand &use) {
    Operation *user = use.getOwner();
    bool passes = llvm::isa<nn::MaskTailOp, ElementwiseOpInterface>(user) ||
                  mlir::OpTrait::hasElementwiseMappableTraits(user);
    return llvm::isa<moe::RouteOp>(user) || isLogits(use) ||
           (passes && llvm::any_of(user->getResults(), isDecisive));
  });
}

enum class Kind { Expert, Linear, None };

Kind kindOf(mlir::OpOperand &use) {
  if (auto grouped = llvm::dyn_cast<moe::GroupedLinearOp>(use.getOwner()))
    return &use == &grouped.getWeightMutable() ? Kind::Expert : Kind::None;
  auto linear = llvm::dyn_cast<nn::LinearOp>(use.getOwner());
  bool isWeight = linear && &use == &linear.getWeightMutable();
  return isWeight && !isDecisive(linear.getOutput()) ? Kind::Linear : Kind::None;
}

// What all readers of a parameter have in common.
Kind kindOf(llvm::ArrayRef<nn::UseOp> uses) {
  std::optional<Kind> common;
  for (nn::UseOp use : uses)
    for (mlir::OpOperand &operand : use->getUses()) {
      Kind kind = kindOf(operand);
      if (common && *common != kind)
        return Kind::None;
      common = kind;
    }
  return common.value_or(Kind::None);
}

struct Quantise : impl::QuantisePassBase<Quantise> {
  using QuantisePassBase::QuantisePassBase;

  void runOnOperation() override {
    for (auto [bits, group] : {std::pair(int64_t(expertBits), int64_t(expertGroup)),
                               std::pair(int64_t(linearBits), int64_t(linearGroup))})
      if ((bits != 0 && bits != 4 && bits != 8) || group < 1) {
        getOperation().emitError("levin-quantise: ")
            << bits << " bits in groups of " << group
            << ", expected 0, 4 or 8 bits and groups of at least 1";
        return signalPassFailure();
      }
    llvm::StringMap<llvm::SmallVector<nn::UseOp>> uses;
    getOperation().walk([&](nn::UseOp use) { uses[use.getParameter()].push_back(use); });
    for (auto parameter : llvm::make_early_inc_range(getOperation().getOps<nn::ParameterOp>())) {
      const auto &readers = uses[parameter.getSymName()];
      switch (kindOf(readers)) {
      case Kind::Expert:
        quantise(parameter, readers, expertBits, expertGroup);
        break;
      case Kind::Linear:
        quantise(parameter, readers, linearBits, linearGroup);
        break;
      case Kind::None:
        break;
      }
    }
  }

  static void quantise(nn::ParameterOp parameter, llvm::ArrayRef<nn::UseOp> uses, int64_t bits,
                       int64_t group) {
    auto type = llvm::cast<RankedTensorType>(parameter.getType());
    if (bits == 0 || !parameter.getPieces() || !llvm::isa<mlir::FloatType>(type.getElementType()))
      return;
    int64_t columns = type.getShape().back();
    while (group > smallestGroup && columns % group != 0)
      group /= 2;
    if (columns % group != 0 || (bits == 4 && columns % 2 != 0)) {
      mlir::remark::missed(parameter.getLoc(),
                           mlir::remark::RemarkOpts::name("Quantise").category("quantise"))
          << llvm::formatv("'{0}' stays as it is: no group of {1} or more divides its {2} columns",
                           parameter.getSymName(), std::min(group, smallestGroup), columns)
                 .str();
      return;
    }
    replace(parameter, uses, bits, group);
  }

  static void replace(nn::ParameterOp parameter, llvm::ArrayRef<nn::UseOp> uses, int64_t bits,
                      int64_t group) {
    mlir::OpBuilder builder(parameter->getContext());
    auto type = llvm::cast<RankedTensorType>(parameter.getType());
    auto withColumns = [&](int64_t columns, mlir::Type element) {
      llvm::SmallVector<int64_t> shape(type.getShape());
      shape.back() = columns;
      return RankedTensorType::get(shape, element);
    };
    int64_t columns = type.getShape().back();
    auto integers = bits == 8 ? withColumns(columns, builder.getI8Type())
                              : withColumns(columns / 2, builder.getIntegerType(8, false));
    auto scales = withColumns(columns / group, builder.getBF16Type());
    auto piecesOf = [&](const std::string &key) {
      return builder.getArrayAttr(nn::PieceAttr::get(builder.getContext(), key, {}, {}));
    };
    std::string name = parameter.getSymName().str(), scalesName = name + ".scales";
    parameter->setAttr(
        "nn.source",
        builder.getDictionaryAttr({builder.getNamedAttr("group", builder.getI64IntegerAttr(group)),
                                   builder.getNamedAttr("pieces", parameter.getPiecesAttr()),
                                   builder.getNamedAttr("type", mlir::TypeAttr::get(type))}));
    auto concat = nn::JoinAttr::get(builder.getContext(), nn::Join::Concat);
    parameter.setType(integers);
    parameter.setJoinAttr(concat);
    parameter.setPiecesAttr(piecesOf("quantised." + name));
    builder.setInsertionPointAfter(parameter);
    auto second = nn::ParameterOp::create(
        builder, parameter.getLoc(), builder.getStringAttr(scalesName), mlir::TypeAttr::get(scales),
        concat, piecesOf("quantised." + scalesName), mlir::ElementsAttr());
    second->setAttr("nn.scales", builder.getUnitAttr());
    auto widened = type.clone(builder.getF32Type());
    for (nn::UseOp use : uses) {
      builder.setInsertionPointAfter(use);
      use.getValue().setType(integers);
      auto factors =
          nn::UseOp::create(builder, use.getLoc(), scales,
                            mlir::FlatSymbolRefAttr::get(builder.getContext(), scalesName));
      auto matrix = nn::DequantizeOp::create(builder, use.getLoc(), widened, use.getValue(),
                                             factors.getValue(), builder.getI64IntegerAttr(group));
      use.getValue().replaceAllUsesExcept(matrix, matrix);
    }
  }
};

} // namespace
} // namespace levin::pipelines
