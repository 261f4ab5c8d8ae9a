// What each segment of a sequence but the last adds to its state: the kernel before
// lightning_prefill.cuh where a sequence is cut (see lightning_work.cuh).
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_SEGMENTS_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_SEGMENTS_CUH

#include "lightning_work.cuh"

namespace levin::kernels {

/// What a CTA keeps in shared memory.
template <int D> struct LightningSegmentsShape {
  static constexpr int halves = D / 64, threads = 256, tile = lightning::chunkRows * 128;
  static constexpr int stages = 6, stageBytes = (halves + 1) * tile;
  static constexpr int table = stages * stageBytes, barriers = table + lightning::chunkRows * 4;
  static constexpr int order = barriers + 2 * stages * 8;

  /// Dynamic shared memory for a batch of `sequences`.
  static constexpr int fixedBytes = 1024 + order + lightning::WorkList<halves>::fixedBytes;
  static constexpr int bytes(int sequences) {
    return fixedBytes + lightning::WorkList<halves>::bytesOfSequence * sequences;
  }
};

/// Grid: a multiple of D / 64 CTAs of 256 threads, `LightningSegmentsShape<D>::bytes()` of dynamic
/// shared memory.  Boxes of both maps are 64 by 64 elements with 128-byte swizzle.
template <int D>
__device__ __forceinline__ void lightningSegments(const CUtensorMap *k, const CUtensorMap *v,
                                                  const LightningPrefillArguments &a) {
  using Shape = LightningSegmentsShape<D>;
  extern __shared__ char dynamicShared[];
  const uint32_t misaligned = sm90::sharedAddress(dynamicShared) % 1024;
  char *const shared = dynamicShared + (1024 - misaligned) % 1024;
  const uint32_t base = sm90::sharedAddress(shared);
  const int half = static_cast<int>(blockIdx.x) % Shape::halves;
  float *const table = reinterpret_cast<float *>(shared + Shape::table);
  auto full = [&](int i) { return base + Shape::barriers + 16 * i; };
  auto empty = [&](int i) { return base + Shape::barriers + 16 * i + 8; };

  lightning::WorkList<Shape::halves> list(a, reinterpret_cast<int *>(shared + Shape::order));
  if (threadIdx.x == 0) {
    for (int i = 0; i < Shape::stages; ++i)
      sm90::initBarrier(full(i), 1), sm90::initBarrier(empty(i), 4);
    sm90::fenceBarrierInit();
  }
  list.prepare();
  __syncthreads();
  sm90::gridWait();

  sm90::RingPosition<Shape::stages> ring;
  if (sm90::warpIndex() < 4) {
    if (sm90::warpIndex() == 0 && sm90::electOne())
      list.forEach([&](const lightning::Work &work) {
        if (work.last)
          return;
        for (int row = 0; row < work.rows; row += lightning::chunkRows) {
          sm90::wait(empty(ring.stage), ring.parity ^ 1);
          uint32_t to = base + ring.stage * Shape::stageBytes;
          sm90::arriveExpect(full(ring.stage), Shape::stageBytes);
#pragma unroll
          for (int i = 0; i < Shape::halves; ++i)
            sm90::load2D(to + i * Shape::tile, k, full(ring.stage),
                         work.head * a.k.head + a.k.offset + 64 * i, work.first + row);
          sm90::load2D(to + Shape::halves * Shape::tile, v, full(ring.stage),
                       work.head * a.v.head + a.v.offset + 64 * half, work.first + row);
          ring.advance();
        }
      });
    return;
  }
  const int thread = threadIdx.x % 128, warp = thread / 32, lane = thread % 32;
  const uint32_t fragment =
      sm90::swizzle128((lane / 16 * 8 + lane % 8) * 128 + 32 * warp + lane / 8 % 2 * 16);
  const lightning::StateFragment<D> state(a, half, thread);
  list.forEach([&](const lightning::Work &work) {
    if (work.last)
      return;
    const float slope = __ldg(a.slopes + work.head);
    sm90::namedBarrier(1, 128); // the table of the work before is read
    if (thread < lightning::chunkRows)
      table[thread] = expf(-slope * static_cast<float>(lightning::chunkRows - 1 - thread));
    sm90::namedBarrier(1, 128);
    const float decay = expf(-slope * static_cast<float>(lightning::chunkRows));
    float s[D / 2];
    if (work.segment == 0) {
      state.load(s, work);
      if (!work.fresh)
        state.storePart(s, work, 0);
    } else {
#pragma unroll
      for (int i = 0; i < D / 2; ++i)
        s[i] = 0;
    }
    for (int row = 0; row < work.rows; row += lightning::chunkRows) {
      const uint32_t keys = base + ring.stage * Shape::stageBytes;
      uint32_t v[4][4], weighted[4][4];
      sm90::wait(full(ring.stage), ring.parity);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sm90::loadMatrix4<true>(v[j], keys + Shape::halves * Shape::tile + fragment + 2048 * j);
      lightning::weighValues(weighted, v, table, 2 * (lane % 4));
#pragma unroll
      for (int i = 0; i < D / 2; ++i)
        s[i] *= decay;
      sm90::wgmmaFence();
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sm90::wgmma<D, 1>(s, weighted[j], sm90::descriptorMN(keys + 2048 * j, Shape::tile), true);
      sm90::wgmmaCommit();
      sm90::wgmmaWait<0>();
      sm90::wgmmaHold(s);
      if (lane == 0)
        sm90::arrive(empty(ring.stage));
      ring.advance();
    }
    state.storePart(s, work, work.segment + 1);
  });
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_SEGMENTS_CUH
