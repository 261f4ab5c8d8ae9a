#include "codegen/host/kernels/Templates.h"

namespace levin::host {

llvm::ArrayRef<const KernelTemplate *> hostKernelTemplates() {
  static const KernelTemplate *const templates[] = {
      &kernels::matmulKernel(),    &kernels::groupedLinearKernel(), &kernels::lightningKernel(),
      &kernels::attentionKernel(), &kernels::rowKernel(),
  };
  return templates;
}

} // namespace levin::host
