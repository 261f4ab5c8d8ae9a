// Conformance and time of the tensor-core products (codegen/cuda/kernels/gemm.cuh).
//
//   nvcc -O3 -std=c++20 -DNDEBUG -gencode arch=compute_90a,code=sm_90a -I codegen/cuda/kernels \
//     -cudart static -lcuda -o gemm test/bench/cuda/gemm.cu && ./gemm [check] [time]
#include "Harness.cuh"
#include "gemm.cuh"

#include <cuda.h>

#include <cstring>
#include <numeric>
#include <string>

using namespace levin::bench;
using namespace levin::kernels;
using Bf16 = __nv_bfloat16;

//===- Tails --------------------------------------------------------------------------------===//

struct Plain {
  static constexpr int sumCount = 1, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Scalar::BF16};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ __forceinline__ void apply(const float *s, const float *, float *r, int) {
    r[0] = s[0];
  }
};
struct Swiglu {
  static constexpr int sumCount = 2, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Scalar::BF16};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ __forceinline__ void apply(const float *s, const float *, float *r, int) {
    r[0] = s[0] / (1.0f + expf(-s[0])) * s[1];
  }
};
/// Operands and results of both types and shapes.
struct Residual {
  static constexpr int sumCount = 1, operandCount = 2, resultCount = 2;
  static constexpr Scalar operandTypes[] = {Scalar::BF16, Scalar::F32},
                          resultTypes[] = {Scalar::BF16, Scalar::F32};
  static constexpr bool operandIsColumn[] = {false, true};
  static __device__ __forceinline__ void apply(const float *s, const float *o, float *r, int) {
    r[0] = s[0] + 2.0f * o[0];
    r[1] = s[0] + o[1];
  }
};

template <class Shape, class F>
__global__ void __launch_bounds__(Shape::threads, 1)
    product(const __grid_constant__ CUtensorMap first, const __grid_constant__ CUtensorMap second,
            const __grid_constant__ CUtensorMap tokens, Tail<F> tail, GemmProblem problem) {
  gemm<Shape, F>(&first, &second, &tokens, tail, problem);
}

//===- Launches -----------------------------------------------------------------------------===//

static CUtensorMap tensorMap(const void *base, std::vector<uint64_t> extents,
                             std::vector<uint32_t> box) {
  CUtensorMap map;
  std::vector<cuuint64_t> dims(extents.begin(), extents.end()), strides;
  uint64_t stride = 2;
  for (size_t i = 0; i + 1 < extents.size(); ++i)
    strides.push_back(stride *= extents[i]);
  std::vector<cuuint32_t> boxes(box.begin(), box.end()), steps(box.size(), 1);
  CUresult result = cuTensorMapEncodeTiled(
      &map, CU_TENSOR_MAP_DATA_TYPE_BFLOAT16, static_cast<cuuint32_t>(dims.size()),
      const_cast<void *>(base), dims.data(), strides.data(), boxes.data(), steps.data(),
      CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_SWIZZLE_128B, CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
      CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::printf("cuTensorMapEncodeTiled: %d\n", int(result));
    std::exit(1);
  }
  return map;
}

static int processors() {
  static int count = [] {
    int value = 0;
    CHECK_CUDA(cudaDeviceGetAttribute(&value, cudaDevAttrMultiProcessorCount, 0));
    return value;
  }();
  return count;
}

/// The device memory and extents of one product.
struct Arguments {
  const Bf16 *tokens, *first, *second;
  const int *offsets; // null if dense
  int experts, rows, n, k;
};

template <class Shape, class F>
static void launch(const Arguments &a, const Tail<F> &tail, int tileTokens,
                   cudaStream_t stream = nullptr) {
  uint64_t n = a.n, k = a.k, experts = a.experts, rows = a.rows;
  std::vector<uint32_t> box{64, uint32_t(Shape::weightBox), 1};
  CUtensorMap first = tensorMap(a.first, {k, n, experts}, box),
              second = tensorMap(a.second, {k, n, experts}, box),
              tokens =
                  tensorMap(a.tokens, {k, Shape::parts * rows}, {64, uint32_t(Shape::tokenBox)});
  auto *kernel = product<Shape, F>;
  CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  Shape::sharedBytes));
  cudaLaunchConfig_t config = {};
  config.gridDim = processors() / Shape::cluster * Shape::cluster;
  config.blockDim = Shape::threads;
  config.dynamicSmemBytes = Shape::sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attribute;
  attribute.id = cudaLaunchAttributeClusterDimension;
  attribute.val.clusterDim = {Shape::cluster, 1, 1};
  config.attrs = &attribute;
  config.numAttrs = 1;
  GemmProblem problem{a.offsets, a.experts, a.rows, a.n, a.k, tileTokens};
  CHECK_CUDA(cudaLaunchKernelEx(&config, kernel, first, second, tokens, tail, problem));
}

//===- Conformance --------------------------------------------------------------------------===//

/// Sums in float64 of one (row, column) for each warp, and the expert of the row (-1 for none).
template <class T>
__global__ void reference(Arguments a, const T *tokens, const int2 *places, int count, double *sums,
                          int *owners) {
  int warp = static_cast<int>((blockIdx.x * blockDim.x + threadIdx.x) / 32);
  int lane = threadIdx.x % 32;
  if (warp >= count)
    return;
  int row = places[warp].x, column = places[warp].y, expert = a.offsets ? -1 : 0;
  for (int e = 0; a.offsets && e < a.experts; ++e)
    if (row >= a.offsets[e] && row < a.offsets[e + 1])
      expert = e;
  double first = 0, second = 0;
  for (int i = lane; expert >= 0 && i < a.k; i += 32) {
    size_t at = (size_t(expert) * a.n + column) * a.k + i;
    double x = widen(tokens[size_t(row) * a.k + i]);
    first += x * double(__bfloat162float(a.first[at]));
    second += x * double(__bfloat162float(a.second[at]));
  }
  for (int distance = 16; distance; distance /= 2) {
    first += __shfl_xor_sync(~0u, first, distance);
    second += __shfl_xor_sync(~0u, second, distance);
  }
  if (lane == 0) {
    sums[2 * warp] = first;
    sums[2 * warp + 1] = second;
    owners[warp] = expert;
  }
}

__global__ void split(const float *tokens, Bf16 *parts, int k, int rows) {
  gemmSplit(tokens, nullptr, parts, 1, k, rows);
}

static int failures = 0;

template <class Shape, class F>
static void check(const char *name, int rows, int n, int k, std::vector<int> sizes,
                  int tileTokens) {
  std::mt19937_64 generator(rows * 31 + n * 7 + k + tileTokens);
  const int experts = sizes.empty() ? 1 : static_cast<int>(sizes.size());
  std::vector<int> offsets(1, 0);
  for (int size : sizes)
    offsets.push_back(offsets.back() + size);
  Buffer<int> offsetBuffer(offsets);
  using Token = std::conditional_t<Shape::parts == 3, float, Bf16>;
  Buffer<Token> tokens(randomValues<Token>(size_t(rows) * k, 1.0, generator));
  Buffer<Bf16> parts(Shape::parts == 3 ? 3 * size_t(rows) * k : 0), first(size_t(experts) * n * k),
      second(size_t(experts) * n * k), tile(size_t(rows) * n);
  fillRandom(first, 1.0f / std::sqrt(float(k)), generator());
  fillRandom(second, 1.0f / std::sqrt(float(k)), generator());
  fillRandom(tile, 1.0f, generator());
  std::vector<float> vector = randomValues<float>(n, 1.0, generator);
  Buffer<float> column(vector);
  constexpr size_t guard = 64;
  Buffer<Bf16> out(size_t(rows) * n + 2 * guard), again(out.size());
  Buffer<float> wide(out.size());
  const int *where = sizes.empty() ? nullptr : offsetBuffer.data();
  Arguments a{nullptr, first.data(), second.data(), where, experts, rows, n, k};
  Tail<F> tail{};
  tail.results[0] = out.data() + guard;
  if constexpr (F::operandCount == 2) {
    tail.operands[0] = tile.data();
    tail.operands[1] = column.data();
    tail.results[1] = wide.data() + guard;
  }
  if constexpr (Shape::parts == 3) {
    split<<<rows, 256>>>(tokens.data(), parts.data(), k, rows);
    a.tokens = parts.data();
  } else {
    a.tokens = tokens.data();
  }
  launch<Shape, F>(a, tail, tileTokens);
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<Bf16> got = out.get();
  std::vector<float> gotWide = wide.get();
  tail.results[0] = again.data() + guard;
  launch<Shape, F>(a, tail, tileTokens);
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<Bf16> gotAgain = again.get();

  std::vector<int2> places;
  size_t total = size_t(rows) * n;
  if (total <= 200000)
    for (size_t i = 0; i < total; ++i)
      places.push_back({int(i / n), int(i % n)});
  else
    for (int i = 0; i < 200000; ++i)
      places.push_back({int(generator() % rows), int(generator() % n)});
  Buffer<int2> placeBuffer(places);
  Buffer<double> sumBuffer(2 * places.size());
  Buffer<int> ownerBuffer(places.size());
  reference<<<unsigned((places.size() + 3) / 4), 128>>>(a, tokens.data(), placeBuffer.data(),
                                                        int(places.size()), sumBuffer.data(),
                                                        ownerBuffer.data());
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<double> sums = sumBuffer.get();
  std::vector<int> owners = ownerBuffer.get();
  std::vector<Bf16> operand = tile.get();
  std::vector<float> values, valuesWide;
  std::vector<double> expected, expectedWide;
  size_t unwritten = 0, overwritten = 0, unequal = 0;
  for (size_t i = 0; i < places.size(); ++i) {
    size_t at = size_t(places[i].x) * n + places[i].y;
    if (owners[i] < 0)
      continue;
    double s = sums[2 * i], t = sums[2 * i + 1], x = s;
    if constexpr (F::sumCount == 2)
      x = s / (1 + std::exp(-s)) * t;
    if constexpr (F::operandCount == 2) {
      x = s + 2.0 * double(__bfloat162float(operand[at]));
      valuesWide.push_back(gotWide[guard + at]);
      expectedWide.push_back(s + double(vector[places[i].y]));
    }
    values.push_back(__bfloat162float(got[guard + at]));
    expected.push_back(x);
  }
  // Every element of a row with an expert is written, no other and no guard.
  auto isPoison = [](Bf16 value) {
    uint16_t bits;
    std::memcpy(&bits, &value, 2);
    return bits == 0xFFFF;
  };
  int covered = sizes.empty() ? rows : std::min(rows, offsets.back());
  for (size_t i = 0; i < got.size(); ++i) {
    bool inside = i >= guard && i < guard + size_t(covered) * n;
    unwritten += inside && isPoison(got[i]);
    overwritten += !inside && !isPoison(got[i]);
    unequal += std::memcmp(&got[i], &gotAgain[i], 2) != 0;
  }
  Difference difference = compare(values, expected),
             wideDifference = compare(valuesWide, expectedWide);
  bool good = difference.relative < 3e-3 && wideDifference.relative < 2e-5 && !unwritten &&
              !overwritten && !unequal;
  failures += !good;
  std::printf("%-4s %-22s rows %5d n %5d k %5d experts %2d tile %3d: bf16 %.2e f32 %.2e%s%s%s\n",
              good ? "ok" : "BAD", name, rows, n, k, experts, tileTokens, difference.relative,
              wideDifference.relative, unwritten ? " UNWRITTEN" : "",
              overwritten ? " OVERWRITTEN" : "", unequal ? " UNEQUAL" : "");
  std::fflush(stdout);
}

static std::vector<int> ragged(int experts, int rows, std::mt19937_64 &generator) {
  std::vector<int> sizes(experts, 0);
  for (int i = 0; i < rows; ++i)
    ++sizes[generator() % experts];
  return sizes;
}

template <int MaxTokens, int Cluster> static void checkPlain(const char *name) {
  using Shape = GemmShape<1, MaxTokens, Cluster, false>;
  check<Shape, Residual>(name, 1, 8, 8, {}, MaxTokens);
  check<Shape, Residual>(name, 17, 136, 72, {}, MaxTokens);
  check<Shape, Residual>(name, 100, 264, 200, {}, MaxTokens);
  check<Shape, Residual>(name, 257, 520, 1000, {}, MaxTokens);
  check<Shape, Residual>(name, 700, 1032, 640, {}, MaxTokens);
  check<Shape, Residual>(name, 1000, 4104, 328, {}, std::max(16, MaxTokens - 16));
  check<Shape, Residual>(name, 200, 264, 136, {0, 70, 0, 100, 1, 0}, MaxTokens);
  check<Shape, Residual>(name, 64, 136, 64, {0, 0, 0}, MaxTokens);
}
template <int MaxTokens, int Cluster> static void checkPair(const char *name) {
  using Shape = GemmShape<2, MaxTokens, Cluster, false>;
  std::mt19937_64 generator(7);
  check<Shape, Swiglu>(name, 5, 8, 8, {}, MaxTokens);
  check<Shape, Swiglu>(name, 130, 192, 192, {30, 0, 50, 48}, MaxTokens);
  check<Shape, Swiglu>(name, 1000, 328, 264, {0, 990, 1, 0, 3, 5}, MaxTokens);
  check<Shape, Swiglu>(name, 700, 520, 136, ragged(33, 650, generator), MaxTokens);
  check<Shape, Swiglu>(name, 2048, 1024, 1536, ragged(5, 2048, generator), MaxTokens);
}

static void checkAll() {
  checkPlain<16, 1>("plain 16");
  checkPlain<32, 1>("plain 32");
  checkPlain<64, 1>("plain 64");
  checkPlain<128, 1>("plain 128");
  checkPlain<256, 1>("plain 256");
  checkPlain<128, 2>("plain 128 cluster");
  checkPlain<256, 2>("plain 256 cluster");
  checkPair<16, 1>("pair 16");
  checkPair<32, 1>("pair 32");
  checkPair<64, 1>("pair 64");
  checkPair<128, 2>("pair 128 cluster");
  checkPair<256, 2>("pair 256 cluster");
  check<GemmShape<1, 32, 1, false, 3>, Residual>("float 32", 33, 264, 1000, {}, 32);
  check<GemmShape<1, 64, 1, false, 3>, Residual>("float 64", 130, 1032, 6144, {}, 64);
  check<GemmShape<1, 128, 2, false, 3>, Residual>("float 128", 300, 264, 200, {}, 128);
  check<GemmShape<2, 128, 2, false, 3>, Swiglu>("float pair 128", 300, 264, 200, {170, 0, 90}, 128);
  for (int rows : {1, 16, 17, 64, 130}) {
    check<GemmShape<1, 16, 1, true>, Residual>("split 16", rows, 328, 1000, {}, 16);
    check<GemmShape<1, 32, 1, true>, Residual>("split 32", rows, 328, 136, {}, 32);
    check<GemmShape<1, 64, 1, true>, Residual>("split 64", rows, 328, 64, {}, 64);
  }
}

//===- Time ---------------------------------------------------------------------------------===//

template <class Shape, class F>
static void time(const char *name, const Arguments &a, int tokenRows, int tileTokens) {
  Buffer<Bf16> out(size_t(a.rows) * a.n);
  Tail<F> tail{};
  tail.results[0] = out.data();
  std::vector<int> offsets(a.experts + 1);
  int touched = 1;
  if (a.offsets) {
    CHECK_CUDA(cudaMemcpy(offsets.data(), a.offsets, offsets.size() * 4, cudaMemcpyDeviceToHost));
    touched = 0;
    for (int e = 0; e < a.experts; ++e)
      touched += offsets[e + 1] > offsets[e];
  }
  // Dense weights alternate between copies, so that none is still in L2.
  size_t copy = 0, copies = a.offsets || a.n > 100000 ? 1 : 8;
  auto run = [&] {
    Arguments moved = a;
    moved.first += copy * a.n * a.k;
    moved.second += copy * a.n * a.k;
    copy = (copy + 1) % copies;
    launch<Shape, F>(moved, tail, tileTokens);
  };
  Times times = timeOf(run, 2, 15);
  double flops = 2.0 * tokenRows * a.n * a.k * F::sumCount;
  double bytes =
      2.0 * (double(touched) * F::sumCount * a.n * a.k + double(tokenRows) * (a.k + a.n));
  std::printf("%-34s tile %3d: %8.4f ms (%.4f-%.4f) %6.1f TFLOP/s %5.2f TB/s\n", name, tileTokens,
              times.median, times.low, times.high, flops / times.median * 1e-9,
              bytes / times.median * 1e-9);
  std::fflush(stdout);
}

struct Weights {
  Weights(size_t count) : buffer(count) { fillRandom(buffer, 0.0125f, 99); }
  Buffer<Bf16> buffer;
};

static void timeGrouped(Weights &weights, Buffer<Bf16> &tokens) {
  constexpr int experts = 32, hidden = 6144, inner = 9216;
  const Bf16 *w1 = weights.buffer.data(), *w3 = w1 + size_t(experts) * inner * hidden;
  for (int count : {64, 256, 1024, 8192}) {
    std::mt19937_64 generator(count);
    std::vector<int> sizes(experts, 0), offsets(1, 0);
    for (int t = 0; t < count; ++t) {
      int first = int(generator() % experts), second = int(generator() % (experts - 1));
      ++sizes[first];
      ++sizes[second + (second >= first)];
    }
    for (int size : sizes)
      offsets.push_back(offsets.back() + size);
    Buffer<int> offsetBuffer(offsets);
    int rows = 2 * count;
    Arguments w13{tokens.data(), w1, w3, offsetBuffer.data(), experts, rows, inner, hidden};
    Arguments both{tokens.data(), w1, w1, offsetBuffer.data(), experts, rows, 2 * inner, hidden};
    Arguments w2{tokens.data(), w1, w1, offsetBuffer.data(), experts, rows, hidden, inner};
    std::printf("grouped, %d tokens, largest expert %d\n", count,
                *std::max_element(sizes.begin(), sizes.end()));
    if (count <= 64)
      time<GemmShape<2, 16, 1, false>, Swiglu>("  w13 swiglu 16", w13, rows, 16);
    if (count <= 256) {
      time<GemmShape<2, 32, 1, false>, Swiglu>("  w13 swiglu 32", w13, rows, 32);
      time<GemmShape<1, 32, 1, false>, Plain>("  w2 plain 32", w2, rows, 32);
    }
    if (count >= 1024) {
      time<GemmShape<2, 128, 1, false>, Swiglu>("  w13 swiglu 128", w13, rows, 128);
      time<GemmShape<2, 128, 2, false>, Swiglu>("  w13 swiglu 128 cluster", w13, rows, 128);
      time<GemmShape<1, 128, 1, false>, Plain>("  w2 plain 128", w2, rows, 128);
      time<GemmShape<1, 128, 2, false>, Plain>("  w2 plain 128 cluster", w2, rows, 128);
    }
    if (count >= 8192) {
      time<GemmShape<2, 256, 1, false>, Swiglu>("  w13 swiglu 256", w13, rows, 256);
      time<GemmShape<2, 256, 2, false>, Swiglu>("  w13 swiglu 256 cluster", w13, rows, 256);
      time<GemmShape<2, 256, 2, false>, Swiglu>("  w13 swiglu 256 cluster", w13, rows, 192);
      time<GemmShape<1, 256, 1, false>, Plain>("  w13 plain 256", both, rows, 256);
      time<GemmShape<1, 256, 2, false>, Plain>("  w13 plain 256 cluster", both, rows, 256);
      time<GemmShape<1, 256, 1, false>, Plain>("  w2 plain 256", w2, rows, 256);
      time<GemmShape<1, 256, 2, false>, Plain>("  w2 plain 256 cluster", w2, rows, 256);
    }
  }
}

static void timeDense(Weights &weights, Buffer<Bf16> &tokens) {
  struct Extents {
    int n, k;
  };
  for (Extents e : {Extents{8192, 6144}, Extents{24576, 6144}, Extents{6144, 8192}})
    for (int rows : {32, 64, 128, 512, 1024, 2048, 8192}) {
      Arguments a{
          tokens.data(), weights.buffer.data(), weights.buffer.data(), nullptr, 1, rows, e.n, e.k};
      std::printf("dense, %d x %d x %d\n", rows, e.n, e.k);
      if (rows <= 32)
        time<GemmShape<1, 32, 1, true>, Plain>("  32 split", a, rows, 32);
      if (rows <= 128)
        time<GemmShape<1, 64, 1, true>, Plain>("  64 split", a, rows, 64);
      if (rows >= 128)
        for (int tile : {96, 128}) {
          time<GemmShape<1, 128, 1, false>, Plain>("  128", a, rows, tile);
          time<GemmShape<1, 128, 2, false>, Plain>("  128 cluster", a, rows, tile);
        }
      if (rows >= 512)
        for (int tile : {176, 208, 256}) {
          time<GemmShape<1, 256, 2, false>, Plain>("  256 cluster", a, rows, tile);
          time<GemmShape<1, 256, 1, false>, Plain>("  256", a, rows, tile);
        }
    }
}

/// Float32 tokens, already in parts.
static void timeFloat(Weights &weights, Buffer<Bf16> &tokens) {
  const Bf16 *w = weights.buffer.data();
  for (int rows : {32, 64, 1024}) {
    Arguments a{tokens.data(), w, w, nullptr, 1, rows, 200064, 6144};
    std::printf("float32 tokens, %d x %d x %d\n", rows, a.n, a.k);
    if (rows <= 32)
      time<GemmShape<1, 32, 1, false, 3>, Plain>("  32", a, rows, 32);
    if (rows <= 64)
      time<GemmShape<1, 64, 1, false, 3>, Plain>("  64", a, rows, 64);
    if (rows > 64)
      time<GemmShape<1, 128, 2, false, 3>, Plain>("  128 cluster", a, rows, 128);
  }
}

/// A few launches for a profiler: eight experts of 512 tokens.
static void profile() {
  constexpr int experts = 8, hidden = 6144, inner = 9216, rows = 4096;
  Weights weights(size_t(2) * experts * inner * hidden);
  Buffer<Bf16> tokens(size_t(rows) * hidden), out(size_t(rows) * inner);
  fillRandom(tokens, 1.0f, 5);
  std::vector<int> offsets;
  for (int e = 0; e <= experts; ++e)
    offsets.push_back(e * rows / experts + (e % 2 ? 15 : 0));
  Buffer<int> offsetBuffer(offsets);
  const Bf16 *w1 = weights.buffer.data(), *w3 = w1 + size_t(experts) * inner * hidden;
  Arguments a{tokens.data(), w1, w3, offsetBuffer.data(), experts, rows, inner, hidden};
  for (int i = 0; i < 3; ++i)
    launch<GemmShape<2, 256, 2, false>, Swiglu>(a, {{}, {out.data()}}, 256);
  CHECK_CUDA(cudaDeviceSynchronize());
}

/// For gemm_peer.py, which alternates these products with PyTorch's (build with -shared).
extern "C" int gemmRun(int pair, int maxTokens, int cluster, const void *tokens, const void *first,
                       const void *second, const void *offsets, int experts, int rows, int n, int k,
                       int tileTokens, void *out) {
  Arguments a{static_cast<const Bf16 *>(tokens),
              static_cast<const Bf16 *>(first),
              static_cast<const Bf16 *>(second),
              static_cast<const int *>(offsets),
              experts,
              rows,
              n,
              k};
  Tail<Swiglu> gated{{}, {out}};
  Tail<Plain> plain{{}, {out}};
  auto is = [&](int p, int t, int c) { return pair == p && maxTokens == t && cluster == c; };
  if (is(1, 256, 2))
    launch<GemmShape<2, 256, 2, false>, Swiglu>(a, gated, tileTokens);
  else if (is(1, 128, 2))
    launch<GemmShape<2, 128, 2, false>, Swiglu>(a, gated, tileTokens);
  else if (is(1, 16, 1))
    launch<GemmShape<2, 16, 1, false>, Swiglu>(a, gated, tileTokens);
  else if (is(0, 256, 2))
    launch<GemmShape<1, 256, 2, false>, Plain>(a, plain, tileTokens);
  else if (is(0, 256, 1))
    launch<GemmShape<1, 256, 1, false>, Plain>(a, plain, tileTokens);
  else
    return 1;
  return 0;
}

int main(int argc, char **argv) {
  cudaDeviceProp properties;
  CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, %d processors\n", properties.name, properties.multiProcessorCount);
  auto wants = [&](const char *what) {
    for (int i = 1; i < argc; ++i)
      if (!std::strcmp(argv[i], what))
        return true;
    return argc < 2;
  };
  if (wants("check")) {
    checkAll();
    std::printf("%d failures\n", failures);
  }
  if (wants("time")) {
    std::printf("copy %.2f TB/s\n", copyBandwidth() * 1e-12);
    Weights weights(size_t(2) * 32 * 9216 * 6144);
    Buffer<Bf16> tokens(size_t(16384) * 9216);
    fillRandom(tokens, 1.0f, 5);
    timeGrouped(weights, tokens);
    timeDense(weights, tokens);
    timeFloat(weights, tokens);
  }
  if (argc > 1 && !std::strcmp(argv[1], "profile"))
    profile();
  return failures != 0;
}
