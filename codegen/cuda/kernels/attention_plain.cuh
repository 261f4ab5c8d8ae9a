// Softmax attention in float32 arithmetic, for any head size up to 256 and any element types.
//
// A CTA takes 16 queries of one KV head of one sequence, which are its rows times the query heads
// of the KV head, and passes over the positions 32 at a time.  Keys and values of new rows have
// been stored before, or are by the same CTA.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PLAIN_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PLAIN_CUH

#include "attention_store.cuh"

namespace levin::kernels::attention {

template <typename Shape> struct PlainLayout {
  static constexpr int size = Shape::size, perGroup = Shape::heads / Shape::groups;
  static constexpr int threads = 128, queries = 16, keys = 32;
  static constexpr int columns = (size + threads - 1) / threads; // of the result, each thread
  static constexpr int stride = (size + 3) / 4 * 4 + 4;          // floats of a row
  static constexpr int sharedBytes =
      ((queries + 2 * keys) * stride + keys * queries + 2 * queries) * 4;

  static __device__ __forceinline__ int tiles(const Sequence &rows) {
    return (rows.count * perGroup + queries - 1) / queries;
  }
  /// An upper bound of the tiles of a batch, for one KV head.
  static constexpr int64_t mostTiles(int64_t tokens, int64_t sequences) {
    return tokens * perGroup / queries + sequences;
  }
};

/// Queries 16 piece.index .. of KV head `group`.
template <typename Shape>
__device__ __forceinline__ void
plainTile(const Batch &batch, const Piece &piece, int group, const typename Shape::Input *q,
          const typename Shape::Page *keys, const typename Shape::Page *values,
          typename Shape::Output *output) {
  using Layout = PlainLayout<Shape>;
  constexpr int size = Shape::size, stride = Layout::stride, half = Shape::width / 2;
  constexpr int perGroup = Layout::perGroup, queries = Layout::queries;
  extern __shared__ float4 plainShared[];
  float *query = reinterpret_cast<float *>(plainShared); // [queries, stride]
  float *key = query + queries * stride;                 // [keys, stride]
  float *value = key + Layout::keys * stride;
  float *weights = value + Layout::keys * stride; // [keys, queries]
  float *shrinks = weights + Layout::keys * queries, *totals = shrinks + queries;

  int thread = static_cast<int>(threadIdx.x);
  Sequence rows = piece.rows;
  int firstQuery = piece.index * queries, allQueries = rows.count * perGroup;
  int countQueries = min(queries, allQueries - firstQuery);

  for (int item = thread; item < queries * stride; item += Layout::threads) {
    int i = item / stride, channel = item % stride;
    float x = 0;
    if (i < countQueries && channel < size) {
      int row = (firstQuery + i) / perGroup, head = group * perGroup + (firstQuery + i) % perGroup;
      const auto *from =
          q + static_cast<int64_t>(rows.first + row) * Shape::qRow + head * Shape::qHead;
      x = toFloat(from[channel]);
      if (channel < 2 * half) {
        bool upper = channel >= half;
        int j = upper ? channel - half : channel;
        float other = toFloat(from[upper ? j : j + half]);
        Turn turn = turnOf(rows.past + row, Shape::frequency(j));
        x = x * turn.cosine + (upper ? other : -other) * turn.sine;
      }
    }
    query[item] = x;
  }
  // Thread 8 i + j scores query i against every eighth position from j on.
  int mine = thread / 8, part = thread % 8;
  int position = rows.past + (firstQuery + min(mine, countQueries - 1)) / perGroup;
  int visible = min(position + 1, batch.capacity());
  int lastRow = (firstQuery + countQueries - 1) / perGroup;
  int end = min(rows.past + lastRow + 1, batch.capacity());
  float most = lowest, total = 0, result[Layout::columns][queries] = {};

  for (int begin = 0; begin < end; begin += Layout::keys) {
    __syncthreads();
    int64_t cacheRow =
        (static_cast<int64_t>(pageAt(batch, piece.sequence, begin / pageRows)) * Shape::groups +
         group) *
            pageRows +
        begin % pageRows;
    for (int item = thread; item < Layout::keys * stride; item += Layout::threads) {
      int i = item / stride, channel = item % stride;
      bool there = begin + i < end && channel < size;
      key[item] = there ? toFloat(keys[(cacheRow + i) * size + channel]) : 0;
      value[item] = there ? toFloat(values[(cacheRow + i) * size + channel]) : 0;
    }
    __syncthreads();
    float score[4] = {};
#pragma unroll 8 // all at once would take more registers than there are
    for (int channel = 0; channel < stride - 4; channel += 4) {
      float4 a = *reinterpret_cast<const float4 *>(query + mine * stride + channel);
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        float4 b = *reinterpret_cast<const float4 *>(key + (part + 8 * j) * stride + channel);
        score[j] = fmaf(a.x, b.x, fmaf(a.y, b.y, fmaf(a.z, b.z, fmaf(a.w, b.w, score[j]))));
      }
    }
    float largest = most;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      score[j] = begin + part + 8 * j < visible ? score[j] * Shape::scale : -INFINITY;
      largest = fmaxf(largest, score[j]);
    }
#pragma unroll
    for (int step = 1; step < 8; step *= 2)
      largest = fmaxf(largest, __shfl_xor_sync(0xFFFFFFFFu, largest, step));
    float shrink = expf(most - largest);
    most = largest;
    total *= shrink;
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      float weight = expf(score[j] - largest);
      weights[(part + 8 * j) * queries + mine] = weight;
      total += weight;
    }
    if (part == 0)
      shrinks[mine] = shrink;
    __syncthreads();
#pragma unroll
    for (int column = 0; column < Layout::columns; ++column) {
      int channel = column * Layout::threads + thread;
      if (channel >= size)
        break;
#pragma unroll
      for (int i = 0; i < queries; ++i)
        result[column][i] *= shrinks[i];
      for (int j = 0; j < Layout::keys; ++j) {
        float x = value[j * stride + channel];
#pragma unroll
        for (int i = 0; i < queries; ++i)
          result[column][i] = fmaf(weights[j * queries + i], x, result[column][i]);
      }
    }
  }
#pragma unroll
  for (int step = 1; step < 8; step *= 2)
    total += __shfl_xor_sync(0xFFFFFFFFu, total, step);
  if (part == 0)
    totals[mine] = total;
  __syncthreads();
#pragma unroll
  for (int i = 0; i < queries; ++i) {
    if (i >= countQueries)
      break;
    int row = (firstQuery + i) / perGroup, head = group * perGroup + (firstQuery + i) % perGroup;
    auto *to = output + (static_cast<int64_t>(rows.first + row) * Shape::heads + head) * size;
#pragma unroll
    for (int column = 0; column < Layout::columns; ++column) {
      int channel = column * Layout::threads + thread;
      if (channel < size)
        to[channel] = fromFloat<typename Shape::Output>(result[column][i] / totals[i]);
    }
  }
}

/// Sequences of at least `least` rows, after attentionStore() of these.  Grid:
/// PlainLayout::mostTiles, G.  Block: PlainLayout::threads.
template <typename Shape>
__device__ __forceinline__ void
attentionPlain(const Batch &batch, int least, const typename Shape::Input *q,
               const typename Shape::Page *keys, const typename Shape::Page *values,
               typename Shape::Output *output) {
  sm90::gridWait();
  Piece piece = findPiece(batch, static_cast<int>(blockIdx.x), [&](const Sequence &rows) {
    return rows.count < least ? 0 : PlainLayout<Shape>::tiles(rows);
  });
  if (piece.sequence >= 0)
    plainTile<Shape>(batch, piece, static_cast<int>(blockIdx.y), q, keys, values, output);
}

/// Sequences of at least two rows, in steps that should have none: stores and attends, with a CTA
/// for each KV head of each sequence.  Grid: G, sequences.  Block: PlainLayout::threads.
template <typename Shape, int Count>
__device__ __forceinline__ void
attentionFew(const Batch &batch, const typename Shape::Input *q, const typename Shape::Input *k,
             const typename Shape::Input *v, typename Shape::Page *keys,
             typename Shape::Page *values, typename Shape::Output *output) {
  sm90::gridWait();
  int group = static_cast<int>(blockIdx.x);
  Piece piece;
  piece.sequence = static_cast<int>(blockIdx.y);
  piece.rows = sequenceAt(batch, piece.sequence);
  if (piece.rows.count < 2)
    return;
  constexpr int half = Shape::width / 2, warps = PlainLayout<Shape>::threads / 32;
  __shared__ Turn turns[warps][half > 0 ? half : 1];
  int warp = static_cast<int>(threadIdx.x) / 32;
  for (int row = warp; row < piece.rows.count; row += warps) {
    storeRow<Shape, Count>(batch, piece.sequence, piece.rows, row, group, group + 1, k, v, keys,
                           values, turns[warp], nullptr);
    __syncwarp();
  }
  __syncthreads();
  piece.count = PlainLayout<Shape>::tiles(piece.rows);
  for (; piece.index != piece.count; ++piece.index) {
    plainTile<Shape>(batch, piece, group, q, keys, values, output);
    __syncthreads();
  }
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_PLAIN_CUH
