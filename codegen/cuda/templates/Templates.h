// The templates of this folder, each in its own file.
#ifndef LEVIN_CODEGEN_CUDA_TEMPLATES_TEMPLATES_H
#define LEVIN_CODEGEN_CUDA_TEMPLATES_TEMPLATES_H

#include "codegen/cuda/KernelTemplate.h"

namespace levin::cuda::templates {

const KernelTemplate &attention();
const KernelTemplate &expertGemv();
const KernelTemplate &gemm();
const KernelTemplate &gemmQuantised();
const KernelTemplate &gemmSimt();
const KernelTemplate &gemv();
const KernelTemplate &library();
const KernelTemplate &lightning();
const KernelTemplate &route();

} // namespace levin::cuda::templates

#endif // LEVIN_CODEGEN_CUDA_TEMPLATES_TEMPLATES_H
