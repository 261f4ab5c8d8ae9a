// Products of up to 64 rows with a large matrix: the matrix goes from memory to the tensor cores
// through registers, once, with many loads in flight.
//
// A warp holds 16 rows of the matrix, in blocks of four times 16 (or 8) bytes along k.  mma.sync
// takes the matrix as its A operand [16, 16] and eight input rows as B [16, 8].  Which of the 16
// places of k a thread's registers stand for does not matter as long as A and B agree: so thread
// (g, q) = (t / 4, t % 4) loads the q-th 16 bytes of a block of matrix rows g and g + 8, and the
// same places of input row g; each 8 elements of them are the operands of two products.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH

#include "numeric.cuh"
#include "sm90.cuh"

namespace levin::kernels {

inline constexpr int streamRows = 16; // of the matrix in one warp

//===-- formats of matrices --------------------------------------------------===//

/// What one load of a thread brings.
template <int Bytes> struct alignas(Bytes) RawPart {
  uint32_t words[Bytes / 4];
};

// Each format says how large a thread's loads are (`bytes`), and turns elements 8 i .. 8 i + 7 of
// one into A operands (`piece`) and of the input into B operands (`arrange`), in the same order.

/// bf16 [n, k].
struct Bf16Matrix {
  using Scale = float; // none
  static constexpr int bits = 16, group = 0, bytes = 16;
  static __device__ __forceinline__ uint4 piece(const RawPart<bytes> &raw, int) {
    return make_uint4(raw.words[0], raw.words[1], raw.words[2], raw.words[3]);
  }
  static __device__ __forceinline__ uint4 arrange(const uint4 &input) { return input; }
};

namespace detail {
/// Two bf16 numbers minus two others, exactly if the results have 8 bits.
__device__ __forceinline__ uint32_t subtractPairs(uint32_t a, uint32_t b) {
  uint32_t result;
  asm("{\n.reg .b32 one;\nmov.b32 one, 0x3F803F80;\n.reg .b32 minus;\n"
      "xor.b32 minus, %2, 0x80008000;\nfma.rn.bf16x2 %0, %1, one, minus;\n}"
      : "=r"(result)
      : "r"(a), "r"(b));
  return result;
}
} // namespace detail

/// Signed bytes [n, k] times scales [n, k / group].
template <int Group, typename ScaleType> struct Int8Matrix {
  using Scale = ScaleType;
  static constexpr int bits = 8, group = Group, bytes = Group % 64 == 0 ? 16 : 8;
  /// 0x4300 | u is 128 + u in bf16 for u below 128; the sign bit subtracts 128 or 256.
  static __device__ __forceinline__ uint4 piece(const RawPart<bytes> &raw, int i) {
    uint32_t low = raw.words[2 * i], high = raw.words[2 * i + 1];
    return make_uint4(pair(__byte_perm(low, 0, 0x4140)), pair(__byte_perm(low, 0, 0x4342)),
                      pair(__byte_perm(high, 0, 0x4140)), pair(__byte_perm(high, 0, 0x4342)));
  }
  static __device__ __forceinline__ uint4 arrange(const uint4 &input) { return input; }

private:
  static __device__ __forceinline__ uint32_t pair(uint32_t bytes) {
    return detail::subtractPairs((bytes & 0x007F007F) | 0x43004300,
                                 (bytes & 0x00800080) | 0x43004300);
  }
};

/// Signed 4-bit numbers [n, k], the lower half of a byte first, times scales [n, k / group].
template <int Group, typename ScaleType> struct Int4Matrix {
  using Scale = ScaleType;
  static constexpr int bits = 4, group = Group, bytes = Group % 128 == 0 ? 16 : 8;
  /// Elements 8 i .. 8 i + 7 in the order 0 4 1 5 2 6 3 7, as bf16: 128 + 8 + x, less 136.
  static __device__ __forceinline__ uint4 piece(const RawPart<bytes> &raw, int i) {
    uint32_t word = raw.words[i];
    return make_uint4(pair(word), pair(word >> 4), pair(word >> 8), pair(word >> 12));
  }
  /// Input elements in the same order.
  static __device__ __forceinline__ uint4 arrange(const uint4 &input) {
    return make_uint4(__byte_perm(input.x, input.z, 0x5410), __byte_perm(input.x, input.z, 0x7632),
                      __byte_perm(input.y, input.w, 0x5410), __byte_perm(input.y, input.w, 0x7632));
  }

private:
  static __device__ __forceinline__ uint32_t pair(uint32_t word) {
    return detail::subtractPairs((word & 0x000F000F) ^ 0x43084308, 0x43084308);
  }
};

/// Where a matrix lies.
template <class W> struct MatrixData {
  const void *values;
  const typename W::Scale *scales; // null where the format has none
};

//===-- loads ----------------------------------------------------------------===//

/// Reads what is read once and nobody writes meanwhile.
__device__ __forceinline__ void loadStreamed(RawPart<16> &value, const void *from) {
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0, %1, %2, %3}, [%4];"
               : "=r"(value.words[0]), "=r"(value.words[1]), "=r"(value.words[2]),
                 "=r"(value.words[3])
               : "l"(from));
}
__device__ __forceinline__ void loadStreamed(RawPart<8> &value, const void *from) {
  asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v2.u32 {%0, %1}, [%2];"
               : "=r"(value.words[0]), "=r"(value.words[1])
               : "l"(from));
}

// Scales stay as they are stored until they are needed: a conversion would wait for the load.
__device__ __forceinline__ void loadScale(uint16_t &raw, const void *from) {
  asm volatile("ld.global.nc.u16 %0, [%1];" : "=h"(raw) : "l"(from));
}
__device__ __forceinline__ void loadScale(float &raw, const void *from) {
  asm volatile("ld.global.nc.f32 %0, [%1];" : "=f"(raw) : "l"(from));
}
__device__ uint16_t rawScale(__nv_bfloat16);
__device__ uint16_t rawScale(__half);
__device__ float rawScale(float);
template <typename Scale> __device__ __forceinline__ float scaleOf(uint16_t raw) {
  return __half2float(__ushort_as_half(raw));
}
template <> __device__ __forceinline__ float scaleOf<__nv_bfloat16>(uint16_t raw) {
  return __uint_as_float(uint32_t(raw) << 16);
}
template <typename Scale> __device__ __forceinline__ float scaleOf(float raw) { return raw; }

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

/// A warp's streams: RowTiles times 16 rows of each of `Matrices` matrices of equal shape and
/// format W.  `Depth` blocks of each stream are in flight.
template <class W, int Matrices, int RowTiles, int Depth> struct WeightStream {
  static constexpr int streams = Matrices * RowTiles; // matrix s / RowTiles, rows s % RowTiles
  static constexpr int each = 8 * W::bytes / W::bits; // elements of a thread's load
  static constexpr int block = 4 * each, pieces = each / 8;
  static constexpr bool scaled = W::group > 0;
  static_assert(!scaled || W::group % block == 0, "a block has one scale for each row");

  using RawScale = decltype(rawScale(typename W::Scale()));

  const char *low[streams], *high[streams]; // rows g and g + 8, at the next block
  const typename W::Scale *scales[scaled ? streams : 1][2];
  RawPart<W::bytes> ring[Depth][streams][2];
  RawScale ringScales[scaled ? Depth : 1][scaled ? streams : 1][2];
  int next = 0, count; // blocks
  int left;            // elements of k from the thread's first one of block `next` on
  int place = 0;       // of block `next` in all of k

  static __device__ __forceinline__ int blocksOf(int k) { return (k + block - 1) / block; }

  /// Blocks `first` .. `first + blocks - 1` of k for matrix rows `row` .. `row + 16 RowTiles - 1`;
  /// those from n on repeat the last one.
  __device__ __forceinline__ void start(const MatrixData<W> (&matrices)[Matrices], int64_t row,
                                        int64_t n, int64_t k, int first, int blocks) {
    int lane = threadIdx.x % 32;
    int64_t begin = int64_t(first) * block + each * (lane % 4);
#pragma unroll
    for (int s = 0; s < streams; ++s) {
      int64_t g = row + s % RowTiles * streamRows + lane / 4;
      int64_t rows[2] = {min(g, n - 1), min(g + 8, n - 1)};
      auto values = static_cast<const char *>(matrices[s / RowTiles].values);
      low[s] = values + (rows[0] * k + begin) * W::bits / 8;
      high[s] = values + (rows[1] * k + begin) * W::bits / 8;
      if constexpr (scaled)
#pragma unroll
        for (int half = 0; half < 2; ++half)
          scales[s][half] = matrices[s / RowTiles].scales + rows[half] * (k / W::group);
    }
    count = blocks;
    left = static_cast<int>(k - begin);
    place = first;
#pragma unroll
    for (int slot = 0; slot < Depth; ++slot)
      fetch(slot);
  }

  __device__ __forceinline__ void fetch(int slot) {
    bool exists = next < count && left > 0;
#pragma unroll
    for (int s = 0; s < streams; ++s) {
      ring[slot][s][0] = ring[slot][s][1] = {};
      if (exists) {
        loadStreamed(ring[slot][s][0], low[s]);
        loadStreamed(ring[slot][s][1], high[s]);
      }
      low[s] += 4 * W::bytes;
      high[s] += 4 * W::bytes;
      if constexpr (scaled)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          ringScales[slot][s][half] = 0;
          if (exists)
            loadScale(ringScales[slot][s][half], scales[s][half] + place / (W::group / block));
        }
    }
    ++next;
    ++place;
    left -= block;
  }

  /// Adds the products with input rows `rows[j]` (one for each thread's g; negative: none) of `x`,
  /// [.., k], for j below `tiles`.
  template <Scalar X, int Tiles>
  __device__ __forceinline__ void run(StreamSums<streams, Tiles> &sums, const StorageOf<X> *x,
                                      const int (&rows)[Tiles], int tiles, int64_t k, int first) {
    using Part = InputPart<X>;
    // Inputs are loaded before they are needed, if there are registers: those of the next blocks
    // while one multiplies with these.  `span` blocks of a row fill a line of the cache, which may
    // be gone when the next block comes.
    constexpr int bytes = block * static_cast<int>(sizeof(StorageOf<X>));
    constexpr int line = bytes < 128 ? 128 / bytes : 1;
    constexpr int span = Tiles > 1 && Depth % line == 0 ? line : 1;
    constexpr bool ahead = span * Tiles * pieces * Part::registers <= 32;
    int begin = first * block + each * static_cast<int>(threadIdx.x % 4);
    auto load = [&](Part(&parts)[pieces], int j, int at) {
      int from = begin + at * block;
      bool exists = at < count && from < k && rows[j] >= 0;
#pragma unroll
      for (int i = 0; i < pieces; ++i)
        if (exists)
          parts[i].load(x + rows[j] * k + from + 8 * i);
        else
          parts[i].clear();
    };
    Part now[span][Tiles][pieces], later[span][Tiles][pieces];
    auto loadAll = [&](int at) {
#pragma unroll
      for (int j = 0; j < Tiles; ++j)
        if (Tiles == 1 || j < tiles)
#pragma unroll
          for (int i = 0; i < span; ++i)
            load(later[i][j], j, at + i);
    };
    if (ahead)
      loadAll(0);
    for (int base = 0; base < count; base += Depth) {
#pragma unroll
      for (int slot = 0; slot < Depth; ++slot) {
        if (ahead && slot % span == 0) {
#pragma unroll
          for (int i = 0; i < span * Tiles * pieces; ++i)
            (&now[0][0][0])[i] = (&later[0][0][0])[i];
          loadAll(base + slot + span);
        }
#pragma unroll
        for (int j = 0; j < Tiles; ++j) {
          if (Tiles > 1 && j >= tiles)
            continue;
          Part(&parts)[pieces] = now[slot % span][j];
          if (!ahead)
            load(parts, j, base + slot);
          multiply(sums, j, parts, slot);
        }
        fetch(slot);
      }
    }
  }

private:
  /// The tensor cores cut off the last bits of a sum.  bf16 inputs have less precision than that;
  /// for float32 the products of one block are added to the sum outside of them.  So are those of
  /// scaled matrices, times the block's scales.
  template <int Tiles, class Part>
  __device__ __forceinline__ void multiply(StreamSums<streams, Tiles> &sums, int j,
                                           Part (&inputs)[pieces], int slot) {
    constexpr bool separate = scaled || Part::parts > 1;
    float apart[streams][4] = {};
#pragma unroll
    for (int piece = 0; piece < pieces; ++piece)
#pragma unroll
      for (int i = 0; i < Part::parts; ++i) {
        uint4 word = W::arrange(inputs[piece].part(i));
#pragma unroll
        for (int s = 0; s < streams; ++s) {
          float (&sum)[4] = separate ? apart[s] : sums.of[s][j];
          uint4 g = W::piece(ring[slot][s][0], piece), h = W::piece(ring[slot][s][1], piece);
          uint32_t first[4] = {g.x, h.x, g.y, h.y}, second[4] = {g.z, h.z, g.w, h.w};
          sm90::mma16816(sum, first, word.x, word.y);
          sm90::mma16816(sum, second, word.z, word.w);
        }
      }
    if (separate)
#pragma unroll
      for (int s = 0; s < streams; ++s)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          sums.of[s][j][i] +=
              scaled ? apart[s][i] * scaleOf<typename W::Scale>(ringScales[slot][s][i / 2])
                     : apart[s][i];
  }
};

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_WEIGHT_STREAM_CUH
