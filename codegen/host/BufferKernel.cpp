#include "codegen/host/BufferKernel.h"

#include "codegen/host/GenericKernel.h"
#include "codegen/host/kernels/KernelTemplate.h"

namespace levin::host {

mlir::FailureOr<BufferKernel> emitBufferKernel(mlir::func::FuncOp kernel, llvm::StringRef name,
                                               const HostTarget &target, bool templates) {
  BufferKernel result;
  result.signature = signatureOf(kernel);
  if (templates)
    for (const KernelTemplate *candidate : hostKernelTemplates()) {
      if (!candidate->matches(kernel))
        continue;
      mlir::OpBuilder builder(kernel.getContext());
      result.method = candidate->name().str();
      result.grid = candidate->grid(kernel);
      result.function = createBufferKernel(builder, kernel, name, result.signature);
      if (mlir::failed(candidate->emit(kernel, result.function, target)))
        return kernel.emitError("template '") << result.method << "' cannot write this kernel";
      kernel.erase();
      return result;
    }
  auto generic = lowerGenericKernel(kernel, name, result.signature);
  if (mlir::failed(generic))
    return mlir::failure();
  result.function = generic->function;
  result.grid = generic->grid;
  result.method = generic->tiled ? "tiled" : "plain";
  return result;
}

} // namespace levin::host
