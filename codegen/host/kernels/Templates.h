// The templates of this folder, each in its own file.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_TEMPLATES_H
#define LEVIN_CODEGEN_HOST_KERNELS_TEMPLATES_H

#include "codegen/host/kernels/KernelTemplate.h"

namespace levin::host::kernels {

const KernelTemplate &matmulKernel();
const KernelTemplate &groupedLinearKernel();
const KernelTemplate &lightningKernel();
const KernelTemplate &attentionKernel();
const KernelTemplate &rowKernel();

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_TEMPLATES_H
