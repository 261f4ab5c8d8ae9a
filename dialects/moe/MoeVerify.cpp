// Verifiers and inference of the moe ops.  The (Cn) are those of MoeOps.td;
// test/dialects/moe/errors.mlir has one case for each.
#include "dialects/interfaces/VerifyUtils.h"
#include "dialects/moe/Moe.h"

using namespace mlir;

namespace levin::moe {

/// The attribute `choices`: while text is parsed it is not among the properties yet.
static IntegerAttr choicesOf(RouteOp::Adaptor adaptor) {
  if (auto choices = adaptor.getProperties().choices)
    return choices;
  DictionaryAttr attributes = adaptor.getAttributes();
  return attributes ? attributes.getAs<IntegerAttr>("choices") : IntegerAttr();
}

LogicalResult RouteOp::inferReturnTypes(MLIRContext *context, std::optional<Location> loc,
                                        Adaptor adaptor, SmallVectorImpl<Type> &types) {
  IntegerAttr count = choicesOf(adaptor);
  if (!count || !count.getType().isInteger(64) || count.getInt() < 1)
    return emitOptionalError(loc, "'moe.route' op has no number of choices, expected "
                                  "'choices = N : i64' of at least 1 (C1)");
  auto scores = cast<RankedTensorType>(adaptor.getScores().getType());
  Builder builder(context);
  SmallVector<int64_t> choices{scores.getDimSize(0), count.getInt()};
  types.push_back(RankedTensorType::get(choices, builder.getF32Type()));
  types.push_back(RankedTensorType::get(choices, builder.getI32Type()));
  types.push_back(
      RankedTensorType::get({plusExtent(scores.getDimSize(1), 1)}, builder.getI32Type()));
  return success();
}

LogicalResult RouteOp::verify() {
  auto choices = static_cast<int64_t>(getChoices());
  int64_t experts = extentOf(getScores(), 1);
  if (choices < 1 || (!ShapedType::isDynamic(experts) && choices > experts)) // (C1)
    return emitOpError("makes ") << choices << " choices, expected 1 to " << extentText(experts)
                                 << ", the number of experts (C1)";
  return success();
}

LogicalResult DispatchOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  auto tokens = cast<RankedTensorType>(adaptor.getTokens().getType());
  int64_t rows = timesExtent(extentOf(adaptor.getRows(), 0), extentOf(adaptor.getRows(), 1));
  types.push_back(RankedTensorType::get({rows, tokens.getDimSize(1)}, tokens.getElementType()));
  return success();
}

LogicalResult DispatchOp::verify() {
  if (!mayAgree(extentOf(getRows(), 0), extentOf(getTokens(), 0))) // (C1)
    return emitOpError("has rows of type ")
           << getRows().getType() << ", expected " << extentText(extentOf(getTokens(), 0))
           << " rows, one a token of " << getTokens().getType() << " (C1)";
  return success();
}

/// Whether `offsets` has an entry more than `weight` has experts.
static LogicalResult verifyOffsets(Operation *op, Value offsets, Value weight) {
  if (!mayAgree(extentOf(offsets, 0), plusExtent(extentOf(weight, 0), 1))) // (C2)
    return op->emitOpError("has offsets of type ")
           << offsets.getType() << ", expected one entry more than the "
           << extentText(extentOf(weight, 0)) << " experts of " << weight.getType() << " (C2)";
  return success();
}

LogicalResult GroupedLinearOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                                Adaptor adaptor, SmallVectorImpl<Type> &types) {
  auto input = cast<RankedTensorType>(adaptor.getInput().getType());
  types.push_back(RankedTensorType::get({input.getDimSize(0), extentOf(adaptor.getWeight(), 1)},
                                        input.getElementType()));
  return success();
}

LogicalResult GroupedLinearOp::verify() {
  if (!mayAgree(extentOf(getWeight(), 2), extentOf(getInput(), 1))) // (C1)
    return emitOpError("has a weight of type ")
           << getWeight().getType() << ", expected " << extentText(extentOf(getInput(), 1))
           << " columns as in the input " << getInput().getType() << " (C1)";
  return verifyOffsets(*this, getOffsets(), getWeight());
}

LogicalResult ExpertsOp::verify() {
  int64_t experts = extentOf(getW1(), 0), inner = extentOf(getW1(), 1);
  int64_t columns = extentOf(getInput(), 1);
  auto fits = [&](Value weight, int64_t rows, int64_t depth) {
    return mayAgree(extentOf(weight, 0), experts) && mayAgree(extentOf(weight, 1), rows) &&
           mayAgree(extentOf(weight, 2), depth);
  };
  if (!fits(getW1(), inner, columns) || !fits(getW3(), inner, columns) ||
      !fits(getW2(), columns, inner)) // (C1)
    return emitOpError("has weights ")
           << getW1().getType() << ", " << getW3().getType() << " and " << getW2().getType()
           << ", expected [E, f, d] twice and [E, d, f] with d = " << extentText(columns)
           << " (C1)";
  return verifyOffsets(*this, getOffsets(), getW1());
}

LogicalResult CombineOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor adaptor,
                                          SmallVectorImpl<Type> &types) {
  auto rows = cast<RankedTensorType>(adaptor.getExpertRows().getType());
  types.push_back(RankedTensorType::get({extentOf(adaptor.getRows(), 0), rows.getDimSize(1)},
                                        rows.getElementType()));
  return success();
}

LogicalResult CombineOp::verify() {
  if (!mayAgree(extentOf(getWeights(), 0), extentOf(getRows(), 0)) ||
      !mayAgree(extentOf(getWeights(), 1), extentOf(getRows(), 1))) // (C1)
    return emitOpError("has weights ") << getWeights().getType() << " and rows "
                                       << getRows().getType() << ", expected one shape (C1)";
  return success();
}

} // namespace levin::moe
