#include "passes/pipelines/Passes.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_NORMALISEPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

// silu(W1 x) * (W3 x), then W2, with ops that grouping knows; the decomposition of moe.experts in
// upstream ops means the same, and a conformance test holds that.
void expand(moe::ExpertsOp experts) {
  mlir::OpBuilder builder(experts);
  mlir::Location loc = experts.getLoc();
  auto product = [&](mlir::Value input, mlir::Value weight) -> mlir::Value {
    return moe::GroupedLinearOp::create(builder, loc, input, weight, experts.getOffsets());
  };
  mlir::Value gate = product(experts.getInput(), experts.getW1());
  mlir::Value up = product(experts.getInput(), experts.getW3());
  mlir::Value opened = nn::SiluOp::create(builder, loc, gate.getType(), gate);
  mlir::Value gated = mlir::arith::MulFOp::create(builder, loc, opened, up);
  experts.replaceAllUsesWith(product(gated, experts.getW2()));
  experts.erase();
}

struct Normalise : impl::NormalisePassBase<Normalise> {
  void runOnOperation() override {
    llvm::SmallVector<moe::ExpertsOp> experts;
    llvm::SmallVector<nn::MaskTailOp> masks;
    getOperation().walk([&](mlir::Operation *op) {
      if (auto layer = llvm::dyn_cast<moe::ExpertsOp>(op))
        experts.push_back(layer);
      if (auto mask = llvm::dyn_cast<nn::MaskTailOp>(op))
        masks.push_back(mask);
    });
    llvm::for_each(experts, expand);
    for (nn::MaskTailOp mask : masks) {
      if (mask.getLive() < llvm::cast<mlir::ShapedType>(mask.getType()).getDimSize(1))
        continue;
      mask.replaceAllUsesWith(mask.getInput());
      mask.erase();
    }
  }
};

} // namespace
} // namespace levin::pipelines
