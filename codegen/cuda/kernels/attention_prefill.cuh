// Softmax attention of sequences with two or more new rows, behind any context in the cache.
//
// After attentionStore() of those rows, which also leaves the turns of their positions.  A tile is
// 128 queries of one KV head of one sequence: its rows times the H / G query heads, so that short
// pieces of prompts fill tiles and keys are read once for all heads of a group.  CTAs stay and take
// tiles in turn, longest first.  Of three warpgroups,
//   the first copies: one warp pages of keys and values into two stages each, three warps the next
//   tile's queries, turned; or, where pages are fp8, these widen them, and the others turn queries;
//   the others compute 64 queries each against 128 positions at a time, from the last to the first:
//   scores of the next positions are in the tensor cores while those before become weights.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PREFILL_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PREFILL_CUH

#include "attention_store.cuh"

namespace levin::kernels::attention {

template <typename Shape> struct PrefillLayout {
  static constexpr bool wide = sizeof(typename Shape::Page) == 2; // bf16, else fp8
  static constexpr int size = Shape::size, perGroup = Shape::heads / Shape::groups;
  static constexpr int queries = 128, keys = 128, threads = 384, stages = 2;
  // Tiles lie in blocks of 64 channels, each of 128 rows of 128 bytes, swizzled.
  static constexpr int blockBytes = 128 * 128, tileBytes = size / 64 * blockBytes;
  static constexpr int keyOffset = 2 * tileBytes, valueOffset = keyOffset + stages * tileBytes;
  // Keys and values as they are in fp8: 128 rows, swizzled.
  static constexpr int rawOffset = valueOffset + stages * tileBytes;
  static constexpr int rawBytes = wide ? 0 : keys * size;
  static constexpr int infoOffset = rawOffset + 2 * rawBytes; // of two tiles, 64 bytes each
  static constexpr int barrierOffset = infoOffset + 128;
  static constexpr int sharedBytes = barrierOffset + 128 + 1024;
  static constexpr int copyRegisters = 72, computeRegisters = 216;

  static __device__ __forceinline__ int tiles(const Sequence &rows) {
    return rows.count > 1 ? (rows.count * perGroup + queries - 1) / queries : 0;
  }
  static_assert(size == 64 || size == 128);
};

/// 128 queries: of head `group`, from query 128 `index` of the sequence on.
struct QueryTile {
  int sequence, group, index; // sequence -1: there is none
  Sequence rows;
  int blocks;    // of keys: that the last query sees
  int positions; // of the sequence
};

template <typename Shape> class Prefill {
public:
  using Layout = PrefillLayout<Shape>;
  using Input = typename Shape::Input;
  static constexpr int size = Shape::size, perGroup = Layout::perGroup, half = Shape::width / 2;

  const CUtensorMap *keyMap, *valueMap;
  const Batch &batch;
  const Input *q;
  typename Shape::Output *output;
  const Turn *turns;
  uint8_t *shared; // the bytes at address `base`
  uint32_t base;
  int tilesPerGroup;

  // Raw: stage 0 is of keys, 1 of values.
  enum Barrier {
    KeyFull,
    KeyEmpty,
    ValueFull,
    ValueEmpty,
    QueryFull,
    QueryEmpty,
    RawFull,
    RawEmpty
  };
  __device__ __forceinline__ uint32_t barrier(Barrier kind, int stage) const {
    return base + Layout::barrierOffset + (2 * kind + stage) * 8;
  }
  /// Tile number `round` of this CTA; the order of CTAs alternates, which evens out their work.
  __device__ __forceinline__ QueryTile tileOf(int round) const;
  __device__ __forceinline__ void copyPages() const;
  __device__ __forceinline__ void widenPages() const;
  /// Queries [begin, end) of a tile into `slot`, by `count` threads of which this is number
  /// `thread`.
  __device__ __forceinline__ void turnQueries(const QueryTile &tile, int slot, int begin, int end,
                                              int thread, int count) const;
  __device__ __forceinline__ void copyQueries() const;
  __device__ __forceinline__ void compute() const;

private:
  __device__ __forceinline__ void computeTile(const QueryTile &tile, int slot,
                                              sm90::RingPosition<Layout::stages> &keyRing,
                                              sm90::RingPosition<Layout::stages> &valueRing) const;
  __device__ __forceinline__ void clearValues(uint32_t stage, int begin) const;
};

template <typename Shape>
__device__ __forceinline__ QueryTile Prefill<Shape>::tileOf(int round) const {
  int ctas = static_cast<int>(gridDim.x), cta = static_cast<int>(blockIdx.x);
  int number = round * ctas + (round % 2 == 0 ? cta : ctas - 1 - cta);
  QueryTile tile{};
  tile.sequence = -1;
  if (number >= tilesPerGroup * Shape::groups)
    return tile;
  Piece piece = findPiece(batch, tilesPerGroup - 1 - number / Shape::groups, Layout::tiles);
  tile.sequence = piece.sequence;
  tile.group = number % Shape::groups;
  tile.index = piece.index;
  tile.rows = piece.rows;
  tile.positions = piece.rows.positions(batch);
  int lastRow = min(((piece.index + 1) * Layout::queries - 1) / perGroup, piece.rows.count - 1);
  int end = min(piece.rows.past + lastRow + 1, batch.capacity());
  tile.blocks = (end + Layout::keys - 1) / Layout::keys;
  return tile;
}

//===- Copies -------------------------------------------------------------------------------===//

template <typename Shape> __device__ __forceinline__ void Prefill<Shape>::copyPages() const {
  int lane = static_cast<int>(threadIdx.x) % 32;
  sm90::RingPosition<Layout::wide ? Layout::stages : 1> ring;
  auto keysAt = [](int stage) {
    return Layout::wide ? Layout::keyOffset + stage * Layout::tileBytes : Layout::rawOffset;
  };
  auto valuesAt = [](int stage) {
    return Layout::wide ? Layout::valueOffset + stage * Layout::tileBytes
                        : Layout::rawOffset + Layout::rawBytes;
  };
  for (int round = 0;; ++round) {
    QueryTile tile = tileOf(round);
    if (tile.sequence < 0)
      return;
    int lastPage = (tile.positions - 1) / pageRows;
    auto loadPages = [&](int from) { // numbers of 32 pages, one in each lane
      return from < 0 ? 0 : pageAt(batch, tile.sequence, min(from + lane, lastPage));
    };
    int from = (2 * tile.blocks - 1) / 32 * 32;
    int pages = loadPages(from), pagesBefore = loadPages(from - 32);
    for (int block = tile.blocks - 1; block >= 0; --block) {
      if (2 * block < from) {
        from -= 32;
        pages = pagesBefore;
        pagesBefore = loadPages(from - 32);
      }
      int rows[2];
#pragma unroll
      for (int i = 0; i < 2; ++i)
        rows[i] =
            (__shfl_sync(0xFFFFFFFFu, pages, 2 * block + i - from) * Shape::groups + tile.group) *
            pageRows;
      auto copy = [&](const CUtensorMap *map, uint32_t target, uint32_t full) {
        sm90::arriveExpect(full, Layout::wide ? Layout::tileBytes : Layout::rawBytes);
#pragma unroll
        for (int i = 0; i < 2; ++i) {
          if constexpr (Layout::wide) {
#pragma unroll
            for (int part = 0; part < size / 64; ++part)
              sm90::load2D(target + part * Layout::blockBytes + i * (pageRows * 128), map, full,
                           part * 64, rows[i]);
          } else {
            sm90::load2D(target + i * (pageRows * size), map, full, 0, rows[i]);
          }
        }
      };
      if (lane == 0) {
        int stage = Layout::wide ? ring.stage : 0;
        sm90::wait(barrier(Layout::wide ? KeyEmpty : RawEmpty, stage), ring.parity ^ 1);
        copy(keyMap, base + keysAt(stage), barrier(Layout::wide ? KeyFull : RawFull, stage));
        stage = Layout::wide ? ring.stage : 1;
        sm90::wait(barrier(Layout::wide ? ValueEmpty : RawEmpty, stage), ring.parity ^ 1);
        copy(valueMap, base + valuesAt(stage), barrier(Layout::wide ? ValueFull : RawFull, stage));
      }
      __syncwarp();
      ring.advance();
    }
  }
}

template <typename Shape>
__device__ __forceinline__ void Prefill<Shape>::turnQueries(const QueryTile &tile, int slot,
                                                            int begin, int end, int thread,
                                                            int count) const {
  constexpr int pieces = TurnPieces<Shape, 8>::pieces;
  uint8_t *target = shared + slot * Layout::tileBytes;
#pragma unroll 2
  for (int item = begin * pieces + thread; item < end * pieces; item += count) {
    int row = item / pieces;
    int query = tile.index * Layout::queries + row, token = query / perGroup;
    if (token >= tile.rows.count)
      break;
    int64_t t = tile.rows.first + token;
    int head = tile.group * perGroup + query % perGroup;
    turnPiece<Shape, 8>(
        q + t * Shape::qRow + head * Shape::qHead, item % pieces, turns + t * half,
        [&](int to, const float (&part)[8]) {
          int chunk = to / 8;
          storeChannels(reinterpret_cast<__nv_bfloat16 *>(target + chunk / 8 * Layout::blockBytes +
                                                          row * 128 + (chunk % 8 ^ row % 8) * 16),
                        part);
        });
  }
}

template <typename Shape> __device__ __forceinline__ void Prefill<Shape>::copyQueries() const {
  int thread = static_cast<int>(threadIdx.x) - 32;
  sm90::RingPosition<2> ring;
  // The computing warps make the first tile's themselves: that slot's first phase has passed.
  if (thread % 32 == 0)
    sm90::arrive(barrier(QueryFull, ring.stage));
  ring.advance();
  for (int round = 1;; ++round) {
    QueryTile tile = tileOf(round);
    sm90::wait(barrier(QueryEmpty, ring.stage), ring.parity ^ 1);
    if (tile.sequence >= 0)
      turnQueries(tile, ring.stage, 0, Layout::queries, thread, 96);
    if (thread == 0)
      *reinterpret_cast<QueryTile *>(shared + Layout::infoOffset + ring.stage * 64) = tile;
    sm90::fenceAsyncShared();
    __syncwarp();
    if (thread % 32 == 0)
      sm90::arrive(barrier(QueryFull, ring.stage));
    if (tile.sequence < 0)
      return;
    ring.advance();
  }
}

/// Four e4m3 numbers as bf16, two in each half of the result.  A NaN becomes 480.
__device__ __forceinline__ uint2 widenToBf16(uint32_t bytes) {
  auto widen = [](uint32_t tops) { // numbers in the upper bytes of both halves
    // As a bf16, exponent and fraction are those of the number times 2^-120.
    uint32_t small = (tops & 0x80008000u) | (tops & 0x7F007F00u) >> 4, result;
    asm("mul.rn.bf16x2 %0, %1, %2;" : "=r"(result) : "r"(small), "r"(0x7B807B80u));
    return result;
  };
  return make_uint2(widen(__byte_perm(bytes, 0, 0x1404)), widen(__byte_perm(bytes, 0, 0x3424)));
}
/// The same with NaN where widenToBf16() gave 480, which no e4m3 number is.
__device__ __forceinline__ uint2 markNaN(uint2 wide) {
  auto mark = [](uint32_t pair) {
    return pair | ((pair & 0x7FFFu) == 0x43F0u ? 0x7FC0u : 0u) |
           ((pair & 0x7FFF0000u) == 0x43F00000u ? 0x7FC00000u : 0u);
  };
  return make_uint2(mark(wide.x), mark(wide.y));
}

template <typename Shape> __device__ __forceinline__ void Prefill<Shape>::widenPages() const {
  constexpr int chunks = size / 16; // of 16 numbers
  int thread = static_cast<int>(threadIdx.x) - 32;
  sm90::RingPosition<Layout::stages> ring;
  sm90::RingPosition<1> rawRing;
  auto widen = [&](int kind, uint32_t offset, Barrier full, Barrier empty) {
    sm90::wait(barrier(RawFull, kind), rawRing.parity);
    sm90::wait(barrier(empty, ring.stage), ring.parity ^ 1);
    const uint8_t *raw = shared + Layout::rawOffset + kind * Layout::rawBytes;
    uint8_t *target = shared + offset + ring.stage * Layout::tileBytes;
#pragma unroll 2
    for (int item = thread; item < Layout::keys * chunks; item += 96) {
      int row = item / chunks, chunk = item % chunks;
      int turned = chunks == 8 ? chunk ^ row % 8 : chunk ^ row / 2 % 4;
      uint4 bytes = *reinterpret_cast<const uint4 *>(raw + row * size + turned * 16);
      uint2 a = widenToBf16(bytes.x), b = widenToBf16(bytes.y), c = widenToBf16(bytes.z),
            d = widenToBf16(bytes.w);
      auto hasNaN = [](uint32_t four) { // in the upper bit of a byte
        return (four & 0x7F7F7F7Fu) + 0x01010101u & 0x80808080u;
      };
      if ((hasNaN(bytes.x) | hasNaN(bytes.y) | hasNaN(bytes.z) | hasNaN(bytes.w)) != 0)
        a = markNaN(a), b = markNaN(b), c = markNaN(c), d = markNaN(d);
      uint8_t *to = target + chunk / 4 * Layout::blockBytes + row * 128;
      int place = 2 * chunk % 8;
      *reinterpret_cast<uint4 *>(to + (place ^ row % 8) * 16) = make_uint4(a.x, a.y, b.x, b.y);
      *reinterpret_cast<uint4 *>(to + (place + 1 ^ row % 8) * 16) = make_uint4(c.x, c.y, d.x, d.y);
    }
    sm90::fenceAsyncShared();
    __syncwarp();
    if (thread % 32 == 0) {
      sm90::arrive(barrier(RawEmpty, kind));
      sm90::arrive(barrier(full, ring.stage));
    }
  };
  for (int round = 0;; ++round) {
    QueryTile tile = tileOf(round);
    if (tile.sequence < 0)
      return;
    for (int block = tile.blocks - 1; block >= 0; --block) {
      widen(0, Layout::keyOffset, KeyFull, KeyEmpty);
      widen(1, Layout::valueOffset, ValueFull, ValueEmpty);
      ring.advance();
      rawRing.advance();
    }
  }
}

//===- Products -----------------------------------------------------------------------------===//

/// Values from row `begin` on, which no position of the sequence has, become zeros: a weight of 0
/// would not keep out what the cache holds there.
template <typename Shape>
__device__ __forceinline__ void Prefill<Shape>::clearValues(uint32_t stage, int begin) const {
  int thread = static_cast<int>(threadIdx.x) % 128;
  uint8_t *target = shared + (stage - base);
  for (int item = begin * 8 + thread; item < Layout::keys * 8; item += 128)
#pragma unroll
    for (int part = 0; part < size / 64; ++part)
      *reinterpret_cast<uint4 *>(target + part * Layout::blockBytes + item * 16) =
          make_uint4(0, 0, 0, 0);
  sm90::fenceAsyncShared();
  sm90::namedBarrier(1 + static_cast<int>(threadIdx.x) / 128, 128);
}

/// A row's running statistics: thread t of a warp has rows t / 4 and t / 4 + 8.
struct RowStatistics {
  float most[2] = {lowest, lowest}, total[2] = {0, 0}; // totals of the thread's columns
  /// Turns scores to weights; `shrink` is what results so far are to be multiplied by.
  template <int Count>
  __device__ __forceinline__ void weigh(float (&score)[Count], float (&shrink)[2], float factor) {
#pragma unroll
    for (int r = 0; r < 2; ++r) {
      float largest = most[r];
#pragma unroll
      for (int i = 2 * r; i < Count; i += 4)
        largest = fmaxf(largest, fmaxf(score[i], score[i + 1]));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, 1));
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, 2));
      shrink[r] = sm90::exp2Fast((most[r] - largest) * factor);
      most[r] = largest;
      float shift = largest * factor, sum = 0;
#pragma unroll
      for (int i = 2 * r; i < Count; i += 4)
#pragma unroll
        for (int e = 0; e < 2; ++e) {
          score[i + e] = sm90::exp2Fast(fmaf(score[i + e], factor, -shift));
          sum += score[i + e];
        }
      total[r] = total[r] * shrink[r] + sum;
    }
  }
};

template <typename Shape>
__device__ __forceinline__ void
Prefill<Shape>::computeTile(const QueryTile &tile, int slot,
                            sm90::RingPosition<Layout::stages> &keyRing,
                            sm90::RingPosition<Layout::stages> &valueRing) const {
  constexpr float factor = Shape::scale * log2e;
  int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32 % 4;
  int worker = thread / 128 - 1;
  float score[Layout::keys / 2], result[size / 2];
  uint32_t weight[Layout::keys / 16][4];

  int firstQuery = tile.index * Layout::queries + worker * 64;
  auto visible = [&](int query) {
    return min(tile.rows.past + query / perGroup + 1, batch.capacity());
  };
  int limits[2] = {visible(firstQuery + warp * 16 + lane / 4),
                   visible(firstQuery + warp * 16 + lane / 4 + 8)};
  int leastLimit = visible(firstQuery);
  auto mask = [&](int block) {
    if ((block + 1) * Layout::keys <= leastLimit)
      return;
    int column = block * Layout::keys + 2 * (lane % 4);
#pragma unroll
    for (int i = 0; i < Layout::keys / 2; ++i)
      if (column + 8 * (i / 4) + i % 2 >= limits[i / 2 % 2])
        score[i] = -INFINITY;
  };
  uint64_t queries = sm90::descriptorK(base + slot * Layout::tileBytes + worker * (64 * 128));
  auto multiplyKeys = [&] {
    sm90::wait(barrier(KeyFull, keyRing.stage), keyRing.parity);
    uint64_t keys = sm90::descriptorK(base + Layout::keyOffset + keyRing.stage * Layout::tileBytes);
    sm90::wgmmaFence();
#pragma unroll
    for (int step = 0; step < size / 16; ++step) {
      uint32_t bytes = step / 4 * Layout::blockBytes + step % 4 * 32;
      sm90::wgmma<Layout::keys>(score, sm90::advance(queries, bytes), sm90::advance(keys, bytes),
                                step > 0);
    }
    sm90::wgmmaCommit();
  };
  auto multiplyValues = [&] {
    sm90::wait(barrier(ValueFull, valueRing.stage), valueRing.parity);
    uint64_t values = sm90::descriptorMN(
        base + Layout::valueOffset + valueRing.stage * Layout::tileBytes, Layout::blockBytes);
    sm90::wgmmaFence();
#pragma unroll
    for (int step = 0; step < Layout::keys / 16; ++step)
      sm90::wgmma<size, 1>(result, weight[step], sm90::advance(values, step * 2048), true);
    sm90::wgmmaCommit();
  };
  auto release = [&](Barrier kind, sm90::RingPosition<Layout::stages> &ring) {
    if (lane == 0)
      sm90::arrive(barrier(kind, ring.stage));
    ring.advance();
  };
  auto pack = [&] {
#pragma unroll
    for (int step = 0; step < Layout::keys / 16; ++step)
#pragma unroll
      for (int i = 0; i < 4; ++i)
        weight[step][i] = sm90::packBf16(score[8 * step + 2 * i], score[8 * step + 2 * i + 1]);
  };

  RowStatistics statistics;
  float shrink[2];
  multiplyKeys();
  sm90::wgmmaWait<0>();
  sm90::wgmmaHold(score);
  release(KeyEmpty, keyRing);
  mask(tile.blocks - 1);
  statistics.weigh(score, shrink, factor);
  pack();
#pragma unroll
  for (int i = 0; i < size / 2; ++i)
    result[i] = 0;
  if (tile.blocks * Layout::keys > tile.positions) {
    sm90::wait(barrier(ValueFull, valueRing.stage), valueRing.parity);
    clearValues(base + Layout::valueOffset + valueRing.stage * Layout::tileBytes,
                tile.positions - (tile.blocks - 1) * Layout::keys);
  }
  for (int block = tile.blocks - 2; block >= 0; --block) {
    sm90::namedBarrier(4 + worker, 256); // the warpgroups take turns at the tensor cores
    multiplyKeys();
    multiplyValues();
    sm90::namedArrive(5 - worker, 256);
    sm90::wgmmaWait<1>();
    sm90::wgmmaHold(score);
    release(KeyEmpty, keyRing);
    mask(block);
    statistics.weigh(score, shrink, factor);
    sm90::wgmmaWait<0>();
    sm90::wgmmaHold(result);
    release(ValueEmpty, valueRing);
#pragma unroll
    for (int i = 0; i < size / 2; ++i)
      result[i] *= shrink[i / 2 % 2];
    pack();
  }
  multiplyValues();
  sm90::wgmmaWait<0>();
  sm90::wgmmaHold(result);
  release(ValueEmpty, valueRing);

  // Results through the place of the warp's queries, which nothing reads any more.
  float inverse[2];
#pragma unroll
  for (int r = 0; r < 2; ++r) {
    float total = statistics.total[r];
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 1);
    total += __shfl_xor_sync(0xFFFFFFFFu, total, 2);
    inverse[r] = 1.0f / total;
  }
  int firstRow = worker * 64 + warp * 16;
  uint32_t rows = slot * Layout::tileBytes + firstRow * 128;
  auto place = [&](int row, int chunk) {
    return rows + chunk / 8 * Layout::blockBytes + row * 128 + (chunk % 8 ^ row % 8) * 16;
  };
#pragma unroll
  for (int chunk = 0; chunk < size / 8; chunk += 2) {
    uint32_t packed[4];
#pragma unroll
    for (int i = 0; i < 4; ++i)
      packed[i] = sm90::packBf16(result[4 * chunk + 2 * i] * inverse[i % 2],
                                 result[4 * chunk + 2 * i + 1] * inverse[i % 2]);
    sm90::storeMatrix4(base + place(lane % 16, chunk + lane / 16), packed[0], packed[1], packed[2],
                       packed[3]);
  }
  __syncwarp();
  constexpr int chunks = size / 8;
#pragma unroll
  for (int item = lane; item < 16 * chunks; item += 32) {
    int row = item / chunks, chunk = item % chunks;
    int query = tile.index * Layout::queries + firstRow + row, token = query / perGroup;
    if (token < tile.rows.count) {
      int64_t to = static_cast<int64_t>(tile.rows.first + token) * Shape::heads +
                   tile.group * perGroup + query % perGroup;
      *reinterpret_cast<uint4 *>(output + to * size + chunk * 8) =
          *reinterpret_cast<const uint4 *>(shared + place(row, chunk));
    }
  }
  __syncwarp();
}

template <typename Shape> __device__ __forceinline__ void Prefill<Shape>::compute() const {
  int thread = static_cast<int>(threadIdx.x), worker = thread / 128 - 1;
  auto turnOwn = [&](const QueryTile &tile, int slot) {
    turnQueries(tile, slot, worker * 64, worker * 64 + 64, thread % 128, 128);
    sm90::fenceAsyncShared();
    sm90::namedBarrier(2 + worker, 128);
  };
  if (worker == 1) // the other one is first
    sm90::namedArrive(4, 256);
  sm90::RingPosition<2> ring;
  sm90::RingPosition<Layout::stages> keyRing, valueRing;
  QueryTile tile = tileOf(0);
  for (int round = 1; tile.sequence >= 0; ++round) {
    if (!Layout::wide || round == 1)
      turnOwn(tile, ring.stage);
    computeTile(tile, ring.stage, keyRing, valueRing);
    if constexpr (Layout::wide) {
      if (thread % 32 == 0)
        sm90::arrive(barrier(QueryEmpty, ring.stage));
      ring.advance();
      sm90::wait(barrier(QueryFull, ring.stage), ring.parity);
      tile = *reinterpret_cast<const QueryTile *>(shared + Layout::infoOffset + ring.stage * 64);
    } else { // two places in turn: one barrier a tile is enough
      ring.advance();
      tile = tileOf(round);
    }
  }
}

/// Grid: one CTA a multiprocessor, or fewer; block: PrefillLayout::threads.  Maps: rows of keys and
/// values in boxes of [pageRows, 128 bytes or all of a row].  `turns` is the table that
/// attentionStore() made.
template <typename Shape>
__device__ __forceinline__ void
attentionPrefill(const CUtensorMap *keyMap, const CUtensorMap *valueMap, const Batch &batch,
                 const typename Shape::Input *q, typename Shape::Output *output,
                 const Turn *turns) {
  using Layout = PrefillLayout<Shape>;
  static_assert(sizeof(typename Shape::Page) <= 2 && sizeof(typename Shape::Output) == 2);
  extern __shared__ uint8_t dynamicShared[];
  uint32_t address = sm90::sharedAddress(dynamicShared);
  uint32_t base = (address + 1023) / 1024 * 1024;
  Prefill<Shape> prefill{
      keyMap, valueMap, batch, q, output, turns, dynamicShared + (base - address), base, 0};
  if (threadIdx.x == 0) {
    using P = Prefill<Shape>;
    for (int stage = 0; stage < 2; ++stage) {
      sm90::initBarrier(prefill.barrier(P::KeyFull, stage), Layout::wide ? 1 : 3);
      sm90::initBarrier(prefill.barrier(P::KeyEmpty, stage), 8);
      sm90::initBarrier(prefill.barrier(P::ValueFull, stage), Layout::wide ? 1 : 3);
      sm90::initBarrier(prefill.barrier(P::ValueEmpty, stage), 8);
      sm90::initBarrier(prefill.barrier(P::QueryFull, stage), 3);
      sm90::initBarrier(prefill.barrier(P::QueryEmpty, stage), 8);
      sm90::initBarrier(prefill.barrier(P::RawFull, stage), 1);
      sm90::initBarrier(prefill.barrier(P::RawEmpty, stage), 3);
    }
    sm90::fenceBarrierInit();
  }
  __syncthreads();
  sm90::gridWait();
  prefill.tilesPerGroup = countPieces(batch, 0, Layout::tiles).all;
  if (sm90::warpIndex() < 4) {
    sm90::fewerRegisters<Layout::copyRegisters>();
    if (sm90::warpIndex() == 0)
      prefill.copyPages();
    else if constexpr (Layout::wide)
      prefill.copyQueries();
    else
      prefill.widenPages();
  } else {
    sm90::moreRegisters<Layout::computeRegisters>();
    prefill.compute();
  }
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PREFILL_CUH
