// Conformance and time of products with int8 and int4 weights (codegen/cuda/kernels/
// gemm_quantised.cuh).
//
//   nvcc -O3 -std=c++20 -DNDEBUG -gencode arch=compute_90a,code=sm_90a -I codegen/cuda/kernels \
//     -cudart static -lcuda -o gemm_quantised test/bench/cuda/gemm_quantised.cu
//   ./gemm_quantised
#include "Harness.cuh"
#include "gemm_quantised.cuh"

#include <cuda.h>

using namespace levin::bench;
using namespace levin::kernels;
using Bf16 = __nv_bfloat16;

template <int Sums> struct Element {
  static constexpr int sumCount = Sums, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Scalar::F32};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ __forceinline__ void apply(const float *s, const float *, float *r, int) {
    r[0] = Sums == 2 ? s[0] * s[Sums - 1] : s[0];
  }
};

template <class Shape, class F>
__global__ void __launch_bounds__(Shape::threads, 1)
    product(const __grid_constant__ CUtensorMap first, const __grid_constant__ CUtensorMap second,
            const __grid_constant__ CUtensorMap tokens, GemmScales<Bf16> scales, Tail<F> tail,
            GemmProblem problem) {
  gemmQuantised<Shape, F>(&first, &second, &tokens, scales, tail, problem);
}

template <int Bits>
__global__ void arrange(const Bf16 *tokens, const int *places, Bf16 *out, int k, int rows) {
  gemmArrange<Bits>(tokens, places, out, 1, k, rows);
}

static CUtensorMap tensorMap(const void *base, bool isBytes, std::vector<cuuint64_t> extents,
                             std::vector<cuuint32_t> box, int swizzle) {
  CUtensorMap map;
  std::vector<cuuint64_t> strides;
  cuuint64_t stride = isBytes ? 1 : 2;
  for (size_t i = 0; i + 1 < extents.size(); ++i)
    strides.push_back(stride *= extents[i]);
  std::vector<cuuint32_t> steps(box.size(), 1);
  CUresult result = cuTensorMapEncodeTiled(
      &map, isBytes ? CU_TENSOR_MAP_DATA_TYPE_UINT8 : CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
      cuuint32_t(extents.size()), const_cast<void *>(base), extents.data(), strides.data(),
      box.data(), steps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
      swizzle == 128  ? CU_TENSOR_MAP_SWIZZLE_128B
      : swizzle == 64 ? CU_TENSOR_MAP_SWIZZLE_64B
                      : CU_TENSOR_MAP_SWIZZLE_32B,
      CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    std::printf("cuTensorMapEncodeTiled: %d\n", int(result));
    std::exit(1);
  }
  return map;
}

struct Problem {
  int experts, rows, n, k, group;
  const int *offsets; // null if dense
  const Bf16 *tokens;
  const uint8_t *weights[2];
  const Bf16 *scales[2];
};

template <class Shape, class F>
static void launch(const Problem &p, const Bf16 *arranged, float *out, int tileTokens) {
  const cuuint64_t bytes = cuuint64_t(p.k) * Shape::bits / 8, n = p.n, experts = p.experts;
  auto weights = [&](int i) {
    return tensorMap(p.weights[i], true, {bytes, n, experts},
                     {cuuint32_t(Shape::rowBytes), cuuint32_t(Shape::weightBox), 1},
                     Shape::rowBytes);
  };
  CUtensorMap first = weights(0), second = weights(1),
              tokens = tensorMap(arranged, false, {cuuint64_t(p.k), cuuint64_t(p.rows)},
                                 {64, cuuint32_t(Shape::tokenBox)}, 128);
  auto *kernel = product<Shape, F>;
  CHECK_CUDA(cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  Shape::sharedBytes));
  GemmProblem problem{p.offsets, p.experts, p.rows, p.n, p.k, tileTokens};
  kernel<<<132, Shape::threads, Shape::sharedBytes>>>(
      first, second, tokens, GemmScales<Bf16>{p.scales[0], p.scales[1], p.group},
      Tail<F>{{}, {out}}, problem);
}

template <int Bits> __device__ double weightOf(const uint8_t *weights, size_t i) {
  if (Bits == 8)
    return static_cast<int8_t>(weights[i]);
  int nibble = weights[i / 2] >> (i % 2 * 4) & 15;
  return nibble >= 8 ? nibble - 16 : nibble;
}

/// One warp for each element; NaN for rows of no expert.
template <int Bits> __global__ void reference(Problem p, bool pair, double *out) {
  size_t at = (blockIdx.x * size_t(blockDim.x) + threadIdx.x) / 32;
  int lane = threadIdx.x % 32;
  if (at >= size_t(p.rows) * p.n)
    return;
  int row = static_cast<int>(at / p.n), column = static_cast<int>(at % p.n);
  int expert = p.offsets ? -1 : 0;
  for (int e = 0; p.offsets && e < p.experts; ++e)
    if (row >= p.offsets[e] && row < p.offsets[e + 1])
      expert = e;
  double sums[2] = {0, 0};
  for (int i = lane; expert >= 0 && i < p.k; i += 32)
    for (int w = 0; w < 2; ++w) {
      size_t line = size_t(expert) * p.n + column;
      sums[w] += weightOf<Bits>(p.weights[w], line * p.k + i) *
                 double(__bfloat162float(p.scales[w][line * (p.k / p.group) + i / p.group])) *
                 double(__bfloat162float(p.tokens[size_t(row) * p.k + i]));
    }
  for (int distance = 16; distance; distance /= 2)
    for (double &sum : sums)
      sum += __shfl_xor_sync(~0u, sum, distance);
  if (lane == 0)
    out[at] = expert < 0 ? NAN : pair ? sums[0] * sums[1] : sums[0];
}

static std::vector<uint8_t> randomBytes(size_t count, std::mt19937_64 &generator) {
  std::vector<uint8_t> values(count);
  for (uint8_t &value : values)
    value = static_cast<uint8_t>(generator() >> 40);
  return values;
}

static int failures = 0;

template <class Shape>
static void check(int rows, int n, int k, int group, std::vector<int> sizes, int tileTokens) {
  std::mt19937_64 generator(rows * 31 + n * 7 + k);
  int experts = sizes.empty() ? 1 : static_cast<int>(sizes.size());
  std::vector<int> offsets(1, 0), places(rows);
  for (int size : sizes)
    offsets.push_back(offsets.back() + size);
  for (int i = 0; i < rows; ++i)
    places[i] = i;
  Buffer<int> offsetBuffer(offsets), placeBuffer(places);
  size_t lines = size_t(experts) * n, bytes = lines * k * Shape::bits / 8;
  Buffer<Bf16> tokens(randomValues<Bf16>(size_t(rows) * k, 1, generator)), arranged(tokens.size()),
      firstScales(randomValues<Bf16>(lines * (k / group), 0.01, generator)),
      secondScales(randomValues<Bf16>(lines * (k / group), 0.01, generator));
  Buffer<uint8_t> first(randomBytes(bytes, generator)), second(randomBytes(bytes, generator));
  constexpr size_t guard = 64;
  Buffer<float> out(size_t(rows) * n + 2 * guard);
  Buffer<double> expected(size_t(rows) * n);
  Problem p{experts,
            rows,
            n,
            k,
            group,
            sizes.empty() ? nullptr : offsetBuffer.data(),
            tokens.data(),
            {first.data(), second.data()},
            {firstScales.data(), secondScales.data()}};
  arrange<Shape::bits><<<rows, 128>>>(tokens.data(), rows % 2 ? placeBuffer.data() : nullptr,
                                      arranged.data(), k, rows);
  launch<Shape, Element<Shape::products>>(p, arranged.data(), out.data() + guard, tileTokens);
  reference<Shape::bits>
      <<<unsigned((size_t(rows) * n + 3) / 4), 128>>>(p, Shape::products == 2, expected.data());
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<float> got = out.get(), values;
  std::vector<double> all = expected.get(), wanted;
  size_t overwritten = 0;
  for (size_t i = 0; i < got.size(); ++i)
    if (i >= guard && i < guard + all.size() && !std::isnan(all[i - guard])) {
      values.push_back(got[i]);
      wanted.push_back(all[i - guard]);
    } else {
      overwritten += !std::isnan(got[i]);
    }
  Difference difference = compare(values, wanted);
  bool good = difference.relative < 1e-5 && !overwritten;
  failures += !good;
  std::printf("%-4s int%d x %d, %3d tokens: rows %4d n %4d k %4d group %3d experts %d: %.2e%s\n",
              good ? "ok" : "BAD", Shape::bits, Shape::products, Shape::maxTokens, rows, n, k,
              group, experts, difference.relative, overwritten ? " OVERWRITTEN" : "");
  std::fflush(stdout);
}

template <int MaxTokens, int Bits> static void checkShapes() {
  using One = QuantisedShape<1, MaxTokens, Bits>;
  using Two = QuantisedShape<2, MaxTokens, Bits>;
  check<One>(1, 8, 64, 64, {}, MaxTokens);
  check<One>(200, 264, 640, 128, {}, MaxTokens);
  check<One>(301, 136, 1024, 1024, {0, 200, 1, 0, 90}, MaxTokens);
  check<Two>(33, 72, 192, 64, {}, MaxTokens);
  check<Two>(300, 328, 512, 128, {0, 150, 1, 0, 140}, MaxTokens);
}

template <class Shape> static void time(int count) {
  constexpr int experts = 32, hidden = 6144, inner = 9216, group = 128;
  std::mt19937_64 generator(count);
  std::vector<int> sizes(experts, 0), offsets(1, 0);
  for (int i = 0; i < 2 * count; ++i)
    ++sizes[generator() % experts];
  for (int size : sizes)
    offsets.push_back(offsets.back() + size);
  Buffer<int> offsetBuffer(offsets);
  const size_t lines = size_t(experts) * inner, half = lines * hidden * Shape::bits / 16;
  Buffer<Bf16> tokens(size_t(2) * count * hidden), scales(lines * (hidden / group)),
      weights(2 * half); // of random bits
  Buffer<float> out(size_t(2) * count * inner);
  fillRandom(tokens, 1, 1);
  fillRandom(scales, 0.01f, 2);
  fillRandom(weights, 1, 3);
  auto *bytes = reinterpret_cast<const uint8_t *>(weights.data());
  Problem p{experts,
            2 * count,
            inner,
            hidden,
            group,
            offsetBuffer.data(),
            tokens.data(),
            {bytes, bytes + 2 * half},
            {scales.data(), scales.data()}};
  Times times = timeOf(
      [&] { launch<Shape, Element<2>>(p, tokens.data(), out.data(), Shape::maxTokens); }, 2, 9);
  std::printf("int%d w13, %d tokens, tile %d: %.4f ms %.1f TFLOP/s %.2f TB/s of weights\n",
              Shape::bits, count, Shape::maxTokens, times.median,
              8.0 * count * inner * hidden / times.median * 1e-9, 4.0 * half / times.median * 1e-9);
  std::fflush(stdout);
}

int main() {
  checkShapes<16, 8>();
  checkShapes<32, 8>();
  checkShapes<64, 8>();
  checkShapes<128, 8>();
  checkShapes<16, 4>();
  checkShapes<32, 4>();
  checkShapes<64, 4>();
  checkShapes<128, 4>();
  std::printf("%d failures\n", failures);
  time<QuantisedShape<2, 16, 8>>(64);
  time<QuantisedShape<2, 16, 4>>(64);
  time<QuantisedShape<2, 32, 4>>(256);
  time<QuantisedShape<2, 64, 4>>(512);
  time<QuantisedShape<2, 128, 8>>(1024);
  time<QuantisedShape<2, 128, 4>>(1024);
  time<QuantisedShape<2, 128, 8>>(8192);
  time<QuantisedShape<2, 128, 4>>(8192);
  return failures != 0;
}
