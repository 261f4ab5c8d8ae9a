// Verifiers and inference of the layers.  The (Cn) are those of the .td files;
// test/dialects/nn/errors.mlir has one case for each.  Dynamic extents fit every other.
#include "dialects/interfaces/VerifyUtils.h"
#include "dialects/nn/NN.h"

using namespace mlir;

namespace levin::nn {

//===-- parameters ---------------------------------------------------------===//

/// Whether `shape` may be the shape of `type`.
static bool mayHaveShape(RankedTensorType type, ArrayRef<int64_t> shape) {
  return type.getRank() == static_cast<int64_t>(shape.size()) &&
         llvm::all_of(llvm::zip_equal(type.getShape(), shape),
                      [](auto pair) { return mayAgree(std::get<0>(pair), std::get<1>(pair)); });
}

LogicalResult DequantizeOp::verify() {
  auto output = cast<RankedTensorType>(getOutput().getType());
  auto q = cast<RankedTensorType>(getQ().getType());
  auto scales = cast<RankedTensorType>(getScales().getType());
  auto group = static_cast<int64_t>(getGroup());
  int64_t columns = output.getRank() ? output.getShape().back() : 0;
  bool isStatic = !ShapedType::isDynamic(columns);
  if (group < 1 || output.getRank() == 0 || (isStatic && columns % group != 0)) // (C1)
    return emitOpError("has group ")
           << group << ", expected a divisor of the columns of " << output << " (C1)";
  auto withColumns = [&](int64_t divisor) {
    SmallVector<int64_t> shape(output.getShape());
    if (isStatic)
      shape.back() = columns / divisor;
    return shape;
  };
  bool isPacked = q.getElementType().isUnsignedInteger();
  if (!mayHaveShape(q, withColumns(isPacked ? 2 : 1)) ||
      (isPacked && isStatic && columns % 2 != 0)) // (C2)
    return emitOpError("widens ") << q << " to " << output << ", expected "
                                  << (isPacked ? "half of its columns" : "its shape") << " (C2)";
  if (!mayHaveShape(scales, withColumns(group))) // (C3)
    return emitOpError("has scales ")
           << scales << ", expected one for each " << group << " columns of " << output << " (C3)";
  return success();
}

//===-- rows ---------------------------------------------------------------===//

LogicalResult EmbedOp::verify() {
  if (!mayAgree(extentOf(getRows(), 0), extentOf(getIds(), 0)) ||
      !mayAgree(extentOf(getRows(), 1), extentOf(getTable(), 1))) // (C1)
    return emitOpError("gives ") << getRows().getType() << ", expected "
                                 << extentText(extentOf(getIds(), 0)) << " rows of "
                                 << extentText(extentOf(getTable(), 1)) << " columns (C1)";
  return success();
}

LogicalResult TakeRowsOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor adaptor,
                                           SmallVectorImpl<Type> &types) {
  auto input = cast<RankedTensorType>(adaptor.getInput().getType());
  types.push_back(RankedTensorType::get({extentOf(adaptor.getIndices(), 0), input.getDimSize(1)},
                                        input.getElementType()));
  return success();
}

LogicalResult LinearOp::inferReturnTypes(MLIRContext *, std::optional<Location>, Adaptor adaptor,
                                         SmallVectorImpl<Type> &types) {
  auto input = cast<RankedTensorType>(adaptor.getInput().getType());
  types.push_back(RankedTensorType::get({input.getDimSize(0), extentOf(adaptor.getWeight(), 0)},
                                        input.getElementType()));
  return success();
}

LogicalResult LinearOp::verify() {
  if (!mayAgree(extentOf(getWeight(), 1), extentOf(getInput(), 1))) // (C1)
    return emitOpError("has a weight of type ")
           << getWeight().getType() << ", expected " << extentText(extentOf(getInput(), 1))
           << " columns as in the input " << getInput().getType() << " (C1)";
  if (getBias() && !mayAgree(extentOf(getBias(), 0), extentOf(getWeight(), 0))) // (C2)
    return emitOpError("has a bias of type ")
           << getBias().getType() << ", expected " << extentText(extentOf(getWeight(), 0))
           << " entries, one for each row of the weight " << getWeight().getType() << " (C2)";
  return success();
}

/// (C1) and (C2) of the norms.
template <typename Op> static LogicalResult verifyNorm(Op op, ValueRange vectors) {
  int64_t columns = extentOf(op.getInput(), 1);
  for (Value vector : vectors)
    if (!mayAgree(extentOf(vector, 0), columns)) // (C1)
      return op.emitOpError("scales or shifts by a ")
             << vector.getType() << ", expected " << extentText(columns)
             << " entries, one for each column of " << op.getInput().getType() << " (C1)";
  if (!(op.getEps().convertToDouble() > 0)) // (C2); not a NaN either
    return op.emitOpError("has eps ") << op.getEpsAttr() << ", expected a positive number (C2)";
  return success();
}

LogicalResult RmsNormOp::verify() { return verifyNorm(*this, {getWeight()}); }
LogicalResult LayerNormOp::verify() { return verifyNorm(*this, {getWeight(), getBias()}); }

LogicalResult MaskTailOp::verify() {
  auto live = static_cast<int64_t>(getLive());
  int64_t columns = extentOf(getInput(), 1);
  if (live < 1 || (!ShapedType::isDynamic(columns) && live > columns)) // (C1)
    return emitOpError("leaves ") << live << " columns live, expected 1 to " << extentText(columns)
                                  << " (C1)";
  return success();
}

//===-- heads --------------------------------------------------------------===//

LogicalResult SplitHeadsOp::verify() {
  auto input = cast<RankedTensorType>(getInput().getType());
  if (getHeads().empty())
    return emitOpError("has no result, expected heads that make up the ")
           << extentText(input.getDimSize(1)) << " columns (C1)";
  auto first = cast<RankedTensorType>(getHeads().front().getType());
  int64_t columns = 0;
  for (Value result : getHeads()) {
    auto type = cast<RankedTensorType>(result.getType());
    if (!mayAgree(type.getDimSize(2), first.getDimSize(2))) // (C1)
      return emitOpError("gives heads of size ")
             << extentText(type.getDimSize(2)) << " and " << extentText(first.getDimSize(2))
             << ", expected one size (C1)";
    if (!mayAgree(type.getDimSize(0), input.getDimSize(0)) ||
        type.getElementType() != input.getElementType()) // (C2)
      return emitOpError("gives ") << type << ", expected " << extentText(input.getDimSize(0))
                                   << " rows of " << input.getElementType() << " (C2)";
    if (getInterleaved() && !mayAgree(type.getDimSize(1), first.getDimSize(1))) // (C3)
      return emitOpError("interleaves ")
             << extentText(first.getDimSize(1)) << " with " << extentText(type.getDimSize(1))
             << " heads, expected equally many (C3)";
    columns = plusExtent(columns, timesExtent(type.getDimSize(1), type.getDimSize(2)));
  }
  if (!mayAgree(columns, input.getDimSize(1))) // (C1)
    return emitOpError("gives heads of ")
           << extentText(columns) << " columns together, expected the "
           << extentText(input.getDimSize(1)) << " of " << input << " (C1)";
  return success();
}

LogicalResult RotaryOp::verify() {
  auto width = static_cast<int64_t>(getWidth());
  int64_t size = extentOf(getInput(), 2);
  if (width < 2 || width % 2 != 0 || (!ShapedType::isDynamic(size) && width > size)) // (C1)
    return emitOpError("rotates ") << width << " channels, expected an even number from 2 to "
                                   << extentText(size) << " (C1)";
  if (!(getTheta().convertToDouble() > 0)) // (C2)
    return emitOpError("has theta ") << getThetaAttr() << ", expected a positive number (C2)";
  if (!mayAgree(extentOf(getStarts(), 0), plusExtent(extentOf(getPast(), 0), 1))) // (C3)
    return emitOpError("has starts of type ")
           << getStarts().getType() << ", expected one entry more than past " << getPast().getType()
           << " (C3)";
  return success();
}

//===-- attention ----------------------------------------------------------===//

/// Whether starts, slots and past are of equally many sequences.
template <typename Op> static LogicalResult verifyBatch(Op op, StringRef constraint) {
  int64_t sequences = extentOf(op.getSlots(), 0);
  if (!mayAgree(extentOf(op.getStarts(), 0), plusExtent(sequences, 1)) ||
      !mayAgree(extentOf(op.getPast(), 0), sequences))
    return op.emitOpError("has starts of type ")
           << op.getStarts().getType() << ", slots of type " << op.getSlots().getType()
           << " and past of type " << op.getPast().getType()
           << ", expected S + 1, S and S entries (" << constraint << ")";
  return success();
}

/// Whether the output has a row a token with all heads side by side.
template <typename Op> static LogicalResult verifyHeadsOutput(Op op) {
  int64_t columns = timesExtent(extentOf(op.getQ(), 1), extentOf(op.getQ(), 2));
  if (!mayAgree(extentOf(op.getOutput(), 0), extentOf(op.getQ(), 0)) ||
      !mayAgree(extentOf(op.getOutput(), 1), columns)) // (C2)
    return op.emitOpError("gives ")
           << op.getOutput().getType() << ", expected " << extentText(extentOf(op.getQ(), 0))
           << " rows of " << extentText(columns) << " columns (C2)";
  return success();
}

LogicalResult LightningAttentionOp::verify() {
  auto q = cast<RankedTensorType>(getQ().getType());
  for (Value other : {getK(), getV()})
    if (!mayHaveShape(cast<RankedTensorType>(other.getType()), q.getShape())) // (C1)
      return emitOpError("has queries of type ")
             << q << " beside " << other.getType() << ", expected one shape (C1)";
  if (failed(verifyHeadsOutput(*this)))
    return failure();
  int64_t heads = q.getDimSize(1), size = q.getDimSize(2);
  auto state = cast<RankedTensorType>(getState().getType());
  if (!mayHaveShape(state, {ShapedType::kDynamic, heads, size, size}) ||
      getNewState().getType() != state) // (C3)
    return emitOpError("has state ")
           << state << " and gives " << getNewState().getType() << ", expected [slots, "
           << extentText(heads) << ", " << extentText(size) << ", " << extentText(size)
           << "] for both (C3)";
  if (!mayAgree(extentOf(getSlopes(), 0), heads)) // (C4)
    return emitOpError("has slopes of type ")
           << getSlopes().getType() << ", expected " << extentText(heads) << ", one a head (C4)";
  return verifyBatch(*this, "C5");
}

/// (C1), (C2) and (C5) of softmax attention.
template <typename Op> static LogicalResult verifySoftmax(Op op) {
  auto q = cast<RankedTensorType>(op.getQ().getType());
  auto k = cast<RankedTensorType>(op.getK().getType());
  auto v = cast<RankedTensorType>(op.getV().getType());
  int64_t tokens = q.getDimSize(0), heads = q.getDimSize(1), size = q.getDimSize(2);
  int64_t groups = k.getDimSize(1);
  bool divides = ShapedType::isDynamic(heads) || ShapedType::isDynamic(groups) ||
                 (groups > 0 && heads % groups == 0);
  if (!mayHaveShape(k, {tokens, ShapedType::kDynamic, size}) || !mayHaveShape(v, k.getShape()) ||
      !divides) // (C1)
    return op.emitOpError("has q ") << q << ", k " << k << " and v " << v
                                    << ", expected [tokens, H, D] and twice [tokens, G, D] with G "
                                       "a divisor of H (C1)";
  if (failed(verifyHeadsOutput(op))) // (C2)
    return failure();
  if (!(op.getScale().convertToDouble() > 0)) // (C5)
    return op.emitOpError("has scale ") << op.getScaleAttr() << ", expected a positive number (C5)";
  return success();
}

LogicalResult AttentionOp::verify() {
  if (failed(verifySoftmax(*this)))
    return failure();
  int64_t groups = extentOf(getK(), 1), size = extentOf(getQ(), 2);
  auto keys = cast<RankedTensorType>(getKeys().getType());
  auto values = cast<RankedTensorType>(getValues().getType());
  int64_t slots = keys.getDimSize(0), blocks = keys.getDimSize(2), rows = keys.getDimSize(4);
  if (!mayHaveShape(keys, {slots, groups, blocks, size, rows}) ||
      !mayHaveShape(values, {slots, groups, blocks, rows, size}) ||
      getNewKeys().getType() != keys || getNewValues().getType() != values) // (C3)
    return emitOpError("has keys ")
           << keys << " and values " << values << ", expected [slots, " << extentText(groups)
           << ", blocks, " << extentText(size) << ", B] and [slots, " << extentText(groups)
           << ", blocks, B, " << extentText(size) << "], updated ones alike (C3)";
  return verifyBatch(*this, "C4");
}

LogicalResult PagedAttentionOp::verify() {
  if (failed(verifySoftmax(*this)))
    return failure();
  auto keys = cast<RankedTensorType>(getKeys().getType());
  int64_t groups = extentOf(getK(), 1), size = extentOf(getQ(), 2);
  if (!mayHaveShape(keys, {ShapedType::kDynamic, groups, ShapedType::kDynamic, size}) ||
      getValues().getType() != keys || getNewKeys().getType() != keys ||
      getNewValues().getType() != keys) // (C3)
    return emitOpError("has keys ")
           << keys << " and values " << getValues().getType() << ", expected twice [pages, "
           << extentText(groups) << ", B, " << extentText(size) << "], updated ones alike (C3)";
  int64_t sequences = extentOf(getPast(), 0);
  if (!mayAgree(extentOf(getStarts(), 0), plusExtent(sequences, 1)) ||
      !mayAgree(extentOf(getPages(), 0), sequences)) // (C4)
    return emitOpError("has starts of type ")
           << getStarts().getType() << ", pages of type " << getPages().getType()
           << " and past of type " << getPast().getType()
           << ", expected S + 1, S x M and S entries (C4)";
  return success();
}

std::optional<unsigned> LightningAttentionOp::getTiedOperand(unsigned result) {
  if (result == 1)
    return getStateMutable().getOperandNumber();
  return std::nullopt;
}

/// The caches of softmax attention: results 1 and 2.
template <typename Op> static std::optional<unsigned> tiedCache(Op op, unsigned result) {
  if (result == 1)
    return op.getKeysMutable().getOperandNumber();
  if (result == 2)
    return op.getValuesMutable().getOperandNumber();
  return std::nullopt;
}

std::optional<unsigned> AttentionOp::getTiedOperand(unsigned result) {
  return tiedCache(*this, result);
}

std::optional<unsigned> PagedAttentionOp::getTiedOperand(unsigned result) {
  return tiedCache(*this, result);
}

} // namespace levin::nn
