// Numbers as kernels store them, and elementwise tails of kernels.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_NUMERIC_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_NUMERIC_CUH

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <stdint.h>

namespace levin::kernels {

/// How a float is stored.  Arithmetic is in float32.
enum class Scalar { F32, BF16, F16, E4M3 };

namespace detail {
template <Scalar S> struct Storage;
template <> struct Storage<Scalar::F32> {
  using Type = float;
  static __device__ __forceinline__ float widen(float x) { return x; }
  static __device__ __forceinline__ float narrow(float x) { return x; }
};
template <> struct Storage<Scalar::BF16> {
  using Type = __nv_bfloat16;
  static __device__ __forceinline__ float widen(Type x) { return __bfloat162float(x); }
  static __device__ __forceinline__ Type narrow(float x) { return __float2bfloat16_rn(x); }
};
template <> struct Storage<Scalar::F16> {
  using Type = __half;
  static __device__ __forceinline__ float widen(Type x) { return __half2float(x); }
  static __device__ __forceinline__ Type narrow(float x) { return __float2half_rn(x); }
};
// The hardware's conversion saturates at 448.
template <> struct Storage<Scalar::E4M3> {
  using Type = __nv_fp8_e4m3;
  static __device__ __forceinline__ float widen(Type x) { return static_cast<float>(x); }
  static __device__ __forceinline__ Type narrow(float x) { return Type(x); }
};
template <typename T> struct ScalarOf;
template <> struct ScalarOf<float> {
  static constexpr Scalar value = Scalar::F32;
};
template <> struct ScalarOf<__nv_bfloat16> {
  static constexpr Scalar value = Scalar::BF16;
};
template <> struct ScalarOf<__half> {
  static constexpr Scalar value = Scalar::F16;
};
template <> struct ScalarOf<__nv_fp8_e4m3> {
  static constexpr Scalar value = Scalar::E4M3;
};
} // namespace detail

template <Scalar S> using StorageOf = typename detail::Storage<S>::Type;
template <typename T> inline constexpr Scalar scalarOf = detail::ScalarOf<T>::value;

template <typename T> __device__ __forceinline__ float widen(T x) {
  return detail::Storage<scalarOf<T>>::widen(x);
}
template <typename T> __device__ __forceinline__ T narrow(float x) {
  return detail::Storage<scalarOf<T>>::narrow(x);
}
/// x rounded to what S can store.
template <Scalar S> __device__ __forceinline__ float roundTo(float x) {
  return detail::Storage<S>::widen(detail::Storage<S>::narrow(x));
}

//===-- vectors --------------------------------------------------------------===//

namespace detail {
template <typename T, int N> struct alignas(sizeof(T) * N > 16 ? 16 : sizeof(T) * N) Pack {
  T items[N];
};
} // namespace detail

/// `count` elements from `from` on, which is aligned to their bytes, or to 16 if they are more.
template <int count, typename T>
__device__ __forceinline__ void loadVector(const T *from, float (&values)[count]) {
  auto pack = *reinterpret_cast<const detail::Pack<T, count> *>(from);
#pragma unroll
  for (int i = 0; i < count; ++i)
    values[i] = widen(pack.items[i]);
}
template <int count, typename T>
__device__ __forceinline__ void storeVector(T *to, const float (&values)[count]) {
  detail::Pack<T, count> pack;
#pragma unroll
  for (int i = 0; i < count; ++i)
    pack.items[i] = narrow<T>(values[i]);
  *reinterpret_cast<detail::Pack<T, count> *>(to) = pack;
}

//===-- functions ------------------------------------------------------------===//

__device__ __forceinline__ float sigmoid(float x) { return 1.0f / (1.0f + expf(-x)); }
__device__ __forceinline__ float silu(float x) { return x / (1.0f + expf(-x)); }

/// The larger number; NaN if one is NaN, as arith.maximumf has it (fmaxf ignores NaN).
__device__ __forceinline__ float maximum(float a, float b) {
  float result;
  asm("max.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}
__device__ __forceinline__ float minimum(float a, float b) {
  float result;
  asm("min.NaN.f32 %0, %1, %2;" : "=f"(result) : "f"(a), "f"(b));
  return result;
}

//===-- tails ----------------------------------------------------------------===//

/// The buffers of a functor F that templates/Functor.h writes: what apply() reads beside the sums,
/// and where its results go.  All are row-major with n columns; column operands have one row.
template <class F> struct Tail {
  const void *operands[F::operandCount > 0 ? F::operandCount : 1];
  void *results[F::resultCount];
};

namespace detail {
template <class F, int V, int I>
__device__ __forceinline__ void
loadOperands(const Tail<F> &tail, int64_t row, int64_t n, int column,
             float (&values)[F::operandCount > 0 ? F::operandCount : 1][V]) {
  if constexpr (I < F::operandCount) {
    using T = StorageOf<F::operandTypes[I]>;
    int64_t place = F::operandIsColumn[I] ? column : row * n + column;
    loadVector<V>(static_cast<const T *>(tail.operands[I]) + place, values[I]);
    loadOperands<F, V, I + 1>(tail, row, n, column, values);
  }
}
template <class F, int V, int I>
__device__ __forceinline__ void storeResults(const Tail<F> &tail, int64_t place,
                                             const float (&values)[F::resultCount][V]) {
  if constexpr (I < F::resultCount) {
    using T = StorageOf<F::resultTypes[I]>;
    storeVector<V>(static_cast<T *>(tail.results[I]) + place, values[I]);
    storeResults<F, V, I + 1>(tail, place, values);
  }
}
} // namespace detail

/// Reads operands, applies F and stores the results for V columns of one row, from `column` on
/// (a multiple of V, as is n).  sums[s][v] is sum s of column + v.
template <class F, int V>
__device__ __forceinline__ void finish(const Tail<F> &tail, int64_t row, int64_t n, int column,
                                       const float (&sums)[F::sumCount][V]) {
  float operands[F::operandCount > 0 ? F::operandCount : 1][V];
  float results[F::resultCount][V];
  detail::loadOperands<F, V, 0>(tail, row, n, column, operands);
#pragma unroll
  for (int v = 0; v < V; ++v) {
    float ins[F::sumCount], reads[F::operandCount > 0 ? F::operandCount : 1], outs[F::resultCount];
#pragma unroll
    for (int s = 0; s < F::sumCount; ++s)
      ins[s] = sums[s][v];
#pragma unroll
    for (int o = 0; o < F::operandCount; ++o)
      reads[o] = operands[o][v];
    F::apply(ins, reads, outs, column + v);
#pragma unroll
    for (int r = 0; r < F::resultCount; ++r)
      results[r][v] = outs[r];
  }
  detail::storeResults<F, V, 0>(tail, row * n + column, results);
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_NUMERIC_CUH
