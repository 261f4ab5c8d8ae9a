// Softmax attention over a paged cache.
//
// attentionStore()   new rows into their pages
// attentionPrefill() sequences with two or more new rows, in bf16
// pagedDecode(), pagedCombine()  sequences with one new row, which they store
// attentionPlain()   everything else
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_CUH

#include "attention_plain.cuh"
#include "attention_prefill.cuh"
#include "attention_store.cuh"
#include "paged_combine.cuh"
#include "paged_decode.cuh"

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_CUH
