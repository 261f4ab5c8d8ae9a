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

/// Elements 8 q .. 8 q + 7 of an input row as B operands.  float32 is split into three bf16 parts
/// whose sum is exact, so that products have the precision of float32.
template <Scalar X> struct InputPart;
template <> struct InputPart<Scalar::BF16> {
  static constexpr int parts = 1;
  uint4 words[1];
  __device__ __forceinline__ void load(const __nv_bfloat16 *from) {
    words[0] = *reinterpret_cast<const uint4 *>(from);
  }
  __device__ __forceinline__ void clear() { words[0] = make_uint4(0, 0, 0, 0); }
};
template <> struct InputPart<Scalar::F32> {
  static constexpr int parts = 3;
  uint4 words[3];
  __device__ __forceinline__ void load(const float *from) {
    float4 low = reinterpret_cast<const float4 *>(from)[0];
    float4 high = reinterpret_cast<const float4 *>(from)[1];
#pragma unroll
    for (int part = 0; part < 3; ++part)
      words[part] = make_uint4(take(low.x, low.y), take(low.z, low.w), take(high.x, high.y),
                               take(high.z, high.w));
  }
  __device__ __forceinline__ void clear() {
#pragma unroll
    for (uint4 &word : words)
      word = make_uint4(0, 0, 0, 0);
  }

private:
  /// Two values rounded to bf16; what is left stays in them.
  static __device__ __forceinline__ uint32_t take(float &a, float &b) {
    uint32_t pair = sm90::packBf16(a, b);
    a -= sm90::lowBf16(pair);
    b -= sm90::highBf16(pair);
    return pair;
  }
};

/// The sums of one warp: `of[p][j]` of matrix p and input rows 8 j .. 8 j + 7.  Thread (g, q) holds
/// of matrix rows g and g + 8 the input rows 8 j + 2 q and 8 j + 2 q + 1, in this order.
template <int Matrices, int Tiles> struct StreamSums {
  float of[Matrices][Tiles][4];
};

/// Streams blocks of `Matrices` matrices of equal shape; `Depth` blocks of each are in flight.
template <int Matrices, int Depth> struct WeightStream {
  const __nv_bfloat16 *low[Matrices], *high[Matrices]; // rows g and g + 8, at the next block
  uint4 ring[Depth][Matrices][2];
  int next = 0, count; // blocks
  int left;            // elements of k from the thread's first one of block `next` on

  /// Blocks `first` .. `first + count - 1` of k for matrix rows `row` .. `row + 15`; those from n
  /// on repeat the last one.
  __device__ __forceinline__ void start(const __nv_bfloat16 *const (&matrices)[Matrices],
                                        int64_t row, int64_t n, int64_t k, int first, int blocks) {
    int lane = threadIdx.x % 32;
    int64_t begin = int64_t(first) * streamBlock + 8 * (lane % 4);
    int64_t g = min(row + lane / 4, n - 1), h = min(row + lane / 4 + 8, n - 1);
#pragma unroll
    for (int p = 0; p < Matrices; ++p) {
      low[p] = matrices[p] + g * k + begin;
      high[p] = matrices[p] + h * k + begin;
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
    for (int p = 0; p < Matrices; ++p) {
      ring[slot][p][0] = exists ? loadStreamed(low[p]) : make_uint4(0, 0, 0, 0);
      ring[slot][p][1] = exists ? loadStreamed(high[p]) : make_uint4(0, 0, 0, 0);
      low[p] += streamBlock;
      high[p] += streamBlock;
    }
    ++next;
    left -= streamBlock;
  }

  /// Adds the products with input rows `rows[j]` (one for each thread's g; negative: none) of `x`,
  /// [.., k].
  template <Scalar X, int Tiles>
  __device__ __forceinline__ void run(StreamSums<Matrices, Tiles> &sums, const StorageOf<X> *x,
                                      const int (&rows)[Tiles], int64_t k, int first) {
    int begin = first * streamBlock + 8 * static_cast<int>(threadIdx.x % 4);
    for (int base = 0; base < count; base += Depth) {
#pragma unroll
      for (int slot = 0; slot < Depth; ++slot) {
        int place = begin + (base + slot) * streamBlock;
        bool exists = base + slot < count && place < k;
#pragma unroll
        for (int j = 0; j < Tiles; ++j) {
          InputPart<X> part;
          if (exists && rows[j] >= 0)
            part.load(x + rows[j] * k + place);
          else
            part.clear();
#pragma unroll
          for (int p = 0; p < Matrices; ++p)
#pragma unroll
            for (const uint4 &word : part.words)
              multiply(sums.of[p][j], ring[slot][p][0], ring[slot][p][1], word);
        }
        fetch(slot);
      }
    }
  }

private:
  static __device__ __forceinline__ void multiply(float (&sum)[4], const uint4 &g, const uint4 &h,
                                                  const uint4 &x) {
    uint32_t first[4] = {g.x, h.x, g.y, h.y}, second[4] = {g.z, h.z, g.w, h.w};
    sm90::mma16816(sum, first, x.x, x.y);
    sm90::mma16816(sum, second, x.z, x.w);
  }
};

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH
