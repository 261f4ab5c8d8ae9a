// Lightning attention row by row, in float32, for any head size and number of rows.
//
// A warp owns 8 columns of one head's state in registers: thread t column t % 8 of the rows of its
// quarter t / 8.  Rows of q, k and v come through shared memory, `batch` tokens at a time.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH

#include "lightning_batch.cuh"
#include "sm90.cuh"

namespace levin::kernels {

/// A CTA owns `columns` columns of a head's state; rows are padded to 16.
template <int D> struct LightningPlainShape {
  static_assert(D > 0 && D <= 256);
  static constexpr int warps = D <= 8 ? 1 : D <= 16 ? 2 : 4;
  static constexpr int threads = 32 * warps, columns = 8 * warps;
  static constexpr int blocks = (D + columns - 1) / columns;
  static constexpr int quarter = (D + 15) / 16 * 4, padded = 4 * quarter, batch = 8;
};

/// Grid: (LightningPlainShape::blocks, heads, sequences).  Sequences of fewer than `shortest` rows
/// are left to another kernel.
template <int D, typename In, typename Out>
__device__ __forceinline__ void lightningPlain(const LightningArguments<In, Out> &arguments,
                                               int64_t shortest) {
  using Shape = LightningPlainShape<D>;
  constexpr int quarter = Shape::quarter, padded = Shape::padded, batch = Shape::batch;
  __shared__ alignas(16) float q[batch][padded], k[batch][padded];
  __shared__ float v[batch][Shape::columns];

  const int head = static_cast<int>(blockIdx.y);
  const LightningSequence sequence = lightningSequence(arguments, blockIdx.z);
  if (sequence.count == 0 || sequence.count < shortest) {
    sm90::gridWait();
    return;
  }
  const int lane = threadIdx.x % 32, part = lane / 8, row = part * quarter;
  const int inBlock = static_cast<int>(threadIdx.x) / 32 * 8 + lane % 8;
  const int firstColumn = static_cast<int>(blockIdx.x) * Shape::columns;
  const int column = firstColumn + inBlock;
  float *place = arguments.state + (int64_t(sequence.slot) * arguments.heads + head) * D * D;

  float s[quarter];
#pragma unroll
  for (int i = 0; i < quarter; ++i)
    s[i] = !sequence.fresh && row + i < D && column < D ? place[(row + i) * D + column] : 0.0f;
  const float decay = expf(-__ldg(arguments.slopes + head));
  sm90::gridWait();

  for (int begin = 0; begin < sequence.count; begin += batch) {
    const int count = min(batch, sequence.count - begin);
    const int64_t token = sequence.first + begin;
    __syncthreads();
    for (int i = threadIdx.x; i < count * padded; i += Shape::threads) {
      int t = i / padded, c = i % padded; // channels past D are zeros, and so are their rows of S
      q[t][c] = c < D ? float(arguments.q.at(token + t, head)[c]) : 0.0f;
      k[t][c] = c < D ? float(arguments.k.at(token + t, head)[c]) : 0.0f;
    }
    for (int i = threadIdx.x; i < count * Shape::columns; i += Shape::threads) {
      int t = i / Shape::columns, c = i % Shape::columns;
      v[t][c] =
          firstColumn + c < D ? float(arguments.v.at(token + t, head)[firstColumn + c]) : 0.0f;
    }
    __syncthreads();
    for (int t = 0; t < count; ++t) {
      float sum[4] = {0, 0, 0, 0}, value = v[t][inBlock];
#pragma unroll
      for (int i = 0; i < quarter; i += 4) {
        float4 keys = *reinterpret_cast<const float4 *>(&k[t][row + i]);
        float4 queries = *reinterpret_cast<const float4 *>(&q[t][row + i]);
        s[i] = fmaf(keys.x, value, decay * s[i]);
        s[i + 1] = fmaf(keys.y, value, decay * s[i + 1]);
        s[i + 2] = fmaf(keys.z, value, decay * s[i + 2]);
        s[i + 3] = fmaf(keys.w, value, decay * s[i + 3]);
        sum[0] = fmaf(queries.x, s[i], sum[0]), sum[1] = fmaf(queries.y, s[i + 1], sum[1]);
        sum[2] = fmaf(queries.z, s[i + 2], sum[2]), sum[3] = fmaf(queries.w, s[i + 3], sum[3]);
      }
      float total = (sum[0] + sum[1]) + (sum[2] + sum[3]);
      total += __shfl_xor_sync(0xFFFFFFFF, total, 8);
      total += __shfl_xor_sync(0xFFFFFFFF, total, 16);
      if (part == 0 && column < D)
        arguments.output[((token + t) * arguments.heads + head) * D + column] =
            static_cast<Out>(total);
    }
  }
#pragma unroll
  for (int i = 0; i < quarter; ++i)
    if (row + i < D && column < D)
      place[(row + i) * D + column] = s[i];
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH
