#include "codegen/cuda/generated/RowGroup.h"

#include "dialects/interfaces/Interfaces.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace levin::cuda {

static constexpr int64_t maxChoices = 16;

static mlir::RankedTensorType typeOf(mlir::Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

static bool isArgument(mlir::Value value) { return llvm::isa<mlir::BlockArgument>(value); }

bool isSplat(mlir::Operation *op) {
  auto constant = llvm::dyn_cast<mlir::arith::ConstantOp>(op);
  return constant && llvm::isa<mlir::SplatElementsAttr>(constant.getValue());
}

/// The operand of a gather whose rows it reads.
static mlir::OpOperand &tableOperand(mlir::Operation *op) {
  if (auto combine = llvm::dyn_cast<moe::CombineOp>(op))
    return combine.getExpertRowsMutable();
  if (auto embed = llvm::dyn_cast<nn::EmbedOp>(op))
    return embed.getTableMutable();
  return llvm::cast<nn::TakeRowsOp>(op).getInputMutable();
}

mlir::BlockArgument tableOf(mlir::Operation *op) {
  mlir::Value table = tableOperand(op).get();
  if (auto converted = table.getDefiningOp<mlir::arith::ExtFOp>())
    table = converted.getIn();
  return llvm::dyn_cast<mlir::BlockArgument>(table);
}

bool isGather(mlir::Operation *op) {
  if (!llvm::isa<moe::CombineOp, nn::EmbedOp, nn::TakeRowsOp>(op) || !tableOf(op))
    return false;
  mlir::OpOperand &table = tableOperand(op);
  for (mlir::OpOperand &operand : op->getOpOperands())
    if (&operand != &table && !isArgument(operand.get()))
      return false;
  if (auto combine = llvm::dyn_cast<moe::CombineOp>(op))
    if (typeOf(combine.getRows()).getDimSize(1) > maxChoices)
      return false;
  return typeOf(table.get()).getDimSize(0) > 0;
}

bool isTable(mlir::Operation *op) {
  return llvm::isa<mlir::arith::ExtFOp>(op) && isArgument(op->getOperand(0)) && !op->use_empty() &&
         llvm::all_of(op->getUses(), [](mlir::OpOperand &use) {
           return isGather(use.getOwner()) && &use == &tableOperand(use.getOwner());
         });
}

bool isNorm(mlir::Operation *op) {
  if (!llvm::isa<nn::RmsNormOp, nn::LayerNormOp>(op) ||
      !llvm::all_of(op->getOperands().drop_front(), isArgument))
    return false;
  return typeOf(op->getOperand(0)).getElementType().isF32();
}

/// Whether `op` computes each element of its one result from the elements at the same place.
static bool isElementwise(mlir::Operation *op) {
  if (op->getNumResults() != 1 || op->getNumOperands() == 0 || op->getNumRegions() != 0)
    return false;
  auto type = llvm::dyn_cast<mlir::RankedTensorType>(op->getResult(0).getType());
  if (!type || type.getRank() == 0 || !type.hasStaticShape())
    return false;
  for (mlir::Value operand : op->getOperands()) {
    auto other = llvm::dyn_cast<mlir::RankedTensorType>(operand.getType());
    if (!other || other.getShape() != type.getShape())
      return false;
  }
  return llvm::isa<ElementwiseOpInterface, nn::MaskTailOp>(op) ||
         mlir::OpTrait::hasElementwiseMappableTraits(op);
}

/// Whether the values of `type` can stand in a vector register and in a buffer.
static bool isHandled(mlir::RankedTensorType type) {
  mlir::Type element = type.getElementType();
  return element.isF32() || element.isBF16() || element.isF16() || element.isInteger(32) ||
         element.isInteger(8) || element.isInteger(1);
}

namespace {
struct Analysis {
  RowGroup group;

  bool add(mlir::Operation *op);

private:
  bool addDispatch(moe::DispatchOp op);
  bool fits(mlir::Operation *op);
};
} // namespace

/// Rows of `tokens` that may come from an argument or an op before.
bool Analysis::addDispatch(moe::DispatchOp op) {
  auto tokens = typeOf(op.getTokens());
  if (group.dispatch || !isArgument(op.getRows()) ||
      typeOf(op.getRows()).getDimSize(1) > maxChoices)
    return false;
  if (group.ops.empty()) {
    group.rows = tokens.getDimSize(0);
    group.columns = tokens.getDimSize(1);
  } else if (tokens.getDimSize(0) != group.rows || tokens.getDimSize(1) != group.columns) {
    return false;
  }
  group.dispatch = op;
  group.scattered.insert(op.getDispatched());
  group.ops.push_back(op);
  return true;
}

/// Whether the result of `op` has the group's shape; the first op gives it.
bool Analysis::fits(mlir::Operation *op) {
  auto type = typeOf(op->getResult(0));
  int64_t columns = type.getShape().back();
  int64_t rows = columns ? type.getNumElements() / columns : 0;
  bool scattered = llvm::any_of(
      op->getOperands(), [&](mlir::Value operand) { return group.scattered.contains(operand); });
  if (scattered) {
    // Nothing but what comes of the dispatch may be read there.
    for (mlir::Value operand : op->getOperands())
      if (!group.scattered.contains(operand) &&
          !(operand.getDefiningOp() && isSplat(operand.getDefiningOp())))
        return false;
    group.scattered.insert(op->getResult(0));
    return columns == group.columns;
  }
  if (group.ops.empty()) {
    group.rows = rows;
    group.columns = columns;
  }
  return rows == group.rows && columns == group.columns;
}

bool Analysis::add(mlir::Operation *op) {
  if (auto dispatch = llvm::dyn_cast<moe::DispatchOp>(op))
    return addDispatch(dispatch);
  bool norm = isNorm(op), gather = isGather(op);
  if (!norm && !gather && !isElementwise(op))
    return false;
  if (!isHandled(typeOf(op->getResult(0))) || !fits(op))
    return false;
  if (norm && group.scattered.contains(op->getResult(0)))
    return false;
  group.hasNorm |= norm;
  group.hasGather |= gather;
  group.ops.push_back(op);
  return true;
}

std::optional<RowGroup> analyseRows(mlir::func::FuncOp kernel) {
  Analysis analysis;
  mlir::Block &body = kernel.getBody().front();
  for (mlir::Operation &op : body.without_terminator())
    if (!isSplat(&op) && !isTable(&op) && !analysis.add(&op))
      return std::nullopt;
  RowGroup &group = analysis.group;
  if (group.ops.empty() || group.rows == 0 || group.columns == 0)
    return std::nullopt;
  for (mlir::Value result : body.getTerminator()->getOperands())
    if (!llvm::is_contained(group.ops, result.getDefiningOp()))
      return std::nullopt;
  for (mlir::BlockArgument argument : kernel.getArguments())
    if (!isHandled(typeOf(argument)) || typeOf(argument).getElementType().isInteger(1))
      return std::nullopt;
  for (mlir::Type type : kernel.getResultTypes())
    if (llvm::cast<mlir::ShapedType>(type).getElementType().isInteger(1))
      return std::nullopt;
  return std::move(group);
}

} // namespace levin::cuda
