#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

#include "dialects/exec/Exec.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

namespace levin::fuse {
#define GEN_PASS_DEF_FUSEPACKPASS
#include "passes/fuse/Passes.h.inc"

namespace {

// The operand of a matrix kernel that holds its matrix.
mlir::OpOperand *matrixOf(mlir::Operation &op) {
  if (auto linear = llvm::dyn_cast<nn::LinearOp>(op))
    return &linear.getWeightMutable();
  if (auto grouped = llvm::dyn_cast<moe::GroupedLinearOp>(op))
    return &grouped.getWeightMutable();
  return nullptr;
}

mlir::RankedTensorType panelsOf(mlir::RankedTensorType matrix, int64_t panelRows) {
  llvm::SmallVector<int64_t> shape(matrix.getShape());
  int64_t rows = shape[shape.size() - 2];
  shape[shape.size() - 2] = llvm::divideCeil(rows, panelRows);
  shape.push_back(panelRows);
  return mlir::RankedTensorType::get(shape, matrix.getElementType());
}

struct FusePack : impl::FusePackPassBase<FusePack> {
  using FusePackPassBase::FusePackPassBase;

  void runOnOperation() override {
    if (panelRows < 1) {
      getOperation().emitError("panel-rows is ") << int64_t(panelRows) << ", expected at least 1";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<mlir::func::FuncOp>())
      if (!function.isExternal())
        pack(function.getBody().front());
  }

  void pack(mlir::Block &block) {
    llvm::DenseMap<mlir::Operation *, mlir::Value> packed; // by nn.use
    for (mlir::Operation &op : llvm::make_early_inc_range(block)) {
      mlir::OpOperand *matrix = matrixOf(op);
      auto use = matrix ? matrix->get().getDefiningOp<nn::UseOp>() : nn::UseOp();
      if (!use)
        continue;
      auto type = llvm::cast<mlir::RankedTensorType>(use.getType());
      mlir::Value &panels = packed[use];
      if (!panels) {
        mlir::OpBuilder builder(&getContext());
        builder.setInsertionPointAfter(use);
        panels = exec::PackOp::create(builder, use.getLoc(), panelsOf(type, panelRows), use);
      }
      mlir::OpBuilder builder(&op);
      auto unpack = exec::UnpackOp::create(builder, op.getLoc(), type, panels);
      if (mlir::Attribute group = op.getAttr(groupAttrName))
        unpack->setAttr(groupAttrName, group);
      matrix->set(unpack);
    }
  }
};

} // namespace
} // namespace levin::fuse
