// Lightning attention row by row, in float32, for any head size and number of rows.
//
// A warp owns 8 columns of one head's state in registers: thread t two of them, in the rows of its
// group t / 4 of 8.  Rows of q, k and v come through shared memory, `batch` tokens at a time, the
// next ones being under way meanwhile.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH

#include "lightning_batch.cuh"
#include "sm90.cuh"

namespace levin::kernels {

/// A CTA owns `columns` columns of a head's state.  Rows of a group are padded to a multiple of 4;
/// in shared memory groups are 4 more apart, so that they lie in different banks.
template <int D> struct LightningPlainShape {
  static_assert(D > 0 && D <= 256);
  static constexpr int warps = D <= 8 ? 1 : D <= 16 ? 2 : 4;
  static constexpr int threads = 32 * warps, columns = 8 * warps;
  static constexpr int blocks = (D + columns - 1) / columns;
  static constexpr int rows = (D + 31) / 32 * 4, stride = rows + 4;
  static constexpr int batch = D > 128 ? 4 : 8;
};

/// Grid: (LightningPlainShape::blocks, heads, sequences).  Sequences of fewer than `shortest` rows
/// are left to another kernel.
template <int D, typename In, typename Out>
__device__ __forceinline__ void lightningPlain(const LightningArguments<In, Out> &arguments,
                                               int64_t shortest) {
  using Shape = LightningPlainShape<D>;
  constexpr int rows = Shape::rows, stride = Shape::stride, batch = Shape::batch;
  constexpr int threads = Shape::threads, columns = Shape::columns;
  __shared__ alignas(16) float q[batch][8 * stride], k[batch][8 * stride];
  __shared__ alignas(16) float v[batch][columns];

  const int head = static_cast<int>(blockIdx.y);
  const LightningSequence sequence = lightningSequence(arguments, blockIdx.z);
  if (sequence.count == 0 || sequence.count < shortest) {
    sm90::gridWait();
    return;
  }
  const int lane = threadIdx.x % 32, group = lane / 4, row = group * rows;
  const int inBlock = static_cast<int>(threadIdx.x) / 32 * 8 + lane % 4 * 2;
  const int firstColumn = static_cast<int>(blockIdx.x) * columns;
  const int column = firstColumn + inBlock;
  float *place = arguments.state + (int64_t(sequence.slot) * arguments.heads + head) * D * D;

  float s[rows][2];
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int c = 0; c < 2; ++c)
      s[i][c] = !sequence.fresh && row + i < D && column + c < D ? place[(row + i) * D + column + c]
                                                                 : 0.0f;
  // lambda - 1: lambda itself is so near to 1 that float32 would cost digits of the slope.
  const float loss = expm1f(-__ldg(arguments.slopes + head));
  // Channels past D stay zeros, and so do their rows of S.
  for (int i = threadIdx.x; i < batch * 8 * stride; i += threads)
    (&q[0][0])[i] = (&k[0][0])[i] = 0;
  sm90::gridWait();

  constexpr int shares = (batch * D + threads - 1) / threads;
  constexpr int valueShares = (batch * columns + threads - 1) / threads;
  float nextQ[shares], nextK[shares], nextV[valueShares];
  auto fetch = [&](int begin) {
    const int count = min(batch, sequence.count - begin);
    const int64_t token = sequence.first + begin;
#pragma unroll
    for (int i = 0; i < shares; ++i) {
      int at = i * threads + threadIdx.x, t = at / D, c = at % D;
      if (t < count) {
        nextQ[i] = static_cast<float>(arguments.q.at(token + t, head)[c]);
        nextK[i] = static_cast<float>(arguments.k.at(token + t, head)[c]);
      }
    }
#pragma unroll
    for (int i = 0; i < valueShares; ++i) {
      int at = i * threads + threadIdx.x, t = at / columns, c = firstColumn + at % columns;
      if (t < count && c < D)
        nextV[i] = static_cast<float>(arguments.v.at(token + t, head)[c]);
    }
  };
  fetch(0);
  for (int begin = 0; begin < sequence.count; begin += batch) {
    const int count = min(batch, sequence.count - begin);
    __syncthreads();
#pragma unroll
    for (int i = 0; i < shares; ++i) {
      int at = i * threads + threadIdx.x, t = at / D, c = at % D;
      if (t < batch) {
        q[t][c / rows * stride + c % rows] = nextQ[i];
        k[t][c / rows * stride + c % rows] = nextK[i];
      }
    }
#pragma unroll
    for (int i = 0; i < valueShares; ++i) {
      int at = i * threads + threadIdx.x, t = at / columns, c = at % columns;
      if (t < batch)
        v[t][c] = firstColumn + c < D ? nextV[i] : 0.0f;
    }
    __syncthreads();
    if (begin + batch < sequence.count)
      fetch(begin + batch);
    for (int t = 0; t < count; ++t) {
      const float2 value = *reinterpret_cast<const float2 *>(&v[t][inBlock]);
      float sum[2][2] = {};
#pragma unroll
      for (int i = 0; i < rows; i += 4) {
        const float4 keys = *reinterpret_cast<const float4 *>(&k[t][group * stride + i]);
        const float4 queries = *reinterpret_cast<const float4 *>(&q[t][group * stride + i]);
        auto step = [&](int r, float key, float query) {
          s[r][0] = fmaf(key, value.x, fmaf(loss, s[r][0], s[r][0]));
          s[r][1] = fmaf(key, value.y, fmaf(loss, s[r][1], s[r][1]));
          sum[r % 2][0] = fmaf(query, s[r][0], sum[r % 2][0]);
          sum[r % 2][1] = fmaf(query, s[r][1], sum[r % 2][1]);
        };
        step(i, keys.x, queries.x), step(i + 1, keys.y, queries.y);
        step(i + 2, keys.z, queries.z), step(i + 3, keys.w, queries.w);
      }
      float total[2] = {sum[0][0] + sum[1][0], sum[0][1] + sum[1][1]};
#pragma unroll
      for (int distance = 4; distance < 32; distance *= 2) {
        total[0] += __shfl_xor_sync(0xFFFFFFFF, total[0], distance);
        total[1] += __shfl_xor_sync(0xFFFFFFFF, total[1], distance);
      }
      const int64_t token = sequence.first + begin + t;
      Out *out = arguments.output + (token * arguments.heads + head) * D + column;
      if (group < 2 && column + group < D)
        out[group] = static_cast<Out>(group == 0 ? total[0] : total[1]);
    }
  }
#pragma unroll
  for (int i = 0; i < rows; ++i)
#pragma unroll
    for (int c = 0; c < 2; ++c)
      if (row + i < D && column + c < D)
        place[(row + i) * D + column + c] = s[i][c];
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PLAIN_CUH
