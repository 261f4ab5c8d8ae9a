// Products of up to 64 rows with a large matrix: the matrix goes from memory to the tensor cores
// through registers, once, with many loads in flight.
//
// A warp holds 16 rows of the matrix, in blocks of 32 of k.  mma.sync takes the matrix as its A
// operand [16, 16] and eight input rows as B [16, 8].  Which of the 16 places of k a thread's
// registers stand for does not matter as long as A and B agree: so thread (g, q) = (t / 4, t % 4)
// loads 16 bytes, elements 8 q .. 8 q + 7 of a block of 32, of matrix rows g and g + 8 and of input
// row g, and these are the operands of two products.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH

#include "numeric.cuh"
#include "sm90.cuh"

namespace levin::kernels {

inline constexpr int streamRows = 16; // of the matrix in one warp
inline constexpr int streamBlock = 32;

/// 16 bytes that are read once and nobody writes meanwhile.
__device__ __forceinline__ uint4 loadStreamed(const void *from) {
  uint4 value;
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.x), "=r"(value.y), "=r"(value.z), "=r"(value.w)
               : "l"(from));
  return value;
}

/// A float in shared memory of another CTA of the cluster; `address` as of sm90::mapToCta().
__device__ __forceinline__ float loadRemote(uint32_t address) {
  float value;
  asm volatile("ld.shared::cluster.f32 %0, [%1];" : "=f"(value) : "r"(address) : "memory");
  return value;
}

/// Elements 8 q .. 8 q + 7 of an input row: as they are stored (load), and as B operands (part).
/// float32 is split into three bf16 parts whose sum is exact, so that products have the precision
/// of float32.
template <Scalar X> struct InputPart;
template <> struct InputPart<Scalar::BF16> {
  static constexpr int parts = 1, registers = 4;
  uint4 words;
  __device__ __forceinline__ void load(const __nv_bfloat16 *from) {
    words = *reinterpret_cast<const uint4 *>(from);
  }
  __device__ __forceinline__ void clear() { words = make_uint4(0, 0, 0, 0); }
  __device__ __forceinline__ uint4 part(int) { return words; }
};
template <> struct InputPart<Scalar::F32> {
  static constexpr int parts = 3, registers = 8;
  float4 low, high;
  __device__ __forceinline__ void load(const float *from) {
    low = reinterpret_cast<const float4 *>(from)[0];
    high = reinterpret_cast<const float4 *>(from)[1];
  }
  __device__ __forceinline__ void clear() { low = high = make_float4(0, 0, 0, 0); }
  /// To be taken in order; what is left stays.
  __device__ __forceinline__ uint4 part(int) {
    return make_uint4(take(low.x, low.y), take(low.z, low.w), take(high.x, high.y),
                      take(high.z, high.w));
  }

private:
  static __device__ __forceinline__ uint32_t take(float &a, float &b) {
    uint32_t pair = sm90::packBf16(a, b);
    a -= sm90::lowBf16(pair);
    b -= sm90::highBf16(pair);
    return pair;
  }
};

/// The sums of one warp: `of[s][j]` of stream s and input rows 8 j .. 8 j + 7.  Thread (g, q) holds
/// of matrix rows g and g + 8 the input rows 8 j + 2 q and 8 j + 2 q + 1, in this order.
template <int Streams, int Tiles> struct StreamSums {
  float of[Streams][Tiles][4];
};

/// A warp's streams: RowTiles times 16 rows of each of `Matrices` matrices of equal shape.  `Depth`
/// blocks of each stream are in flight.
template <int Matrices, int RowTiles, int Depth> struct WeightStream {
  static constexpr int streams = Matrices * RowTiles; // matrix s / RowTiles, rows s % RowTiles
  const __nv_bfloat16 *low[streams], *high[streams];  // rows g and g + 8, at the next block
  uint4 ring[Depth][streams][2];
  int next = 0, count; // blocks
  int left;            // elements of k from the thread's first one of block `next` on

  /// Blocks `first` .. `first + blocks - 1` of k for matrix rows `row` .. `row + 16 RowTiles - 1`;
  /// those from n on repeat the last one.
  __device__ __forceinline__ void start(const __nv_bfloat16 *const (&matrices)[Matrices],
                                        int64_t row, int64_t n, int64_t k, int first, int blocks) {
    int lane = threadIdx.x % 32;
    int64_t begin = int64_t(first) * streamBlock + 8 * (lane % 4);
#pragma unroll
    for (int s = 0; s < streams; ++s) {
      int64_t g = row + s % RowTiles * streamRows + lane / 4;
      low[s] = matrices[s / RowTiles] + min(g, n - 1) * k + begin;
      high[s] = matrices[s / RowTiles] + min(g + 8, n - 1) * k + begin;
    }
    count = blocks;
    left = static_cast<int>(k - begin);
#pragma unroll
    for (int slot = 0; slot < Depth; ++slot)
      fetch(slot);
  }

  __device__ __forceinline__ void fetch(int slot) {
    bool exists = next < count && left > 0;
#pragma unroll
    for (int s = 0; s < streams; ++s) {
      ring[slot][s][0] = exists ? loadStreamed(low[s]) : make_uint4(0, 0, 0, 0);
      ring[slot][s][1] = exists ? loadStreamed(high[s]) : make_uint4(0, 0, 0, 0);
      low[s] += streamBlock;
      high[s] += streamBlock;
    }
    ++next;
    left -= streamBlock;
  }

  /// Adds the products with input rows `rows[j]` (one for each thread's g; negative: none) of `x`,
  /// [.., k], for j below `tiles`.
  template <Scalar X, int Tiles>
  __device__ __forceinline__ void run(StreamSums<streams, Tiles> &sums, const StorageOf<X> *x,
                                      const int (&rows)[Tiles], int tiles, int64_t k, int first) {
    using Part = InputPart<X>;
    constexpr bool ahead = Tiles * Part::registers <= 16; // load inputs one block ahead
    int begin = first * streamBlock + 8 * static_cast<int>(threadIdx.x % 4);
    auto load = [&](Part &part, int j, int block) {
      int place = begin + block * streamBlock;
      if (block < count && place < k && rows[j] >= 0)
        part.load(x + rows[j] * k + place);
      else
        part.clear();
    };
    Part now[Tiles];
#pragma unroll
    for (int j = 0; j < Tiles; ++j)
      if (ahead)
        load(now[j], j, 0);
    for (int base = 0; base < count; base += Depth) {
#pragma unroll
      for (int slot = 0; slot < Depth; ++slot) {
#pragma unroll
        for (int j = 0; j < Tiles; ++j) {
          if (Tiles > 1 && j >= tiles)
            continue;
          Part part;
          if constexpr (ahead) {
            part = now[j];
            load(now[j], j, base + slot + 1);
          } else {
            load(part, j, base + slot);
          }
          multiply(sums, j, part, slot);
        }
        fetch(slot);
      }
    }
  }

private:
  /// The tensor cores cut off the last bits of a sum.  bf16 inputs have less precision than that;
  /// for float32 the products of one block are added to the sum outside of them.
  template <int Tiles, class Part>
  __device__ __forceinline__ void multiply(StreamSums<streams, Tiles> &sums, int j, Part part,
                                           int slot) {
    float apart[streams][4] = {};
#pragma unroll
    for (int i = 0; i < Part::parts; ++i) {
      uint4 word = part.part(i);
#pragma unroll
      for (int s = 0; s < streams; ++s) {
        float (&sum)[4] = Part::parts > 1 ? apart[s] : sums.of[s][j];
        const uint4 &g = ring[slot][s][0], &h = ring[slot][s][1];
        uint32_t first[4] = {g.x, h.x, g.y, h.y}, second[4] = {g.z, h.z, g.w, h.w};
        sm90::mma16816(sum, first, word.x, word.y);
        sm90::mma16816(sum, second, word.z, word.w);
      }
    }
    if (Part::parts > 1)
#pragma unroll
      for (int s = 0; s < streams; ++s)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sums.of[s][j][i] += apart[s][i];
  }
};

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH
