// Products of bf16 matrices on the tensor cores, dense and by expert, with an elementwise tail.
//
//   sum_p[r, c] = sum_k tokens[r, k] weight_p[e, c, k]        rows r of expert e, columns c < n
//
// A persistent kernel of three warpgroups.  The first fills a ring of stages in shared memory by
// the copy engine; the other two multiply.  Weights are the rows (m) of the tensor cores' product
// and tokens its columns (n), because there may be few tokens and any number of them: the products
// run over as many tokens as a tile has, rounded up to 16.  Each of the two warpgroups has 64 rows
// of weights, of all the products together, and sends its sums through shared memory so that
// operands and results of the tail move in row-major vectors.  The warpgroups wait only for the
// ring, not for each other: one finishes its tile while the other multiplies.
//
// A cluster of two takes neighbouring blocks of weights; each loads half of the tokens for both.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_GEMM_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_GEMM_CUH

#include "numeric.cuh"
#include "sm90.cuh"

namespace levin::kernels {

/// What is constant in the code of a product.
///   Products   1, or 2 that share their tokens
///   MaxTokens  of one tile: 16, 32, 64, 128 or 256
///   Cluster    1 or 2
///   SplitK     the two warpgroups share 64 rows of weights and take turns along k; for products
///              with too few rows to fill the card (one product, MaxTokens <= 64)
///   Parts      bf16 numbers whose sum is one element of the tokens; 3 make a float32
template <int Products, int MaxTokens, int Cluster, bool SplitK, int Parts = 1> struct GemmShape {
  static_assert(Products == 1 || (Products == 2 && !SplitK));
  static_assert(!SplitK || (MaxTokens <= 64 && Parts == 1));
  static constexpr int products = Products, maxTokens = MaxTokens, cluster = Cluster;
  static constexpr int parts = Parts;
  static constexpr bool splitK = SplitK;
  static constexpr int threads = 384;
  static constexpr int depth = SplitK ? 128 : 64;       // of a stage, along k
  static constexpr int weightRows = SplitK ? 64 : 128;  // of a stage, of all products
  static constexpr int columns = weightRows / Products; // of the result, for one CTA
  static constexpr int weightBytes = 128 * 128;
  static constexpr int tokenPanel = MaxTokens * 128; // bytes of 64 elements of k of all tokens
  static constexpr int stageBytes = weightBytes + (SplitK ? 2 : Parts) * tokenPanel;
  static constexpr int tokenBox = MaxTokens < 64 ? MaxTokens : 64; // tokens of one copy
  static constexpr int weightBox = weightRows / Products;          // rows of one copy
  static constexpr int chunk =
      MaxTokens < 32 ? MaxTokens : 32;  // tokens whose sums are in shared memory at a time
  static constexpr int stagingRow = 68; // floats: 64 and a shift of 4 banks from row to row
  static constexpr int stagingBytes = 4 * chunk * stagingRow * 4; // 2 warpgroups, 2 buffers each
  static constexpr int barrierBytes = 512;
  static constexpr int sharedLimit = 232448;
  static constexpr int fitting = (sharedLimit - barrierBytes - stagingBytes) / stageBytes;
  static constexpr int stages = fitting < 12 ? fitting : 12;
  static_assert(stages >= 3);
  static constexpr int sharedBytes = stages * stageBytes + stagingBytes + barrierBytes;
};

/// What a product is of.  `offsets` are null for dense products: one expert that has all rows.
struct GemmProblem {
  const int *offsets; // [experts + 1]
  int experts;
  int rows;       // of tokens and results
  int n, k;       // multiples of 8
  int tileTokens; // of one tile at most; <= MaxTokens
};

namespace detail {

/// A tile: `tokens` rows from `row` on with the columns of weight block `block` of `expert`; blocks
/// are those of a cluster.
struct GemmTile {
  int expert, block, row, tokens;
};

/// Deals the tiles of all experts to the clusters.  Tiles of one block of weights follow each
/// other, so that the block is read from memory once; where there are many, in groups whose tokens
/// stay in L2.
template <class Shape> class GemmTiles {
public:
  __device__ __forceinline__ explicit GemmTiles(const GemmProblem &problem)
      : problem(problem), next(static_cast<int>(blockIdx.x) / Shape::cluster) {
    constexpr int columns = Shape::columns * Shape::cluster;
    blocks = (problem.n + columns - 1) / columns;
    enter();
  }

  __device__ __forceinline__ bool take(GemmTile &tile) {
    while (next - first >= tilesHere * blocks) {
      first += tilesHere * blocks;
      if (++expert >= problem.experts)
        return false;
      enter();
    }
    constexpr int group = 16;
    int index = next - first;
    int groupBegin = index / (group * blocks) * group;
    index -= groupBegin * blocks;
    int width = min(group, tilesHere - groupBegin);
    tile.expert = expert;
    tile.block = index / width;
    int offset = (groupBegin + index % width) * size;
    tile.row = begin + offset;
    tile.tokens = min(size, count - offset);
    next += static_cast<int>(gridDim.x) / Shape::cluster;
    return true;
  }

private:
  const GemmProblem &problem;
  int blocks, next, first = 0, expert = 0;
  int begin = 0, count = 0, size = 16, tilesHere = 0; // of the expert

  // Cuts the rows of the expert into equal tiles of a multiple of 16.
  __device__ __forceinline__ void enter() {
    int end = problem.rows;
    begin = 0;
    if (problem.offsets) {
      begin = min(max(problem.offsets[expert], 0), problem.rows);
      end = min(problem.offsets[expert + 1], problem.rows);
    }
    count = max(end - begin, 0);
    int tiles = max((count + problem.tileTokens - 1) / problem.tileTokens, 1);
    size = max(((count + tiles - 1) / tiles + 15) / 16 * 16, 16);
    tilesHere = (count + size - 1) / size;
  }
};

/// Addresses in shared memory.
template <class Shape> struct GemmShared {
  uint32_t base;
  __device__ __forceinline__ uint32_t weights(int stage) const {
    return base + stage * Shape::stageBytes;
  }
  __device__ __forceinline__ uint32_t tokens(int stage) const {
    return weights(stage) + Shape::weightBytes;
  }
  __device__ __forceinline__ uint32_t full(int stage) const {
    return base + Shape::stages * Shape::stageBytes + Shape::stagingBytes + stage * 16;
  }
  __device__ __forceinline__ uint32_t empty(int stage) const { return full(stage) + 8; }
};

/// Loads the stages of one tile; called by one thread.
template <class Shape>
__device__ __forceinline__ void gemmLoadTile(const CUtensorMap *const (&weights)[2],
                                             const CUtensorMap *tokens, const GemmTile &tile,
                                             int rows, int steps, int cta, GemmShared<Shape> shared,
                                             sm90::RingPosition<Shape::stages> &position) {
  constexpr int box = Shape::tokenBox, panels = Shape::depth / 64;
  const int boxes = (tile.tokens + box - 1) / box;
  const uint32_t bytes = Shape::weightBytes + Shape::parts * panels * boxes * box * 128;
  const int column = (tile.block * Shape::cluster + cta) * Shape::columns;
  for (int step = 0; step < steps; ++step) {
    sm90::wait(shared.empty(position.stage), position.parity ^ 1);
    const uint32_t full = shared.full(position.stage);
    sm90::arriveExpect(full, bytes);
    uint32_t target = shared.weights(position.stage);
#pragma unroll
    for (int panel = 0; panel < panels; ++panel)
#pragma unroll
      for (int product = 0; product < Shape::products; ++product) {
        sm90::load3D(target, weights[product], full, step * Shape::depth + panel * 64, column,
                     tile.expert);
        target += Shape::weightBox * 128;
      }
    target = shared.tokens(position.stage);
    for (int i = cta; i < boxes; i += Shape::cluster)
#pragma unroll(Shape::splitK ? 2 : 1)
      for (int panel = 0; panel < panels * Shape::parts; ++panel) {
        const uint32_t to = target + panel * Shape::tokenPanel + i * (box * 128);
        const int k = step * Shape::depth + (Shape::splitK ? panel * 64 : 0);
        const int row = tile.row + i * box + (Shape::splitK ? 0 : panel * rows);
        if constexpr (Shape::cluster == 2)
          sm90::load2DMulticast(to, tokens, full, 3, k, row);
        else
          sm90::load2D(to, tokens, full, k, row);
      }
    position.advance();
  }
}

/// One arrival of each warp, here and in the other CTA that loads into the stage.
template <class Shape> __device__ __forceinline__ void gemmRelease(uint32_t empty) {
  const uint32_t lane = threadIdx.x % 32;
  if constexpr (Shape::cluster == 2) {
    if (lane < 2)
      sm90::arriveRemote(empty, lane);
  } else if (lane == 0) {
    sm90::arrive(empty);
  }
}

/// sums[64, Tokens] of one warpgroup over all of k.
template <class Shape, int Tokens>
__device__ __forceinline__ void gemmMultiply(float (&sums)[Shape::maxTokens / 2], int steps,
                                             int group, GemmShared<Shape> shared,
                                             sm90::RingPosition<Shape::stages> &position) {
  float (&d)[Tokens / 2] = reinterpret_cast<float (&)[Tokens / 2]>(sums);
  uint32_t previous = 0;
  for (int step = 0; step < steps; ++step) {
    sm90::wait(shared.full(position.stage), position.parity);
    // Of a pair, a warpgroup has every other eight rows of the first product, then of the second.
    const uint64_t a = Shape::products == 2
                           ? sm90::descriptorK(shared.weights(position.stage) + group * 1024, 2048)
                           : sm90::descriptorK(shared.weights(position.stage) + group * 8192);
    const uint64_t b = sm90::descriptorK(shared.tokens(position.stage) +
                                         (Shape::splitK ? group * Shape::tokenPanel : 0));
    sm90::wgmmaFence();
#pragma unroll
    for (int i = 0; i < 4 * Shape::parts; ++i)
      sm90::wgmma<Tokens>(d, sm90::advance(a, i % 4 * 32),
                          sm90::advance(b, i / 4 * Shape::tokenPanel + i % 4 * 32), step + i > 0);
    sm90::wgmmaCommit();
    if (step > 0) {
      sm90::wgmmaWait<1>();
      gemmRelease<Shape>(previous);
    }
    previous = shared.empty(position.stage);
    position.advance();
  }
  sm90::wgmmaWait<0>();
  gemmRelease<Shape>(previous);
}

/// gemmMultiply() over the least multiple of 16 that is not less than `tokens`.
template <class Shape, int Tokens = 16>
__device__ __forceinline__ void gemmMultiplyTile(float (&sums)[Shape::maxTokens / 2], int tokens,
                                                 int steps, int group, GemmShared<Shape> shared,
                                                 sm90::RingPosition<Shape::stages> &position) {
  if constexpr (Tokens < Shape::maxTokens) {
    if (tokens > Tokens)
      return gemmMultiplyTile<Shape, Tokens + 16>(sums, tokens, steps, group, shared, position);
  }
  gemmMultiply<Shape, Tokens>(sums, steps, group, shared, position);
}

/// Applies F to the sums of one tile and stores the results.
template <class Shape, class F>
__device__ __forceinline__ void gemmFinish(const float (&sums)[Shape::maxTokens / 2],
                                           const Tail<F> &tail, const GemmTile &tile, int n,
                                           int column, int group, float *staging, int &turn) {
  constexpr int chunk = Shape::chunk, stride = Shape::stagingRow;
  constexpr int width = 64 / Shape::products, vectors = width / 8; // columns of a warpgroup
  constexpr int readers = Shape::splitK ? 256 : 128, rowsAtOnce = readers / vectors;
  constexpr int passes = (chunk + rowsAtOnce - 1) / rowsAtOnce;
  constexpr int operandCount = F::operandCount > 0 ? F::operandCount : 1;
  const int thread = threadIdx.x % 128, lane = thread % 32, warp = thread / 32;
  const int reader = Shape::splitK ? threadIdx.x - 128 : thread;
  const int vector = reader % vectors, readRow = reader / vectors;
  const int first = column + (Shape::products == 2 ? (2 * vector + group) * 8
                                                   : (Shape::splitK ? 0 : group * 64) + vector * 8);
  // Eight lanes read at a time: half of them the second half of their vectors first, so that they
  // touch all banks.
  const int half = Shape::products == 1 ? vector / 4 : 0;
#pragma unroll
  for (int c = 0; c < Shape::maxTokens / chunk; ++c) {
    if (c * chunk >= tile.tokens)
      break;
    float operands[passes][operandCount][8];
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      const int token = c * chunk + pass * rowsAtOnce + readRow;
      if (token < tile.tokens && readRow < chunk && first < n)
        loadOperands<F, 8, 0>(tail, tile.row + token, n, first, operands[pass]);
    }
    // [2 buffers][2 warpgroups][chunk][stride]
    float *buffer = staging + turn * (2 * chunk * stride);
    turn ^= 1;
    float *own = buffer + group * (chunk * stride);
    float *write = own + 2 * (lane % 4) * stride + warp * 16 + lane / 4;
#pragma unroll
    for (int i = 0; i < chunk / 8; ++i)
#pragma unroll
      for (int j = 0; j < 4; ++j)
        write[(8 * i + j % 2) * stride + j / 2 * 8] = sums[(c * (chunk / 8) + i) * 4 + j];
    if constexpr (Shape::splitK)
      sm90::namedBarrier(1, 256);
    else
      sm90::namedBarrier(1 + group, 128);
#pragma unroll
    for (int pass = 0; pass < passes; ++pass) {
      const int row = pass * rowsAtOnce + readRow, token = c * chunk + row;
      if (token >= tile.tokens || readRow >= chunk || first >= n)
        continue;
      const float *from = (Shape::splitK ? buffer : own) + row * stride + vector * 8;
      float values[Shape::products][8], results[F::resultCount][8];
#pragma unroll
      for (int p = 0; p < Shape::products; ++p) {
        float4 x = *reinterpret_cast<const float4 *>(from + p * width + half * 4);
        float4 y = *reinterpret_cast<const float4 *>(from + p * width + (1 - half) * 4);
        if constexpr (Shape::splitK) {
          const float *other = from + chunk * stride;
          float4 z = *reinterpret_cast<const float4 *>(other + half * 4);
          float4 w = *reinterpret_cast<const float4 *>(other + (1 - half) * 4);
          x = {x.x + z.x, x.y + z.y, x.z + z.z, x.w + z.w};
          y = {y.x + w.x, y.y + w.y, y.z + w.z, y.w + w.w};
        }
        const float4 low = half ? y : x, high = half ? x : y;
        values[p][0] = low.x, values[p][1] = low.y, values[p][2] = low.z, values[p][3] = low.w;
        values[p][4] = high.x, values[p][5] = high.y, values[p][6] = high.z, values[p][7] = high.w;
      }
#pragma unroll
      for (int v = 0; v < 8; ++v) {
        float ins[Shape::products], reads[operandCount], outs[F::resultCount];
#pragma unroll
        for (int p = 0; p < Shape::products; ++p)
          ins[p] = values[p][v];
#pragma unroll
        for (int o = 0; o < F::operandCount; ++o)
          reads[o] = operands[pass][o][v];
        F::apply(ins, reads, outs, first + v);
#pragma unroll
        for (int r = 0; r < F::resultCount; ++r)
          results[r][v] = outs[r];
      }
      storeResults<F, 8, 0>(tail, int64_t(tile.row + token) * n + first, results);
    }
  }
}

} // namespace detail

/// The body of a kernel of Shape::threads threads (and __launch_bounds__(Shape::threads, 1)) whose
/// grid is a multiple of the cluster, with Shape::sharedBytes of dynamic shared memory.
///   weights  bf16 [experts, n, k] as 3 dimensions, boxes of 64 x Shape::weightBox, 128-byte
///            swizzle; the second one is that of the second product, or the first again
///   tokens   bf16 [parts x rows, k], boxes of 64 x Shape::tokenBox, 128-byte swizzle
template <class Shape, class F>
__device__ __forceinline__ void gemm(const CUtensorMap *firstWeights,
                                     const CUtensorMap *secondWeights, const CUtensorMap *tokens,
                                     const Tail<F> &tail, const GemmProblem &problem) {
  static_assert(F::sumCount == Shape::products);
  extern __shared__ __align__(1024) unsigned char sharedMemory[];
  const detail::GemmShared<Shape> shared{sm90::sharedAddress(sharedMemory)};
  const int cta = Shape::cluster == 2 ? static_cast<int>(sm90::clusterRank()) : 0;
  const int warp = sm90::warpIndex(), steps = (problem.k + Shape::depth - 1) / Shape::depth;
  if (warp == 0 && sm90::electOne()) {
    sm90::prefetchMap(firstWeights);
    sm90::prefetchMap(secondWeights);
    sm90::prefetchMap(tokens);
    for (int i = 0; i < Shape::stages; ++i) {
      sm90::initBarrier(shared.full(i), 1);
      sm90::initBarrier(shared.empty(i), 8 * Shape::cluster);
    }
    sm90::fenceBarrierInit();
  }
  __syncthreads();
  if constexpr (Shape::cluster == 2)
    sm90::clusterSync();
  sm90::gridWait();
  sm90::gridLaunch();

  sm90::RingPosition<Shape::stages> position;
  detail::GemmTile tile;
  if (warp < 4) {
    sm90::fewerRegisters<40>();
    if (warp == 0 && sm90::electOne()) {
      const CUtensorMap *const weights[2] = {firstWeights, secondWeights};
      detail::GemmTiles<Shape> tiles(problem);
      while (tiles.take(tile))
        detail::gemmLoadTile<Shape>(weights, tokens, tile, problem.rows, steps, cta, shared,
                                    position);
    }
    __syncwarp();
  } else {
    sm90::moreRegisters<232>();
    const int group = warp / 4 - 1;
    float *staging = reinterpret_cast<float *>(sharedMemory + Shape::stages * Shape::stageBytes);
    int turn = 0; // which buffer comes next: the other one may still be read
    float sums[Shape::maxTokens / 2];
    detail::GemmTiles<Shape> tiles(problem);
    while (tiles.take(tile)) {
      detail::gemmMultiplyTile<Shape>(sums, tile.tokens, steps, group, shared, position);
      const int column = (tile.block * Shape::cluster + cta) * Shape::columns;
      detail::gemmFinish<Shape, F>(sums, tail, tile, problem.n, column, group, staging, turn);
    }
  }
  // The other CTA may still write here.
  if constexpr (Shape::cluster == 2)
    sm90::clusterSync();
}

/// Copies rows of k elements: `dispatched[places[t, c]] = tokens[t]`, for places that are not
/// negative.  k is a multiple of 8.  One block a token.
__device__ __forceinline__ void gemmDispatch(const __nv_bfloat16 *tokens, const int *places,
                                             __nv_bfloat16 *dispatched, int choices, int k,
                                             int rows) {
  sm90::gridWait();
  sm90::gridLaunch();
  const int token = static_cast<int>(blockIdx.x), width = k / 8;
  const uint4 *from = reinterpret_cast<const uint4 *>(tokens) + int64_t(token) * width;
  uint4 *to = reinterpret_cast<uint4 *>(dispatched);
  for (int i = threadIdx.x; i < width; i += blockDim.x) {
    const uint4 value = from[i];
    for (int c = 0; c < choices; ++c) {
      const int place = places[int64_t(token) * choices + c];
      if (place >= 0 && place < rows)
        to[int64_t(place) * width + i] = value;
    }
  }
}

/// Takes float32 tokens apart into three bf16 numbers that add up to them: [3][rows, k].  With
/// `places`, token t becomes the rows places[t, c] that are not negative.  One block a token.
__device__ __forceinline__ void gemmSplit(const float *tokens, const int *places,
                                          __nv_bfloat16 *parts, int choices, int k, int rows) {
  sm90::gridWait();
  sm90::gridLaunch();
  const int token = static_cast<int>(blockIdx.x);
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    float rest = tokens[int64_t(token) * k + i];
    __nv_bfloat16 part[3];
#pragma unroll
    for (int p = 0; p < 3; ++p) {
      part[p] = __float2bfloat16_rn(rest);
      // Infinities and NaN have no rest.
      rest = fabsf(__bfloat162float(part[p])) < INFINITY ? rest - __bfloat162float(part[p]) : 0.0f;
    }
    for (int c = 0; c < choices; ++c) {
      const int place = places ? places[int64_t(token) * choices + c] : token;
      if (place < 0 || place >= rows)
        continue;
#pragma unroll
      for (int p = 0; p < 3; ++p)
        parts[(int64_t(p) * rows + place) * k + i] = part[p];
    }
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_GEMM_CUH
