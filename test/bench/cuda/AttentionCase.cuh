// A ragged batch over a paged cache with random contents, and what attention over it must give.
#ifndef LEVIN_TEST_BENCH_CUDA_ATTENTIONCASE_CUH
#define LEVIN_TEST_BENCH_CUDA_ATTENTIONCASE_CUH

#include "Harness.cuh"

#include "codegen/cuda/kernels/attention.cuh"

#include <cuda.h>

#include <numeric>
#include <utility>

namespace levin::bench {

using kernels::attention::Batch;
using kernels::attention::pageRows;

/// Constants of a kernel over a joint projection in plain order.
template <typename Input_, typename Page_, typename Output_, int Heads, int Groups, int Size,
          int Width>
struct AttentionShape {
  using Input = Input_;
  using Page = Page_;
  using Output = Output_;
  static constexpr int heads = Heads, groups = Groups, size = Size, width = Width;
  static constexpr int columns = (heads + 2 * groups) * size;
  static constexpr int qRow = columns, kRow = columns, vRow = columns;
  static constexpr int qHead = size, kHead = size, vHead = size;
  static constexpr float scale = size == 128 ? 0.08838834764f : size == 64 ? 0.125f : 0.15f;
  static __device__ __forceinline__ float frequency(int j);
};
__device__ float frequencyTable[128];
template <typename I, typename P, typename O, int H, int G, int D, int W>
__device__ __forceinline__ float AttentionShape<I, P, O, H, G, D, W>::frequency(int j) {
  return frequencyTable[j];
}
inline void setFrequencies(double theta, int width) {
  std::vector<float> table(128, 0.0f);
  for (int j = 0; j < width / 2; ++j) {
    float exponent = static_cast<float>(2 * j) / static_cast<float>(width);
    table[j] = 1.0f / static_cast<float>(std::pow(theta, exponent));
  }
  CHECK_CUDA(cudaMemcpyToSymbol(frequencyTable, table.data(), table.size() * sizeof(float)));
}

//===- Kernels as they are launched -----------------------------------------------------------===//

struct Pointers {
  const void *projection;
  void *keys, *values, *output, *scratch;
};
template <typename Shape> struct Views {
  using Input = typename Shape::Input;
  const Input *q, *k, *v;
  __device__ explicit Views(const Pointers &pointers)
      : q(static_cast<const Input *>(pointers.projection)), k(q + Shape::heads * Shape::size),
        v(k + Shape::groups * Shape::size) {}
};

template <typename Shape, int Count>
__global__ void __launch_bounds__(256) storeKernel(Batch batch, Pointers p, int least) {
  Views<Shape> views(p);
  using Page = typename Shape::Page;
  kernels::attention::attentionStore<Shape, Count>(
      batch, least, views.k, views.v, static_cast<Page *>(p.keys), static_cast<Page *>(p.values),
      static_cast<kernels::attention::Turn *>(p.scratch));
}
template <typename Shape>
__global__ void __launch_bounds__(kernels::attention::PlainLayout<Shape>::threads)
    plainKernel(Batch batch, Pointers p, int least) {
  Views<Shape> views(p);
  using Page = typename Shape::Page;
  kernels::attention::attentionPlain<Shape>(
      batch, least, views.q, static_cast<const Page *>(p.keys), static_cast<const Page *>(p.values),
      static_cast<typename Shape::Output *>(p.output));
}
template <typename Shape, int Count>
__global__ void __launch_bounds__(kernels::attention::PlainLayout<Shape>::threads)
    fewKernel(Batch batch, Pointers p) {
  Views<Shape> views(p);
  using Page = typename Shape::Page;
  kernels::attention::attentionFew<Shape, Count>(
      batch, views.q, views.k, views.v, static_cast<Page *>(p.keys), static_cast<Page *>(p.values),
      static_cast<typename Shape::Output *>(p.output));
}
template <typename Shape>
__global__ void __launch_bounds__(kernels::attention::DecodeLayout<Shape>::threads,
                                  kernels::attention::DecodeLayout<Shape>::perProcessor)
    decodeKernel(const __grid_constant__ CUtensorMap keyMap,
                 const __grid_constant__ CUtensorMap valueMap, Batch batch, Pointers p,
                 int leastUnits, int mostRuns) {
  Views<Shape> views(p);
  using Page = typename Shape::Page;
  kernels::attention::pagedDecode<Shape>(&keyMap, &valueMap, batch, views.q, views.k, views.v,
                                         static_cast<Page *>(p.keys), static_cast<Page *>(p.values),
                                         static_cast<typename Shape::Output *>(p.output), p.scratch,
                                         leastUnits, mostRuns);
}
template <typename Shape>
__global__ void __launch_bounds__(Shape::size) combineKernel(Batch batch, Pointers p) {
  kernels::attention::pagedCombine<Shape>(batch, static_cast<typename Shape::Output *>(p.output),
                                          p.scratch);
}
template <typename Shape>
__global__ void __launch_bounds__(kernels::attention::PrefillLayout<Shape>::threads, 1)
    prefillKernel(const __grid_constant__ CUtensorMap keyMap,
                  const __grid_constant__ CUtensorMap valueMap, Batch batch, Pointers p) {
  Views<Shape> views(p);
  kernels::attention::attentionPrefill<Shape>(
      &keyMap, &valueMap, batch, views.q, static_cast<typename Shape::Output *>(p.output),
      static_cast<const kernels::attention::Turn *>(p.scratch));
}

template <typename Kernel> void allowShared(Kernel kernel, int bytes) {
  CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes));
}

/// A launch that may begin before the one before it ends.
template <typename... Parameters, typename... Arguments>
void launchDependent(void (*kernel)(Parameters...), dim3 grid, dim3 block, size_t shared,
                     cudaStream_t stream, Arguments... arguments) {
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = shared;
  config.stream = stream;
  cudaLaunchAttribute attribute{};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = 1;
  CHECK_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

/// Boxes of [pageRows, boxBytes] over the rows of a pool of pages.
template <typename Page> CUtensorMap mapPages(void *pool, int64_t rows, int size, int boxBytes) {
  static auto encode = [] {
    void *entry = nullptr;
    cudaDriverEntryPointQueryResult result;
    CHECK_CUDA(cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &entry, 12000,
                                                cudaEnableDefault, &result));
    return reinterpret_cast<decltype(&cuTensorMapEncodeTiled)>(entry);
  }();
  CUtensorMap map;
  cuuint64_t extents[2] = {static_cast<cuuint64_t>(size), static_cast<cuuint64_t>(rows)};
  cuuint64_t strides[1] = {static_cast<cuuint64_t>(size * sizeof(Page))};
  cuuint32_t box[2] = {static_cast<cuuint32_t>(boxBytes / sizeof(Page)), pageRows},
             step[2] = {1, 1};
  CUresult status = encode(
      &map, sizeof(Page) == 2 ? CU_TENSOR_MAP_DATA_TYPE_BFLOAT16 : CU_TENSOR_MAP_DATA_TYPE_UINT8, 2,
      pool, extents, strides, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
      boxBytes == 128 ? CU_TENSOR_MAP_SWIZZLE_128B : CU_TENSOR_MAP_SWIZZLE_64B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_128B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (status != CUDA_SUCCESS) {
    std::printf("cuTensorMapEncodeTiled: %d\n", status);
    std::exit(1);
  }
  return map;
}

/// What a sequence of a case brings: new rows behind a context.
struct Load {
  int rows, past;
};

/// Device memory of a batch over a pool of pages that are dealt out in random order.
template <typename Shape> struct AttentionCase {
  using Input = typename Shape::Input;
  using Page = typename Shape::Page;
  using Output = typename Shape::Output;

  std::vector<int> starts, past, pages;
  int tokens, sequences, blocks, poolPages;
  Buffer<int> deviceStarts, devicePast, devicePages;
  Buffer<Input> projection;
  Buffer<Page> keys, values;
  Buffer<Output> output;
  Buffer<uint8_t> scratch;
  CUtensorMap keyMap, valueMap;
  static constexpr int mostRuns = 320;

  /// `tokens` and `sequences` of the bucket; what the loads leave is padding.
  AttentionCase(const std::vector<Load> &loads, int tokens, int sequences, int blocks,
                uint64_t seed)
      : tokens(tokens), sequences(sequences), blocks(blocks), poolPages(layOut(loads, seed)),
        deviceStarts(starts), devicePast(past), devicePages(pages),
        projection(static_cast<size_t>(tokens) * Shape::columns), keys(poolCount()),
        values(poolCount()), output(static_cast<size_t>(tokens) * Shape::heads * Shape::size),
        scratch(scratchBytes()) {
    if constexpr (sizeof(Page) < 4 && Shape::size % 64 == 0) {
      constexpr int rowBytes = Shape::size * static_cast<int>(sizeof(Page));
      int64_t rows = static_cast<int64_t>(poolPages) * Shape::groups * pageRows;
      keyMap = mapPages<Page>(keys.data(), rows, Shape::size, std::min(rowBytes, 128));
      valueMap = mapPages<Page>(values.data(), rows, Shape::size, std::min(rowBytes, 128));
    }
  }

  size_t poolCount() const {
    return static_cast<size_t>(poolPages) * Shape::groups * pageRows * Shape::size;
  }
  size_t scratchBytes() const {
    size_t partials =
        256 + 2ull * mostRuns * (Shape::heads / Shape::groups) * (Shape::size + 4) * 4;
    return turnBytes() + partials;
  }
  /// Of the table that prefill reads; decode's part of the scratch is behind it.
  size_t turnBytes() const {
    return (static_cast<size_t>(tokens) * (Shape::width / 2) * 8 + 255) / 256 * 256;
  }
  Pointers decodePointers() {
    Pointers behind = pointers();
    behind.scratch = scratch.data() + turnBytes();
    return behind;
  }
  Batch batch() const {
    return {deviceStarts.data(),
            devicePast.data(),
            devicePages.data(),
            tokens,
            sequences,
            blocks,
            poolPages};
  }
  Pointers pointers() {
    return {projection.data(), keys.data(), values.data(), output.data(), scratch.data()};
  }

  static constexpr int count = Shape::size % 8 == 0 && Shape::width % 16 == 0 ? 8 : 1;
  void store(int least, cudaStream_t stream = nullptr) {
    constexpr int rows = kernels::attention::storeRows;
    storeKernel<Shape, count>
        <<<(tokens + rows - 1) / rows, 32 * rows, 0, stream>>>(batch(), pointers(), least);
  }
  void plain(int least, cudaStream_t stream = nullptr) {
    using Layout = kernels::attention::PlainLayout<Shape>;
    allowShared(plainKernel<Shape>, Layout::sharedBytes);
    store(least, stream);
    dim3 grid(static_cast<unsigned>(Layout::mostTiles(tokens, sequences)), Shape::groups);
    plainKernel<Shape>
        <<<grid, Layout::threads, Layout::sharedBytes, stream>>>(batch(), pointers(), least);
  }
  void few(cudaStream_t stream = nullptr) {
    using Layout = kernels::attention::PlainLayout<Shape>;
    allowShared(fewKernel<Shape, count>, Layout::sharedBytes);
    dim3 grid(Shape::groups, static_cast<unsigned>(sequences));
    fewKernel<Shape, count>
        <<<grid, Layout::threads, Layout::sharedBytes, stream>>>(batch(), pointers());
  }
  void decode(cudaStream_t stream = nullptr, int leastUnits = 1, int ctas = 0) {
    using Layout = kernels::attention::DecodeLayout<Shape>;
    allowShared(decodeKernel<Shape>, Layout::sharedBytes);
    int grid = ctas > 0 ? ctas : 132 * Layout::perProcessor;
    decodeKernel<Shape><<<grid, Layout::threads, Layout::sharedBytes, stream>>>(
        keyMap, valueMap, batch(), decodePointers(), leastUnits, mostRuns);
    launchCombine(batch(), stream);
  }
  /// decode() of sequences [part count, (part + 1) count) alone.
  void decodePart(int part, int count, const int *startsOfOne, cudaStream_t stream, bool combine) {
    using Layout = kernels::attention::DecodeLayout<Shape>;
    Batch mine = batch();
    mine.starts = startsOfOne;
    mine.past += static_cast<int64_t>(part) * count;
    mine.pages += static_cast<int64_t>(part) * count * blocks;
    mine.sequences = mine.tokens = count;
    decodeKernel<Shape>
        <<<132 * Layout::perProcessor, Layout::threads, Layout::sharedBytes, stream>>>(
            keyMap, valueMap, mine, decodePointers(), 1, mostRuns);
    if (combine)
      launchCombine(mine, stream);
  }
  void launchCombine(Batch mine, cudaStream_t stream) {
    launchDependent(combineKernel<Shape>, dim3(Shape::heads, static_cast<unsigned>(mine.sequences)),
                    dim3(Shape::size), 0, stream, mine, decodePointers());
  }
  void prefill(cudaStream_t stream = nullptr, int processors = 132) {
    using Layout = kernels::attention::PrefillLayout<Shape>;
    allowShared(prefillKernel<Shape>, Layout::sharedBytes);
    store(2, stream);
    launchDependent(prefillKernel<Shape>, dim3(processors), dim3(Layout::threads),
                    Layout::sharedBytes, stream, keyMap, valueMap, batch(), pointers());
  }

private:
  /// Fills the host's tables.  Unused entries hold numbers of no page, and one page of the pool is
  /// nobody's.
  int layOut(const std::vector<Load> &loads, uint64_t seed) {
    starts.assign(sequences + 1, 0);
    past.assign(sequences, 0);
    pages.assign(static_cast<size_t>(sequences) * blocks, -1);
    int used = 0;
    for (size_t s = 0; s < static_cast<size_t>(sequences); ++s) {
      Load load = s < loads.size() ? loads[s] : Load{0, 0};
      starts[s + 1] = starts[s] + load.rows;
      past[s] = load.past;
      int count = std::min(blocks, (load.past + load.rows + pageRows - 1) / pageRows);
      for (int i = 0; load.rows > 0 && i < count; ++i)
        pages[s * blocks + i] = used++;
    }
    std::vector<int> order(used + 1);
    std::iota(order.begin(), order.end(), 0);
    std::mt19937_64 generator(seed);
    std::shuffle(order.begin(), order.end(), generator);
    for (int &page : pages)
      page = page < 0 ? (generator() % 2 ? -1 : 0x7FFFFFFF) : order[page];
    return used + 1;
  }
};

//===- Reference ------------------------------------------------------------------------------===//

template <typename Shape>
__device__ double turnedChannel(const typename Shape::Input *head, int channel, int position,
                                bool turns) {
  double x = static_cast<double>(static_cast<float>(head[channel]));
  constexpr int half = Shape::width / 2;
  if (!turns || channel >= 2 * half)
    return x;
  bool upper = channel >= half;
  int j = upper ? channel - half : channel;
  double other = static_cast<double>(static_cast<float>(head[upper ? j : j + half]));
  double angle = static_cast<double>(__fmul_rn(static_cast<float>(position), Shape::frequency(j)));
  return x * cos(angle) + (upper ? other : -other) * sin(angle);
}
/// Row blockIdx.x (of sequence `s`, from its first row on), head blockIdx.y, over the cache as it
/// is after the kernel under test.  Dynamic shared memory: a double for each position.
template <typename Shape>
__global__ void referenceKernel(Batch batch, Pointers p, int s, double *output) {
  extern __shared__ double weights[];
  __shared__ double query[Shape::size], reduced[256];
  using Page = typename Shape::Page;
  int row = static_cast<int>(blockIdx.x), h = static_cast<int>(blockIdx.y);
  int g = h / (Shape::heads / Shape::groups), t = batch.starts[s] + row;
  int position = batch.past[s] + row, count = min(position + 1, batch.capacity());
  Views<Shape> views(p);
  for (int c = threadIdx.x; c < Shape::size; c += blockDim.x)
    query[c] = turnedChannel<Shape>(
        views.q + static_cast<int64_t>(t) * Shape::qRow + h * Shape::qHead, c, position, true);
  __syncthreads();
  auto cacheRow = [&](int j) {
    int64_t page = batch.pages[static_cast<int64_t>(s) * batch.blocks + j / pageRows];
    return ((page * Shape::groups + g) * pageRows + j % pageRows) * Shape::size;
  };
  double largest = -1e300;
  for (int j = threadIdx.x; j < count; j += blockDim.x) {
    const Page *key = static_cast<const Page *>(p.keys) + cacheRow(j);
    double sum = 0;
    for (int c = 0; c < Shape::size; ++c)
      sum += query[c] * static_cast<double>(static_cast<float>(key[c]));
    weights[j] = sum * static_cast<double>(Shape::scale);
    largest = max(largest, weights[j]);
  }
  auto reduce = [&](double value, auto combine) {
    __syncthreads();
    reduced[threadIdx.x] = value;
    __syncthreads();
    for (int step = blockDim.x / 2; step > 0; step /= 2) {
      if (threadIdx.x < step)
        reduced[threadIdx.x] = combine(reduced[threadIdx.x], reduced[threadIdx.x + step]);
      __syncthreads();
    }
    return reduced[0];
  };
  largest = reduce(largest, [](double a, double b) { return max(a, b); });
  double total = 0;
  for (int j = threadIdx.x; j < count; j += blockDim.x)
    total += weights[j] = exp(weights[j] - largest);
  total = reduce(total, [](double a, double b) { return a + b; });
  for (int c = threadIdx.x; c < Shape::size; c += blockDim.x) {
    double sum = 0;
    for (int j = 0; j < count; ++j)
      sum += weights[j] * static_cast<double>(static_cast<float>(
                              static_cast<const Page *>(p.values)[cacheRow(j) + c]));
    output[(static_cast<int64_t>(t) * Shape::heads + h) * Shape::size + c] = sum / total;
  }
}
/// The new keys (rows of the grid's x, groups y) and values as they must be stored.
template <typename Shape>
__global__ void referenceRows(Batch batch, Pointers p, int s, float *keys, float *values) {
  int row = static_cast<int>(blockIdx.x), g = static_cast<int>(blockIdx.y), c = threadIdx.x;
  int t = batch.starts[s] + row, position = batch.past[s] + row;
  Views<Shape> views(p);
  using Page = typename Shape::Page;
  int64_t place = (static_cast<int64_t>(t) * Shape::groups + g) * Shape::size + c;
  auto rounded = [](double x) {
    return static_cast<float>(kernels::attention::fromFloat<Page>(static_cast<float>(x)));
  };
  keys[place] = rounded(turnedChannel<Shape>(
      views.k + static_cast<int64_t>(t) * Shape::kRow + g * Shape::kHead, c, position, true));
  values[place] = rounded(turnedChannel<Shape>(
      views.v + static_cast<int64_t>(t) * Shape::vRow + g * Shape::vHead, c, position, false));
}

} // namespace levin::bench

#endif // LEVIN_TEST_BENCH_CUDA_ATTENTIONCASE_CUH
