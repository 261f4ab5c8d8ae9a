// Every kernel of lightning attention.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_CUH

#include "lightning_decode.cuh"
#include "lightning_plain.cuh"
#include "lightning_prefill.cuh"
#include "lightning_segments.cuh"

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_CUH
