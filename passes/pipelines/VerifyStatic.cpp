#include "passes/pipelines/Passes.h"

#include "dialects/check/Check.h"
#include "dialects/moe/Moe.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_VERIFYSTATICPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

bool isDynamicOrEmpty(mlir::Type type) {
  auto shaped = llvm::dyn_cast<mlir::ShapedType>(type);
  return shaped && (!shaped.hasStaticShape() || llvm::is_contained(shaped.getShape(), 0));
}

mlir::LogicalResult verifyOp(mlir::Operation *op) {
  for (mlir::Type type :
       llvm::concat<const mlir::Type>(op->getOperandTypes(), op->getResultTypes()))
    if (isDynamicOrEmpty(type))
      return op->emitOpError("has a value of type ")
             << type << ", expected static extents of at least 1 (S1)";
  if (llvm::isa<moe::ExpertsOp>(op) || llvm::isa_and_present<check::CheckDialect>(op->getDialect()))
    return op->emitOpError("is left after it should have been replaced (S2)");
  return mlir::success();
}

struct VerifyStatic : impl::VerifyStaticPassBase<VerifyStatic> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      if (function.isExternal() || !function.getBody().hasOneBlock()) {
        function.emitOpError("is no function of one block (S3)");
        return signalPassFailure();
      }
      auto result = function.getBody().walk([](mlir::Operation *op) {
        return mlir::failed(verifyOp(op)) ? mlir::WalkResult::interrupt()
                                          : mlir::WalkResult::advance();
      });
      if (result.wasInterrupted())
        return signalPassFailure();
    }
  }
};

} // namespace
} // namespace levin::pipelines
