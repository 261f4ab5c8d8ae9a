#include "codegen/host/kernels/KernelTemplate.h"

namespace levin::host {

llvm::ArrayRef<const KernelTemplate *> hostKernelTemplates() { return {}; }

} // namespace levin::host
