// Softmax attention of sequences with one new row: the cache is read once, at memory speed.
//
// The work is a list of units, one for each page of each KV head of each such sequence, cut into
// equal runs for the CTAs, so that any mixture of lengths fills the card.  A run covers parts of
// one or more (sequence, head): where it covers all pages of one, the result is written; else a
// partial result, which pagedCombine() puts together in the order of the pages.
//
// A CTA has four warps that compute and one that copies pages into a ring of stages.  Each warp
// takes 16 of the page's 64 positions and keeps maximum, sum and result of its own.  Positions are
// the rows of the products, queries the columns:
//   scores^T [16, queries] = K q^T,   result^T [D, queries] += V^T weights^T
// Pages of fp8 are widened to f16, which holds them exactly.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_PAGED_DECODE_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_PAGED_DECODE_CUH

#include "paged_work.cuh"

namespace levin::kernels::attention {

//===- Fragments ----------------------------------------------------------------------------===//

__device__ __forceinline__ uint32_t widenFp8(uint32_t pair) { // two e4m3 in the lower half
  uint32_t wide;
  asm("cvt.rn.f16x2.e4m3x2 %0, %1;" : "=r"(wide) : "h"(static_cast<uint16_t>(pair)));
  return wide;
}
__device__ __forceinline__ uint32_t transposeFragment(uint32_t fragment) {
  uint32_t result;
  asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(result) : "r"(fragment));
  return result;
}
/// d += a b, operands bf16 if Wide, else f16.
template <bool Wide>
__device__ __forceinline__ void multiply(float (&d)[4], const uint32_t (&a)[4], uint32_t b0,
                                         uint32_t b1) {
  if constexpr (Wide)
    sm90::mma16816(d, a, b0, b1);
  else
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, "
                 "{%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
template <bool Wide> __device__ __forceinline__ uint32_t packPair(float low, float high) {
  if constexpr (Wide)
    return sm90::packBf16(low, high);
  uint32_t packed;
  asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}
/// The address of 16 bytes of a page in shared memory.
template <typename Layout>
__device__ __forceinline__ uint32_t chunkAddress(uint32_t page, int row, int chunk) {
  constexpr int perBox = Layout::boxBytes / 16;
  int turned = perBox == 8 ? chunk % 8 ^ row % 8 : chunk % 4 ^ row / 2 % 4;
  return page + chunk / perBox * (pageRows * Layout::boxBytes) + row * Layout::boxBytes +
         turned * 16;
}

//===- The warp that copies -----------------------------------------------------------------===//

template <typename Shape>
__device__ __forceinline__ void copySegment(const CUtensorMap *keys, const CUtensorMap *values,
                                            const Batch &batch, const Segment &segment,
                                            uint32_t base,
                                            sm90::RingPosition<DecodeLayout<Shape>::stages> &ring) {
  using Layout = DecodeLayout<Shape>;
  constexpr int boxCount = Layout::boxBytes / static_cast<int>(sizeof(typename Shape::Page));
  int lane = static_cast<int>(threadIdx.x) % 32;
  for (int block = segment.first; block < segment.last; block += 32) {
    int mine = block + lane < segment.last ? pageAt(batch, segment.sequence, block + lane) : 0;
    int count = min(32, segment.last - block);
    for (int i = 0; i < count; ++i) {
      int row = (__shfl_sync(0xFFFFFFFFu, mine, i) * Shape::groups + segment.group) * pageRows;
      uint32_t full = base + Layout::barrierOffset + ring.stage * 16, empty = full + 8;
      uint32_t stage = base + ring.stage * Layout::stageBytes;
      if (lane == 0) {
        sm90::wait(empty, ring.parity ^ 1);
        sm90::arriveExpect(full, Layout::stageBytes);
#pragma unroll
        for (int box = 0; box < Layout::boxes; ++box)
          sm90::load2D(stage + box * (pageRows * Layout::boxBytes), keys, full, box * boxCount, row,
                       sm90::evictFirst);
#pragma unroll
        for (int box = 0; box < Layout::boxes; ++box)
          sm90::load2D(stage + Layout::pageBytes + box * (pageRows * Layout::boxBytes), values,
                       full, box * boxCount, row, sm90::evictFirst);
      }
      __syncwarp();
      ring.advance();
    }
  }
}

//===- The warps that compute ---------------------------------------------------------------===//

template <typename Shape> class DecodeWorker {
public:
  using Layout = DecodeLayout<Shape>;
  using Input = typename Shape::Input;
  using Page = typename Shape::Page;
  static constexpr int size = Shape::size, tiles = Layout::tiles, steps = size / 16;

  const Batch &batch;
  const Input *q, *k, *v;
  Page *keys, *values;
  uint8_t *shared; // the bytes at address `base`
  uint32_t base;
  sm90::RingPosition<Layout::stages> ring{};

  __device__ __forceinline__ DecodeWorker(const Batch &batch, const Input *q, const Input *k,
                                          const Input *v, Page *keys, Page *values, uint8_t *shared,
                                          uint32_t base)
      : batch(batch), q(q), k(k), v(v), keys(keys), values(values), shared(shared), base(base) {}
  /// Prepares a segment: queries turned into shared memory and fragments; the new row, if its page
  /// is in the segment, into shared memory and the cache.
  __device__ __forceinline__ void begin(const Segment &segment);
  __device__ __forceinline__ void run(const Segment &segment);
  /// The results of all warps, in shared memory; the maximum and the sum of query `query`.
  __device__ __forceinline__ void gather();

  template <typename T> __device__ __forceinline__ T *at(int offset) const {
    return reinterpret_cast<T *>(shared + offset);
  }
  __device__ __forceinline__ float maximumOf(int query) const {
    const float *maxima = at<float>(Layout::maximaOffset);
    float most = maxima[query];
#pragma unroll
    for (int w = 1; w < Layout::workers; ++w)
      most = fmaxf(most, maxima[w * Layout::queries + query]);
    return most;
  }
  __device__ __forceinline__ float totalOf(int query, float most) const {
    const float *maxima = at<float>(Layout::maximaOffset);
    const float *totals = at<float>(Layout::totalsOffset);
    float total = 0;
#pragma unroll
    for (int w = 0; w < Layout::workers; ++w)
      total += totals[w * Layout::queries + query] *
               sm90::exp2Fast(maxima[w * Layout::queries + query] - most);
    return total;
  }
  static __device__ __forceinline__ void sync() { sm90::namedBarrier(1, Layout::workers * 32); }

private:
  int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  uint32_t query[steps][tiles][2];
  float factor[tiles][2];
  float result[steps][tiles][4]; // channels are rows
  float most[tiles][2], total[tiles][2];

  __device__ __forceinline__ void turnQueries(const Segment &segment);
  __device__ __forceinline__ void storeFresh(const Segment &segment);
  __device__ __forceinline__ void patch(uint32_t stage, int positions, bool fresh);
  template <bool Ends> __device__ __forceinline__ void page(uint32_t stage, int positions);
  __device__ __forceinline__ void scores(uint32_t page, float (&score)[tiles][4]);
  __device__ __forceinline__ void weigh(uint32_t page, const uint32_t (&weight)[tiles][2]);
};

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::turnQueries(const Segment &segment) {
  constexpr int half = Shape::width / 2, per = (size + 31) / 32;
  const Turn *turns = at<Turn>(Layout::turnOffset);
  for (int head = warp; head < Layout::queries; head += Layout::workers) {
    float value[per];
    float largest = 0;
    const Input *row = q + static_cast<int64_t>(segment.rows.first) * Shape::qRow +
                       (segment.group * Layout::perGroup + head) * Shape::qHead;
#pragma unroll
    for (int i = 0; i < per; ++i) {
      int channel = i * 32 + lane;
      value[i] = 0;
      if (head < Layout::perGroup) {
        value[i] = toFloat(row[channel]);
        if (channel < 2 * half) {
          bool upper = channel >= half;
          float other = toFloat(row[upper ? channel - half : channel + half]);
          Turn turn = turns[upper ? channel - half : channel];
          value[i] = value[i] * turn.cosine + (upper ? other : -other) * turn.sine;
        }
      }
      largest = fmaxf(largest, fabsf(value[i]));
    }
    float power = 1;
    if constexpr (!Layout::wide) { // into the range of f16: the largest between 1 and 2
#pragma unroll
      for (int step = 16; step > 0; step /= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, step));
      uint32_t exponent = __float_as_uint(largest) & 0x7F800000u;
      if (exponent > 0x08000000u && exponent < 0x7F000000u)
        power = __uint_as_float(exponent);
    }
    if (lane == 0)
      at<float>(Layout::factorOffset)[head] = Shape::scale * log2e * power;
    uint16_t *target = at<uint16_t>(Layout::queryOffset) + head * size;
    float inverse = 1.0f / power;
#pragma unroll
    for (int i = 0; i < per; ++i)
      target[i * 32 + lane] = static_cast<uint16_t>(packPair<Layout::wide>(value[i] * inverse, 0));
  }
}

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::storeFresh(const Segment &segment) {
  constexpr int half = Shape::width / 2;
  const Turn *turns = at<Turn>(Layout::turnOffset);
  int position = segment.rows.past;
  bool stored = hasPage(batch, segment.sequence, position / pageRows);
  int64_t row =
      static_cast<int64_t>(pageAt(batch, segment.sequence, position / pageRows)) * Shape::groups +
      segment.group;
  row = row * pageRows + position % pageRows;
  const Input *key =
      k + static_cast<int64_t>(segment.rows.first) * Shape::kRow + segment.group * Shape::kHead;
  const Input *value =
      v + static_cast<int64_t>(segment.rows.first) * Shape::vRow + segment.group * Shape::vHead;
  Page *fresh = at<Page>(Layout::freshOffset);
  for (int channel = static_cast<int>(threadIdx.x); channel < size;
       channel += Layout::workers * 32) {
    float turned = toFloat(key[channel]);
    if (channel < 2 * half) {
      bool upper = channel >= half;
      float other = toFloat(key[upper ? channel - half : channel + half]);
      Turn turn = turns[upper ? channel - half : channel];
      turned = turned * turn.cosine + (upper ? other : -other) * turn.sine;
    }
    fresh[channel] = fromFloat<Page>(turned);
    fresh[size + channel] = fromFloat<Page>(toFloat(value[channel]));
    if (stored) {
      keys[row * size + channel] = fresh[channel];
      values[row * size + channel] = fresh[size + channel];
    }
  }
}

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::begin(const Segment &segment) {
  Turn *turns = at<Turn>(Layout::turnOffset);
  for (int j = static_cast<int>(threadIdx.x); j < Shape::width / 2; j += Layout::workers * 32)
    turns[j] = turnOf(segment.rows.past, Shape::frequency(j));
  sync();
  turnQueries(segment);
  if (segment.last == segment.blocks && segment.rows.past < batch.capacity())
    storeFresh(segment);
  sync();
  const uint8_t *queries = shared + Layout::queryOffset;
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
    const uint8_t *row = queries + (tile * 8 + lane / 4) * size * 2;
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      // Channels in the order in which the fragments of keys hold them.
      int place = Layout::wide ? 4 * (lane % 4) : 8 * (lane % 4);
      query[step][tile][0] = *reinterpret_cast<const uint32_t *>(row + 32 * step + place);
      query[step][tile][1] =
          *reinterpret_cast<const uint32_t *>(row + 32 * step + place + (Layout::wide ? 16 : 4));
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      factor[tile][i] = at<float>(Layout::factorOffset)[tile * 8 + 2 * (lane % 4) + i];
      most[tile][i] = lowest;
      total[tile][i] = 0;
    }
#pragma unroll
    for (int step = 0; step < steps; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        result[step][tile][i] = 0;
  }
}

/// Makes the warp's rows of the last page, which has `positions`, fit for use: the new row is put
/// in, and values behind it, which may be anything, become zero.
template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::patch(uint32_t stage, int positions,
                                                           bool fresh) {
  constexpr int chunks = Layout::rowBytes / 16;
  uint8_t *keyPage = shared + (stage - base), *valuePage = keyPage + Layout::pageBytes;
  const uint8_t *row = shared + Layout::freshOffset;
  for (int item = lane; item < 16 * chunks; item += 32) {
    int r = 16 * warp + item / chunks, chunk = item % chunks;
    uint32_t offset = chunkAddress<Layout>(0, r, chunk);
    if (r >= positions) {
      *reinterpret_cast<uint4 *>(valuePage + offset) = make_uint4(0, 0, 0, 0);
    } else if (fresh && r == positions - 1) {
      *reinterpret_cast<uint4 *>(keyPage + offset) =
          *reinterpret_cast<const uint4 *>(row + 16 * chunk);
      *reinterpret_cast<uint4 *>(valuePage + offset) =
          *reinterpret_cast<const uint4 *>(row + Layout::rowBytes + 16 * chunk);
    }
  }
  sm90::fenceAsyncShared(); // the stage is copied into again
  __syncwarp();
}

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::scores(uint32_t page,
                                                            float (&score)[tiles][4]) {
  float sums[2][tiles][4] = {}; // of even and odd steps: two chains of products
  int row = 16 * warp + lane % 16, upper = lane / 16;
  if constexpr (Layout::wide) {
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      uint32_t a[4];
      sm90::loadMatrix4(a, chunkAddress<Layout>(page, row, 2 * step + upper));
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        multiply<true>(sums[step % 2][tile], a, query[step][tile][0], query[step][tile][1]);
    }
  } else {
#pragma unroll
    for (int step = 0; step < steps; step += 2) {
      uint32_t bytes[4];
      sm90::loadMatrix4(bytes, chunkAddress<Layout>(page, row, step + upper));
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        uint32_t a[4] = {widenFp8(bytes[2 * part]), widenFp8(bytes[2 * part + 1]),
                         widenFp8(bytes[2 * part] >> 16), widenFp8(bytes[2 * part + 1] >> 16)};
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile)
          multiply<false>(sums[part][tile], a, query[step + part][tile][0],
                          query[step + part][tile][1]);
      }
    }
  }
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile)
#pragma unroll
    for (int i = 0; i < 4; ++i)
      score[tile][i] = sums[0][tile][i] + sums[1][tile][i];
}

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::weigh(uint32_t page,
                                                           const uint32_t (&weight)[tiles][2]) {
  if constexpr (Layout::wide) {
    int row = 16 * warp + lane % 8 + lane / 16 * 8, upper = lane / 8 % 2;
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      uint32_t a[4];
      sm90::loadMatrix4<true>(a, chunkAddress<Layout>(page, row, 2 * step + upper));
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
        multiply<true>(result[step][tile], a, weight[tile][0], weight[tile][1]);
    }
  } else {
    int row = 16 * warp + lane % 16, upper = lane / 16;
#pragma unroll
    for (int step = 0; step < steps; step += 2) {
      uint32_t bytes[4]; // of two positions, two channels each
      sm90::loadMatrix4<true>(bytes, chunkAddress<Layout>(page, row, step + upper));
#pragma unroll
      for (int part = 0; part < 2; ++part) {
        uint32_t low = __byte_perm(bytes[2 * part], 0, 0x3120);
        uint32_t high = __byte_perm(bytes[2 * part + 1], 0, 0x3120);
        // Row i of the fragment is channel 2 i, row 8 + i channel 2 i + 1.
        uint32_t a[4] = {widenFp8(low), widenFp8(low >> 16), widenFp8(high), widenFp8(high >> 16)};
#pragma unroll
        for (int tile = 0; tile < tiles; ++tile)
          multiply<false>(result[step + part][tile], a, weight[tile][0], weight[tile][1]);
      }
    }
  }
}

/// Takes one page.  Ends: it is the last one, of which the first `positions` count.
template <typename Shape>
template <bool Ends>
__device__ __forceinline__ void DecodeWorker<Shape>::page(uint32_t stage, int positions) {
  float score[tiles][4];
  scores(stage, score);
  uint32_t weight[tiles][2];
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile) {
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      score[tile][i] *= factor[tile][i % 2];
      if (Ends && 16 * warp + lane / 4 + 8 * (i / 2) >= positions)
        score[tile][i] = -INFINITY;
    }
#pragma unroll
    for (int i = 0; i < 2; ++i) {
      float largest = fmaxf(score[tile][i], score[tile][i + 2]);
#pragma unroll
      for (int step = 4; step < 32; step *= 2)
        largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, step));
      largest = fmaxf(largest, most[tile][i]);
      float shrink = sm90::exp2Fast(most[tile][i] - largest);
      most[tile][i] = largest;
      score[tile][i] = sm90::exp2Fast(score[tile][i] - largest);
      score[tile][i + 2] = sm90::exp2Fast(score[tile][i + 2] - largest);
      total[tile][i] = total[tile][i] * shrink + (score[tile][i] + score[tile][i + 2]);
#pragma unroll
      for (int step = 0; step < steps; ++step) {
        result[step][tile][i] *= shrink;
        result[step][tile][i + 2] *= shrink;
      }
    }
    weight[tile][0] = transposeFragment(packPair<Layout::wide>(score[tile][0], score[tile][1]));
    weight[tile][1] = transposeFragment(packPair<Layout::wide>(score[tile][2], score[tile][3]));
  }
  weigh(stage + Layout::pageBytes, weight);
}

template <typename Shape>
__device__ __forceinline__ void DecodeWorker<Shape>::run(const Segment &segment) {
  int positions = segment.rows.positions(batch) - (segment.blocks - 1) * pageRows; // of the last
  for (int block = segment.first; block < segment.last; ++block) {
    uint32_t full = base + Layout::barrierOffset + ring.stage * 16;
    uint32_t stage = base + ring.stage * Layout::stageBytes;
    sm90::wait(full, ring.parity);
    if (block == segment.blocks - 1) {
      patch(stage, positions, segment.rows.past < batch.capacity());
      page<true>(stage, positions);
    } else {
      page<false>(stage, pageRows);
    }
    __syncwarp();
    if (lane == 0)
      sm90::arrive(full + 8);
    ring.advance();
  }
}

template <typename Shape> __device__ __forceinline__ void DecodeWorker<Shape>::gather() {
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile)
#pragma unroll
    for (int i = 0; i < 2; ++i) {
#pragma unroll
      for (int step = 4; step < 32; step *= 2)
        total[tile][i] += __shfl_xor_sync(0xFFFFFFFFu, total[tile][i], step);
      int place = warp * Layout::queries + tile * 8 + 2 * (lane % 4) + i;
      if (lane < 4) {
        at<float>(Layout::maximaOffset)[place] = most[tile][i];
        at<float>(Layout::totalsOffset)[place] = total[tile][i];
      }
    }
  sync();
  float shrink[tiles][2];
#pragma unroll
  for (int tile = 0; tile < tiles; ++tile)
#pragma unroll
    for (int i = 0; i < 2; ++i)
      shrink[tile][i] = sm90::exp2Fast(most[tile][i] - maximumOf(tile * 8 + 2 * (lane % 4) + i));
  // The warps add their results one after the other, each beginning with another part of them.
  float *sums = at<float>(Layout::sumOffset);
#pragma unroll
  for (int turn = 0; turn < Layout::workers; ++turn) {
#pragma unroll
    for (int step = 0; step < steps; ++step) {
      if (step % Layout::workers != (warp + turn) % Layout::workers)
        continue;
#pragma unroll
      for (int tile = 0; tile < tiles; ++tile)
#pragma unroll
        for (int i = 0; i < 4; ++i) {
          int channel =
              16 * step + (Layout::wide ? lane / 4 + 8 * (i / 2) : 2 * (lane / 4) + i / 2);
          float *sum = sums + (tile * 8 + 2 * (lane % 4) + i % 2) * Layout::sumStride + channel;
          float scaled = result[step][tile][i] * shrink[tile][i % 2];
          *sum = turn == 0 ? scaled : *sum + scaled;
        }
    }
    sync();
  }
}

//===- Kernels ------------------------------------------------------------------------------===//

/// Grid: DecodeLayout::perProcessor CTAs a multiprocessor; `leastUnits` a run and `mostRuns` bound
/// the number of runs.  Block: DecodeLayout::threads.  Maps: rows of keys and values in boxes of
/// [pageRows, boxBytes].
template <typename Shape>
__device__ __forceinline__ void
pagedDecode(const CUtensorMap *keyMap, const CUtensorMap *valueMap, const Batch &batch,
            const typename Shape::Input *q, const typename Shape::Input *k,
            const typename Shape::Input *v, typename Shape::Page *keys,
            typename Shape::Page *values, typename Shape::Output *output, void *scratch,
            int leastUnits, int mostRuns) {
  using Layout = DecodeLayout<Shape>;
  using Work = DecodeWork<Shape>;
  extern __shared__ uint8_t dynamicShared[];
  uint32_t address = sm90::sharedAddress(dynamicShared);
  uint32_t base = (address + 1023) / 1024 * 1024;
  uint8_t *shared = dynamicShared + (base - address);
  int warp = sm90::warpIndex();
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < Layout::stages; ++stage) {
      sm90::initBarrier(base + Layout::barrierOffset + stage * 16, 1);
      sm90::initBarrier(base + Layout::barrierOffset + stage * 16 + 8, Layout::workers);
    }
    sm90::fenceBarrierInit();
  }
  if (warp == Layout::workers && sm90::electOne()) {
    sm90::prefetchMap(keyMap);
    sm90::prefetchMap(valueMap);
  }
  __syncthreads();

  // The batch, and pages that earlier steps filled, are there before the kernels before end.
  auto unitsOf = [&](const Sequence &rows) { return Work::units(batch, rows); };
  int units = countPieces(batch, 0, unitsOf).all;
  int runs = min(min(static_cast<int>(gridDim.x), mostRuns),
                 max((units + leastUnits - 1) / leastUnits, 1));
  int run = static_cast<int>(blockIdx.x);
  DecodeScratch space(scratch);
  if (warp != Layout::workers)
    sm90::gridWait();
  if (run == 0 && threadIdx.x == 0)
    *space.runs = runs;
  if (run >= runs)
    return;
  int begin = Work::begin(run, runs, units), end = Work::begin(run + 1, runs, units);

  auto forEachSegment = [&](auto &&body) {
    for (int unit = begin; unit < end;) {
      Piece piece = findPiece(batch, unit, unitsOf);
      Segment segment;
      segment.sequence = piece.sequence;
      segment.rows = piece.rows;
      segment.blocks = piece.count / Shape::groups;
      segment.group = piece.index / segment.blocks;
      segment.first = piece.index % segment.blocks;
      segment.last = min(segment.blocks, segment.first + end - unit);
      body(segment);
      unit += segment.last - segment.first;
    }
  };
  if (warp == Layout::workers) {
    sm90::RingPosition<Layout::stages> ring;
    forEachSegment([&](const Segment &segment) {
      copySegment<Shape>(keyMap, valueMap, batch, segment, base, ring);
    });
    return;
  }
  DecodeWorker<Shape> worker(batch, q, k, v, keys, values, shared, base);
  forEachSegment([&](const Segment &segment) {
    worker.begin(segment);
    worker.run(segment);
    worker.gather();
    bool complete = segment.first == 0 && segment.last == segment.blocks;
    float *partial = space.partials +
                     (2 * static_cast<int64_t>(run) + (segment.first == 0)) * Layout::partialCount;
    const float *sums = worker.template at<float>(Layout::sumOffset);
    constexpr int chunks = Shape::size / 8;
    for (int item = static_cast<int>(threadIdx.x); item < Layout::perGroup * chunks;
         item += Layout::workers * 32) {
      int head = item / chunks, channel = item % chunks * 8;
      float most = worker.maximumOf(head), total = worker.totalOf(head, most);
      const float *from = sums + head * Layout::sumStride + channel;
      if (complete) {
        float inverse = 1.0f / total;
        alignas(16) typename Shape::Output part[8];
#pragma unroll
        for (int i = 0; i < 8; ++i)
          part[i] = fromFloat<typename Shape::Output>(from[i] * inverse);
        auto *to = output + static_cast<int64_t>(segment.rows.first) * Shape::heads * Shape::size +
                   (segment.group * Layout::perGroup + head) * Shape::size + channel;
#pragma unroll
        for (int i = 0; i < static_cast<int>(sizeof(part)) / 16; ++i)
          reinterpret_cast<uint4 *>(to)[i] = reinterpret_cast<const uint4 *>(part)[i];
      } else {
        float *to = partial + head * Shape::size + channel;
        *reinterpret_cast<float4 *>(to) = *reinterpret_cast<const float4 *>(from);
        *reinterpret_cast<float4 *>(to + 4) = *reinterpret_cast<const float4 *>(from + 4);
        if (channel == 0) {
          float *statistics = partial + Layout::perGroup * Shape::size;
          statistics[head] = most;
          statistics[Layout::perGroup + head] = total;
        }
      }
    }
    worker.sync(); // shared memory is used again
  });
  sm90::gridLaunch(); // earlier, CTAs of pagedCombine() would be in the way
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_PAGED_DECODE_CUH
