#include "codegen/cuda/MathExpansion.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
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

struct ExpandMath : mlir::PassWrapper<ExpandMath, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandMath)

  llvm::StringRef getArgument() const override { return "levin-cuda-expand-math"; }
  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    registry.insert<mlir::arith::ArithDialect, mlir::math::MathDialect>();
  }
  void runOnOperation() override {
    mlir::RewritePatternSet patterns(&getContext());
    auto always = [](llvm::StringRef) { return true; };
    mlir::populateMathF32ExpansionPatterns(patterns, always);
    mlir::populateMathPolynomialApproximationPatterns(patterns, always);
    mlir::math::populateExpansionPatterns(patterns,
                                          {"powf", "fpowi", "exp2", "round", "clampf", "tan",
                                           "sinh", "cosh", "asinh", "acosh", "atanh"});
    patterns.add<ExpandLog10>(&getContext());
    mlir::arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    if (mlir::failed(mlir::applyPatternsGreedily(getOperation(), std::move(patterns))))
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
