#include "codegen/host/KernelSignature.h"

#include "dialects/interfaces/Interfaces.h"

namespace levin::host {

// The argument that `value` is, or is an update of; -1 if it is a new value.
static int64_t argumentBehind(mlir::Value value) {
  while (auto result = llvm::dyn_cast<mlir::OpResult>(value)) {
    auto stateful = llvm::dyn_cast<StatefulOpInterface>(result.getOwner());
    if (!stateful)
      return -1;
    auto operand = stateful.getTiedOperand(result.getResultNumber());
    if (!operand)
      return -1;
    value = result.getOwner()->getOperand(*operand);
  }
  return llvm::cast<mlir::BlockArgument>(value).getArgNumber();
}

KernelSignature signatureOf(mlir::func::FuncOp kernel) {
  KernelSignature signature;
  unsigned arguments = kernel.getNumArguments();
  signature.written.assign(arguments, false);
  auto results = kernel.getBody().front().getTerminator()->getOperands();
  for (mlir::Value result : results) {
    int64_t argument = argumentBehind(result);
    // An argument returned as it came is copied: only an update shares its memory.
    if (argument >= 0 && llvm::isa<mlir::BlockArgument>(result))
      argument = -1;
    signature.tied.push_back(argument);
    if (argument >= 0) {
      signature.written[argument] = true;
      signature.bindingOfResult.push_back(static_cast<unsigned>(argument));
    } else {
      signature.bindingOfResult.push_back(static_cast<unsigned>(signature.written.size()));
      signature.written.push_back(true);
    }
  }
  return signature;
}

static mlir::Type bufferOf(mlir::Type type) {
  auto tensor = llvm::cast<mlir::RankedTensorType>(type);
  return mlir::MemRefType::get(tensor.getShape(), tensor.getElementType());
}

mlir::func::FuncOp createBufferKernel(mlir::OpBuilder &builder, mlir::func::FuncOp kernel,
                                      llvm::StringRef name, const KernelSignature &signature) {
  llvm::SmallVector<mlir::Type> types;
  for (mlir::Type type : kernel.getArgumentTypes())
    types.push_back(bufferOf(type));
  for (auto [type, tied] : llvm::zip(kernel.getResultTypes(), signature.tied))
    if (tied < 0)
      types.push_back(bufferOf(type));
  types.append(3, builder.getIndexType());
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointAfter(kernel);
  auto function = mlir::func::FuncOp::create(builder, kernel.getLoc(), name,
                                             builder.getFunctionType(types, {}));
  function.addEntryBlock();
  return function;
}

} // namespace levin::host
