#include "codegen/cuda/templates/HeadView.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace levin::cuda::templates {

using mlir::Value;

std::optional<unsigned> argumentNumber(Value value) {
  if (auto argument = llvm::dyn_cast<mlir::BlockArgument>(value))
    return argument.getArgNumber();
  return std::nullopt;
}

Value beforeExtension(Value value) {
  auto extension = value.getDefiningOp<mlir::arith::ExtFOp>();
  return extension ? extension.getIn() : value;
}

std::optional<HeadView> traceHeads(Value heads) {
  auto type = llvm::cast<mlir::RankedTensorType>(heads.getType());
  if (!type.hasStaticShape())
    return std::nullopt;
  int64_t count = type.getDimSize(1), size = type.getDimSize(2);
  heads = beforeExtension(heads);
  if (auto argument = argumentNumber(heads))
    return HeadView{*argument, count * size, size, 0};
  auto split = heads.getDefiningOp<nn::SplitHeadsOp>();
  if (!split)
    return std::nullopt;
  auto argument = argumentNumber(beforeExtension(split.getInput()));
  if (!argument)
    return std::nullopt;
  HeadView view{*argument, split.getInput().getType().getDimSize(1), size, 0};
  unsigned part = llvm::cast<mlir::OpResult>(heads).getResultNumber();
  if (split.getInterleaved()) {
    view.head = size * split.getNumResults();
    view.offset = size * part;
  } else {
    for (unsigned i = 0; i < part; ++i)
      view.offset +=
          llvm::cast<mlir::RankedTensorType>(split->getResult(i).getType()).getDimSize(1) * size;
  }
  return view;
}

} // namespace levin::cuda::templates
