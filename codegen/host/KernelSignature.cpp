#include "codegen/host/KernelSignature.h"

#include "dialects/interfaces/TiedResults.h"

namespace levin::host {

KernelSignature signatureOf(mlir::func::FuncOp kernel) {
  KernelSignature signature;
  unsigned arguments = kernel.getNumArguments();
  signature.written.assign(arguments, false);
  signature.tied = tiedResults(kernel);
  for (int64_t argument : signature.tied) {
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
