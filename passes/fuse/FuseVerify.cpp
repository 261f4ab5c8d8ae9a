#include "dialects/interfaces/TiedResults.h"
#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"

namespace levin::fuse {
#define GEN_PASS_DEF_FUSEVERIFYPASS
#include "passes/fuse/Passes.h.inc"

namespace {

bool isStaticTensor(mlir::Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && tensor.hasStaticShape();
}

mlir::LogicalResult verifyOutside(mlir::Operation &op) {
  if (llvm::isa<nn::UseOp, exec::DispatchOp>(op) || op.hasTrait<mlir::OpTrait::IsTerminator>())
    return mlir::success();
  if (auto pack = llvm::dyn_cast<exec::PackOp>(op);
      pack && pack.getMatrix().getDefiningOp<nn::UseOp>())
    return mlir::success();
  return op.emitOpError("is outside of every kernel (F1)");
}

mlir::LogicalResult verifyKernel(mlir::func::FuncOp kernel) {
  if (kernel.isExternal() || !kernel.getBody().hasOneBlock())
    return kernel.emitOpError("is no kernel of one block (F3)");
  for (mlir::Type type :
       llvm::concat<const mlir::Type>(kernel.getArgumentTypes(), kernel.getResultTypes()))
    if (!isStaticTensor(type))
      return kernel.emitOpError("has a value of type ")
             << type << ", expected a static tensor (F3)";
  auto result = kernel.walk([](nn::UseOp use) {
    use.emitOpError("is inside of a kernel, expected its value as an argument (F3)");
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(result.wasInterrupted());
}

mlir::LogicalResult verifyDispatch(exec::DispatchOp dispatch, mlir::func::FuncOp kernel) {
  auto tied = tiedResults(kernel);
  if (llvm::ArrayRef<int64_t>(tied) != dispatch.getTied())
    return dispatch.emitOpError("is tied [")
           << llvm::make_range(dispatch.getTied().begin(), dispatch.getTied().end())
           << "], its kernel updates [" << llvm::make_range(tied.begin(), tied.end()) << "] (F4)";
  return mlir::success();
}

struct FuseVerify : impl::FuseVerifyPassBase<FuseVerify> {
  void runOnOperation() override {
    if (mlir::failed(verify(getOperation())))
      signalPassFailure();
  }

  mlir::LogicalResult verify(mlir::ModuleOp module) {
    llvm::DenseSet<mlir::Operation *> used;
    mlir::SymbolTableCollection symbols;
    for (auto function : module.getOps<mlir::func::FuncOp>()) {
      if (function.isExternal() || !function.getBody().hasOneBlock())
        return function.emitOpError("is no function of one block (F1)");
      for (mlir::Operation &op : function.getBody().front()) {
        if (mlir::failed(verifyOutside(op)))
          return mlir::failure();
        auto dispatch = llvm::dyn_cast<exec::DispatchOp>(op);
        if (!dispatch)
          continue;
        auto kernel =
            symbols.lookupNearestSymbolFrom<mlir::func::FuncOp>(dispatch, dispatch.getKernel());
        if (!kernel || mlir::failed(verifyKernel(kernel)) ||
            mlir::failed(verifyDispatch(dispatch, kernel)))
          return mlir::failure();
        used.insert(kernel);
      }
    }
    return verifyRest(module, used);
  }

  mlir::LogicalResult verifyRest(mlir::ModuleOp module,
                                 const llvm::DenseSet<mlir::Operation *> &used) {
    auto left = module.walk([](mlir::Operation *op) {
      if (!op->hasAttr(kindAttrName) && !op->hasAttr(groupAttrName))
        return mlir::WalkResult::advance();
      op->emitOpError("still has an attribute of the fuse phase (F2)");
      return mlir::WalkResult::interrupt();
    });
    if (left.wasInterrupted())
      return mlir::failure();
    for (auto library : module.getOps<mlir::ModuleOp>())
      for (auto kernel : library.getOps<mlir::func::FuncOp>())
        if (!used.contains(kernel))
          return kernel.emitOpError("is dispatched nowhere (F5)");
    return mlir::success();
  }
};

} // namespace
} // namespace levin::fuse
