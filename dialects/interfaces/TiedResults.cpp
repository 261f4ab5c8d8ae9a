#include "dialects/interfaces/TiedResults.h"

#include "dialects/interfaces/Interfaces.h"

namespace levin {

// Follows updates in place back to a block argument; -1 where the value is new.
static int64_t updatedArgument(mlir::Value value) {
  bool updated = false;
  while (auto stateful = value.getDefiningOp<StatefulOpInterface>()) {
    auto operand = stateful.getTiedOperand(llvm::cast<mlir::OpResult>(value).getResultNumber());
    if (!operand)
      return -1;
    value = stateful->getOperand(*operand);
    updated = true;
  }
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  return updated && argument ? static_cast<int64_t>(argument.getArgNumber()) : -1;
}

llvm::SmallVector<int64_t> tiedResults(mlir::func::FuncOp kernel) {
  llvm::SmallVector<int64_t> tied;
  for (mlir::Value result : kernel.getBody().front().getTerminator()->getOperands())
    tied.push_back(updatedArgument(result));
  return tied;
}

} // namespace levin
