// A batch for lightning attention, its float64 reference, and the kernels that run it.
#ifndef LEVIN_TEST_BENCH_CUDA_LIGHTNING_CUH
#define LEVIN_TEST_BENCH_CUDA_LIGHTNING_CUH

#include "Harness.cuh"

#include "codegen/cuda/kernels/lightning_decode.cuh"
#include "codegen/cuda/kernels/lightning_plain.cuh"
#include "codegen/cuda/kernels/lightning_prefill.cuh"
#include "codegen/cuda/kernels/lightning_segments.cuh"

#include <cstring>
#include <memory>
#include <numeric>
#include <string>

namespace levin::bench {

using bf16 = __nv_bfloat16;
using kernels::LightningArguments;

/// nn.lightning_attention in double: a warp for each (sequence, head, column).  `state` is
/// [slots, H, D, D] in double and updated in place.
template <typename In>
__global__ void lightningReferenceKernel(LightningArguments<In, double> arguments, double *state,
                                         int d) {
  auto sequence = kernels::lightningSequence(arguments, blockIdx.z);
  int head = blockIdx.y, column = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  int lane = threadIdx.x % 32;
  if (column >= d || sequence.count == 0)
    return;
  double *place = state + (size_t(sequence.slot) * arguments.heads + head) * d * d + column;
  double s[8] = {}, decay = exp(-double(arguments.slopes[head]));
  for (int i = 0; i < 8; ++i)
    if (!sequence.fresh && lane + 32 * i < d)
      s[i] = place[size_t(lane + 32 * i) * d];
  for (int t = 0; t < sequence.count; ++t) {
    int64_t token = sequence.first + t;
    const In *q = arguments.q.at(token, head), *k = arguments.k.at(token, head);
    double v = double(float(arguments.v.at(token, head)[column])), sum = 0;
    for (int i = 0; i < 8; ++i)
      if (int c = lane + 32 * i; c < d) {
        s[i] = decay * s[i] + double(float(k[c])) * v;
        sum += double(float(q[c])) * s[i];
      }
    for (int step = 16; step > 0; step /= 2)
      sum += __shfl_xor_sync(0xFFFFFFFF, sum, step);
    if (lane == 0)
      arguments.output[(token * arguments.heads + head) * d + column] = sum;
  }
  for (int i = 0; i < 8; ++i)
    if (lane + 32 * i < d)
      place[size_t(lane + 32 * i) * d] = s[i];
}

template <int D, int Columns, typename In, typename Out>
__global__ void __launch_bounds__(kernels::LightningDecodeShape<D, Columns>::threads,
                                  1024 / kernels::LightningDecodeShape<D, Columns>::threads)
    lightningDecodeKernel(LightningArguments<In, Out> arguments, int64_t longest) {
  kernels::lightningDecode<D, Columns>(arguments, longest);
}
template <int D, typename In, typename Out>
__global__ void __launch_bounds__(kernels::LightningPlainShape<D>::threads, 1)
    lightningPlainKernel(LightningArguments<In, Out> arguments, int64_t shortest) {
  kernels::lightningPlain<D>(arguments, shortest);
}
inline constexpr int64_t anyLength = int64_t(1) << 40;

template <int D, int Columns, typename In, typename Out>
void launchDecode(const LightningArguments<In, Out> &arguments, int sequences, int64_t longest,
                  cudaStream_t stream = nullptr) {
  dim3 grid(D / Columns, static_cast<unsigned>(arguments.heads), sequences);
  lightningDecodeKernel<D, Columns, In, Out>
      <<<grid, kernels::LightningDecodeShape<D, Columns>::threads, 0, stream>>>(arguments, longest);
  CHECK_CUDA(cudaGetLastError());
}
template <int D, typename In, typename Out>
void launchPlain(const LightningArguments<In, Out> &arguments, int sequences, int64_t shortest,
                 cudaStream_t stream = nullptr) {
  using Shape = kernels::LightningPlainShape<D>;
  dim3 grid(Shape::blocks, static_cast<unsigned>(arguments.heads), sequences);
  lightningPlainKernel<D, In, Out><<<grid, Shape::threads, 0, stream>>>(arguments, shortest);
  CHECK_CUDA(cudaGetLastError());
}

template <int D, int Stages, bool Multicast, int Fine>
__global__ void __launch_bounds__(512, 1) __cluster_dims__(Multicast ? 2 : 1, 1, 1)
    lightningPrefillKernel(const __grid_constant__ CUtensorMap joint,
                           const __grid_constant__ CUtensorMap output,
                           const __grid_constant__ kernels::LightningPrefillArguments arguments) {
  kernels::lightningPrefill<D, Stages, Multicast, Fine>(&joint, &joint, &joint, &output, arguments);
}
template <int D>
__global__ void __launch_bounds__(256, 1)
    lightningSegmentsKernel(const __grid_constant__ CUtensorMap joint,
                            const __grid_constant__ kernels::LightningPrefillArguments arguments) {
  kernels::lightningSegments<D>(&joint, &joint, arguments);
}
/// The map of a row-major bf16 matrix in boxes of 64 by 64.
inline CUtensorMap mapOf(const bf16 *data, int64_t rows, int64_t columns) {
  static const auto encode = [] {
    void *function = nullptr;
    cudaDriverEntryPointQueryResult result;
    CHECK_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &function, 12000,
                                                cudaEnableDefault, &result));
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(function);
  }();
  CUtensorMap map;
  cuuint64_t extents[2] = {cuuint64_t(columns), cuuint64_t(rows)}, strides[1] = {2u * columns};
  cuuint32_t box[2] = {64, 64}, steps[2] = {1, 1};
  if (encode(&map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, 2, const_cast<bf16 *>(data), extents, strides,
             box, steps, CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B,
             CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
             CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE) != CUDA_SUCCESS) {
    std::printf("cuTensorMapEncodeTiled failed\n");
    std::exit(1);
  }
  return map;
}
/// q, k and v are parts of one tensor.
/// q, k and v are parts of one tensor.  Sequences are cut into at most `segments`.
template <int D, int Stages = kernels::LightningPrefillShape<D>::stages, bool Multicast = D == 128,
          int Fine = D / 32>
void launchPrefill(const LightningArguments<bf16, bf16> &a, int sequences, int64_t shortest,
                   cudaStream_t stream = nullptr, int segments = 1) {
  using Shape = kernels::LightningPrefillShape<D, Stages>;
  using SegmentsShape = kernels::LightningSegmentsShape<D>;
  static const int processors = [] {
    CHECK_CUDA(cudaFuncSetAttribute(lightningPrefillKernel<D, Stages, Multicast, Fine>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10));
    CHECK_CUDA(cudaFuncSetAttribute(lightningSegmentsKernel<D>,
                                    cudaFuncAttributeMaxDynamicSharedMemorySize, 220 << 10));
    cudaDeviceProp properties;
    CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
    return properties.multiProcessorCount;
  }();
  static Buffer<float> scratch(size_t(256) << 20 >> 2);
  if (segments > 1 && size_t(sequences) * a.heads * segments * D * D > scratch.size()) {
    std::printf("too little scratch\n");
    std::exit(1);
  }
  int head = int(a.q.head);
  kernels::LightningPrefillArguments arguments;
  arguments.q = {head, 0};
  arguments.k = {head, int(a.k.base - a.q.base)};
  arguments.v = {head, int(a.v.base - a.q.base)};
  arguments.slopes = a.slopes, arguments.state = a.state;
  arguments.starts = a.starts, arguments.slots = a.slots, arguments.past = a.past;
  arguments.output = a.output, arguments.scratch = scratch.data();
  arguments.heads = int(a.heads), arguments.tokens = int(a.tokens);
  arguments.slotCount = int(a.slotCount), arguments.sequences = sequences;
  arguments.shortest = int(shortest), arguments.segments = segments;
  CUtensorMap joint = mapOf(a.q.base, a.tokens, a.q.row);
  CUtensorMap output = mapOf(a.output, a.tokens, a.heads * D);
  const int grid = processors / Shape::halves * Shape::halves;
  if (segments > 1)
    lightningSegmentsKernel<D>
        <<<grid, SegmentsShape::threads, SegmentsShape::bytes(sequences), stream>>>(joint,
                                                                                    arguments);
  lightningPrefillKernel<D, Stages, Multicast, Fine>
      <<<grid, Shape::threads, Shape::bytes(sequences), stream>>>(joint, output, arguments);
  CHECK_CUDA(cudaGetLastError());
}

/// What a batch consists of.
struct BatchShape {
  std::vector<int> lengths, past;
  int heads = 8, padding = 0;
  bool interleaved = true;
  float scale = 1;     // of q, k and v
  bool random = false; // made on the device: for large ones
};

/// Slopes from 0.917 down to 1e-5, evenly on a logarithmic scale.
inline std::vector<float> slopesOf(int heads) {
  std::vector<float> slopes;
  for (int h = 0; h < heads; ++h)
    slopes.push_back(static_cast<float>(
        0.917 * std::pow(1e-5 / 0.917, heads > 1 ? double(h) / (heads - 1) : 0.0)));
  return slopes;
}

/// Inputs, state and output of a step.  Rows of padding, slots of new sequences and the output
/// hold NaN; slots that no sequence has hold numbers that must stay.
template <int D, typename In, typename Out> class Batch {
public:
  static constexpr int guardRows = 64;

  Batch(const BatchShape &shape, uint64_t seed)
      : shape(shape), sequences(static_cast<int>(shape.lengths.size())),
        rows(std::accumulate(shape.lengths.begin(), shape.lengths.end(), 0)),
        tokens(rows + shape.padding), slotCount(sequences + 2),
        joint(size_t(tokens) * 3 * shape.heads * D), state(size_t(slotCount) * shape.heads * D * D),
        slopes(slopesOf(shape.heads)), output(size_t(tokens + guardRows) * shape.heads * D) {
    std::mt19937_64 generator(seed);
    std::vector<int> starts{0}, slots, past;
    for (int s = 0; s < sequences; ++s) {
      starts.push_back(starts.back() + shape.lengths[s]);
      slots.push_back((s * 7 + 3) % slotCount);
      past.push_back(s < int(shape.past.size()) ? shape.past[s] : 0);
    }
    if (slotCount % 7 == 0)
      for (int s = 0; s < sequences; ++s)
        slots[s] = slotCount - 1 - s;
    this->slots = std::make_unique<Buffer<int>>(slots);
    this->starts = std::make_unique<Buffer<int>>(starts);
    this->past = std::make_unique<Buffer<int>>(past);
    hostSlots = slots;
    if constexpr (std::is_same_v<In, bf16>) {
      if (shape.random) {
        fillRandom(joint, shape.scale, seed);
        return;
      }
    }
    std::vector<In> values = randomValues<In>(joint.size(), shape.scale, generator);
    for (size_t i = size_t(rows) * 3 * shape.heads * D; i < values.size(); ++i)
      values[i] = static_cast<In>(NAN);
    joint.set(values);
    initialState = randomValues<float>(state.size(), 1, generator);
    size_t slotSize = state.size() / slotCount;
    for (int s = 0; s < sequences; ++s)
      if (past[s] == 0 && shape.lengths[s] > 0)
        std::fill_n(initialState.begin() + slots[s] * slotSize, slotSize, NAN);
    reset();
  }
  void reset() {
    state.set(initialState);
    output.poison();
  }
  void setBatch(const std::vector<int> &newStarts, const std::vector<int> &newPast) {
    starts->set(newStarts);
    past->set(newPast);
  }
  template <typename Result> LightningArguments<In, Result> arguments(Result *result) const {
    int64_t h = shape.heads, row = 3 * h * D;
    kernels::LightningHeads<In> q{joint.data(), row, shape.interleaved ? 3 * D : D}, k = q, v = q;
    k.base += shape.interleaved ? D : h * D;
    v.base += shape.interleaved ? 2 * D : 2 * h * D;
    return {
        q,      k, v,      slopes.data(), state.data(), starts->data(), slots->data(), past->data(),
        result, h, tokens, slotCount};
  }
  LightningArguments<In, Out> arguments() const { return arguments(output.data()); }

  struct Reference {
    std::vector<double> output, state;
  };
  /// Of the whole batch, from the initial state.
  Reference reference() const {
    std::vector<double> begin(initialState.begin(), initialState.end());
    Buffer<double> out(size_t(tokens) * shape.heads * D), states(begin);
    dim3 grid((D + 7) / 8, shape.heads, sequences);
    lightningReferenceKernel<In><<<grid, 256>>>(arguments(out.data()), states.data(), D);
    CHECK_CUDA(cudaDeviceSynchronize());
    return {out.get(), states.get()};
  }
  /// Prints and returns whether output and state agree with `reference`, and nothing else changed.
  bool check(const std::string &name, const Reference &reference, double outputLimit,
             double stateLimit) {
    CHECK_CUDA(cudaDeviceSynchronize());
    size_t row = size_t(shape.heads) * D;
    std::vector<Out> all = output.get();
    Difference out = compare(
        std::vector<Out>(all.begin(), all.begin() + rows * row),
        std::vector<double>(reference.output.begin(), reference.output.begin() + rows * row));
    const unsigned char *bytes = reinterpret_cast<const unsigned char *>(all.data() + tokens * row);
    bool guard = std::all_of(bytes, bytes + guardRows * row * sizeof(Out),
                             [](unsigned char byte) { return byte == 0xFF; });
    std::vector<float> states = state.get();
    size_t slotSize = states.size() / slotCount;
    std::vector<float> mine;
    std::vector<double> expected;
    bool others = true;
    for (int slot = 0; slot < slotCount; ++slot) {
      size_t at = slot * slotSize;
      int s =
          static_cast<int>(std::find(hostSlots.begin(), hostSlots.end(), slot) - hostSlots.begin());
      if (s < sequences && shape.lengths[s] > 0) {
        mine.insert(mine.end(), states.begin() + at, states.begin() + at + slotSize);
        expected.insert(expected.end(), reference.state.begin() + at,
                        reference.state.begin() + at + slotSize);
      } else {
        others &= std::memcmp(&states[at], &initialState[at], slotSize * sizeof(float)) == 0;
      }
    }
    Difference held = compare(mine, expected);
    bool ok = out.relative <= outputLimit && held.relative <= stateLimit && guard && others;
    if (!ok || !name.empty())
      std::printf("%-4s %-44s output %.2e state %.2e%s%s\n", ok ? "ok" : "FAIL", name.c_str(),
                  out.relative, held.relative, guard ? "" : " WROTE BEHIND THE OUTPUT",
                  others ? "" : " CHANGED ANOTHER SLOT");
    if (!ok && !name.empty() && rows > 0)
      explain(all, reference.output);
    return ok;
  }
  /// Where the output differs: errors of heads, and of rows and columns of the worst one.
  void explain(const std::vector<Out> &all, const std::vector<double> &expected) const {
    auto error = [&](int head, int row, int rowEnd, int column, int columnEnd) {
      double square = 0, norm = 1e-300;
      for (int r = row; r < std::min(rowEnd, rows); ++r)
        for (int c = column; c < columnEnd; ++c) {
          size_t at = (size_t(r) * shape.heads + head) * D + c;
          double difference = double(float(all[at])) - expected[at];
          square += difference * difference, norm += expected[at] * expected[at];
        }
      return std::sqrt(square / norm);
    };
    int worst = 0;
    double worstError = 0;
    std::printf("     heads");
    for (int h = 0; h < shape.heads; ++h) {
      double e = error(h, 0, rows, 0, D);
      std::printf(" %.1e", e);
      if (!(e <= worstError))
        worst = h, worstError = e;
    }
    std::printf("\n     head %d, 16 columns each:", worst);
    for (int c = 0; c < D; c += 16)
      std::printf(" %.1e", error(worst, 0, rows, c, std::min(c + 16, D)));
    std::printf("\n     8 rows each:");
    for (int r = 0; r < std::min(rows, 160); r += 8)
      std::printf(" %.1e", error(worst, r, r + 8, 0, D));
    std::printf("\n");
  }

  BatchShape shape;
  int sequences, rows, tokens, slotCount;
  Buffer<In> joint;
  Buffer<float> state;
  Buffer<float> slopes;
  Buffer<Out> output;
  std::unique_ptr<Buffer<int>> starts, slots, past;
  std::vector<int> hostSlots;
  std::vector<float> initialState;
};

} // namespace levin::bench

#endif // LEVIN_TEST_BENCH_CUDA_LIGHTNING_CUH
