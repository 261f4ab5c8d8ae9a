// What each CTA of lightning prefill does: heads of sequences, long ones cut into segments.
//
// Few heads leave most of the card idle.  Then a sequence is cut into `segments` of whole chunks: a
// first kernel forms from k and v what each but the last adds to the state, a second one begins
// each segment with the sum of those before it.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_WORK_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_WORK_CUH

#include "lightning_batch.cuh"
#include "sm90.cuh"

namespace levin::kernels {

/// The columns of q, k or v in its tensor: head h begins at h * head + offset.
struct LightningColumns {
  int head, offset;
};

/// Arguments of the kernels beside their tensor maps.
struct LightningPrefillArguments {
  LightningColumns q, k, v;
  const float *slopes;
  float *state;
  const int32_t *starts, *slots, *past;
  __nv_bfloat16 *output;
  float *scratch; // [sequences, heads, segments, D, D], if there are several segments
  int heads, tokens, slotCount, sequences;
  int shortest; // sequences of fewer rows are left to another kernel
  int segments; // at most, of a sequence
};

namespace lightning {

constexpr int chunkRows = 64;
/// Fewer chunks than this are not worth a segment.
constexpr int segmentChunks = 8;

/// A segment of one head of one sequence.
struct Work {
  int sequence, head, slot;
  int segment, rows; // its number, and the rows of each segment but the last
  int first, count;  // its own rows
  bool fresh, last;  // the state begins as zeros; the sequence ends here
};

/// The sequences of a step, the longest first; `columns` CTAs share a head.
template <int Columns> class WorkList {
public:
  // Shared memory.
  static constexpr int fixedBytes = 16, bytesOfSequence = 8;

  __device__ __forceinline__ WorkList(const LightningPrefillArguments &arguments, int *shared)
      : a(arguments), order(shared) {}

  /// By all threads, then a barrier of theirs.
  __device__ __forceinline__ void prepare() {
    int *lengths = order + a.sequences + 4;
    for (int s = threadIdx.x; s < a.sequences; s += blockDim.x)
      lengths[s] = rowsOf(s).y;
    if (threadIdx.x == 0)
      order[0] = 0;
    __syncthreads();
    for (int s = threadIdx.x; s < a.sequences; s += blockDim.x) {
      int length = lengths[s], rank = 0;
      if (length == 0 || length < a.shortest)
        continue;
      for (int other = 0; other < a.sequences; ++other)
        rank += lengths[other] > length || (lengths[other] == length && other < s);
      order[1 + rank] = s;
      atomicAdd(order, 1);
    }
  }
  /// Calls `f(work)` for each part of this CTA.
  template <typename F> __device__ __forceinline__ void forEach(F &&f) const {
    const int parts = a.heads * a.segments, total = order[0] * parts;
    for (int i = static_cast<int>(blockIdx.x) / Columns; i < total;
         i += static_cast<int>(gridDim.x) / Columns) {
      const int s = order[1 + i / parts], segment = i % parts / a.heads;
      const int2 all = rowsOf(s);
      const int chunks = (all.y + chunkRows - 1) / chunkRows;
      const int wanted = min(max(chunks / segmentChunks, 1), a.segments);
      const int rows = (chunks + wanted - 1) / wanted * chunkRows;
      const int begin = segment * rows;
      if (begin >= all.y)
        continue;
      f(Work{s, i % a.heads, min(max(__ldg(a.slots + s), 0), a.slotCount - 1), segment, rows,
             all.x + begin, min(rows, all.y - begin), __ldg(a.past + s) <= 0,
             begin + rows >= all.y});
    }
  }

private:
  const LightningPrefillArguments &a;
  int *order; // how many sequences, then their numbers, then lengths

  /// First row of sequence s, and how many.
  __device__ __forceinline__ int2 rowsOf(int s) const {
    int begin = min(max(__ldg(a.starts + s), 0), a.tokens);
    return {begin, min(max(__ldg(a.starts + s + 1), begin), a.tokens) - begin};
  }
};

/// A warpgroup's part of S transposed, 64 columns of v by D of k, as an accumulator holds it.
template <int D> struct StateFragment {
  static constexpr int size = D / 2;

  /// Thread `thread` of 128 and columns 64 `half` ...
  __device__ __forceinline__ StateFragment(const LightningPrefillArguments &a, int half, int thread)
      : a(a), half(half), thread(thread) {}

  /// From the slot, or zeros.
  __device__ __forceinline__ void load(float (&s)[size], const Work &work) const {
    const float *place = slotOf(work);
#pragma unroll
    for (int i = 0; i < size; ++i)
      s[i] = work.fresh ? 0.0f : __ldcs(place + offsetOf(i));
  }
  __device__ __forceinline__ void store(const float (&s)[size], const Work &work) const {
    float *place = slotOf(work);
#pragma unroll
    for (int i = 0; i < size; ++i)
      __stcs(place + offsetOf(i), s[i]);
  }
  /// Scratch of a sequence and head: part 0 is a copy of its slot, part g > 0 what segment g - 1
  /// adds (the first one with the slot).
  __device__ __forceinline__ void storePart(const float (&s)[size], const Work &work,
                                            int part) const {
    float4 *place = partOf(work, part);
#pragma unroll
    for (int i = 0; i < size; i += 4)
      place[i / 4 * 128] = make_float4(s[i], s[i + 1], s[i + 2], s[i + 3]);
  }
  /// s = scale s + a part.
  __device__ __forceinline__ void addPart(float (&s)[size], const Work &work, int part,
                                          float scale) const {
    const float4 *place = partOf(work, part);
    float4 parts[size / 4];
#pragma unroll
    for (int i = 0; i < size / 4; ++i)
      parts[i] = place[i * 128];
#pragma unroll
    for (int i = 0; i < size / 4; ++i) {
      s[4 * i] = fmaf(s[4 * i], scale, parts[i].x);
      s[4 * i + 1] = fmaf(s[4 * i + 1], scale, parts[i].y);
      s[4 * i + 2] = fmaf(s[4 * i + 2], scale, parts[i].z);
      s[4 * i + 3] = fmaf(s[4 * i + 3], scale, parts[i].w);
    }
  }
  /// The state before a segment.  The slot itself may already hold the state after the sequence.
  __device__ __forceinline__ void begin(float (&s)[size], const Work &work) const {
    if (work.segment == 0 && work.last)
      return load(s, work);
#pragma unroll
    for (int i = 0; i < size; ++i)
      s[i] = 0;
    if (work.segment == 0 && work.fresh)
      return;
    const float decay = expf(-__ldg(a.slopes + work.head) * static_cast<float>(work.rows));
    for (int part = min(work.segment, 1); part <= work.segment; ++part)
      addPart(s, work, part, decay);
  }

private:
  const LightningPrefillArguments &a;
  int half, thread;

  __device__ __forceinline__ float *slotOf(const Work &work) const {
    return a.state + (int64_t(work.slot) * a.heads + work.head) * D * D + 64 * half +
           thread / 32 * 16 + thread % 32 / 4 + thread % 4 * (2 * D);
  }
  __device__ __forceinline__ static constexpr int offsetOf(int i) {
    return (i / 4 * 8 + i % 2) * D + i % 4 / 2 * 8;
  }
  __device__ __forceinline__ float4 *partOf(const Work &work, int part) const {
    int64_t number = (int64_t(work.sequence) * a.heads + work.head) * a.segments + part;
    return reinterpret_cast<float4 *>(a.scratch + number * D * D + half * 64 * D) + thread;
  }
};

/// Fragments of v^T, 16 tokens each, times the tokens' weights, rounded once more.  `column` is
/// the thread's first token of 8.
__device__ __forceinline__ void weighValues(uint32_t (&weighted)[4][4], const uint32_t (&v)[4][4],
                                            const float *weights, int column) {
#pragma unroll
  for (int j = 0; j < 4; ++j)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      float2 w = *reinterpret_cast<const float2 *>(weights + 16 * j + i / 2 * 8 + column);
      weighted[j][i] = sm90::packBf16(sm90::lowBf16(v[j][i]) * w.x, sm90::highBf16(v[j][i]) * w.y);
    }
}

} // namespace lightning
} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_LIGHTNING_WORK_CUH
