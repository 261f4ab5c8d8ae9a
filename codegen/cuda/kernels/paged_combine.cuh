// The second half of paged_decode.cuh: results of sequences that several CTAs shared.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_PAGED_COMBINE_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_PAGED_COMBINE_CUH

#include "paged_work.cuh"

namespace levin::kernels::attention {

/// Puts partial results together.  Grid: heads, sequences; block: Shape::size threads.
template <typename Shape>
__device__ __forceinline__ void pagedCombine(const Batch &batch, typename Shape::Output *output,
                                             void *scratch) {
  using Layout = DecodeLayout<Shape>;
  using Work = DecodeWork<Shape>;
  constexpr int threads = Shape::size;
  __shared__ float weights[threads], reduced[threads / 32 + 1];
  int thread = static_cast<int>(threadIdx.x), lane = thread % 32, warp = thread / 32;
  int head = static_cast<int>(blockIdx.x), sequence = static_cast<int>(blockIdx.y);
  int group = head / Layout::perGroup, within = head % Layout::perGroup;
  Sequence rows = sequenceAt(batch, sequence);
  PieceCounts counts = countPieces(
      batch, sequence, [&](const Sequence &other) { return Work::units(batch, other); });
  sm90::gridWait();
  if (rows.count != 1)
    return;
  DecodeScratch space(scratch);
  int runs = *space.runs, blocks = Work::blocks(batch, rows);
  int first = counts.before + group * blocks, last = first + blocks - 1;
  int firstRun = Work::runOf(first, runs, counts.all),
      lastRun = Work::runOf(last, runs, counts.all);
  if (firstRun == lastRun)
    return;
  auto partial = [&](int run) {
    return space.partials +
           (2 * static_cast<int64_t>(run) + (run == firstRun)) * Layout::partialCount;
  };
  // Over all runs the maximum; then, `threads` at a time, weights, their sum and the result.
  float most = lowest;
  for (int run = firstRun + thread; run <= lastRun; run += threads)
    most = fmaxf(most, partial(run)[Layout::perGroup * Shape::size + within]);
#pragma unroll
  for (int step = 16; step > 0; step /= 2)
    most = fmaxf(most, __shfl_xor_sync(0xFFFFFFFFu, most, step));
  if (lane == 0)
    reduced[warp] = most;
  __syncthreads();
#pragma unroll
  for (int w = 0; w < threads / 32; ++w)
    most = fmaxf(most, reduced[w]);
  float total = 0, result = 0;
  for (int base = firstRun; base <= lastRun; base += threads) {
    int count = min(threads, lastRun + 1 - base);
    __syncthreads();
    __shared__ float totals[threads];
    if (thread < count) {
      const float *statistics = partial(base + thread) + Layout::perGroup * Shape::size;
      weights[thread] = sm90::exp2Fast(statistics[within] - most);
      totals[thread] = statistics[Layout::perGroup + within] * weights[thread];
    }
    __syncthreads();
#pragma unroll 8
    for (int i = 0; i < count; ++i) {
      result += weights[i] * partial(base + i)[within * Shape::size + thread];
      total += totals[i];
    }
  }
  output[static_cast<int64_t>(rows.first) * Shape::heads * Shape::size + head * Shape::size +
         thread] = fromFloat<typename Shape::Output>(result / total);
}

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_PAGED_COMBINE_CUH
