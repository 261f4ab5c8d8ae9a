#include "codegen/cuda/MathExpansion.h"

#include "dialects/interfaces/ExpandFloat8.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/IR/Matchers.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"

#include <numbers>

namespace levin::cuda {
namespace {

/// log10(x) = log2(x) log10(2): the logarithm that has a polynomial.
struct ExpandLog10 : mlir::OpRewritePattern<mlir::math::Log10Op> {
  using OpRewritePattern::OpRewritePattern;

  mlir::LogicalResult matchAndRewrite(mlir::math::Log10Op op,
                                      mlir::PatternRewriter &rewriter) const override {
    mlir::Type type = op.getType();
    mlir::TypedAttr factor = rewriter.getFloatAttr(mlir::getElementTypeOrSelf(type),
                                                   std::numbers::ln2 / std::numbers::ln10);
    if (auto shaped = llvm::dyn_cast<mlir::ShapedType>(type))
      factor = mlir::SplatElementsAttr::get(shaped, factor);
    mlir::Value scale = mlir::arith::ConstantOp::create(rewriter, op.getLoc(), factor);
    mlir::Value power = mlir::math::Log2Op::create(rewriter, op.getLoc(), op.getOperand());
    rewriter.replaceOpWithNewOp<mlir::arith::MulFOp>(op, power, scale);
    return mlir::success();
  }
};

/// exp(x) = 2^n 2^((x - n ln 2) / ln 2) with n the integer nearest to x / ln 2, by the instruction
/// for powers of 2, which errs by 2 units in the last place at most.
struct ExpandExp : mlir::OpRewritePattern<mlir::math::ExpOp> {
  ExpandExp(mlir::MLIRContext *context) : OpRewritePattern(context, /*benefit=*/10) {}

  mlir::LogicalResult matchAndRewrite(mlir::math::ExpOp op,
                                      mlir::PatternRewriter &rewriter) const override {
    namespace arith = mlir::arith;
    mlir::Type type = op.getType();
    if (!mlir::getElementTypeOrSelf(type).isF32())
      return mlir::failure();
    mlir::Location loc = op.getLoc();
    auto shaped = llvm::dyn_cast<mlir::ShapedType>(type);
    mlir::Type integers = rewriter.getI32Type();
    if (shaped)
      integers = shaped.clone(integers);
    auto number = [&](float value) -> mlir::Value {
      mlir::TypedAttr attribute = rewriter.getF32FloatAttr(value);
      if (shaped)
        attribute = mlir::SplatElementsAttr::get(shaped, value);
      return arith::ConstantOp::create(rewriter, loc, attribute);
    };
    auto integer = [&](int32_t value) -> mlir::Value {
      mlir::TypedAttr attribute = rewriter.getI32IntegerAttr(value);
      if (shaped)
        attribute = mlir::SplatElementsAttr::get(llvm::cast<mlir::ShapedType>(integers), value);
      return arith::ConstantOp::create(rewriter, loc, attribute);
    };
    auto fma = [&](mlir::Value a, mlir::Value b, mlir::Value c) -> mlir::Value {
      return mlir::math::FmaOp::create(rewriter, loc, a, b, c);
    };
    // Adding 1.5 2^23 leaves the integer in the low bits.  2^n must be a normal number.
    constexpr float shift = 0x1.8p23f, log2e = 0x1.715476p0f;
    mlir::Value x = op.getOperand(), shifted = fma(x, number(log2e), number(shift));
    shifted = arith::MaxNumFOp::create(rewriter, loc, shifted, number(shift - 126));
    shifted = arith::MinNumFOp::create(rewriter, loc, shifted, number(shift + 127));
    mlir::Value n = arith::SubFOp::create(rewriter, loc, shifted, number(shift));
    mlir::Value rest = fma(n, number(-0x1.62e430p-1f), x);
    rest = fma(n, number(0x1.05c610p-29f), rest);
    mlir::Value power = mlir::math::Exp2Op::create(
        rewriter, loc, arith::MulFOp::create(rewriter, loc, rest, number(log2e)));
    mlir::Value bits = arith::BitcastOp::create(rewriter, loc, integers, shifted);
    bits = arith::AddIOp::create(rewriter, loc, bits, integer(127));
    bits = arith::ShLIOp::create(rewriter, loc, bits, integer(23));
    mlir::Value scale = arith::BitcastOp::create(rewriter, loc, type, bits);
    rewriter.replaceOpWithNewOp<arith::MulFOp>(op, power, scale);
    return mlir::success();
  }
};

/// A quotient by 1 + exp(y), which is never below 1: the instruction without corrections errs by 2
/// units in the last place at most, and gives 0 where the quotient would be next to it.
void shortenLogistic(mlir::Operation *root) {
  auto isOne = [](mlir::Value value) {
    mlir::FloatAttr scalar;
    mlir::SplatElementsAttr splat;
    if (mlir::matchPattern(value, mlir::m_Constant(&scalar)))
      return scalar.getValue().isExactlyValue(1.0);
    return mlir::matchPattern(value, mlir::m_Constant(&splat)) &&
           splat.getSplatValue<llvm::APFloat>().isExactlyValue(1.0);
  };
  root->walk([&](mlir::arith::DivFOp op) {
    auto sum = op.getRhs().getDefiningOp<mlir::arith::AddFOp>();
    if (!sum || !mlir::getElementTypeOrSelf(op.getType()).isF32())
      return;
    bool first = sum.getLhs().getDefiningOp<mlir::math::ExpOp>() && isOne(sum.getRhs());
    bool second = sum.getRhs().getDefiningOp<mlir::math::ExpOp>() && isOne(sum.getLhs());
    if (first || second)
      op.setFastmath(mlir::arith::FastMathFlags::afn);
  });
}

/// Whether there is an instruction for `op`, or LLVM expands it into some.
bool isInstruction(mlir::Operation *op) {
  namespace math = mlir::math;
  if (llvm::isa<math::Exp2Op>(op))
    return mlir::getElementTypeOrSelf(op->getResult(0).getType()).isF32();
  return llvm::isa<math::AbsFOp, math::AbsIOp, math::CeilOp, math::CopySignOp,
                   math::CountLeadingZerosOp, math::CountTrailingZerosOp, math::CtPopOp,
                   math::FloorOp, math::FmaOp, math::IPowIOp, math::IsFiniteOp, math::IsInfOp,
                   math::IsNaNOp, math::IsNormalOp, math::RoundEvenOp, math::RsqrtOp, math::SqrtOp,
                   math::TruncOp>(op);
}

/// Refuses a function that would need a library.
mlir::LogicalResult verifyExpanded(mlir::Operation *root) {
  auto result = root->walk([](mlir::Operation *op) {
    bool isMath = llvm::isa_and_present<mlir::math::MathDialect>(op->getDialect());
    if (!llvm::isa<mlir::arith::RemFOp>(op) && (!isMath || isInstruction(op)))
      return mlir::WalkResult::advance();
    op->emitOpError("of ") << mlir::getElementTypeOrSelf(op->getResult(0).getType())
                           << " has no code on the GPU; mathematical functions exist for f32, so "
                              "compute in f32 and convert";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(result.wasInterrupted());
}

struct ExpandMath : mlir::PassWrapper<ExpandMath, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandMath)

  llvm::StringRef getArgument() const override { return "levin-cuda-expand-math"; }
  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    registry.insert<mlir::arith::ArithDialect, mlir::math::MathDialect>();
  }
  void runOnOperation() override {
    shortenLogistic(getOperation());
    mlir::RewritePatternSet patterns(&getContext());
    auto always = [](llvm::StringRef) { return true; };
    mlir::populateMathF32ExpansionPatterns(patterns, always);
    mlir::populateMathPolynomialApproximationPatterns(patterns, always);
    mlir::math::populateExpansionPatterns(patterns, {"powf", "fpowi", "round", "clampf", "tan",
                                                     "sinh", "cosh", "asinh", "acosh", "atanh"});
    patterns.add<ExpandExp, ExpandLog10>(&getContext());
    mlir::arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    populateExpandFloat8Patterns(patterns);
    if (mlir::failed(mlir::applyPatternsGreedily(getOperation(), std::move(patterns))) ||
        mlir::failed(verifyExpanded(getOperation())))
      signalPassFailure();
  }
};

} // namespace

void addMathExpansion(mlir::OpPassManager &manager) {
  // bfloat16 is for storing.
  manager.addPass(mlir::arith::createArithEmulateUnsupportedFloats({{"bf16"}, "f32"}));
  manager.addPass(mlir::math::createMathExtendToSupportedTypes({{"f16"}, "f32"}));
  manager.addPass(std::make_unique<ExpandMath>());
}

} // namespace levin::cuda
