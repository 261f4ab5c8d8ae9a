// Products of bf16 tokens with int8 or int4 weights that have a scale for each group of k.
//
//   sum_p[r, c] = sum_g scale_p[e, c, g] sum_(k in g) tokens[r, k] weight_p[e, c, k]
//
// As gemm.cuh, but the weights go through registers: widened to bf16, which is exact, they are the
// tensor cores' first operand.  Each group is summed by itself and scaled in float32.
//
// A row of 8 bit or 4 bit weights is read in words that do not hold those elements of k that a
// thread of the tensor cores' layout has.  So k is taken in another order, and gemmArrange() puts
// the tokens' elements in that order.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_GEMM_QUANTISED_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_GEMM_QUANTISED_CUH

#include "gemm.cuh"

namespace levin::kernels {

/// What is constant in the code.  Bits is 8 or 4 (the lower half of a byte is the first element);
/// Products and MaxTokens (16 to 128) as of GemmShape.
template <int Products, int MaxTokens, int Bits> struct QuantisedShape {
  static_assert(Bits == 8 || Bits == 4);
  static_assert(Products <= 2 && MaxTokens <= 128);
  static constexpr int products = Products, maxTokens = MaxTokens, bits = Bits, cluster = 1;
  static constexpr bool splitK = false;
  static constexpr int threads = 384;
  static constexpr int depth = 64;
  static constexpr int columns = 128 / Products;    // of the result, for one CTA
  static constexpr int rowBytes = depth * Bits / 8; // of weights in a stage; also their swizzle
  static constexpr int weightBytes = 128 * rowBytes;
  static constexpr int tokenPanel = MaxTokens * 128;
  static constexpr int stageBytes = weightBytes + tokenPanel;
  static constexpr int tokenBox = MaxTokens < 32 ? MaxTokens : 32;
  static constexpr int weightBox = columns;
  static constexpr int chunk = tokenBox;
  static constexpr int stagingRow = 68;
  static constexpr int stagingBytes = 4 * chunk * stagingRow * 4;
  static constexpr int barrierBytes = 512;
  static constexpr int fitting = (232448 - barrierBytes - stagingBytes) / stageBytes;
  static constexpr int stages = fitting < 16 ? fitting : 16;
  static constexpr int sharedBytes = stages * stageBytes + stagingBytes + barrierBytes;
};

/// The scales of the products: Scale [experts, n, k / group].
template <typename Scale> struct GemmScales {
  const Scale *first, *second;
  int group; // a multiple of 64
};

namespace detail {

/// Loads the stages of one tile; called by one thread.
template <class Shape>
__device__ __forceinline__ void quantisedLoadTile(const CUtensorMap *const (&weights)[2],
                                                  const CUtensorMap *tokens, const GemmTile &tile,
                                                  int steps, GemmShared<Shape> shared,
                                                  sm90::RingPosition<Shape::stages> &position) {
  constexpr int box = Shape::tokenBox;
  const int boxes = (tile.tokens + box - 1) / box, column = tile.block * Shape::columns;
  for (int step = 0; step < steps; ++step) {
    sm90::wait(shared.empty(position.stage), position.parity ^ 1);
    const uint32_t full = shared.full(position.stage);
    sm90::arriveExpect(full, Shape::weightBytes + boxes * box * 128);
#pragma unroll
    for (int product = 0; product < Shape::products; ++product)
      sm90::load3D(shared.weights(position.stage) + product * Shape::weightBox * Shape::rowBytes,
                   weights[product], full, step * Shape::rowBytes, column, tile.expert);
    for (int i = 0; i < boxes; ++i)
      sm90::load2D(shared.tokens(position.stage) + i * (box * 128), tokens, full, step * 64,
                   tile.row + i * box);
    position.advance();
  }
}

/// The row among the 128 of a stage that is row `row` of warpgroup `group`: see gemmFinish().
template <class Shape> __device__ __forceinline__ int quantisedRow(int group, int row) {
  if constexpr (Shape::products == 2)
    return row / 32 * 64 + (row % 32 / 8 * 2 + group) * 8 + row % 8;
  else
    return group * 64 + row;
}

/// Bytes 2 i and 2 i + 1 of `word` as bf16.
template <int I> __device__ __forceinline__ uint32_t widenBytes(uint32_t word) {
  const uint32_t bytes = __byte_perm(word, 0, I == 0 ? 0x4140 : 0x4342);
  // 128 + the lower bits, less 128 or, for negative numbers, 256: both exact.
  const uint32_t low = (bytes & 0x007F007F) | 0x43004300;
  const uint32_t less = (bytes & 0x00800080) | 0x43004300;
  const __nv_bfloat162 value = __hsub2(reinterpret_cast<const __nv_bfloat162 &>(low),
                                       reinterpret_cast<const __nv_bfloat162 &>(less));
  return reinterpret_cast<const uint32_t &>(value);
}
/// Elements i and i + 4 of the eight 4-bit numbers of `word` as bf16.
template <int I> __device__ __forceinline__ uint32_t widenNibbles(uint32_t word) {
  const uint32_t offset = 0x43084308; // 136: 128, and 8 for the sign
  const uint32_t raised = ((word >> (4 * I)) & 0x000F000F) ^ offset;
  const __nv_bfloat162 value = __hsub2(reinterpret_cast<const __nv_bfloat162 &>(raised),
                                       reinterpret_cast<const __nv_bfloat162 &>(offset));
  return reinterpret_cast<const uint32_t &>(value);
}

/// The weights of a stage as four operands of 16 of k.  `address` is that of the lane's row.
template <class Shape>
__device__ __forceinline__ void quantisedWeights(uint32_t (&a)[4][4], uint32_t weights, int row) {
  const int lane = threadIdx.x % 32;
  constexpr int chunks = Shape::rowBytes / 16;
  const uint32_t line = weights + row * Shape::rowBytes;
  const int mix = Shape::bits == 8 ? row / 2 % 4 : row / 4 % 2; // of the swizzle
#pragma unroll
  for (int chunk = 0; chunk < chunks; chunk += 2) {
    uint32_t words[4]; // rows t / 4 and t / 4 + 8 of one chunk, then of the next
    sm90::loadMatrix4(words, line + ((chunk + lane / 16) ^ mix) * 16);
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const uint32_t low = words[2 * half], high = words[2 * half + 1];
      if constexpr (Shape::bits == 8) {
        uint32_t (&to)[4] = a[chunk + half];
        to[0] = widenBytes<0>(low), to[1] = widenBytes<0>(high);
        to[2] = widenBytes<1>(low), to[3] = widenBytes<1>(high);
      } else {
        uint32_t (&to)[4] = a[2 * (chunk + half)];
        to[0] = widenNibbles<0>(low), to[1] = widenNibbles<0>(high);
        to[2] = widenNibbles<1>(low), to[3] = widenNibbles<1>(high);
        uint32_t (&next)[4] = a[2 * (chunk + half) + 1];
        next[0] = widenNibbles<2>(low), next[1] = widenNibbles<2>(high);
        next[2] = widenNibbles<3>(low), next[3] = widenNibbles<3>(high);
      }
    }
  }
}

/// sums[64, Tokens] of one warpgroup over all of k.  `low` and `high` point to the scales of the
/// thread's two rows.
template <class Shape, int Tokens, typename Scale>
__device__ __forceinline__ void quantisedMultiply(float (&sums)[Shape::maxTokens / 2], int steps,
                                                  int groupSteps, int group, const Scale *low,
                                                  const Scale *high, GemmShared<Shape> shared,
                                                  sm90::RingPosition<Shape::stages> &position) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32 % 4;
  const int row = quantisedRow<Shape>(group, warp * 16 + lane % 16);
  float part[Tokens / 2];
#pragma unroll
  for (int i = 0; i < Tokens / 2; ++i)
    sums[i] = 0.0f;
  for (int begin = 0; begin < steps; begin += groupSteps) {
    const float lowScale = widen(__ldg(low++)), highScale = widen(__ldg(high++));
    const int end = min(begin + groupSteps, steps);
    for (int step = begin; step < end; ++step) {
      sm90::wait(shared.full(position.stage), position.parity);
      uint32_t a[4][4];
      quantisedWeights<Shape>(a, shared.weights(position.stage), row);
      const uint64_t b = sm90::descriptorK(shared.tokens(position.stage));
      sm90::wgmmaFence();
#pragma unroll
      for (int i = 0; i < 4; ++i)
        sm90::wgmma<Tokens>(part, a[i], sm90::advance(b, 32 * i), step > begin || i > 0);
      sm90::wgmmaCommit();
      sm90::wgmmaWait<0>();
      gemmRelease<Shape>(shared.empty(position.stage));
      position.advance();
    }
#pragma unroll
    for (int i = 0; i < Tokens / 2; ++i)
      sums[i] = fmaf(part[i], i / 2 % 2 == 0 ? lowScale : highScale, sums[i]);
  }
}

/// quantisedMultiply() over MaxTokens or half of them.
template <class Shape, typename Scale>
__device__ __forceinline__ void
quantisedMultiplyTile(float (&sums)[Shape::maxTokens / 2], int tokens, int steps, int groupSteps,
                      int group, const Scale *low, const Scale *high, GemmShared<Shape> shared,
                      sm90::RingPosition<Shape::stages> &position) {
  constexpr int all = Shape::maxTokens, half = all < 32 ? all : all / 2;
  if (tokens > half)
    quantisedMultiply<Shape, all>(sums, steps, groupSteps, group, low, high, shared, position);
  else
    quantisedMultiply<Shape, half>(sums, steps, groupSteps, group, low, high, shared, position);
}

} // namespace detail

/// The body of a kernel, as gemm():
///   weights  [experts, n, k] as bytes in 3 dimensions, boxes of Shape::rowBytes x
///   Shape::weightBox,
///            swizzle of Shape::rowBytes
///   tokens   bf16 [rows, k] in the order of gemmArrange(), boxes of 64 x Shape::tokenBox, 128-byte
///            swizzle
template <class Shape, class F, typename Scale>
__device__ __forceinline__ void
gemmQuantised(const CUtensorMap *firstWeights, const CUtensorMap *secondWeights,
              const CUtensorMap *tokens, const GemmScales<Scale> &scales, const Tail<F> &tail,
              const GemmProblem &problem) {
  static_assert(F::sumCount == Shape::products);
  extern __shared__ __align__(1024) unsigned char sharedMemory[];
  const detail::GemmShared<Shape> shared{sm90::sharedAddress(sharedMemory)};
  const int warp = sm90::warpIndex(), steps = (problem.k + Shape::depth - 1) / Shape::depth;
  if (warp == 0 && sm90::electOne()) {
    sm90::prefetchMap(firstWeights);
    sm90::prefetchMap(secondWeights);
    sm90::prefetchMap(tokens);
    for (int i = 0; i < Shape::stages; ++i) {
      sm90::initBarrier(shared.full(i), 1);
      sm90::initBarrier(shared.empty(i), 8);
    }
    sm90::fenceBarrierInit();
  }
  __syncthreads();
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
        detail::quantisedLoadTile<Shape>(weights, tokens, tile, steps, shared, position);
    }
  } else {
    sm90::moreRegisters<232>();
    const int group = warp / 4 - 1, groups = problem.k / scales.group;
    const int fragmentRow = warp % 4 * 16 + static_cast<int>(threadIdx.x) % 32 / 4;
    float *staging = reinterpret_cast<float *>(sharedMemory + Shape::stages * Shape::stageBytes);
    int turn = 0;
    float sums[Shape::maxTokens / 2];
    detail::GemmTiles<Shape> tiles(problem);
    while (tiles.take(tile)) {
      const int column = tile.block * Shape::columns;
      const Scale *rowScales[2];
#pragma unroll
      for (int half = 0; half < 2; ++half) {
        const int row = detail::quantisedRow<Shape>(group, fragmentRow + half * 8);
        const bool isSecond = Shape::products == 2 && row >= 64;
        const int at = min(column + row - (isSecond ? 64 : 0), problem.n - 1);
        rowScales[half] = (isSecond ? scales.second : scales.first) +
                          (int64_t(tile.expert) * problem.n + at) * groups;
      }
      detail::quantisedMultiplyTile<Shape>(sums, tile.tokens, steps, scales.group / Shape::depth,
                                           group, rowScales[0], rowScales[1], shared, position);
      detail::gemmFinish<Shape, F>(sums, tail, tile, problem.n, column, group, staging, turn);
    }
  }
}

/// Copies tokens in the order in which the tensor cores get k: see the top.  With `places`, token t
/// becomes the rows places[t, c] that are not negative.  k is a multiple of 32.  One block a token.
template <int Bits>
__device__ __forceinline__ void gemmArrange(const __nv_bfloat16 *tokens, const int *places,
                                            __nv_bfloat16 *arranged, int choices, int k, int rows) {
  sm90::gridWait();
  sm90::gridLaunch();
  const int token = static_cast<int>(blockIdx.x);
  const uint4 *from = reinterpret_cast<const uint4 *>(tokens + int64_t(token) * k);
  for (int i = threadIdx.x; i < k / 32; i += blockDim.x) { // 32 elements
    uint4 out[4];
    uint32_t *words = reinterpret_cast<uint32_t *>(out);
#pragma unroll
    for (int q = 0; q < 4; ++q) {
      const uint4 in = from[4 * i + q]; // pairs 4 q to 4 q + 3
      if constexpr (Bits == 8) {
        // Of 16 elements, the pairs of even numbers come first.
        const int at = q / 2 * 8 + q % 2 * 2;
        words[at] = in.x, words[at + 1] = in.z, words[at + 4] = in.y, words[at + 5] = in.w;
      } else {
        // Elements i and i + 4 of each eight, for i = 0, 1, 2 and 3.
        words[q] = __byte_perm(in.x, in.z, 0x5410), words[4 + q] = __byte_perm(in.x, in.z, 0x7632);
        words[8 + q] = __byte_perm(in.y, in.w, 0x5410);
        words[12 + q] = __byte_perm(in.y, in.w, 0x7632);
      }
    }
    for (int c = 0; c < choices; ++c) {
      const int place = places ? places[int64_t(token) * choices + c] : token;
      if (place < 0 || place >= rows)
        continue;
      uint4 *to = reinterpret_cast<uint4 *>(arranged + int64_t(place) * k) + 4 * i;
#pragma unroll
      for (int q = 0; q < 4; ++q)
        to[q] = out[q];
    }
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_GEMM_QUANTISED_CUH
