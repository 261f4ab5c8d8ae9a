#include "dialects/interfaces/DecomposeBuilder.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"

using namespace mlir;

namespace levin {

Value createFloat(OpBuilder &builder, Location loc, Type type, double number) {
  auto element = cast<FloatType>(getElementTypeOrSelf(type));
  TypedAttr attribute = builder.getFloatAttr(element, number);
  if (auto shaped = dyn_cast<ShapedType>(type))
    attribute = SplatElementsAttr::get(shaped, attribute);
  return arith::ConstantOp::create(builder, loc, attribute);
}

// 1 + exp(-x)
static Value createLogisticDenominator(OpBuilder &builder, Location loc, Value x) {
  Value power = math::ExpOp::create(builder, loc, arith::NegFOp::create(builder, loc, x));
  return arith::AddFOp::create(builder, loc, power, createFloat(builder, loc, x.getType(), 1));
}

Value createSigmoid(OpBuilder &builder, Location loc, Value x) {
  Value denominator = createLogisticDenominator(builder, loc, x);
  Value one = createFloat(builder, loc, x.getType(), 1);
  return arith::DivFOp::create(builder, loc, one, denominator);
}

Value createSilu(OpBuilder &builder, Location loc, Value x) {
  return arith::DivFOp::create(builder, loc, x, createLogisticDenominator(builder, loc, x));
}

//===-- scalars --------------------------------------------------------------===//

Value DecomposeBuilder::index(int64_t number) {
  return arith::ConstantIndexOp::create(*this, number);
}

Value DecomposeBuilder::i32(int64_t number) {
  return arith::ConstantIntOp::create(*this, number, 32);
}

Value DecomposeBuilder::f32(double number) {
  return createFloat(*this, getLoc(), getF32Type(), number);
}

Value DecomposeBuilder::toF32(Value value) {
  auto type = dyn_cast<FloatType>(value.getType());
  if (!type || type.isF32())
    return value;
  if (type.getWidth() < 32)
    return arith::ExtFOp::create(*this, getF32Type(), value);
  return arith::TruncFOp::create(*this, getF32Type(), value);
}

Value DecomposeBuilder::fromF32(Value value, Type type) {
  auto target = dyn_cast<FloatType>(type);
  if (!target || value.getType() == type)
    return value;
  if (target.getWidth() > 32)
    return arith::ExtFOp::create(*this, type, value);
  if (isa<Float8E4M3FNType>(target)) { // saturates, where arith.truncf makes a NaN
    value = arith::MinimumFOp::create(*this, value, f32(448));
    value = arith::MaximumFOp::create(*this, value, f32(-448));
  }
  return arith::TruncFOp::create(*this, type, value);
}

Value DecomposeBuilder::toIndex(Value integer) {
  return arith::IndexCastOp::create(*this, getIndexType(), integer);
}

Value DecomposeBuilder::add(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::AddFOp::create(*this, a, b);
  return arith::AddIOp::create(*this, a, b);
}

Value DecomposeBuilder::sub(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::SubFOp::create(*this, a, b);
  return arith::SubIOp::create(*this, a, b);
}

Value DecomposeBuilder::mul(Value a, Value b) {
  if (isa<FloatType>(a.getType()))
    return arith::MulFOp::create(*this, a, b);
  return arith::MulIOp::create(*this, a, b);
}

Value DecomposeBuilder::minimum(Value a, Value b) { return arith::MinSIOp::create(*this, a, b); }

Value DecomposeBuilder::clamp(Value value, Value low, Value high) {
  return arith::MaxSIOp::create(*this, minimum(value, high), low);
}

Value DecomposeBuilder::isInside(Value value, int64_t extent) {
  // Unsigned, so that a negative number is a large one.
  return arith::CmpIOp::create(*this, arith::CmpIPredicate::ult, value, index(extent));
}

//===-- tensors --------------------------------------------------------------===//

static RankedTensorType tensorType(Value value) { return cast<RankedTensorType>(value.getType()); }

Value DecomposeBuilder::empty(ArrayRef<int64_t> shape, Type element) {
  return tensor::EmptyOp::create(*this, shape, element);
}

Value DecomposeBuilder::filled(ArrayRef<int64_t> shape, Type element, double number) {
  TypedAttr value = isa<FloatType>(element)
                        ? TypedAttr(getFloatAttr(element, number))
                        : TypedAttr(getIntegerAttr(element, static_cast<int64_t>(number)));
  Value scalar = arith::ConstantOp::create(*this, value);
  return linalg::FillOp::create(*this, scalar, empty(shape, element)).getResult(0);
}

Value DecomposeBuilder::zeroed(Value tensor) {
  Value zero = arith::ConstantOp::create(*this, getZeroAttr(tensorType(tensor).getElementType()));
  return linalg::FillOp::create(*this, zero, tensor).getResult(0);
}

Value DecomposeBuilder::readIndex(Value tensor, ValueRange position) {
  return toIndex(tensor::ExtractOp::create(*this, tensor, position));
}

Value DecomposeBuilder::read(Value tensor, ValueRange position) {
  return toF32(tensor::ExtractOp::create(*this, tensor, position));
}

Value DecomposeBuilder::write(Value tensor, ValueRange position, Value element) {
  Value cast = fromF32(element, tensorType(tensor).getElementType());
  return tensor::InsertOp::create(*this, cast, tensor, position);
}

static SmallVector<OpFoldResult> asAttributes(OpBuilder &builder, ArrayRef<int64_t> sizes) {
  return getAsIndexOpFoldResult(builder.getContext(), sizes);
}

Value DecomposeBuilder::slice(Value tensor, ArrayRef<OpFoldResult> offsets, ArrayRef<int64_t> sizes,
                              ArrayRef<int64_t> shape) {
  auto type = RankedTensorType::get(shape, tensorType(tensor).getElementType());
  SmallVector<OpFoldResult> strides(sizes.size(), getIndexAttr(1));
  return tensor::ExtractSliceOp::create(*this, type, tensor, offsets, asAttributes(*this, sizes),
                                        strides);
}

Value DecomposeBuilder::unslice(Value part, Value tensor, ArrayRef<OpFoldResult> offsets,
                                ArrayRef<int64_t> sizes) {
  SmallVector<OpFoldResult> strides(sizes.size(), getIndexAttr(1));
  return tensor::InsertSliceOp::create(*this, part, tensor, offsets, asAttributes(*this, sizes),
                                       strides);
}

//===-- loops over tensors -----------------------------------------------------===//

Value DecomposeBuilder::elementwise(ValueRange inputs, ArrayRef<AffineMap> maps, Value init,
                                    ElementBody body) {
  RankedTensorType type = tensorType(init);
  SmallVector<AffineMap> all(maps);
  all.push_back(identity(type.getRank()));
  SmallVector<utils::IteratorType> iterators(type.getRank(), utils::IteratorType::parallel);
  auto build = [&](OpBuilder &nested, Location, ValueRange arguments) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    SmallVector<Value> elements;
    for (Value argument : arguments.drop_back())
      elements.push_back(toF32(argument));
    linalg::YieldOp::create(*this, fromF32(body(elements), type.getElementType()));
  };
  return linalg::GenericOp::create(*this, TypeRange{type}, inputs, ValueRange{init}, all, iterators,
                                   build)
      .getResult(0);
}

Value DecomposeBuilder::elementwise(ValueRange inputs, Value init, ElementBody body) {
  SmallVector<AffineMap> maps(inputs.size(), identity(tensorType(init).getRank()));
  return elementwise(inputs, maps, init, body);
}

Value DecomposeBuilder::copyInto(Value part, Value init) {
  return elementwise(part, init, [](ValueRange elements) { return elements[0]; });
}

Value DecomposeBuilder::reduce(ValueRange inputs, ArrayRef<AffineMap> maps, Value init,
                               ReduceBody body) {
  AffineMap outMap = maps.back();
  SmallVector<utils::IteratorType> iterators(outMap.getNumDims(), utils::IteratorType::reduction);
  for (AffineExpr expression : outMap.getResults())
    iterators[cast<AffineDimExpr>(expression).getPosition()] = utils::IteratorType::parallel;
  auto build = [&](OpBuilder &nested, Location, ValueRange arguments) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    SmallVector<Value> elements;
    for (Value argument : arguments.drop_back())
      elements.push_back(toF32(argument));
    linalg::YieldOp::create(*this, body(arguments.back(), elements));
  };
  return linalg::GenericOp::create(*this, TypeRange{init.getType()}, inputs, ValueRange{init}, maps,
                                   iterators, build)
      .getResult(0);
}

SmallVector<Value> DecomposeBuilder::loop(Value low, Value high, ValueRange carried,
                                          LoopBody body) {
  auto build = [&](OpBuilder &nested, Location, Value counter, ValueRange values) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    scf::YieldOp::create(*this, body(counter, values));
  };
  auto loop = scf::ForOp::create(*this, low, high, index(1), carried, build);
  return SmallVector<Value>(loop.getResults());
}

SmallVector<Value> DecomposeBuilder::onlyIf(Value condition, ValueRange carried,
                                            function_ref<SmallVector<Value>()> body) {
  auto build = [&](OpBuilder &nested, Location) {
    OpBuilder::InsertionGuard guard(*this);
    setInsertionPoint(nested.getInsertionBlock(), nested.getInsertionPoint());
    scf::YieldOp::create(*this, body());
  };
  auto keep = [&](OpBuilder &nested, Location loc) { scf::YieldOp::create(nested, loc, carried); };
  return SmallVector<Value>(scf::IfOp::create(*this, condition, build, keep).getResults());
}

AffineMap DecomposeBuilder::identity(unsigned dims) {
  return AffineMap::getMultiDimIdentityMap(dims, getContext());
}

AffineMap DecomposeBuilder::map(unsigned dims, ArrayRef<unsigned> results) {
  return AffineMap::getMultiDimMapWithTargets(dims, results, getContext());
}

std::pair<Value, Value> RaggedBatch::rows(Value s) {
  Value zero = builder.index(0), end = builder.index(tokens);
  Value first = builder.clamp(builder.readIndex(starts, s), zero, end);
  Value next = builder.add(s, builder.index(1));
  Value last = builder.clamp(builder.readIndex(starts, next), first, end);
  return {first, last};
}

} // namespace levin
