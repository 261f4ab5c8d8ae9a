// moe.grouped_linear of few tokens, with the gather of moe.dispatch and an elementwise tail.
//
// Grid: (blocks of matrix rows, experts that may have rows, passes).  The CTAs of the s-th expert
// that does have rows stream its matrices once, for all of its rows together (see
// weight_stream.cuh); those beyond the last such expert end at once.  Nothing is permuted: input
// rows are read where they are, and results are written where moe.route has placed them.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_EXPERT_GEMV_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_EXPERT_GEMV_CUH

#include "weight_stream.cuh"

namespace levin::kernels {

template <int Matrices_, int Tiles_, int RowTiles_, int DepthWarps_, int Depth_, Scalar X_,
          class W_ = Bf16Matrix>
struct ExpertShape {
  using W = W_; // the format of the matrices
  static constexpr int Matrices = Matrices_;
  static constexpr int Tiles = Tiles_;           // of 8 rows of one expert, at most, in one pass
  static constexpr int RowTiles = RowTiles_;     // of 16 matrix rows in each warp
  static constexpr int DepthWarps = DepthWarps_; // that divide k
  static constexpr int Depth = Depth_;           // blocks in flight in each warp
  static constexpr Scalar X = X_;
  static constexpr int rows = streamRows * RowTiles, threads = 32 * DepthWarps;
  // Partial sums lie as [matrix][input row][matrix row]; the stride keeps a warp's stores apart.
  static constexpr int stride = rows + 4, partial = Matrices * 8 * Tiles * stride;
  static constexpr int sharedBytes = 4 * DepthWarps * partial; // dynamic
};

/// What an expert has to do.
struct ExpertRows {
  int expert = -1; // none
  int begin = 0, count = 0;
};
/// The `slot`-th expert that has rows; by a warp.
__device__ __forceinline__ ExpertRows findExpert(const int32_t *offsets, int experts, int slot,
                                                 int rows) {
  int lane = threadIdx.x % 32;
  ExpertRows found;
  for (int base = 0; base < experts; base += 32) {
    int e = base + lane;
    int begin = e < experts ? min(max(offsets[e], 0), rows) : 0;
    int end = e < experts ? min(max(offsets[e + 1], begin), rows) : 0;
    uint32_t used = __ballot_sync(0xFFFFFFFF, end > begin);
    int ahead = __popc(used & ((1u << lane) - 1));
    uint32_t match = __ballot_sync(0xFFFFFFFF, end > begin && ahead == slot);
    if (match != 0) {
      int source = __ffs(match) - 1;
      found.expert = base + source;
      found.begin = __shfl_sync(0xFFFFFFFF, begin, source);
      found.count = __shfl_sync(0xFFFFFFFF, end, source) - found.begin;
      return found;
    }
    slot -= __popc(used);
  }
  return found;
}

/// `matrices` are [experts, n, k], `offsets` [experts + 1]; k is a multiple of 8.  With Choices > 0
/// `x` is [tokens, k] and `places` [tokens, Choices] are the rows given to them; else `x` is
/// [rows, k].  Grid: (ceil(n / G::rows), min(experts, rows), ceil(rows / (8 Tiles))): an expert
/// with more rows than one pass takes is streamed again.
template <class G, int Choices, class F>
__device__ __forceinline__ void
expertGemv(const StorageOf<G::X> *x, const int32_t *places, const int32_t *offsets,
           const MatrixData<typename G::W> (&matrices)[G::Matrices], const Tail<F> &tail, int rows,
           int n, int k, int experts) {
  constexpr int most = 8 * G::Tiles;
  extern __shared__ float shared[];
  auto partial = reinterpret_cast<float (*)[G::partial]>(shared); // [DepthWarps]
  __shared__ int source[most];
  sm90::gridLaunch();
  sm90::gridWait();
  ExpertRows mine = findExpert(offsets, experts, static_cast<int>(blockIdx.y), rows);
  if (mine.expert < 0 || mine.count <= static_cast<int>(blockIdx.z) * most)
    return;

  int warp = sm90::warpIndex(), lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  int row = static_cast<int>(blockIdx.x) * G::rows;
  using Stream = WeightStream<typename G::W, G::Matrices, G::RowTiles, G::Depth>;
  int blocks = Stream::blocksOf(k);
  int first = static_cast<int>(int64_t(blocks) * warp / G::DepthWarps);
  int last = static_cast<int>(int64_t(blocks) * (warp + 1) / G::DepthWarps);
  MatrixData<typename G::W> own[G::Matrices];
#pragma unroll
  for (int p = 0; p < G::Matrices; ++p) {
    int64_t before = int64_t(mine.expert) * n * k; // elements
    own[p].values = static_cast<const char *>(matrices[p].values) + before * G::W::bits / 8;
    own[p].scales = matrices[p].scales + (Stream::scaled ? before / max(G::W::group, 1) : 0);
  }
  Stream stream;
  stream.start(own, row, n, k, first, last - first);

  int done = static_cast<int>(blockIdx.z) * most;
  int begin = mine.begin + done, count = min(mine.count - done, most);
  if constexpr (Choices > 0) {
    for (int i = threadIdx.x; i < most; i += G::threads)
      source[i] = -1;
    __syncthreads();
    for (int i = threadIdx.x; i < rows; i += G::threads) {
      int place = places[i] - begin;
      if (place >= 0 && place < count)
        source[place] = i / Choices;
    }
    __syncthreads();
  }
  int inputs[G::Tiles];
#pragma unroll
  for (int j = 0; j < G::Tiles; ++j)
    inputs[j] = 8 * j + g >= count ? -1 : Choices > 0 ? source[8 * j + g] : begin + 8 * j + g;
  StreamSums<G::Matrices * G::RowTiles, G::Tiles> sums = {};
  stream.template run<G::X>(sums, x, inputs, (count + 7) / 8, k, first);

  auto place = [](int p, int token, int column) {
    return (p * 8 * G::Tiles + token) * G::stride + column;
  };
#pragma unroll
  for (int s = 0; s < G::Matrices * G::RowTiles; ++s)
#pragma unroll
    for (int j = 0; j < G::Tiles; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        partial[warp][place(s / G::RowTiles, 8 * j + 2 * q + i % 2,
                            s % G::RowTiles * streamRows + g + i / 2 * 8)] = sums.of[s][j][i];
  __syncthreads();
  for (int e = threadIdx.x; e < count * G::rows; e += G::threads) {
    int token = e / G::rows, column = e % G::rows;
    if (row + column >= n)
      continue;
    float values[G::Matrices][1];
#pragma unroll
    for (int p = 0; p < G::Matrices; ++p) {
      float sum = partial[0][place(p, token, column)];
#pragma unroll
      for (int w = 1; w < G::DepthWarps; ++w)
        sum += partial[w][place(p, token, column)];
      values[p][0] = sum;
    }
    finish<F, 1>(tail, begin + token, n, row + column, values);
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_EXPERT_GEMV_CUH
