// Products of few rows with large matrices: conformance to float64, and time against the bandwidth
// of a copy.  `gemv` runs both, `gemv check` the first, `gemv time` the second.
#include "Harness.cuh"

#include "codegen/cuda/kernels/gemv.cuh"

#include <cstring>

using namespace levin;
using namespace levin::bench;
using namespace levin::kernels;
using Half = __nv_bfloat16;

namespace {

/// results[0] = the sum.
template <Scalar Out> struct Plain {
  static constexpr int sumCount = 1, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Out};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ void apply(const float *sums, const float *, float *results, int) {
    results[0] = sums[0];
  }
};
/// h + silu(a + bias) b, and the first sum alone.
struct Gated {
  static constexpr int sumCount = 2, operandCount = 2, resultCount = 2;
  static constexpr Scalar operandTypes[] = {Scalar::F32, Scalar::BF16},
                          resultTypes[] = {Scalar::BF16, Scalar::F32};
  static constexpr bool operandIsColumn[] = {true, false};
  static __device__ void apply(const float *sums, const float *operands, float *results, int) {
    float a = sums[0] + operands[0];
    results[0] = operands[1] + a / (1.0f + expf(-a)) * sums[1];
    results[1] = sums[0];
  }
};

/// As templates/StreamGroup.cpp has it.
template <class G> constexpr int resident() {
  if (G::Tiles == 1 && G::Matrices == 1)
    return G::Depth == 2 ? 4 : 3;
  return G::X == Scalar::F32 ? 1 : 2;
}

template <class G, class F>
__global__ void __launch_bounds__(G::threads, resident<G>())
    kernelOne(const StorageOf<G::X> *x, const Half *w, void *out, int64_t tokens, int64_t n,
              int64_t k) {
  gemv<G, F>(x, {{w, nullptr}}, Tail<F>{{}, {out}}, static_cast<int>(tokens), static_cast<int>(n),
             static_cast<int>(k));
}
template <class G>
__global__ void __launch_bounds__(G::threads, resident<G>())
    kernelGated(const StorageOf<G::X> *x, const Half *w, const Half *v, const float *bias,
                const Half *h, void *out, void *plain, int64_t tokens, int64_t n, int64_t k) {
  gemv<G, Gated>(x, {{w, nullptr}, {v, nullptr}}, Tail<Gated>{{bias, h}, {out, plain}},
                 static_cast<int>(tokens), static_cast<int>(n), static_cast<int>(k));
}

template <class G, class K, class... Arguments>
void launch(cudaStream_t stream, K kernel, int64_t n, bool programmatic, Arguments... arguments) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>((n + G::rows - 1) / G::rows * G::Cluster));
  config.blockDim = dim3(G::threads);
  config.dynamicSmemBytes = G::sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {G::Cluster, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = programmatic;
  config.attrs = attributes;
  config.numAttrs = programmatic ? 2 : 1;
  CHECK_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, G::sharedBytes));
  CHECK_CUDA(cudaLaunchKernelEx(&config, kernel, arguments...));
}

int failures = 0;
void report(const char *what, int tokens, int n, int k, Difference difference, double tolerance,
            bool same) {
  bool ok = difference.relative <= tolerance && same;
  failures += !ok;
  if (!ok)
    std::printf("FAIL %s T=%d n=%d k=%d: relative %.3e largest %.3e%s\n", what, tokens, n, k,
                difference.relative, difference.largest, same ? "" : ", not repeatable");
}

/// float64 sums [tokens, n].
template <typename X>
std::vector<double> product(const std::vector<X> &x, const std::vector<Half> &w, int tokens, int n,
                            int k) {
  std::vector<double> sums(size_t(tokens) * n);
  std::vector<float> wide(w.size());
  for (size_t i = 0; i < w.size(); ++i)
    wide[i] = static_cast<float>(w[i]);
  for (int t = 0; t < tokens; ++t)
    for (int row = 0; row < n; ++row) {
      double sum = 0;
      for (int i = 0; i < k; ++i)
        sum += double(static_cast<float>(x[size_t(t) * k + i])) * double(wide[size_t(row) * k + i]);
      sums[size_t(t) * n + row] = sum;
    }
  return sums;
}

template <class G> void check(const char *name, int tokens, int n, int k) {
  using X = StorageOf<G::X>;
  std::mt19937_64 generator(tokens * 1000003 + n * 1009 + k);
  auto x = randomValues<X>(size_t(tokens) * k, 1, generator);
  auto w = randomValues<Half>(size_t(n) * k, 1 / std::sqrt(k), generator);
  Buffer<X> xs(x);
  Buffer<Half> ws(w);
  auto sums = product(x, w, tokens, n, k);
  if constexpr (G::Matrices == 1) {
    Buffer<float> out(size_t(tokens) * n + 64), again(size_t(tokens) * n + 64);
    for (Buffer<float> *to : {&out, &again})
      launch<G>(nullptr, kernelOne<G, Plain<Scalar::F32>>, n, true, xs.data(), ws.data(),
                static_cast<void *>(to->data()), int64_t(tokens), int64_t(n), int64_t(k));
    CHECK_CUDA(cudaDeviceSynchronize());
    auto values = out.get(), second = again.get();
    bool same = std::memcmp(values.data(), second.data(), values.size() * 4) == 0;
    for (size_t i = size_t(tokens) * n; i < values.size(); ++i)
      same &= std::isnan(values[i]);
    report(name, tokens, n, k, compare(values, sums), 1.5e-6, same);
  } else {
    auto v = randomValues<Half>(size_t(n) * k, 1 / std::sqrt(k), generator);
    auto bias = randomValues<float>(n, 1, generator);
    auto h = randomValues<Half>(size_t(tokens) * n, 1, generator);
    Buffer<Half> vs(v), hs(h), out(size_t(tokens) * n), again(size_t(tokens) * n);
    Buffer<float> biases(bias), plain(size_t(tokens) * n);
    for (Buffer<Half> *to : {&out, &again})
      launch<G>(nullptr, kernelGated<G>, n, true, xs.data(), ws.data(), vs.data(), biases.data(),
                hs.data(), static_cast<void *>(to->data()), static_cast<void *>(plain.data()),
                int64_t(tokens), int64_t(n), int64_t(k));
    CHECK_CUDA(cudaDeviceSynchronize());
    auto second = product(x, v, tokens, n, k);
    std::vector<double> expected(sums.size());
    for (size_t i = 0; i < sums.size(); ++i) {
      double a = sums[i] + bias[i % n];
      expected[i] = static_cast<float>(h[i]) + a / (1 + std::exp(-a)) * second[i];
    }
    auto values = out.get(), repeated = again.get();
    bool same = std::memcmp(values.data(), repeated.data(), values.size() * 2) == 0;
    report(name, tokens, n, k, compare(values, expected), 4e-3, same);
    report(name, tokens, n, k, compare(plain.get(), sums), 1.5e-6, true);
  }
}

template <class G> void checkAll(const char *name) {
  for (int tokens = 1; tokens <= 8 * G::Tiles; ++tokens)
    check<G>(name, tokens, 40, 264);
  for (int tokens : {1, 3, 8 * G::Tiles})
    for (int n : {1, 16, 33, 192, 1000})
      for (int k : {8, 32, 192, 1000, 6144})
        if (n * k < 300000)
          check<G>(name, tokens, n, k);
  std::printf("%-28s checked, %d failures so far\n", name, failures);
  std::fflush(stdout);
}

double copyRate;

/// `sets` different matrices in turn, so that no call finds its matrix in L2.
template <class G> void time(const char *name, int tokens, int64_t n, int64_t k) {
  using X = StorageOf<G::X>;
  size_t size = size_t(n) * k * G::Matrices;
  size_t sets = std::max<size_t>(1, size_t(400) * 1024 * 1024 / (size * 2) + 1);
  sets = std::min<size_t>(sets, 40);
  Buffer<Half> w(size * sets);
  fillRandom(w, 1 / std::sqrt(float(k)), 1);
  std::mt19937_64 generator(1);
  Buffer<X> x(randomValues<X>(size_t(tokens) * k, 1, generator));
  Buffer<Half> h(randomValues<Half>(size_t(tokens) * n, 1, generator));
  Buffer<float> bias(randomValues<float>(n, 1, generator));
  Buffer<Half> out(size_t(tokens) * n);
  Buffer<float> plain(size_t(tokens) * n);
  double times[2];
  for (int programmatic = 0; programmatic < 2; ++programmatic)
    times[programmatic] =
        timeInGraph(
            [&](cudaStream_t stream, int i) {
              const Half *matrix = w.data() + size * (i % sets);
              if constexpr (G::Matrices == 1)
                launch<G>(stream, kernelOne<G, Plain<Scalar::BF16>>, n, programmatic, x.data(),
                          matrix, static_cast<void *>(out.data()), int64_t(tokens), n, k);
              else
                launch<G>(stream, kernelGated<G>, n, programmatic, x.data(), matrix, matrix + n * k,
                          bias.data(), h.data(), static_cast<void *>(out.data()),
                          static_cast<void *>(plain.data()), int64_t(tokens), n, k);
            },
            20, 10)
            .median;
  double bytes = 2.0 * size + sizeof(X) * tokens * k + 2.0 * tokens * n;
  std::printf("%-28s T=%-3d %7ldx%-6ld %8.2f us %5.1f %% | PDL %8.2f us %5.1f %% of copy\n", name,
              tokens, long(n), long(k), times[0] * 1e3, bytes / (times[0] * 1e-3) / copyRate * 100,
              times[1] * 1e3, bytes / (times[1] * 1e-3) / copyRate * 100);
  std::fflush(stdout);
}

template <int M, int Tiles, int RT, int RW, int DW, int C, int Depth>
using Bf16 = GemvShape<M, Tiles, RT, RW, DW, C, Depth, Scalar::BF16>;
template <int M, int Tiles, int RT, int RW, int DW, int C, int Depth>
using F32 = GemvShape<M, Tiles, RT, RW, DW, C, Depth, Scalar::F32>;

void checks() {
  checkAll<Bf16<1, 1, 1, 1, 8, 1, 4>>("bf16 one");
  checkAll<Bf16<1, 1, 1, 1, 8, 1, 2>>("bf16 one, 4 CTAs");
  checkAll<Bf16<1, 1, 1, 1, 8, 8, 4>>("bf16 one, cluster 8");
  checkAll<Bf16<1, 2, 2, 1, 8, 1, 2>>("bf16 two tiles");
  checkAll<Bf16<1, 2, 4, 2, 4, 4, 2>>("bf16 two tiles, cluster 4");
  checkAll<F32<1, 1, 1, 1, 8, 1, 3>>("f32 one");
  checkAll<F32<1, 2, 4, 1, 8, 2, 2>>("f32 two tiles, cluster 2");
  checkAll<F32<1, 4, 2, 1, 8, 1, 2>>("f32 four tiles");
  checkAll<Bf16<2, 1, 1, 1, 8, 1, 4>>("bf16 pair");
  checkAll<Bf16<2, 2, 1, 1, 8, 1, 2>>("bf16 pair, two tiles");
  checkAll<F32<2, 2, 1, 1, 8, 1, 2>>("f32 pair, two tiles");
}

void timings() {
  copyRate = copyBandwidth();
  std::printf("copy %.3f TB/s\n", copyRate * 1e-12);
  for (int tokens : {1, 4, 8}) {
    time<Bf16<1, 1, 1, 1, 8, 1, 4>>("bf16", tokens, 24576, 6144);
    time<Bf16<1, 1, 1, 1, 8, 1, 2>>("bf16, 4 CTAs", tokens, 8192, 6144);
    time<Bf16<1, 1, 1, 1, 8, 1, 4>>("bf16", tokens, 6144, 8192);
    time<Bf16<1, 1, 1, 1, 8, 8, 4>>("bf16, cluster 8", tokens, 32, 6144);
    time<Bf16<2, 1, 1, 1, 8, 1, 4>>("bf16 pair", tokens, 9216, 6144);
    time<F32<1, 1, 1, 1, 8, 1, 3>>("float32", tokens, 200064, 6144);
  }
  time<Bf16<1, 2, 2, 1, 8, 1, 2>>("bf16 two tiles", 16, 24576, 6144);
  time<Bf16<1, 2, 2, 1, 8, 1, 2>>("bf16 two tiles", 16, 8192, 6144);
  time<Bf16<1, 2, 2, 1, 8, 1, 2>>("bf16 two tiles", 16, 6144, 8192);
  time<Bf16<2, 2, 1, 1, 8, 1, 2>>("bf16 pair, two tiles", 16, 9216, 6144);
  time<F32<1, 2, 4, 1, 8, 1, 2>>("float32 two tiles", 16, 200064, 6144);
  time<F32<1, 4, 2, 1, 8, 1, 2>>("float32 four tiles", 32, 200064, 6144);
}

} // namespace

int main(int argc, char **argv) {
  bool all = argc < 2;
  if (all || std::strcmp(argv[1], "check") == 0)
    checks();
  if (all || std::strcmp(argv[1], "time") == 0)
    timings();
  std::printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
