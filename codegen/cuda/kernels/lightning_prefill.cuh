// Lightning attention of many new tokens, in one pass over q, k and v.
//
// A sequence goes in chunks of 64 rows; S lies transposed, S[v, k], in float32 registers from its
// first chunk to its last.  With i and j rows of the chunk, L of them valid:
//
//   P[i, j] = (q_i . k_j) lambda^(i-j)
//   o_i = lambda^(i+1) S q_i + sum over j <= i of P[i, j] v_j
//   S   = lambda^L S + sum over j of lambda^(L-1-j) v_j k_j^T
//
// A CTA owns 64 columns of v of one head: warpgroup 0 brings chunks, warpgroup 1 makes P and v with
// its weights a chunk ahead, warpgroup 2 owns S and the output.  P and the weighted v are rounded
// to bf16, S to one or two parts of it; sums are float32.  Powers are of differences, none above 1,
// and masks are exact: rows behind a sequence may hold anything.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH

#include "lightning_work.cuh"

namespace levin::kernels {

/// What a CTA keeps in shared memory, for heads of D channels in a ring of `Stages` chunks.
template <int D, int Stages = D == 128 ? 3 : 4> struct LightningPrefillShape {
  static constexpr int chunk = 64, halves = D / 64, threads = 384;
  static constexpr int tile = chunk * 128; // bytes of 64 rows of 64 values
  static constexpr int stages = Stages, stageBytes = (2 * halves + 1) * tile;
  // Two of each: P, v times its weights, and the output.
  static constexpr int scores = stages * stageBytes, weighted = scores + 2 * tile;
  static constexpr int outputs = weighted + 2 * tile, barriers = outputs + 2 * tile;
  static constexpr int order = barriers + (2 * stages + 4) * 8 + 16;
  static_assert(D == 64 || D == 128);

  /// Dynamic shared memory for a batch of `sequences`.
  static constexpr int fixedBytes = 1024 + order + lightning::WorkList<halves>::fixedBytes;
  static constexpr int bytes(int sequences) {
    return fixedBytes + lightning::WorkList<halves>::bytesOfSequence * sequences;
  }
};

namespace lightning {

template <int D, int Stages, bool Multicast, int Fine> class Prefill {
public:
  using Shape = LightningPrefillShape<D, Stages>;
  static_assert(!Multicast || Shape::halves == 2);

  __device__ __forceinline__ Prefill(const LightningPrefillArguments &arguments, char *shared)
      : a(arguments), shared(shared), base(sm90::sharedAddress(shared)),
        half(static_cast<int>(blockIdx.x) % Shape::halves),
        list(arguments, reinterpret_cast<int *>(shared + Shape::order)) {}

  /// By all threads.
  __device__ __forceinline__ void prepare() {
    if (threadIdx.x == 0) {
      for (int i = 0; i < Shape::stages; ++i)
        sm90::initBarrier(full(i), 1), sm90::initBarrier(empty(i), Multicast ? 16 : 8);
      for (int i = 0; i < 2; ++i)
        sm90::initBarrier(scoresFull(i), 4), sm90::initBarrier(scoresEmpty(i), 4);
      sm90::fenceBarrierInit();
    }
    list.prepare();
    __syncthreads();
  }

  __device__ __forceinline__ void produce(const CUtensorMap *q, const CUtensorMap *k,
                                          const CUtensorMap *v) {
    sm90::RingPosition<Shape::stages> ring;
    list.forEach([&](const Work &work) {
      for (int row = 0; row < work.count; row += Shape::chunk) {
        sm90::wait(empty(ring.stage), ring.parity ^ 1);
        uint32_t barrier = full(ring.stage), to = stage(ring.stage);
        sm90::arriveExpect(barrier, Shape::stageBytes);
        int y = work.first + row;
        const int xOfQ = work.head * a.q.head + a.q.offset;
        const int xOfK = work.head * a.k.head + a.k.offset;
        if constexpr (Multicast) { // each CTA loads half of q and k for both
          sm90::load2DMulticast(to + half * Shape::tile, q, barrier, 3, xOfQ + 64 * half, y);
          sm90::load2DMulticast(to + (2 + half) * Shape::tile, k, barrier, 3, xOfK + 64 * half, y);
        } else {
#pragma unroll
          for (int i = 0; i < Shape::halves; ++i) {
            sm90::load2D(to + i * Shape::tile, q, barrier, xOfQ + 64 * i, y);
            sm90::load2D(to + (Shape::halves + i) * Shape::tile, k, barrier, xOfK + 64 * i, y);
          }
        }
        sm90::load2D(to + 2 * Shape::halves * Shape::tile, v, barrier,
                     work.head * a.v.head + a.v.offset + 64 * half, y, sm90::evictFirst);
        ring.advance();
      }
    });
  }

  /// P of each chunk, bf16 [i, j], and v times its weights.
  __device__ __forceinline__ void makeScores() {
    const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
    const int row = 16 * warp + lane / 4, column = 2 * (lane % 4);
    // Where this thread's rows of fragments go, and its 16 bytes of v in each 16 rows.
    const uint32_t target =
        sm90::swizzle128((16 * warp + lane / 8 % 2 * 8 + lane % 8) * 128 + lane / 16 * 16);
    const uint32_t part = sm90::swizzle128(thread * 16);
    // i - j depends on 8 columns n of a fragment and its upper or lower 8 rows only by n - upper:
    // of 9 pairs each, whether j <= i, and lambda^(i-j).
    auto distanceOf = [&](int pair, int c) { return row - column - c - 8 * (pair - 1); };
    uint32_t masks[9];
#pragma unroll
    for (int i = 0; i < 9; ++i)
      masks[i] = (distanceOf(i, 0) < 0 ? 0 : 0xFFFFu) | (distanceOf(i, 1) < 0 ? 0 : 0xFFFF0000u);
    sm90::RingPosition<Shape::stages> ring;
    sm90::RingPosition<2> buffer;
    list.forEach([&](const Work &work) {
      const float slope = __ldg(a.slopes + work.head);
      float factors[9][2];
#pragma unroll
      for (int i = 0; i < 18; ++i)
        factors[i / 2][i % 2] = expf(-slope * static_cast<float>(max(distanceOf(i / 2, i % 2), 0)));
      float weights[4]; // of rows thread / 8 + 16 i
      auto weigh = [&](int valid) {
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          int distance = valid - 1 - (thread / 8 + 16 * i);
          weights[i] = distance < 0 ? 0.0f : expf(-slope * static_cast<float>(distance));
        }
      };
      weigh(Shape::chunk);
      for (int begin = 0; begin < work.count; begin += Shape::chunk) {
        const int valid = min(work.count - begin, Shape::chunk);
        const uint32_t queries = stage(ring.stage), keys = queries + Shape::halves * Shape::tile;
        sm90::wait(full(ring.stage), ring.parity);
        if (valid < Shape::chunk) {
          clearTail(ring.stage, valid, thread);
          weigh(valid);
        }
        float p[32];
        const uint64_t q = sm90::descriptorK(queries), k = sm90::descriptorK(keys);
        sm90::wgmmaFence();
#pragma unroll
        for (int i = 0; i < D / 16; ++i)
          sm90::wgmma<64>(p, advance(q, i / 4 * Shape::tile + i % 4 * 32),
                          advance(k, i / 4 * Shape::tile + i % 4 * 32), i > 0);
        sm90::wgmmaCommit();

        sm90::wait(scoresEmpty(buffer.stage), buffer.parity ^ 1);
        const char *values =
            shared + ring.stage * Shape::stageBytes + 2 * Shape::halves * Shape::tile;
        char *weighted = shared + Shape::weighted + buffer.stage * Shape::tile;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          const uint4 v = *reinterpret_cast<const uint4 *>(values + part + 2048 * i);
          auto times = [&](uint32_t pair) {
            return sm90::packBf16(sm90::lowBf16(pair) * weights[i],
                                  sm90::highBf16(pair) * weights[i]);
          };
          *reinterpret_cast<uint4 *>(weighted + part + 2048 * i) =
              make_uint4(times(v.x), times(v.y), times(v.z), times(v.w));
        }

        sm90::wgmmaWait<0>();
        sm90::wgmmaHold(p);
        if (lane == 0)
          release(ring.stage);
        // Masked after rounding: what lies behind may be anything.
        uint32_t pairs[16];
#pragma unroll
        for (int i = 0; i < 16; ++i) {
          const int pair = i / 2 - i % 2 + 1;
          pairs[i] = masks[pair] &
                     sm90::packBf16(p[2 * i] * factors[pair][0], p[2 * i + 1] * factors[pair][1]);
        }
        const uint32_t scores = base + Shape::scores + buffer.stage * Shape::tile;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::storeMatrix4(scores + (target ^ (32 * j)), pairs[4 * j], pairs[4 * j + 1],
                             pairs[4 * j + 2], pairs[4 * j + 3]);
        sm90::fenceAsyncShared();
        __syncwarp();
        if (lane == 0)
          sm90::arrive(scoresFull(buffer.stage));
        ring.advance(), buffer.advance();
      }
    });
  }

  /// Output and state.  The products of a chunk run behind one another on the tensor cores, with
  /// the rounding of the state for the next chunk and the output of the one before beside them.
  __device__ __forceinline__ void makeOutput(const CUtensorMap *output) {
    const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
    // Of a tile of tokens by v: this thread's row of fragments 16 tokens by the warp's 16 columns.
    const uint32_t fragment =
        sm90::swizzle128((lane / 16 * 8 + lane % 8) * 128 + 32 * warp + lane / 8 % 2 * 16);
    const StateFragment<D> state(a, half, thread);
    sm90::RingPosition<Shape::stages> ring;
    sm90::RingPosition<2> buffer;
    list.forEach([&](const Work &work) {
      const float slope = __ldg(a.slopes + work.head);
      const int x = work.head * D + 64 * half;
      float powers[16]; // lambda^(i+1) of this thread's tokens
#pragma unroll
      for (int i = 0; i < 16; ++i)
        powers[i] = expf(-slope * static_cast<float>(lane % 4 * 2 + i / 2 * 8 + i % 2 + 1));
      const float chunkDecay = expf(-slope * static_cast<float>(Shape::chunk));
      float s[D / 2], o[32];
      uint32_t rounded[D / 16 + Fine][4];
      state.begin(s, work);
      // The state as an operand of the chunk from `begin` on (some of it of twice the digits),
      // then decayed over it.
      auto round = [&](int begin) {
#pragma unroll
        for (int k = 0; k < D / 16; ++k)
#pragma unroll
          for (int i = 0; i < 4; ++i) {
            const float low = s[8 * k + 2 * i], high = s[8 * k + 2 * i + 1];
            const uint32_t pair = sm90::packBf16(low, high);
            rounded[k][i] = pair;
            if (k < Fine)
              rounded[D / 16 + k][i] =
                  sm90::packBf16(low - sm90::lowBf16(pair), high - sm90::highBf16(pair));
          }
        const int valid = work.count - begin;
        const float decay =
            valid < Shape::chunk ? expf(-slope * static_cast<float>(valid)) : chunkDecay;
#pragma unroll
        for (int i = 0; i < D / 2; ++i)
          s[i] *= decay;
      };
      auto store = [&](int number, int begin, bool last) {
        const uint32_t outputs = base + Shape::outputs + number * Shape::tile;
        const int y = work.first + begin, valid = work.count - begin;
        sm90::fenceAsyncShared();
        if (thread == 0)
          sm90::storeWaitRead<0>(); // of the other buffer, which is written next
        sm90::namedBarrier(2, 128);
        if (last && valid < Shape::chunk) {
          storeTail(outputs, x, y, valid, thread);
        } else if (thread == 0) {
          sm90::store2D(output, outputs, x, y);
          sm90::storeCommit();
        }
      };

      round(0);
      for (int begin = 0; begin < work.count; begin += Shape::chunk) {
        const uint32_t queries = stage(ring.stage), keys = queries + Shape::halves * Shape::tile;
        const uint32_t scores = base + Shape::scores + buffer.stage * Shape::tile;
        const uint64_t q = sm90::descriptorK(queries), p = sm90::descriptorK(scores);
        const uint64_t k = sm90::descriptorMN(keys, Shape::tile);
        const uint64_t v = sm90::descriptorMN(keys + Shape::halves * Shape::tile, Shape::tile);
        const uint64_t w =
            sm90::descriptorMN(scores + Shape::weighted - Shape::scores, Shape::tile);
        sm90::wait(full(ring.stage), ring.parity);
        sm90::wgmmaFence();
#pragma unroll
        for (int i = 0; i < D / 16 + Fine; ++i) {
          const int k = i % (D / 16);
          sm90::wgmma<64>(o, rounded[i], advance(q, k / 4 * Shape::tile + k % 4 * 32), i > 0);
        }
        sm90::wgmmaCommit();
        sm90::wait(scoresFull(buffer.stage), buffer.parity);
        sm90::wgmmaFence();
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::wgmma<D, 1, 1>(s, advance(w, 2048 * j), advance(k, 2048 * j), true);
        sm90::wgmmaCommit();
        sm90::wgmmaWait<1>();
        sm90::wgmmaHold(o);
#pragma unroll
        for (int i = 0; i < 32; ++i)
          o[i] *= powers[i / 4 * 2 + i % 2];
        sm90::wgmmaFence();
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::wgmma<64, 1, 0>(o, advance(v, 2048 * j), advance(p, 32 * j), true);
        sm90::wgmmaCommit();
        if (begin > 0)
          store(buffer.stage ^ 1, begin - Shape::chunk, false);
        sm90::wgmmaWait<1>();
        sm90::wgmmaHold(s);
        if (begin + Shape::chunk < work.count)
          round(begin + Shape::chunk);
        sm90::wgmmaWait<0>();
        sm90::wgmmaHold(o);
        if (lane == 0) {
          release(ring.stage);
          sm90::arrive(scoresEmpty(buffer.stage));
        }
        uint32_t packed[4][4];
#pragma unroll
        for (int i = 0; i < 16; ++i)
          packed[i / 4][i % 4] = sm90::packBf16(o[2 * i], o[2 * i + 1]);
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::storeMatrix4<true>(base + Shape::outputs + buffer.stage * Shape::tile + fragment +
                                       2048 * j,
                                   packed[j][0], packed[j][1], packed[j][2], packed[j][3]);
        ring.advance(), buffer.advance();
      }
      store(buffer.stage ^ 1, (work.count - 1) / Shape::chunk * Shape::chunk, true);
      if (work.last)
        state.store(s, work);
    });
    if (thread == 0)
      sm90::storeWait<0>();
  }

private:
  const LightningPrefillArguments &a;
  char *const shared;
  const uint32_t base;
  const int half;
  WorkList<Shape::halves> list;

  __device__ __forceinline__ uint32_t stage(int i) const { return base + i * Shape::stageBytes; }
  __device__ __forceinline__ uint32_t full(int i) const { return base + Shape::barriers + 16 * i; }
  __device__ __forceinline__ uint32_t empty(int i) const { return full(i) + 8; }
  __device__ __forceinline__ uint32_t scoresFull(int i) const { return full(Shape::stages + i); }
  __device__ __forceinline__ uint32_t scoresEmpty(int i) const { return scoresFull(i) + 8; }
  /// A warp no longer reads a stage.
  __device__ __forceinline__ void release(int i) const {
    sm90::arrive(empty(i));
    if constexpr (Multicast) // only the tensor cores read, and that is over: no fence is needed
      asm volatile(
          "mbarrier.arrive.shared::cluster.b64 _, [%0];" ::"r"(sm90::mapToCta(empty(i), half ^ 1))
          : "memory");
  }
  /// `descriptor` of an address `bytes` further on; its upper half is constant.
  __device__ __forceinline__ static uint64_t advance(uint64_t descriptor, uint32_t bytes) {
    return (descriptor & 0xFFFFFFFF00000000) | (static_cast<uint32_t>(descriptor) + bytes / 16);
  }
  /// Rows of k and v from `valid` on hold the next sequence or nothing: as zeros they add nothing.
  __device__ __forceinline__ void clearTail(int number, int valid, int thread) const {
    char *keys = shared + number * Shape::stageBytes + Shape::halves * Shape::tile;
    const int parts = (Shape::chunk - valid) * 8;
    for (int i = thread; i < (Shape::halves + 1) * parts; i += 128)
      *reinterpret_cast<uint4 *>(keys + i / parts * Shape::tile + valid * 128 + i % parts * 16) =
          make_uint4(0, 0, 0, 0);
    sm90::fenceAsyncShared();
    sm90::namedBarrier(1, 128);
  }
  /// The first `valid` rows of the tile: those behind belong to others.
  __device__ __forceinline__ void storeTail(uint32_t outputs, int x, int y, int valid,
                                            int thread) const {
    const char *from = shared + (outputs - base);
    for (int i = thread; i < valid * 8; i += 128) {
      int row = i / 8;
      uint4 part = *reinterpret_cast<const uint4 *>(from + sm90::swizzle128(i * 16));
      *reinterpret_cast<uint4 *>(a.output + int64_t(y + row) * a.heads * D + x + i % 8 * 8) = part;
    }
  }
};

} // namespace lightning

/// Grid: a multiple of D / 64 CTAs of 384 threads, `LightningPrefillShape<D>::bytes()` of dynamic
/// shared memory, and 128 registers a thread: __launch_bounds__(512, 1).  A quarter of a
/// multiprocessor's registers is left to the kernel beside this one.  Boxes of every map are 64 by
/// 64 elements with 128-byte swizzle.  With Multicast, clusters of 2: the halves of a head, which
/// read q and k once.  Fine: how many blocks of 16 channels of k have S as
/// an operand in two parts.
template <int D, int Stages = LightningPrefillShape<D>::stages, bool Multicast = D == 128,
          int Fine = D / 32>
__device__ __forceinline__ void lightningPrefill(const CUtensorMap *q, const CUtensorMap *k,
                                                 const CUtensorMap *v, const CUtensorMap *output,
                                                 const LightningPrefillArguments &arguments) {
  extern __shared__ char dynamicShared[];
  const uint32_t misaligned = sm90::sharedAddress(dynamicShared) % 1024;
  lightning::Prefill<D, Stages, Multicast, Fine> prefill(arguments, dynamicShared +
                                                                        (1024 - misaligned) % 1024);
  prefill.prepare();
  if constexpr (Multicast)
    sm90::clusterSync();
  sm90::gridWait();
  const int warp = sm90::warpIndex();
  if (warp < 4) {
    sm90::fewerRegisters<24>();
    if (warp == 0 && sm90::electOne())
      prefill.produce(q, k, v);
  } else if (warp < 8) {
    prefill.makeScores();
  } else {
    sm90::moreRegisters<232>();
    prefill.makeOutput(output);
  }
  if constexpr (Multicast) { // the other CTA may still write here
    __syncwarp();
    sm90::clusterSync();
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH
