// Puts the new rows of sequences into their pages: keys turned, values as they are.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_STORE_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_STORE_CUH

#include "attention_batch.cuh"

namespace levin::kernels::attention {

/// The sequence of row t; -1 if it has none.  For all threads of a warp.
__device__ __forceinline__ int sequenceOf(const Batch &batch, int t) {
  int lane = static_cast<int>(threadIdx.x) % 32;
  for (int base = 0; base < batch.sequences; base += 32) {
    int s = base + lane;
    bool mine = s < batch.sequences && t >= batch.starts[s] && t < batch.starts[s + 1];
    unsigned found = __ballot_sync(0xFFFFFFFFu, mine);
    if (found != 0)
      return base + __ffs(static_cast<int>(found)) - 1;
  }
  return -1;
}

/// The channels of a head in pieces of `Count`, so that those that rotation pairs are in one piece:
/// piece i begins at channel turnedChannel(i), and also has the channels width / 2 further on if it
/// begins below width / 2.
template <typename Shape, int Count> struct TurnPieces {
  static constexpr int half = Shape::width / 2, pieces = (Shape::size - half) / Count;
  static_assert(Shape::size % Count == 0 && half % Count == 0);
  static __device__ __forceinline__ int channel(int piece) {
    return piece * Count < half ? piece * Count : piece * Count + half;
  }
};

template <int Count, typename Input>
__device__ __forceinline__ void loadValues(const Input *from, float (&values)[Count]) {
  if constexpr (Count * sizeof(Input) % 16 == 0) {
    constexpr int each = Vector<Input>::count;
#pragma unroll
    for (int part = 0; part < Count / each; ++part) {
      auto vector = *reinterpret_cast<const Vector<Input> *>(from + part * each);
#pragma unroll
      for (int i = 0; i < each; ++i)
        values[part * each + i] = toFloat(vector.element[i]);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Count; ++i)
      values[i] = toFloat(from[i]);
  }
}
/// Writes `Count` values as T, at once where 16 or 8 bytes are whole.
template <int Count, typename T>
__device__ __forceinline__ void storeChannels(T *target, const float (&values)[Count]) {
  constexpr int bytes = Count * static_cast<int>(sizeof(T));
  struct alignas(bytes % 16 == 0 ? 16 : bytes % 8 == 0 ? 8 : alignof(T)) Part {
    T element[Count];
  } part;
#pragma unroll
  for (int i = 0; i < Count; ++i)
    part.element[i] = fromFloat<T>(values[i]);
  *reinterpret_cast<Part *>(target) = part;
}

/// One piece of a head, turned: emit(channel, values) gets its channels.
template <typename Shape, int Count, typename Input, typename Emit>
__device__ __forceinline__ void turnPiece(const Input *head, int piece, const Turn *turns,
                                          Emit &&emit) {
  using Pieces = TurnPieces<Shape, Count>;
  int channel = Pieces::channel(piece);
  float low[Count];
  loadValues(head + channel, low);
  if (channel < Pieces::half) {
    float high[Count];
    loadValues(head + channel + Pieces::half, high);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      rotate(low[i], high[i], turns[channel + i]);
    emit(channel + Pieces::half, high);
  }
  emit(channel, low);
}

/// Stores row `row` of sequence s for KV heads [firstGroup, lastGroup); unless it is null, `table`
/// [tokens, width / 2] gets the row's turns.  For all threads of a warp, which have `turns` for
/// themselves.
template <typename Shape, int Count>
__device__ __forceinline__ void
storeRow(const Batch &batch, int s, const Sequence &rows, int row, int firstGroup, int lastGroup,
         const typename Shape::Input *k, const typename Shape::Input *v, typename Shape::Page *keys,
         typename Shape::Page *values, Turn *turns, Turn *table) {
  using Pieces = TurnPieces<Shape, Count>;
  constexpr int size = Shape::size, half = Pieces::half, chunks = size / Count;
  int lane = static_cast<int>(threadIdx.x) % 32;
  int position = rows.past + row, count = lastGroup - firstGroup;
  int64_t t = rows.first + row;
  for (int j = lane; j < half; j += 32) {
    turns[j] = turnOf(position, Shape::frequency(j));
    if (table != nullptr)
      table[t * half + j] = turns[j];
  }
  if (position >= batch.capacity() || !hasPage(batch, s, position / pageRows))
    return;
  __syncwarp();
  int64_t page = pageAt(batch, s, position / pageRows);
  auto cacheRow = [&](int g) {
    return ((page * Shape::groups + g) * pageRows + position % pageRows) * size;
  };
#pragma unroll 4
  for (int item = lane; item < count * chunks; item += 32) {
    int g = firstGroup + item / chunks, channel = item % chunks * Count;
    float part[Count];
    loadValues(v + t * Shape::vRow + g * Shape::vHead + channel, part);
    storeChannels(values + cacheRow(g) + channel, part);
  }
#pragma unroll 2
  for (int item = lane; item < count * Pieces::pieces; item += 32) {
    int g = firstGroup + item / Pieces::pieces;
    typename Shape::Page *to = keys + cacheRow(g);
    turnPiece<Shape, Count>(
        k + t * Shape::kRow + g * Shape::kHead, item % Pieces::pieces, turns,
        [&](int c, const float (&part)[Count]) { storeChannels(to + c, part); });
  }
}

/// A warp for each row of sequences with at least `least`.  Grid: tokens / storeRows, rounded up;
/// block: 32 storeRows.
constexpr int storeRows = 8;
template <typename Shape, int Count>
__device__ __forceinline__ void
attentionStore(const Batch &batch, int least, const typename Shape::Input *k,
               const typename Shape::Input *v, typename Shape::Page *keys,
               typename Shape::Page *values, Turn *table) {
  constexpr int half = Shape::width / 2;
  __shared__ Turn turns[storeRows][half > 0 ? half : 1];
  int warp = static_cast<int>(threadIdx.x) / 32;
  int t = static_cast<int>(blockIdx.x) * storeRows + warp, s = sequenceOf(batch, t);
  sm90::gridWait();
  sm90::gridLaunch();
  if (s < 0)
    return;
  Sequence rows = sequenceAt(batch, s);
  if (rows.count >= least)
    storeRow<Shape, Count>(batch, s, rows, t - rows.first, 0, Shape::groups, k, v, keys, values,
                           turns[warp], table);
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_STORE_CUH
