// f8E4M3FN is a sign, 4 bits of exponent (bias 7) and 3 of mantissa: exponent 0 stands for
// multiples of 2^-9, and 0x7f for NaN; there is no infinity.
#include "dialects/interfaces/ExpandFloat8.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

using namespace mlir;

namespace levin {
namespace {

/// Arithmetic on numbers or vectors of the shape of one value.
struct Elements {
  Elements(PatternRewriter &rewriter, Operation *op)
      : b(op->getLoc(), rewriter), shape(dyn_cast<ShapedType>(op->getResultTypes().front())) {}

  ImplicitLocOpBuilder b;
  ShapedType shape; // null for a number

  Type of(Type element) { return shape ? Type(shape.clone(element)) : element; }
  Type i8() { return of(b.getI8Type()); }
  Type i32() { return of(b.getI32Type()); }
  Type f32() { return of(b.getF32Type()); }
  Value constant(Type type, TypedAttr element) {
    if (auto shaped = dyn_cast<ShapedType>(type))
      element = SplatElementsAttr::get(shaped, element);
    return arith::ConstantOp::create(b, element);
  }
  Value number(int64_t n) { return constant(i32(), b.getI32IntegerAttr(static_cast<int32_t>(n))); }
  Value real(double n) { return constant(f32(), b.getF32FloatAttr(static_cast<float>(n))); }
  Value less(Value x, int64_t n) {
    return arith::CmpIOp::create(b, arith::CmpIPredicate::ult, x, number(n));
  }
};

bool isFloat8(Type type) { return isa<Float8E4M3FNType>(getElementTypeOrSelf(type)); }

struct ExpandWiden : OpRewritePattern<arith::ExtFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::ExtFOp op, PatternRewriter &rewriter) const override {
    if (!isFloat8(op.getIn().getType()) || !getElementTypeOrSelf(op.getType()).isF32())
      return failure();
    Elements e(rewriter, op);
    auto &b = e.b;
    Value byte = arith::BitcastOp::create(b, e.i8(), op.getIn());
    Value bits = arith::ExtUIOp::create(b, e.i32(), byte);
    Value magnitude = arith::AndIOp::create(b, bits, e.number(0x7f));
    Value sign = arith::ShLIOp::create(
        b, arith::AndIOp::create(b, bits, e.number(0x80)).getResult(), e.number(24));
    Value normal =
        arith::AddIOp::create(b, arith::ShLIOp::create(b, magnitude, e.number(20)).getResult(),
                              e.number((127 - 7) << 23));
    Value small =
        arith::MulFOp::create(b, arith::SIToFPOp::create(b, e.f32(), magnitude), e.real(0x1p-9));
    Value result = arith::SelectOp::create(b, e.less(magnitude, 8),
                                           arith::BitcastOp::create(b, e.i32(), small), normal);
    Value nan = arith::CmpIOp::create(b, arith::CmpIPredicate::eq, magnitude, e.number(0x7f));
    result = arith::SelectOp::create(b, nan, e.number(0x7fc00000), result);
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(
        op, e.f32(), arith::OrIOp::create(b, result, sign).getResult());
    return success();
  }
};

struct ExpandNarrow : OpRewritePattern<arith::TruncFOp> {
  using OpRewritePattern::OpRewritePattern;

  LogicalResult matchAndRewrite(arith::TruncFOp op, PatternRewriter &rewriter) const override {
    if (!isFloat8(op.getType()) || !getElementTypeOrSelf(op.getIn().getType()).isF32())
      return failure();
    Elements e(rewriter, op);
    auto &b = e.b;
    auto shiftRight = [&](Value x, int64_t n) -> Value {
      return arith::ShRUIOp::create(b, x, e.number(n));
    };
    Value bits = arith::BitcastOp::create(b, e.i32(), op.getIn());
    Value sign = arith::AndIOp::create(b, shiftRight(bits, 24), e.number(0x80));
    Value magnitude = arith::AndIOp::create(b, bits, e.number(0x7fffffff));
    // Half of the last bit that stays, less one where that bit is even, rounds to even.
    Value odd = arith::AndIOp::create(b, shiftRight(magnitude, 20), e.number(1));
    Value rounded = arith::AddIOp::create(
        b, arith::AddIOp::create(b, magnitude, e.number(0x7ffff)).getResult(), odd);
    Value normal = arith::SubIOp::create(b, shiftRight(rounded, 20), e.number((127 - 7) << 3));
    normal = arith::SelectOp::create(b, e.less(normal, 0x7f), normal, e.number(0x7f));
    // Multiples of 2^-9: float32 has no fraction left at 2^23 and rounds as it adds.
    Value size = arith::BitcastOp::create(b, e.f32(), magnitude);
    Value whole = arith::AddFOp::create(
        b, arith::MulFOp::create(b, size, e.real(0x1p9)).getResult(), e.real(0x1p23));
    Value small = arith::AndIOp::create(b, arith::BitcastOp::create(b, e.i32(), whole).getResult(),
                                        e.number(0xf));
    Value result = arith::SelectOp::create(b, e.less(magnitude, (127 - 6) << 23), small, normal);
    result = arith::OrIOp::create(b, result, sign);
    Value byte = arith::TruncIOp::create(b, e.i8(), result);
    rewriter.replaceOpWithNewOp<arith::BitcastOp>(op, op.getType(), byte);
    return success();
  }
};

} // namespace

void populateExpandFloat8Patterns(RewritePatternSet &patterns) {
  patterns.add<ExpandWiden, ExpandNarrow>(patterns.getContext());
}

} // namespace levin
