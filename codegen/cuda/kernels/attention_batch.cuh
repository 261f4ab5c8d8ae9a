// What the kernels of softmax attention share: the batch, the pages, rotation, element types.
//
// A kernel is specialised by a struct `Shape` of constants:
//   using Input, Page, Output;          element types of the projection, the cache and the result
//   heads, groups, size;                H, G and D of nn.paged_attention
//   qRow, qHead, kRow, kHead, vRow, vHead;  elements from row to row and from head to head
//   width;                              channels that nn.rotary turns; 0: none
//   scale;                              of the scores
//   static float frequency(int j);      of nn.rotary
// Keys and values are [pages, G, pageRows, D]; position p of sequence s lies in page
// pages[s, p / pageRows] at row p % pageRows.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_BATCH_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_BATCH_CUH

#include "sm90.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_fp8.h>
#include <stdint.h>

namespace levin::kernels::attention {

constexpr int pageRows = 64;
constexpr float log2e = 1.44269504088896340736f;
/// Below every score, and far enough from the least float that differences stay finite.
constexpr float lowest = -1e37f;

/// The inputs of a step, in device memory.  Row `starts[s] + i` has position `past[s] + i`.
struct Batch {
  const int32_t *starts, *past, *pages; // [sequences + 1], [sequences], [sequences, blocks]
  int tokens, sequences, blocks;
  int poolPages; // of the cache

  __device__ __forceinline__ int capacity() const { return blocks * pageRows; }
};
/// `count` rows of the batch from `first` on, behind `past` positions.
struct Sequence {
  int first, count, past;

  /// Positions that the last row sees.
  __device__ __forceinline__ int positions(const Batch &batch) const {
    return min(past + count, batch.capacity());
  }
};
__device__ __forceinline__ Sequence sequenceAt(const Batch &batch, int s) {
  int first = min(max(batch.starts[s], 0), batch.tokens);
  int last = min(max(batch.starts[s + 1], 0), batch.tokens);
  return {first, max(last - first, 0), min(max(batch.past[s], 0), 1 << 30)};
}
/// Whether block `block` of sequence s has a page: nothing is stored where it has none.
__device__ __forceinline__ bool hasPage(const Batch &batch, int s, int block) {
  int page = batch.pages[static_cast<int64_t>(s) * batch.blocks + block];
  return page >= 0 && page < batch.poolPages;
}
/// The page of block `block` of sequence s, or another one if it has none.
__device__ __forceinline__ int pageAt(const Batch &batch, int s, int block) {
  return min(max(batch.pages[static_cast<int64_t>(s) * batch.blocks + block], 0),
             batch.poolPages - 1);
}

/// A piece of a sequence's work.
struct Piece {
  int sequence = -1; // -1: none
  Sequence rows{};
  int index = 0; // of the piece in its sequence
  int count = 0; // pieces of the sequence
};
/// Piece number `index` of all, where `piecesOf(Sequence)` is the number of pieces of each
/// sequence.  All threads of a warp take part and get the same result.
template <typename PiecesOf>
__device__ __forceinline__ Piece findPiece(const Batch &batch, int index, PiecesOf &&piecesOf) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  Piece piece;
  for (int base = 0; base < batch.sequences; base += 32) {
    int s = base + lane;
    Sequence rows{};
    if (s < batch.sequences)
      rows = sequenceAt(batch, s);
    int count = s < batch.sequences ? piecesOf(rows) : 0;
    int end = count;
#pragma unroll
    for (int step = 1; step < 32; step *= 2) {
      int before = __shfl_up_sync(0xFFFFFFFFu, end, step);
      end += lane >= step ? before : 0;
    }
    unsigned behind = __ballot_sync(0xFFFFFFFFu, index < end);
    if (behind != 0) {
      int owner = __ffs(static_cast<int>(behind)) - 1;
      piece.sequence = base + owner;
      piece.rows.first = __shfl_sync(0xFFFFFFFFu, rows.first, owner);
      piece.rows.count = __shfl_sync(0xFFFFFFFFu, rows.count, owner);
      piece.rows.past = __shfl_sync(0xFFFFFFFFu, rows.past, owner);
      piece.index = index - __shfl_sync(0xFFFFFFFFu, end - count, owner);
      piece.count = __shfl_sync(0xFFFFFFFFu, count, owner);
      return piece;
    }
    index -= __shfl_sync(0xFFFFFFFFu, end, 31);
  }
  return piece;
}
/// The pieces of the sequences before `sequence`, and of all together.
struct PieceCounts {
  int before, all;
};
template <typename PiecesOf>
__device__ __forceinline__ PieceCounts countPieces(const Batch &batch, int sequence,
                                                   PiecesOf &&piecesOf) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  PieceCounts counts{0, 0};
  for (int s = lane; s < batch.sequences; s += 32) {
    int count = piecesOf(sequenceAt(batch, s));
    counts.all += count;
    counts.before += s < sequence ? count : 0;
  }
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    counts.before += __shfl_xor_sync(0xFFFFFFFFu, counts.before, step);
    counts.all += __shfl_xor_sync(0xFFFFFFFFu, counts.all, step);
  }
  return counts;
}

//===- Element types ------------------------------------------------------------------------===//

template <typename T> __device__ __forceinline__ float toFloat(T value) {
  return static_cast<float>(value);
}
template <typename T> __device__ __forceinline__ T fromFloat(float value) {
  return static_cast<T>(value);
}
template <> __device__ __forceinline__ __nv_bfloat16 fromFloat<__nv_bfloat16>(float value) {
  return __float2bfloat16_rn(value);
}
template <> __device__ __forceinline__ __half fromFloat<__half>(float value) {
  return __float2half_rn(value);
}
/// Saturates; NaN stays NaN.
template <> __device__ __forceinline__ __nv_fp8_e4m3 fromFloat<__nv_fp8_e4m3>(float value) {
  __nv_fp8_e4m3 result;
  result.__x = __nv_cvt_float_to_fp8(value, __NV_SATFINITE, __NV_E4M3);
  return result;
}

/// 16 bytes of T.
template <typename T> struct alignas(16) Vector {
  static constexpr int count = 16 / static_cast<int>(sizeof(T));
  T element[count];
};

//===- Rotation -----------------------------------------------------------------------------===//

struct Turn {
  float cosine, sine;
};
/// By the angle `position frequency`, rounded to float32 as in training; its whole turns are taken
/// off in float64.
__device__ __forceinline__ Turn turnOf(int position, float frequency) {
  double angle = static_cast<double>(__fmul_rn(static_cast<float>(position), frequency));
  double turns = angle * 0.15915494309189533576888;
  float rest = static_cast<float>(2.0 * (turns - rint(turns))); // half turns, -1 to 1
  Turn turn;
  sincospif(rest, &turn.sine, &turn.cosine);
  return turn;
}
/// Channels 0 .. Half-1 of `low` and Half.. of `high`, turned in place.
__device__ __forceinline__ void rotate(float &low, float &high, Turn turn) {
  float a = low, b = high;
  low = a * turn.cosine - b * turn.sine;
  high = b * turn.cosine + a * turn.sine;
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_BATCH_CUH
