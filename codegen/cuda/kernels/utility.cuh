// Kernels that the runtime itself launches, whatever the program.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_UTILITY_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_UTILITY_CUH

#include "numeric.cuh"
#include "sm90.cuh"

namespace levin::kernels {

//===-- random values --------------------------------------------------------===//

enum class Fill : int { NormalF32, NormalBF16, NormalF16, Bytes, F32, BF16, F16 };

/// 64 bits that depend on both numbers (the finaliser of splitmix64, twice).
__device__ __forceinline__ uint64_t hashOf(uint64_t seed, uint64_t index) {
  uint64_t z = seed + index * 0x9E3779B97F4A7C15ull;
#pragma unroll
  for (int round = 0; round < 2; ++round) {
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
    z ^= z >> 31;
  }
  return z;
}

/// A standard normal value (Box-Muller; the logarithm and cosine of the hardware).
__device__ __forceinline__ float normalOf(uint64_t bits) {
  float radius = (static_cast<float>(bits >> 40) + 0.5f) * 0x1p-24f;
  float angle = static_cast<float>((bits >> 8) & 0xFFFFFF) * 0x1p-24f;
  return sqrtf(-2.0f * __logf(radius)) * __cosf(6.28318531f * angle);
}

/// 16 bytes a thread and step; `valueOf(i)` is element i.
template <typename T, class F>
__device__ __forceinline__ void fillElements(T *target, int64_t count, F valueOf) {
  constexpr int width = 16 / sizeof(T);
  int64_t step = int64_t(gridDim.x) * blockDim.x;
  for (int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x; i * width < count; i += step) {
    detail::Pack<T, width> pack;
#pragma unroll
    for (int j = 0; j < width; ++j)
      pack.items[j] = valueOf(i * width + j);
    if ((i + 1) * width <= count)
      *reinterpret_cast<detail::Pack<T, width> *>(target + i * width) = pack;
    else
#pragma unroll
      for (int j = 0; j < width; ++j)
        if (i * width + j < count)
          target[i * width + j] = pack.items[j];
  }
}
template <typename T>
__device__ __forceinline__ void fillFloats(void *target, int64_t count, bool random, float scale,
                                           uint64_t seed) {
  T constant = narrow<T>(scale);
  if (random)
    fillElements(static_cast<T *>(target), count,
                 [=](int64_t i) { return narrow<T>(normalOf(hashOf(seed, i)) * scale); });
  else
    fillElements(static_cast<T *>(target), count, [=](int64_t) { return constant; });
}

//===-- rows of logits -------------------------------------------------------===//

inline constexpr int summaryThreads = 1024, summaryCount = 64, summaryCandidates = 3072;

/// Orders floats as unsigned numbers; NaN comes before all others.
__device__ __forceinline__ uint32_t orderOf(float x) {
  uint32_t bits = __float_as_uint(x);
  return isnan(x) ? 0 : bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
/// Orders by value, then from the highest index to the lowest; no two elements are equal.
__device__ __forceinline__ uint64_t orderOf(float x, int index) {
  return uint64_t(orderOf(x)) << 32 | ~static_cast<uint32_t>(index);
}
/// The largest number that `isEnough` accepts (it must accept 0 and refuse above some number);
/// all threads of the CTA search together.
template <typename Number, class F> __device__ __forceinline__ Number search(F isEnough) {
  Number found = 0;
  for (Number bit = Number(1) << (8 * sizeof(Number) - 1); bit != 0; bit >>= 1)
    if (isEnough(found | bit))
      found |= bit;
  return found;
}
template <class F> __device__ __forceinline__ void forEachElement(const float *row, int n, F body) {
  int i = threadIdx.x;
  if (n % 4 == 0) {
#pragma unroll 8
    for (int j = i; j < n / 4; j += summaryThreads) {
      float4 x = reinterpret_cast<const float4 *>(row)[j];
      body(x.x, 4 * j);
      body(x.y, 4 * j + 1);
      body(x.z, 4 * j + 2);
      body(x.w, 4 * j + 3);
    }
  } else {
#pragma unroll 8
    for (; i < n; i += summaryThreads)
      body(row[i], i);
  }
}

/// Adds or compares the values of all threads, in a fixed order; `scratch` has 32 places.
template <class F>
__device__ __forceinline__ float reduceThreads(float value, float *scratch, F combine) {
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(0xFFFFFFFF, value, step));
  __syncthreads();
  if (threadIdx.x % 32 == 0)
    scratch[threadIdx.x / 32] = value;
  __syncthreads();
  value = scratch[threadIdx.x % 32];
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    value = combine(value, __shfl_xor_sync(0xFFFFFFFF, value, step));
  return value;
}

/// Log-sum-exp, largest element, and the 64 largest with their indices: see row_summary.
///
/// The 64th largest of the threads' own maxima bounds the 64th largest of all from below, and few
/// elements reach it.  A row where too many do (such as one of equal elements) is searched bit by
/// bit for the exact bound.
__device__ __forceinline__ void summarizeRow(const float *row, float *out, int n) {
  static_assert(summaryThreads == 32 * 32);
  __shared__ float scratch[32];
  __shared__ uint64_t candidates[summaryCandidates];
  __shared__ int used;

  uint32_t mine = 0;
  forEachElement(row, n, [&](float x, int) { mine = max(mine, orderOf(x)); });
  uint32_t bound = search<uint32_t>(
      [&](uint32_t number) { return __syncthreads_count(mine >= number) >= summaryCount; });

  uint32_t top = __reduce_max_sync(0xFFFFFFFF, mine); // 0 if all are NaN
  if (threadIdx.x % 32 == 0)
    scratch[threadIdx.x / 32] = __uint_as_float(top);
  __syncthreads();
  top = __reduce_max_sync(0xFFFFFFFF, __float_as_uint(scratch[threadIdx.x % 32]));
  float largest = top == 0 ? NAN : __uint_as_float(top & 0x80000000u ? top ^ 0x80000000u : ~top);

  if (threadIdx.x == 0)
    used = 0;
  for (int i = threadIdx.x; i < 2 * summaryCount; i += summaryThreads)
    out[2 + i] = i % 2 == 0 ? -INFINITY : __int_as_float(-1);
  __syncthreads();
  float sum = 0;
  float shift = isinf(largest) ? 0 : largest;
  forEachElement(row, n, [&](float x, int i) {
    sum += expf(x - shift);
    if (orderOf(x) >= bound) {
      int place = atomicAdd(&used, 1); // any order: ranks are computed below
      if (place < summaryCandidates)
        candidates[place] = orderOf(x, i);
    }
  });
  sum = reduceThreads(sum, scratch, [](float a, float b) { return a + b; });

  if (used > summaryCandidates) {
    uint64_t exact = search<uint64_t>([&](uint64_t number) {
      int count = 0;
      forEachElement(row, n, [&](float x, int i) { count += orderOf(x, i) >= number; });
      return reduceThreads(static_cast<float>(count), scratch,
                           [](float a, float b) { return a + b; }) >= summaryCount;
    });
    __syncthreads();
    if (threadIdx.x == 0)
      used = 0;
    __syncthreads();
    forEachElement(row, n, [&](float x, int i) {
      if (orderOf(x, i) >= exact)
        candidates[atomicAdd(&used, 1)] = orderOf(x, i);
    });
  }
  __syncthreads();
  int count = used;
  for (int i = threadIdx.x; i < count; i += summaryThreads) {
    uint64_t order = candidates[i];
    int rank = 0;
    for (int j = 0; j < count && rank < summaryCount; ++j)
      rank += candidates[j] > order;
    if (rank < summaryCount) {
      int index = static_cast<int>(~static_cast<uint32_t>(order));
      out[2 + 2 * rank] = row[index];
      out[2 + 2 * rank + 1] = __int_as_float(index);
    }
  }
  if (threadIdx.x == 0) {
    out[0] = shift + logf(sum);
    out[1] = largest;
  }
}

} // namespace levin::kernels

/// Element i of `target` is a function of (seed, i).  kind (levin::kernels::Fill): 0 float32, 1
/// bfloat16, 2 float16, standard normal times the float32 whose bits are `scaleBits`; 3 uniform
/// bytes (`count` of them); 4, 5, 6 that float in the three types.  Any grid; 256 threads a CTA.
extern "C" __global__ void __launch_bounds__(256)
    fill_random(void *target, int64_t count, int64_t kind, int64_t scaleBits, int64_t seed) {
  using namespace levin::kernels;
  float scale = __int_as_float(static_cast<int>(scaleBits));
  auto start = static_cast<uint64_t>(seed);
  bool random = kind <= static_cast<int64_t>(Fill::NormalF16);
  switch (static_cast<Fill>(kind)) {
  case Fill::NormalF32:
  case Fill::F32:
    fillFloats<float>(target, count, random, scale, start);
    break;
  case Fill::NormalBF16:
  case Fill::BF16:
    fillFloats<__nv_bfloat16>(target, count, random, scale, start);
    break;
  case Fill::NormalF16:
  case Fill::F16:
    fillFloats<__half>(target, count, random, scale, start);
    break;
  case Fill::Bytes:
    fillElements(static_cast<uint8_t *>(target), count,
                 [=](int64_t i) { return static_cast<uint8_t>(hashOf(start, i)); });
    break;
  }
}

/// Row r of `out` [rows, 2 + 2 x 64] gets of row r of `logits` [rows, vocabulary] the natural
/// logarithm of the sum of exponentials, the largest element (NaN only if all are), and the 64
/// largest, largest first and of equal ones the lowest index first, each with its index as the bits
/// of an int32.  A shorter row leaves -inf with index -1; NaN comes last.  Grid: at least one CTA
/// for each row; 1024 threads a CTA.
extern "C" __global__ void __launch_bounds__(1024, 1)
    row_summary(const float *logits, float *out, int64_t rows, int64_t vocabulary) {
  using namespace levin::kernels;
  sm90::gridWait();
  int64_t row = blockIdx.x;
  if (row < rows)
    summarizeRow(logits + row * vocabulary, out + row * (2 + 2 * summaryCount),
                 static_cast<int>(vocabulary));
}

#endif // LEVIN_CODEGEN_CUDA_KERNELS_UTILITY_CUH
