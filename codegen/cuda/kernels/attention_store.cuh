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

/// `Count` channels of one head of one row from channel `begin` on, turned.  Channels that rotation
/// pairs come out together: `emit(channel, values)` is called for both halves of a pair if `begin`
/// is in the lower one, not at all if it is in the upper one, and once if they do not turn.
template <typename Shape, bool Turns, int Count, typename Input, typename Emit>
__device__ __forceinline__ void loadChannels(const Input *head, int begin, const Turn *turns,
                                             Emit &&emit) {
  constexpr int half = Turns ? Shape::width / 2 : 0;
  constexpr int parts = (Count * static_cast<int>(sizeof(Input)) + 15) / 16;
  constexpr int each = Count / parts;
  auto load = [&](int channel, float (&values)[Count]) {
    if constexpr (each * sizeof(Input) == 16) {
#pragma unroll
      for (int part = 0; part < parts; ++part) {
        Vector<Input> vector =
            *reinterpret_cast<const Vector<Input> *>(head + channel + part * each);
#pragma unroll
        for (int i = 0; i < each; ++i)
          values[part * each + i] = toFloat(vector.element[i]);
      }
    } else {
#pragma unroll
      for (int i = 0; i < Count; ++i)
        values[i] = toFloat(head[channel + i]);
    }
  };
  if (begin >= half && begin < 2 * half)
    return;
  float low[Count];
  load(begin, low);
  if (begin < half) {
    float high[Count];
    load(begin + half, high);
#pragma unroll
    for (int i = 0; i < Count; ++i)
      rotate(low[i], high[i], turns[begin + i]);
    emit(begin + half, high);
  }
  emit(begin, low);
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

/// Stores row `row` of sequence s for KV heads [firstGroup, lastGroup); unless it is null, `table`
/// [tokens, width / 2] gets the row's turns.  For all threads of a block.
template <typename Shape, int Count>
__device__ __forceinline__ void
storeRow(const Batch &batch, int s, const Sequence &rows, int row, int firstGroup, int lastGroup,
         const typename Shape::Input *k, const typename Shape::Input *v, typename Shape::Page *keys,
         typename Shape::Page *values, Turn *table) {
  constexpr int size = Shape::size, half = Shape::width / 2, chunks = size / Count;
  static_assert(size % Count == 0 && half % Count == 0);
  __shared__ Turn turns[half > 0 ? half : 1];
  int thread = static_cast<int>(threadIdx.x), threads = static_cast<int>(blockDim.x);
  int position = rows.past + row;
  int64_t t = rows.first + row;
  for (int j = thread; j < half; j += threads) {
    turns[j] = turnOf(position, Shape::frequency(j));
    if (table != nullptr)
      table[t * half + j] = turns[j];
  }
  if (position >= batch.capacity() || !hasPage(batch, s, position / pageRows))
    return;
  __syncthreads();
  int64_t page = pageAt(batch, s, position / pageRows);
  int items = (lastGroup - firstGroup) * chunks;
  for (int item = thread; item < 2 * items; item += threads) {
    int g = firstGroup + item % items / chunks, channel = item % chunks * Count;
    int64_t to = ((page * Shape::groups + g) * pageRows + position % pageRows) * size;
    if (item < items)
      loadChannels<Shape, true, Count>(
          k + t * Shape::kRow + g * Shape::kHead, channel, turns,
          [&](int c, const float (&part)[Count]) { storeChannels(keys + to + c, part); });
    else
      loadChannels<Shape, false, Count>(
          v + t * Shape::vRow + g * Shape::vHead, channel, turns,
          [&](int c, const float (&part)[Count]) { storeChannels(values + to + c, part); });
  }
}

/// Row blockIdx.x, if its sequence has at least `least`.  Grid: tokens; any block of whole warps.
template <typename Shape, int Count>
__device__ __forceinline__ void
attentionStore(const Batch &batch, int least, const typename Shape::Input *k,
               const typename Shape::Input *v, typename Shape::Page *keys,
               typename Shape::Page *values, Turn *table) {
  int t = static_cast<int>(blockIdx.x), s = sequenceOf(batch, t);
  sm90::gridWait();
  if (s < 0)
    return;
  Sequence rows = sequenceAt(batch, s);
  if (rows.count >= least)
    storeRow<Shape, Count>(batch, s, rows, t - rows.first, 0, Shape::groups, k, v, keys, values,
                           table);
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_ATTENTION_STORE_CUH
