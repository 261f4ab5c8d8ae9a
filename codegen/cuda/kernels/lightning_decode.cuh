// Lightning attention of few new tokens: the state is read and written once, all else is small.
//
// A CTA owns `Columns` columns of one head's state in registers, 16 bytes at a time: the loads of
// all of them are under way before the first is used, and those of the state start before the
// kernel waits for the one that makes q, k and v.  Rows of a sequence follow one another, so that
// any number of them is right; one is what it is made for.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_DECODE_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_DECODE_CUH

#include "lightning_batch.cuh"
#include "sm90.cuh"

namespace levin::kernels {

/// How heads of D channels are cut: a thread holds 4 columns of `rows` neighbouring rows of S.
template <int D, int Columns> struct LightningDecodeShape {
  static constexpr int rows = 8, quads = Columns / 4, groups = D / rows;
  static constexpr int threads = quads * groups, warps = threads / 32;
  static_assert(D % rows == 0 && D % Columns == 0 && threads % 32 == 0 && 32 % quads == 0);
};

/// Grid: (D / Columns, heads, sequences), LightningDecodeShape::threads threads.  Sequences of more
/// than `longest` rows are left to another kernel.
template <int D, int Columns, typename In, typename Out>
__device__ __forceinline__ void lightningDecode(const LightningArguments<In, Out> &arguments,
                                                int64_t longest) {
  using Shape = LightningDecodeShape<D, Columns>;
  constexpr int rows = Shape::rows, quads = Shape::quads, warps = Shape::warps;
  __shared__ float sums[2][warps][Columns];

  const int head = static_cast<int>(blockIdx.y);
  const LightningSequence sequence = lightningSequence(arguments, blockIdx.z);
  if (sequence.count == 0 || sequence.count > longest) {
    sm90::gridWait();
    return;
  }
  const int quad = threadIdx.x % quads, row = threadIdx.x / quads * rows;
  const int column = static_cast<int>(blockIdx.x) * Columns + 4 * quad;
  float *place =
      arguments.state + ((int64_t(sequence.slot) * arguments.heads + head) * D + row) * D + column;
  float4 s[rows];
#pragma unroll
  for (int i = 0; i < rows; ++i)
    s[i] = sequence.fresh ? make_float4(0, 0, 0, 0)
                          : __ldcs(reinterpret_cast<const float4 *>(place + i * D));
  // lambda - 1: lambda itself is so near to 1 that float32 would cost digits of the slope.
  const float loss = expm1f(-__ldg(arguments.slopes + head));
  sm90::gridWait();

  for (int t = 0; t < sequence.count; ++t) {
    const int64_t token = sequence.first + t;
    float q[rows], k[rows], v[4];
    loadFloats(k, arguments.k.at(token, head) + row);
    loadFloats(v, arguments.v.at(token, head) + column);
    loadFloats(q, arguments.q.at(token, head) + row);
    float4 sum = make_float4(0, 0, 0, 0);
#pragma unroll
    for (int i = 0; i < rows; ++i) {
      s[i].x = fmaf(k[i], v[0], fmaf(loss, s[i].x, s[i].x)), sum.x = fmaf(q[i], s[i].x, sum.x);
      s[i].y = fmaf(k[i], v[1], fmaf(loss, s[i].y, s[i].y)), sum.y = fmaf(q[i], s[i].y, sum.y);
      s[i].z = fmaf(k[i], v[2], fmaf(loss, s[i].z, s[i].z)), sum.z = fmaf(q[i], s[i].z, sum.z);
      s[i].w = fmaf(k[i], v[3], fmaf(loss, s[i].w, s[i].w)), sum.w = fmaf(q[i], s[i].w, sum.w);
    }
    if (t + 1 == sequence.count) {
#pragma unroll
      for (int i = 0; i < rows; ++i)
        __stcs(reinterpret_cast<float4 *>(place + i * D), s[i]);
    }
#pragma unroll
    for (int step = quads; step < 32; step *= 2) {
      sum.x += __shfl_xor_sync(0xFFFFFFFF, sum.x, step);
      sum.y += __shfl_xor_sync(0xFFFFFFFF, sum.y, step);
      sum.z += __shfl_xor_sync(0xFFFFFFFF, sum.z, step);
      sum.w += __shfl_xor_sync(0xFFFFFFFF, sum.w, step);
    }
    float (&part)[warps][Columns] = sums[t % 2]; // of the row before, others may still be reading
    if (threadIdx.x % 32 < quads)
      storeFloat4(&part[threadIdx.x / 32][4 * quad], sum.x, sum.y, sum.z, sum.w);
    __syncthreads();
    if (threadIdx.x < quads) {
      float total[4] = {0, 0, 0, 0};
#pragma unroll
      for (int w = 0; w < warps; ++w)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          total[i] += part[w][4 * quad + i];
      storeFloat4(arguments.output + (token * arguments.heads + head) * D + column, total[0],
                  total[1], total[2], total[3]);
    }
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_DECODE_CUH
