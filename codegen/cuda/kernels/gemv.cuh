// nn.linear of up to 16 rows, or of narrow matrices, with an elementwise tail.
//
// A CTA takes 16 RowTiles RowWarps rows of the matrices (columns of the output) and one of
// `Cluster` shares of k, which its DepthWarps warps divide; see weight_stream.cuh for what a warp
// does.  Partial sums meet in shared memory, at last across the cluster, and are added in a fixed
// order.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_GEMV_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_GEMV_CUH

#include "weight_stream.cuh"

namespace levin::kernels {

template <int Matrices_, int Tiles_, int RowTiles_, int RowWarps_, int DepthWarps_, int Cluster_,
          int Depth_, Scalar X_, class W_ = Bf16Matrix>
struct GemvShape {
  using W = W_; // the format of the matrices
  static constexpr int Matrices = Matrices_;
  static constexpr int Tiles = Tiles_;       // of 8 input rows
  static constexpr int RowTiles = RowTiles_; // of 16 matrix rows in each warp
  static constexpr int RowWarps = RowWarps_, DepthWarps = DepthWarps_;
  static constexpr int Cluster = Cluster_; // CTAs that divide k
  static constexpr int Depth = Depth_;     // blocks in flight in each warp
  static constexpr Scalar X = X_;
  static constexpr int rows = streamRows * RowTiles * RowWarps,
                       threads = 32 * RowWarps * DepthWarps;
  // Partial sums lie as [matrix][input row][matrix row]; the stride keeps a warp's stores apart.
  static constexpr int stride = rows + 4, partial = Matrices * 8 * Tiles * stride;
  static constexpr int sharedBytes = 4 * DepthWarps * partial; // dynamic
};

/// The CTA's share of n and k.  Grid: (ceil(n / rows) x Cluster) CTAs; k is a multiple of 8.
template <class G, class F>
__device__ __forceinline__ void gemv(const StorageOf<G::X> *x,
                                     const MatrixData<typename G::W> (&matrices)[G::Matrices],
                                     const Tail<F> &tail, int tokens, int n, int k) {
  extern __shared__ float shared[];
  auto partial = reinterpret_cast<float (*)[G::partial]>(shared); // [DepthWarps]
  int warp = sm90::warpIndex(), lane = threadIdx.x % 32, g = lane / 4, q = lane % 4;
  int rank = G::Cluster > 1 ? static_cast<int>(sm90::clusterRank()) : 0;
  int row = static_cast<int>(blockIdx.x) / G::Cluster * G::rows;
  int rowWarp = warp % G::RowWarps, depthWarp = warp / G::RowWarps;

  constexpr int shares = G::Cluster * G::DepthWarps;
  int share = rank * G::DepthWarps + depthWarp;
  using Stream = WeightStream<typename G::W, G::Matrices, G::RowTiles, G::Depth>;
  int blocks = Stream::blocksOf(k);
  int first = static_cast<int>(int64_t(blocks) * share / shares);
  int last = static_cast<int>(int64_t(blocks) * (share + 1) / shares);

  Stream stream;
  stream.start(matrices, row + rowWarp * streamRows * G::RowTiles, n, k, first, last - first);
  sm90::gridLaunch();
  sm90::gridWait(); // only now the kernel before has written the input

  int rows[G::Tiles];
#pragma unroll
  for (int j = 0; j < G::Tiles; ++j)
    rows[j] = 8 * j + g < tokens ? 8 * j + g : -1;
  StreamSums<G::Matrices * G::RowTiles, G::Tiles> sums = {};
  stream.template run<G::X>(sums, x, rows, (tokens + 7) / 8, k, first);

  auto place = [](int p, int token, int column) {
    return (p * 8 * G::Tiles + token) * G::stride + column;
  };
#pragma unroll
  for (int s = 0; s < G::Matrices * G::RowTiles; ++s)
#pragma unroll
    for (int j = 0; j < G::Tiles; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        int column = (rowWarp * G::RowTiles + s % G::RowTiles) * streamRows + g + i / 2 * 8;
        partial[depthWarp][place(s / G::RowTiles, 8 * j + 2 * q + i % 2, column)] =
            sums.of[s][j][i];
      }
  __syncthreads();

  auto add = [&](int at) {
    float sum = partial[0][at];
#pragma unroll
    for (int w = 1; w < G::DepthWarps; ++w)
      sum += partial[w][at];
    return sum;
  };
  if constexpr (G::Cluster > 1) {
    for (int e = threadIdx.x; e < G::Matrices * tokens * G::rows; e += G::threads) {
      int p = e / (tokens * G::rows), rest = e % (tokens * G::rows);
      int at = place(p, rest / G::rows, rest % G::rows);
      partial[0][at] = add(at);
    }
    sm90::clusterSync();
  }
  for (int e = threadIdx.x + rank * G::threads; e < tokens * G::rows;
       e += G::Cluster * G::threads) {
    int token = e / G::rows, column = e % G::rows;
    if (row + column >= n)
      continue;
    float values[G::Matrices][1];
#pragma unroll
    for (int p = 0; p < G::Matrices; ++p) {
      int at = place(p, token, column);
      if constexpr (G::Cluster > 1) {
        uint32_t address = sm90::sharedAddress(&partial[0][at]);
        float sum = 0;
#pragma unroll
        for (int cta = 0; cta < G::Cluster; ++cta)
          sum += loadRemote(sm90::mapToCta(address, cta));
        values[p][0] = sum;
      } else {
        values[p][0] = add(at);
      }
    }
    finish<F, 1>(tail, token, n, row + column, values);
  }
  if constexpr (G::Cluster > 1)
    sm90::clusterSync(); // others may still read this CTA's sums
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_GEMV_CUH
