// How paged_decode.cuh lays out shared memory and scratch, and cuts its work.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_PAGED_WORK_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_PAGED_WORK_CUH

#include "attention_batch.cuh"

namespace levin::kernels::attention {

template <typename Shape> struct DecodeLayout {
  using Page = typename Shape::Page;
  static constexpr bool wide = sizeof(Page) == 2; // bf16, else fp8
  static constexpr int size = Shape::size, perGroup = Shape::heads / Shape::groups;
  static constexpr int tiles = (perGroup + 7) / 8, queries = 8 * tiles;
  static constexpr int rowBytes = size * static_cast<int>(sizeof(Page));
  static constexpr int boxBytes = rowBytes < 128 ? rowBytes : 128; // as the copy engine swizzles
  static constexpr int boxes = rowBytes / boxBytes;
  static constexpr int pageBytes = pageRows * rowBytes, stageBytes = 2 * pageBytes;
  static constexpr int perProcessor = tiles == 1 ? 2 : 1; // CTAs; for the sake of registers
  static constexpr int room = 196608 / perProcessor / stageBytes, stages = room < 8 ? room : 8;
  static constexpr int workers = 4, threads = 32 * (workers + 1);
  static constexpr int sumStride = size + 4; // floats; spreads the queries over the banks
  // Shared memory, from a multiple of 1024 on.
  static constexpr int queryOffset = stages * stageBytes; // [queries, D] of 2 bytes
  static constexpr int sumOffset = queryOffset + queries * size * 2;
  static constexpr int freshOffset = sumOffset + queries * sumStride * 4; // the new key and value
  static constexpr int maximaOffset = freshOffset + 2 * rowBytes;         // [workers, queries]
  static constexpr int totalsOffset = maximaOffset + workers * queries * 4;
  static constexpr int factorOffset = totalsOffset + workers * queries * 4; // [queries]
  static constexpr int turnOffset = factorOffset + queries * 4;
  static constexpr int barrierOffset = (turnOffset + Shape::width / 2 * 8 + 7) / 8 * 8;
  static constexpr int sharedBytes = barrierOffset + stages * 16 + 1024;
  // Of a partial result, in floats: results [perGroup, D], maxima, sums; a multiple of 4.
  static constexpr int partialCount = perGroup * size + (2 * perGroup + 3) / 4 * 4;

  static_assert(size % 64 == 0 && rowBytes % boxBytes == 0 && stages >= 2);
};

/// Scratch: the number of runs, then (from float 64 on) two partial results for each run, for the
/// piece that began before it and for the one that ends behind it.
struct DecodeScratch {
  int32_t *runs;
  float *partials;
  __device__ __forceinline__ explicit DecodeScratch(void *scratch)
      : runs(static_cast<int32_t *>(scratch)), partials(static_cast<float *>(scratch) + 64) {}
};
template <typename Shape> struct DecodeWork {
  /// Units of a sequence: none unless it has one row.
  static __device__ __forceinline__ int units(const Batch &batch, const Sequence &rows) {
    return rows.count == 1 ? Shape::groups * blocks(batch, rows) : 0;
  }
  static __device__ __forceinline__ int blocks(const Batch &batch, const Sequence &rows) {
    return (rows.positions(batch) + pageRows - 1) / pageRows;
  }
  /// The first unit of run `run`.
  static __device__ __forceinline__ int begin(int run, int runs, int units) {
    return static_cast<int>(static_cast<int64_t>(run) * units / runs);
  }
  /// The run of unit `unit`.
  static __device__ __forceinline__ int runOf(int unit, int runs, int units) {
    return static_cast<int>((static_cast<int64_t>(unit + 1) * runs - 1) / units);
  }
};

/// Pages [first, last) of one KV head of one sequence, which has `blocks` in all.
struct Segment {
  int sequence, group, first, last, blocks;
  Sequence rows;
};

} // namespace levin::kernels::attention

#endif // LEVIN_CODEGEN_CUDA_KERNELS_PAGED_WORK_CUH
