#include "codegen/cuda/DeviceKernel.h"

#include "codegen/cuda/GenericKernel.h"
#include "codegen/cuda/generated/RowKernel.h"

namespace levin::cuda {

mlir::FailureOr<DeviceKernel> emitDeviceKernel(mlir::func::FuncOp kernel, const CudaTarget &target,
                                               Replace replace) {
  DeviceKernel result;
  result.signature = host::signatureOf(kernel);
  llvm::SmallVector<const KernelTemplate *> candidates;
  if (replace == Replace::Library)
    candidates.push_back(&libraryKernelTemplate());
  if (replace != Replace::Nothing) {
    llvm::append_range(candidates, cudaKernelTemplates());
    for (const KernelTemplate *candidate : candidates)
      if (auto plan = candidate->plan(kernel, target)) {
        result.method = candidate->name().str();
        result.plan = std::move(plan);
        return result;
      }
    if (auto group = analyseRows(kernel); group && canEmitRows(*group, kernel)) {
      result.code = emitRowKernel(kernel, *group);
      result.method = result.code.method;
      return result;
    }
  }
  auto code = emitGenericKernel(kernel, result.signature);
  if (mlir::failed(code))
    return mlir::failure();
  result.code = std::move(*code);
  result.method = result.code.method;
  return result;
}

} // namespace levin::cuda
