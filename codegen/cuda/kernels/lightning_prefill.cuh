// Lightning attention of many new tokens, in one pass over q, k and v.
//
// A sequence goes in chunks of 64 rows; S lies transposed, S[v, k], in float32 registers from its
// first chunk to its last.  With i and j rows of the chunk, L of them valid:
//
//   o_i = lambda^(i+1) S q_i + sum over j <= i of P[i, j] v_j      P[i, j] = (q_i . k_j)
//   lambda^(i-j) S   = lambda^L S + sum over j of lambda^(L-1-j) v_j k_j^T
//
// A CTA owns 64 columns of v of one head: warpgroup 0 brings chunks, warpgroup 1 makes P a chunk
// ahead, warpgroup 2 owns S and the output.  S and v^T are operands from registers, rounded to bf16
// there; sums are float32.  Powers are of differences, none above 1, and masks are exact: rows
// behind a sequence may hold anything.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH

#include "lightning_work.cuh"

namespace levin::kernels {

/// What a CTA keeps in shared memory, for heads of D channels in a ring of `Stages` chunks.
template <int D, int Stages = D == 128 ? 3 : 4> struct LightningPrefillShape {
  static constexpr int chunk = 64, halves = D / 64, threads = 384;
  static constexpr int tile = chunk * 128; // bytes of 64 rows of 64 values
  static constexpr int stages = Stages, stageBytes = (2 * halves + 1) * tile;
  static constexpr int scores = stages * stageBytes, outputs = scores + 2 * tile;
  static constexpr int tables = outputs + 2 * tile; // 3 of `chunk` floats
  static constexpr int barriers = tables + 3 * chunk * 4;
  static constexpr int order = barriers + (2 * stages + 4) * 8 + 16;
  static_assert(D == 64 || D == 128);

  /// Dynamic shared memory for a batch of `sequences`.
  static constexpr int fixedBytes = 1024 + order + lightning::WorkList<halves>::fixedBytes;
  static constexpr int bytes(int sequences) {
    return fixedBytes + lightning::WorkList<halves>::bytesOfSequence * sequences;
  }
};

namespace lightning {

template <int D, int Stages, bool Multicast> class Prefill {
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
        if constexpr (Multicast)
          sm90::wait(empty(ring.stage), ring.parity ^ 1);
        else
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

  /// P of each chunk, bf16 [i, j].
  __device__ __forceinline__ void makeScores() {
    const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
    const int row = 16 * warp + lane / 4, column = 2 * (lane % 4);
    // Where this thread's rows of fragments go.
    const uint32_t target =
        sm90::swizzle128((16 * warp + lane / 8 % 2 * 8 + lane % 8) * 128 + lane / 16 * 16);
    sm90::RingPosition<Shape::stages> ring;
    sm90::RingPosition<2> buffer;
    list.forEach([&](const Work &work) {
      const float slope = __ldg(a.slopes + work.head);
      float factors[32];
#pragma unroll
      for (int i = 0; i < 32; ++i) {
        int distance = row + (i % 4 / 2) * 8 - (column + i / 4 * 8 + i % 2);
        factors[i] = distance < 0 ? 0.0f : expf(-slope * static_cast<float>(distance));
      }
      for (int begin = 0; begin < work.count; begin += Shape::chunk) {
        const int valid = min(work.count - begin, Shape::chunk);
        const uint32_t queries = stage(ring.stage), keys = queries + Shape::halves * Shape::tile;
        sm90::wait(full(ring.stage), ring.parity);
        if (valid < Shape::chunk)
          clearKeys(ring.stage, valid, thread);
        float p[32];
        sm90::wgmmaFence();
#pragma unroll
        for (int k = 0; k < D / 16; ++k)
          sm90::wgmma<64>(p, sm90::descriptorK(queries + k / 4 * Shape::tile + k % 4 * 32),
                          sm90::descriptorK(keys + k / 4 * Shape::tile + k % 4 * 32), k > 0);
        sm90::wgmmaCommit();
        sm90::wgmmaWait<0>();
        sm90::wgmmaHold(p);
        if (lane == 0)
          release(ring.stage);
#pragma unroll
        for (int i = 0; i < 32; ++i) {
          int distance = row + (i % 4 / 2) * 8 - (column + i / 4 * 8 + i % 2);
          p[i] = distance < 0 ? 0.0f : p[i] * factors[i];
        }
        sm90::wait(scoresEmpty(buffer.stage), buffer.parity ^ 1);
        const uint32_t scores = base + Shape::scores + buffer.stage * Shape::tile;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::storeMatrix4(scores + (target ^ (32 * j)), sm90::packBf16(p[8 * j], p[8 * j + 1]),
                             sm90::packBf16(p[8 * j + 2], p[8 * j + 3]),
                             sm90::packBf16(p[8 * j + 4], p[8 * j + 5]),
                             sm90::packBf16(p[8 * j + 6], p[8 * j + 7]));
        sm90::fenceAsyncShared();
        __syncwarp();
        if (lane == 0)
          sm90::arrive(scoresFull(buffer.stage));
        ring.advance(), buffer.advance();
      }
    });
  }

  /// Output and state.  The state's product of a chunk and what its scores add run behind one
  /// another on the tensor cores, with the rounding of the state for the next chunk and the output
  /// of the one before in their shadow.
  __device__ __forceinline__ void makeOutput(const CUtensorMap *output) {
    const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
    const int column = 2 * (lane % 4);
    // Of a tile of tokens by v: this thread's row of fragments 16 tokens by the warp's 16 columns.
    const uint32_t fragment =
        sm90::swizzle128((lane / 16 * 8 + lane % 8) * 128 + 32 * warp + lane / 8 % 2 * 16);
    const StateFragment<D> state(a, half, thread);
    sm90::RingPosition<Shape::stages> ring;
    sm90::RingPosition<2> buffer;
    list.forEach([&](const Work &work) {
      makeTables(work, thread);
      float s[D / 2], o[32];
      uint32_t v[4][4], next[4][4], weighted[4][4], packed[4][4], rounded[D / 16][4];
      state.begin(s, work);
      const int x = work.head * D + 64 * half;
      auto validFrom = [&](int begin) { return min(work.count - begin, Shape::chunk); };
      auto fetch = [&](int begin, const sm90::RingPosition<Shape::stages> &from) {
        const int valid = validFrom(begin);
        const uint32_t values = stage(from.stage) + 2 * Shape::halves * Shape::tile + fragment;
        sm90::wait(full(from.stage), from.parity);
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::loadMatrix4<true>(next[j], values + 2048 * j);
        if (valid < Shape::chunk)
          clearValues(next, valid, column);
        weighValues(weighted, next, table(valid < Shape::chunk ? 2 : 1), column);
      };
      // The state as an operand of the chunk from `begin` on, then decayed over it.
      auto round = [&](int begin) {
#pragma unroll
        for (int k = 0; k < D / 16; ++k)
#pragma unroll
          for (int i = 0; i < 4; ++i)
            rounded[k][i] = sm90::packBf16(s[8 * k + 2 * i], s[8 * k + 2 * i + 1]);
        const float decay = table(0)[validFrom(begin) - 1];
#pragma unroll
        for (int i = 0; i < D / 2; ++i)
          s[i] *= decay;
      };
      auto store = [&](int number, int begin) {
        const uint32_t outputs = base + Shape::outputs + number * Shape::tile;
        const int y = work.first + begin, valid = validFrom(begin);
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::storeMatrix4<true>(outputs + fragment + 2048 * j, packed[j][0], packed[j][1],
                                   packed[j][2], packed[j][3]);
        sm90::fenceAsyncShared();
        if (thread == 0)
          sm90::storeWaitRead<0>(); // of the other buffer, which is written next
        sm90::namedBarrier(2, 128);
        if (valid < Shape::chunk) {
          storeTail(outputs, x, y, valid, thread);
        } else if (thread == 0) {
          sm90::store2D(output, outputs, x, y);
          sm90::storeCommit();
        }
      };

      fetch(0, ring);
      round(0);
      for (int begin = 0; begin < work.count; begin += Shape::chunk) {
        const uint32_t queries = stage(ring.stage), keys = queries + Shape::halves * Shape::tile;
        const uint32_t scores = base + Shape::scores + buffer.stage * Shape::tile;
#pragma unroll
        for (int j = 0; j < 16; ++j)
          v[j / 4][j % 4] = next[j / 4][j % 4];
        if (validFrom(begin) < Shape::chunk) // keys behind the end are cleared by then
          sm90::wait(scoresFull(buffer.stage), buffer.parity);
        sm90::wgmmaFence();
#pragma unroll
        for (int k = 0; k < D / 16; ++k)
          sm90::wgmma<64>(o, rounded[k],
                          sm90::descriptorK(queries + k / 4 * Shape::tile + k % 4 * 32), k > 0);
        sm90::wgmmaCommit();
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::wgmma<D, 1>(s, weighted[j], sm90::descriptorMN(keys + 2048 * j, Shape::tile), true);
        sm90::wgmmaCommit();
        if (begin > 0)
          store(buffer.stage ^ 1, begin - Shape::chunk);
        sm90::wait(scoresFull(buffer.stage), buffer.parity);

        sm90::wgmmaWait<1>();
        sm90::wgmmaHold(o);
#pragma unroll
        for (int i = 0; i < 32; i += 2) {
          float2 power = *reinterpret_cast<const float2 *>(table(0) + column + i / 4 * 8);
          o[i] *= power.x, o[i + 1] *= power.y;
        }
        sm90::wgmmaFence();
#pragma unroll
        for (int j = 0; j < 4; ++j)
          sm90::wgmma<64>(o, v[j], sm90::descriptorK(scores + 32 * j), true);
        sm90::wgmmaCommit();
        sm90::wgmmaWait<1>();
        sm90::wgmmaHold(s);
        if (lane == 0)
          release(ring.stage);
        ring.advance();
        if (begin + Shape::chunk < work.count) {
          fetch(begin + Shape::chunk, ring);
          round(begin + Shape::chunk);
        }
        sm90::wgmmaWait<0>();
        sm90::wgmmaHold(o);
#pragma unroll
        for (int j = 0; j < 16; ++j) // read until here
          asm volatile("" ::"r"(v[j / 4][j % 4]));
        if (lane == 0)
          sm90::arrive(scoresEmpty(buffer.stage));
#pragma unroll
        for (int i = 0; i < 16; ++i)
          packed[i / 4][i % 4] = sm90::packBf16(o[2 * i], o[2 * i + 1]);
        buffer.advance();
      }
      store(buffer.stage ^ 1, (work.count - 1) / Shape::chunk * Shape::chunk);
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
  /// 0: lambda^(i+1); 1: lambda^(63-j); 2: lambda^(L-1-j) of the last chunk, zeros from L on.
  __device__ __forceinline__ float *table(int i) const {
    return reinterpret_cast<float *>(shared + Shape::tables) + i * Shape::chunk;
  }

  /// Rows from `valid` on hold the next sequence or nothing: as zeros they add nothing to S.
  __device__ __forceinline__ void clearKeys(int number, int valid, int thread) const {
    char *keys = shared + number * Shape::stageBytes + Shape::halves * Shape::tile;
    for (int i = thread; i < Shape::halves * (Shape::chunk - valid) * 8; i += 128) {
      int tile = i / ((Shape::chunk - valid) * 8), part = i % ((Shape::chunk - valid) * 8);
      *reinterpret_cast<uint4 *>(keys + tile * Shape::tile + valid * 128 + part * 16) =
          make_uint4(0, 0, 0, 0);
    }
    sm90::fenceAsyncShared();
    sm90::namedBarrier(1, 128);
  }
  __device__ __forceinline__ static void clearValues(uint32_t (&v)[4][4], int valid, int column) {
#pragma unroll
    for (int j = 0; j < 4; ++j)
#pragma unroll
      for (int i = 0; i < 4; ++i) {
        int token = 16 * j + i / 2 * 8 + column;
        v[j][i] &= (token < valid ? 0xFFFFu : 0) | (token + 1 < valid ? 0xFFFF0000u : 0);
      }
  }
  __device__ __forceinline__ void makeTables(const Work &work, int thread) const {
    sm90::namedBarrier(2, 128); // the tables of the work before are read
    if (thread < Shape::chunk) {
      const float slope = __ldg(a.slopes + work.head);
      const int last = (work.count - 1) % Shape::chunk;
      table(0)[thread] = expf(-slope * static_cast<float>(thread + 1));
      table(1)[thread] = expf(-slope * static_cast<float>(Shape::chunk - 1 - thread));
      table(2)[thread] = thread <= last ? expf(-slope * static_cast<float>(last - thread)) : 0.0f;
    }
    sm90::namedBarrier(2, 128);
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
/// shared memory.  Boxes of every map are 64 by 64 elements with 128-byte swizzle.  With Multicast,
/// clusters of 2.
template <int D, int Stages = LightningPrefillShape<D>::stages, bool Multicast = false>
__device__ __forceinline__ void lightningPrefill(const CUtensorMap *q, const CUtensorMap *k,
                                                 const CUtensorMap *v, const CUtensorMap *output,
                                                 const LightningPrefillArguments &arguments) {
  extern __shared__ char dynamicShared[];
  const uint32_t misaligned = sm90::sharedAddress(dynamicShared) % 1024;
  lightning::Prefill<D, Stages, Multicast> prefill(arguments,
                                                   dynamicShared + (1024 - misaligned) % 1024);
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
    sm90::moreRegisters<240>();
    prefill.makeScores();
  } else {
    sm90::moreRegisters<240>();
    prefill.makeOutput(output);
  }
  if constexpr (Multicast) { // the other CTA may still write here
    __syncwarp();
    sm90::clusterSync();
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_PREFILL_CUH
