// What the kernels of lightning attention share: where heads lie, and which rows a sequence has.
//
// For a head with decay lambda = exp(-slope), row after row of a sequence, S being [D, D] float32:
//
//   S = lambda S + k^T v        out = q S
//
// S lies in a slot of `state` [slots, H, D, D], the value's channel innermost.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_BATCH_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_BATCH_CUH

#include <cuda_bf16.h>
#include <stdint.h>

namespace levin::kernels {

/// Heads [tokens, H, D] in a larger tensor: row t of head h begins at base + t * row + h * head.
template <typename T> struct LightningHeads {
  const T *base;
  int64_t row, head; // elements

  __device__ __forceinline__ const T *at(int64_t t, int64_t h) const {
    return base + t * row + h * head;
  }
};

/// The arguments of nn.lightning_attention.
template <typename In, typename Out> struct LightningArguments {
  LightningHeads<In> q, k, v;
  const float *slopes; // [H]
  float *state;        // [slots, H, D, D]
  const int32_t *starts, *slots, *past;
  Out *output; // [tokens, H D]
  int64_t heads, tokens, slotCount;
};

/// The rows of a sequence and its place in the state.
struct LightningSequence {
  int32_t first, count, slot;
  bool fresh; // begins with a state of zeros, whatever the slot holds
};

template <typename In, typename Out>
__device__ __forceinline__ LightningSequence
lightningSequence(const LightningArguments<In, Out> &arguments, int64_t sequence) {
  int32_t tokens = static_cast<int32_t>(arguments.tokens);
  int32_t begin = __ldg(arguments.starts + sequence), end = __ldg(arguments.starts + sequence + 1);
  int32_t slot = __ldg(arguments.slots + sequence), past = __ldg(arguments.past + sequence);
  begin = min(max(begin, 0), tokens);
  end = min(max(end, begin), tokens);
  slot = min(max(slot, 0), static_cast<int32_t>(arguments.slotCount) - 1);
  return {begin, end - begin, slot, past <= 0};
}

// Neighbouring values, as many as are loaded or stored at once.  Not by __ldg(): the kernel before
// may still write them while this one starts.
template <int Count>
__device__ __forceinline__ void loadFloats(float (&to)[Count], const float *at) {
#pragma unroll
  for (int i = 0; i < Count; i += 4) {
    float4 part = *reinterpret_cast<const float4 *>(at + i);
    to[i] = part.x, to[i + 1] = part.y, to[i + 2] = part.z, to[i + 3] = part.w;
  }
}
template <int Count>
__device__ __forceinline__ void loadFloats(float (&to)[Count], const __nv_bfloat16 *at) {
  auto unpack = [&](int i, uint32_t pair) {
    to[i] = __uint_as_float(pair << 16), to[i + 1] = __uint_as_float(pair & 0xFFFF0000u);
  };
  if constexpr (Count % 8 == 0) {
#pragma unroll
    for (int i = 0; i < Count; i += 8) {
      uint4 part = *reinterpret_cast<const uint4 *>(at + i);
      unpack(i, part.x), unpack(i + 2, part.y), unpack(i + 4, part.z), unpack(i + 6, part.w);
    }
  } else {
#pragma unroll
    for (int i = 0; i < Count; i += 4) {
      uint2 part = *reinterpret_cast<const uint2 *>(at + i);
      unpack(i, part.x), unpack(i + 2, part.y);
    }
  }
}
__device__ __forceinline__ void storeFloat4(float *at, float a, float b, float c, float d) {
  *reinterpret_cast<float4 *>(at) = make_float4(a, b, c, d);
}
__device__ __forceinline__ void storeFloat4(__nv_bfloat16 *at, float a, float b, float c, float d) {
  __nv_bfloat162 low = __floats2bfloat162_rn(a, b), high = __floats2bfloat162_rn(c, d);
  uint2 packed;
  packed.x = reinterpret_cast<uint32_t &>(low);
  packed.y = reinterpret_cast<uint32_t &>(high);
  *reinterpret_cast<uint2 *>(at) = packed;
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_BATCH_CUH
