// Conformance and time of the float32 products (codegen/cuda/kernels/gemm_simt.cuh).
//
//   nvcc -O3 -std=c++20 -DNDEBUG -gencode arch=compute_90a,code=sm_90a -I codegen/cuda/kernels \
//     -cudart static -o gemm_simt test/bench/cuda/gemm_simt.cu && ./gemm_simt
#include "Harness.cuh"
#include "gemm_simt.cuh"

using namespace levin::bench;
using namespace levin::kernels;
using Bf16 = __nv_bfloat16;

struct Plain {
  static constexpr int sumCount = 1, operandCount = 1, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Scalar::F32};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ __forceinline__ void apply(const float *s, const float *o, float *r, int) {
    r[0] = s[0] + o[0];
  }
};
struct Product {
  static constexpr int sumCount = 2, operandCount = 1, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Scalar::F32};
  static constexpr bool operandIsColumn[] = {true};
  static __device__ __forceinline__ void apply(const float *s, const float *o, float *r, int) {
    r[0] = s[0] * s[1] + o[0];
  }
};

template <class Shape, class X, class W, class F>
__global__ void __launch_bounds__(Shape::threads, Shape::resident)
    product(const X *tokens, const W *first, const W *second, Tail<F> tail, SimtProblem problem) {
  simtProduct<Shape, X, W, F>(tokens, first, second, tail, problem);
}

template <class X, class W>
__global__ void reference(const X *tokens, const W *first, const W *second, SimtProblem p,
                          const float *operand, bool pair, double *out) {
  size_t at = blockIdx.x * size_t(blockDim.x) + threadIdx.x;
  if (at >= size_t(p.rows) * p.n)
    return;
  int row = static_cast<int>(at / p.n), column = static_cast<int>(at % p.n);
  int expert = p.offsets ? -1 : 0;
  for (int e = 0; p.offsets && e < p.experts; ++e)
    if (row >= p.offsets[e] && row < p.offsets[e + 1])
      expert = e;
  if (expert < 0)
    return;
  double a = 0, b = 0;
  for (int i = 0; i < p.k; ++i) {
    size_t w = (size_t(expert) * p.n + column) * p.k + i;
    double x = widen(tokens[size_t(row) * p.k + i]);
    a += x * double(widen(first[w]));
    b += x * double(widen(second[w]));
  }
  out[at] = pair ? a * b + double(operand[column]) : a + double(operand[at]);
}

static int failures = 0;

template <class Shape, class X, class W, class F>
static void check(int rows, int n, int k, std::vector<int> sizes) {
  std::mt19937_64 generator(rows * 31 + n * 7 + k);
  int experts = sizes.empty() ? 1 : static_cast<int>(sizes.size());
  std::vector<int> offsets(1, 0);
  for (int size : sizes)
    offsets.push_back(offsets.back() + size);
  constexpr bool pair = F::sumCount == 2;
  size_t weightCount = size_t(experts) * n * k, outCount = size_t(rows) * n, guard = 64;
  Buffer<int> offsetBuffer(offsets);
  Buffer<X> tokens(randomValues<X>(size_t(rows) * k, 1, generator));
  Buffer<W> first(randomValues<W>(weightCount, 1 / std::sqrt(k), generator)),
      second(randomValues<W>(weightCount, 1 / std::sqrt(k), generator));
  Buffer<float> operand(randomValues<float>(pair ? n : outCount, 1, generator)),
      out(outCount + 2 * guard);
  Buffer<double> expected(outCount);
  SimtProblem problem{sizes.empty() ? nullptr : offsetBuffer.data(), experts, rows, n, k};
  Tail<F> tail{{operand.data()}, {out.data() + guard}};
  dim3 grid((n + Shape::columns - 1) / Shape::columns,
            (rows + Shape::rows - 1) / Shape::rows + (sizes.empty() ? 0 : experts));
  product<Shape, X, W, F>
      <<<grid, Shape::threads>>>(tokens.data(), first.data(), second.data(), tail, problem);
  reference<<<unsigned((outCount + 127) / 128), 128>>>(
      tokens.data(), first.data(), second.data(), problem, operand.data(), pair, expected.data());
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<float> got = out.get(), values;
  std::vector<double> all = expected.get(), wanted;
  size_t covered = size_t(sizes.empty() ? rows : offsets.back()) * n, overwritten = 0;
  for (size_t i = 0; i < got.size(); ++i)
    if (i >= guard && i < guard + covered) {
      values.push_back(got[i]);
      wanted.push_back(all[i - guard]);
    } else {
      overwritten += !std::isnan(got[i]);
    }
  Difference difference = compare(values, wanted);
  bool good = difference.relative < 2e-6 && !overwritten;
  failures += !good;
  std::printf("%-4s tile %3d x %3d x %d rows %4d n %4d k %4d experts %d: %.2e%s\n",
              good ? "ok" : "BAD", Shape::rows, Shape::columns, Shape::products, rows, n, k,
              experts, difference.relative, overwritten ? " OVERWRITTEN" : "");
}

template <class X, class W, bool Vectors> static void checkTypes(int n, int k) {
  for (int rows : {1, 31, 200}) {
    check<SimtShape<1, 128, 64, Vectors>, X, W, Plain>(rows, n, k, {});
    check<SimtShape<1, 32, 64, Vectors>, X, W, Plain>(rows, n, k, {});
    check<SimtShape<2, 128, 64, Vectors>, X, W, Product>(rows, n, k, {});
  }
  check<SimtShape<2, 32, 64, Vectors>, X, W, Product>(150, n, k, {0, 33, 100, 0, 1});
  check<SimtShape<1, 128, 64, Vectors>, X, W, Plain>(300, n, k, {0, 290, 1, 0});
}

template <class Shape, class W> static void time(int rows, int n, int k) {
  Buffer<float> tokens(size_t(rows) * k), out(size_t(rows) * n), operand(size_t(rows) * n);
  Buffer<W> weights(size_t(n) * k);
  std::mt19937_64 generator(1);
  tokens.set(randomValues<float>(tokens.size(), 1, generator));
  weights.set(randomValues<W>(weights.size(), 0.01, generator));
  operand.set(randomValues<float>(operand.size(), 1, generator));
  Tail<Plain> tail{{operand.data()}, {out.data()}};
  SimtProblem problem{nullptr, 1, rows, n, k};
  dim3 grid((n + Shape::columns - 1) / Shape::columns, (rows + Shape::rows - 1) / Shape::rows);
  Times times = timeOf(
      [&] {
        product<Shape, float, W, Plain><<<grid, Shape::threads>>>(tokens.data(), weights.data(),
                                                                  weights.data(), tail, problem);
      },
      3, 15);
  std::printf("tile %3d x %3d, %d x %d x %d, weights of %d bytes: %.4f ms %.1f TFLOP/s\n",
              Shape::rows, Shape::columns, rows, n, k, int(sizeof(W)), times.median,
              2.0 * rows * n * k / times.median * 1e-9);
}

int main() {
  checkTypes<float, float, true>(132, 76);
  checkTypes<float, Bf16, true>(264, 192);
  checkTypes<Bf16, Bf16, true>(64, 100);
  checkTypes<float, Bf16, false>(67, 45);
  checkTypes<float, float, false>(3, 17);
  std::printf("%d failures\n", failures);
  time<SimtShape<1, 128, 64, true>, float>(2048, 4096, 2048);
  time<SimtShape<1, 128, 64, true>, Bf16>(2048, 4096, 2048);
  time<SimtShape<1, 128, 128, true>, float>(2048, 4096, 2048);
  time<SimtShape<1, 32, 64, true>, Bf16>(64, 6144, 2048);
  time<SimtShape<1, 32, 64, true>, Bf16>(32, 32768, 1024);
  return failures != 0;
}
