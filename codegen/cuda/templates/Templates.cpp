#include "codegen/cuda/templates/Templates.h"

#include <vector>

namespace levin::cuda {

llvm::ArrayRef<const KernelTemplate *> cudaKernelTemplates() {
  static const std::vector<const KernelTemplate *> templates{
      &templates::attention(),     &templates::lightning(),  &templates::route(),
      &templates::gemv(),          &templates::expertGemv(), &templates::gemm(),
      &templates::gemmQuantised(), &templates::gemmSimt(),
  };
  return templates;
}

const KernelTemplate &libraryKernelTemplate() { return templates::library(); }

} // namespace levin::cuda
