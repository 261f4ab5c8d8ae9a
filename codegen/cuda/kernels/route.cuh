// moe.route: each token's experts, and a place for each choice, sorted by expert, token and choice.
//
// A warp takes a token: softmax over its scores, then the best expert again and again.  Places come
// from a counting sort: entries (token, choice) in their order, counted by warp, CTA and grid, with
// integers alone, so that they do not depend on timing.  Up to 128 tokens take one CTA (route);
// more take two kernels, of which the first leaves in scratch what each CTA counted (choose,
// place).
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ROUTE_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ROUTE_CUH

#include "numeric.cuh"
#include "sm90.cuh"

namespace levin::kernels {

template <int Experts_, int Choices_, bool Normalize_, int Tokens_, int Threads_>
struct RouteShape {
  static constexpr int Experts = Experts_, Choices = Choices_;
  static constexpr bool Normalize = Normalize_;
  static constexpr int Tokens = Tokens_; // of one CTA
  static constexpr int Threads = Threads_, warps = Threads / 32;
  static constexpr int entries = Tokens * Choices, perLane = (Experts + 31) / 32;
  static constexpr int chunks = (entries + 31) / 32; // of one warp instruction
};

/// How many of the tokens are real: starts[sequences], inside what there is.
__device__ __forceinline__ int liveTokens(const int32_t *starts, int64_t sequences,
                                          int64_t tokens) {
  return static_cast<int>(max(int64_t(0), min(int64_t(starts[sequences]), tokens)));
}

/// Chooses for one token, by one warp.  Lane c gets choice c (of at most 32) and its weight.
template <class R>
__device__ __forceinline__ void chooseExperts(const float *scores, int &expert, float &weight) {
  int lane = threadIdx.x % 32;
  float shares[R::perLane];
  float largest = -INFINITY;
#pragma unroll
  for (int i = 0; i < R::perLane; ++i) {
    int e = lane + 32 * i;
    shares[i] = e < R::Experts ? scores[e] : -INFINITY;
    largest = maximum(largest, shares[i]);
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    largest = maximum(largest, __shfl_xor_sync(0xFFFFFFFF, largest, step));
  float sum = 0;
#pragma unroll
  for (int i = 0; i < R::perLane; ++i) {
    shares[i] = lane + 32 * i < R::Experts ? expf(shares[i] - largest) : 0;
    sum += shares[i];
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    sum += __shfl_xor_sync(0xFFFFFFFF, sum, step);

  // Shares are not negative, so their bits are in their order; 0 stands for experts that are taken.
  // If one share is NaN all are, and experts are taken in their order.
  uint32_t keys[R::perLane];
#pragma unroll
  for (int i = 0; i < R::perLane; ++i) {
    shares[i] /= sum;
    keys[i] = lane + 32 * i >= R::Experts ? 0
              : isnan(shares[i])          ? 1
                                          : __float_as_uint(shares[i]) + 1;
  }
  float total = 0;
  expert = 0;
  weight = 0;
  for (int c = 0; c < R::Choices; ++c) {
    uint32_t best = 0, which = 0xFFFFFFFF;
    float share = 0;
#pragma unroll
    for (int i = 0; i < R::perLane; ++i)
      if (keys[i] > best) {
        best = keys[i];
        which = lane + 32 * i;
        share = shares[i];
      }
    uint32_t highest = __reduce_max_sync(0xFFFFFFFF, best);
    uint32_t taken = __reduce_min_sync(0xFFFFFFFF, best == highest ? which : 0xFFFFFFFF);
    share = __shfl_sync(0xFFFFFFFF, share, taken % 32);
#pragma unroll
    for (int i = 0; i < R::perLane; ++i)
      if (lane + 32 * i == taken)
        keys[i] = 0;
    total += share;
    if (lane == c) {
      expert = static_cast<int>(taken);
      weight = share;
    }
  }
  if (R::Normalize)
    weight /= total;
}

template <class R> struct RouteShared {
  int16_t expert[R::entries], rank[R::entries]; // rank: among the CTA's entries of that expert
  int counts[R::warps][R::Experts];             // then: of the warps before
  int total[R::Experts];                        // of the CTA
  int before[R::Experts + 1];                   // rows before the CTA's first one of the expert
};

/// Chooses for tokens first .. first + Tokens - 1, writes their weights and ranks their entries.
template <class R>
__device__ __forceinline__ void chooseAndRank(RouteShared<R> &shared, const float *scores,
                                              float *weights, int first, int tokens, int live) {
  int warp = sm90::warpIndex(), lane = threadIdx.x % 32;
  for (int t = warp; t < R::Tokens; t += R::warps) {
    int token = first + t, expert = -1;
    float weight = 0;
    if (token < live)
      chooseExperts<R>(scores + int64_t(token) * R::Experts, expert, weight);
    if (lane < R::Choices) {
      shared.expert[t * R::Choices + lane] = static_cast<int16_t>(expert);
      if (token < tokens)
        weights[int64_t(token) * R::Choices + lane] = weight;
    }
  }
  for (int i = threadIdx.x; i < R::warps * R::Experts; i += R::Threads)
    (&shared.counts[0][0])[i] = 0;
  __syncthreads();

  // Warp w has a run of whole chunks; within a chunk, lanes of one expert find one another.
  constexpr int each = (R::chunks + R::warps - 1) / R::warps;
  for (int chunk = warp * each; chunk < min((warp + 1) * each, R::chunks); ++chunk) {
    int entry = chunk * 32 + lane;
    int expert = entry < R::entries ? shared.expert[entry] : -1;
    uint32_t same = __match_any_sync(0xFFFFFFFF, expert);
    int ahead = __popc(same & ((1u << lane) - 1));
    int counted = expert >= 0 ? shared.counts[warp][expert] : 0;
    __syncwarp();
    if (expert >= 0) {
      shared.rank[entry] = static_cast<int16_t>(counted + ahead);
      if (ahead == 0)
        shared.counts[warp][expert] = counted + __popc(same);
    }
    __syncwarp();
  }
  __syncthreads();
  for (int e = threadIdx.x; e < R::Experts; e += R::Threads) {
    int sum = 0;
#pragma unroll 4
    for (int w = 0; w < R::warps; ++w) {
      int count = shared.counts[w][e];
      shared.counts[w][e] = sum;
      sum += count;
    }
    shared.total[e] = sum;
  }
  __syncthreads();
  for (int chunk = warp * each; chunk < min((warp + 1) * each, R::chunks); ++chunk) {
    int entry = chunk * 32 + lane;
    if (entry < R::entries && shared.expert[entry] >= 0)
      shared.rank[entry] += static_cast<int16_t>(shared.counts[warp][shared.expert[entry]]);
  }
}

/// offsets[e] = sum of counts[0 .. e-1], by the first warp.
template <int Experts>
__device__ __forceinline__ void scanExperts(const int *counts, int *offsets) {
  int lane = threadIdx.x % 32, sum = 0;
#pragma unroll
  for (int base = 0; base < Experts; base += 32) {
    int count = base + lane < Experts ? counts[base + lane] : 0, upTo = count;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      int other = __shfl_up_sync(0xFFFFFFFF, upTo, step);
      upTo += lane >= step ? other : 0;
    }
    if (base + lane < Experts)
      offsets[base + lane] = sum + upTo - count;
    sum += __shfl_sync(0xFFFFFFFF, upTo, 31);
  }
  if (lane == 0)
    offsets[Experts] = sum;
}

/// All of moe.route for at most R::Tokens tokens.  Grid: one CTA.
template <class R>
__device__ __forceinline__ void route(const float *scores, const int32_t *starts, float *weights,
                                      int32_t *rows, int32_t *offsets, int64_t tokens,
                                      int64_t sequences) {
  __shared__ RouteShared<R> shared;
  sm90::gridLaunch();
  sm90::gridWait();
  chooseAndRank<R>(shared, scores, weights, 0, static_cast<int>(tokens),
                   liveTokens(starts, sequences, tokens));
  if (sm90::warpIndex() == 0)
    scanExperts<R::Experts>(shared.total, shared.before);
  __syncthreads();
  for (int e = threadIdx.x; e <= R::Experts; e += R::Threads)
    offsets[e] = shared.before[e];
  for (int i = threadIdx.x; i < static_cast<int>(tokens) * R::Choices; i += R::Threads) {
    int expert = shared.expert[i];
    rows[i] = expert < 0 ? -1 : shared.before[expert] + shared.rank[i];
  }
}

/// The choices and weights of R::Tokens tokens a CTA.  `entries` [tokens, choices] gets the expert
/// (or -1) in the high and the rank in the low half, `counts` [CTAs, experts] the entries of each.
template <class R>
__device__ __forceinline__ void choose(const float *scores, const int32_t *starts, float *weights,
                                       int32_t *entries, int32_t *counts, int64_t tokens,
                                       int64_t sequences) {
  __shared__ RouteShared<R> shared;
  sm90::gridLaunch();
  sm90::gridWait();
  int first = static_cast<int>(blockIdx.x) * R::Tokens;
  chooseAndRank<R>(shared, scores, weights, first, static_cast<int>(tokens),
                   liveTokens(starts, sequences, tokens));
  __syncthreads();
  int count = min(R::Tokens, static_cast<int>(tokens) - first) * R::Choices;
  for (int i = threadIdx.x; i < count; i += R::Threads)
    entries[int64_t(first) * R::Choices + i] =
        shared.expert[i] < 0 ? -1 : shared.expert[i] << 16 | shared.rank[i];
  for (int e = threadIdx.x; e < R::Experts; e += R::Threads)
    counts[int64_t(blockIdx.x) * R::Experts + e] = shared.total[e];
}

/// After choose() on as many CTAs: the places of the same tokens; the first CTA writes offsets.
template <class R>
__device__ __forceinline__ void place(const int32_t *entries, const int32_t *counts, int32_t *rows,
                                      int32_t *offsets, int64_t tokens) {
  constexpr int parts = R::Threads / R::Experts > 0 ? R::Threads / R::Experts : 1;
  __shared__ int before[parts][R::Experts], all[parts][R::Experts], begin[R::Experts + 1];
  sm90::gridLaunch();
  sm90::gridWait();
  int blocks = static_cast<int>(gridDim.x), block = static_cast<int>(blockIdx.x);
  for (int i = threadIdx.x; i < parts * R::Experts; i += R::Threads) {
    int e = i % R::Experts, part = i / R::Experts, ahead = 0, sum = 0;
#pragma unroll 8
    for (int b = part; b < blocks; b += parts) {
      int count = counts[int64_t(b) * R::Experts + e];
      ahead += b < block ? count : 0;
      sum += count;
    }
    before[part][e] = ahead;
    all[part][e] = sum;
  }
  __syncthreads();
  for (int e = threadIdx.x; e < R::Experts; e += R::Threads)
    for (int part = 1; part < parts; ++part) {
      before[0][e] += before[part][e];
      all[0][e] += all[part][e];
    }
  __syncthreads();
  if (sm90::warpIndex() == 0)
    scanExperts<R::Experts>(all[0], begin);
  __syncthreads();
  if (block == 0)
    for (int e = threadIdx.x; e <= R::Experts; e += R::Threads)
      offsets[e] = begin[e];
  int64_t first = int64_t(block) * R::Tokens * R::Choices;
  int count = static_cast<int>(min(int64_t(R::entries), tokens * R::Choices - first));
  for (int i = threadIdx.x; i < count; i += R::Threads) {
    int entry = entries[first + i], expert = entry >> 16;
    rows[first + i] = entry < 0 ? -1 : begin[expert] + before[0][expert] + (entry & 0xFFFF);
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ROUTE_CUH
