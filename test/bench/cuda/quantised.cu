// Streams of int8 and int4 matrices: conformance to float64, and time against the bandwidth of a
// copy.  `quantised` runs both, `quantised check` the first, `quantised time` the second.
#include "Harness.cuh"

#include "codegen/cuda/kernels/expert_gemv.cuh"
#include "codegen/cuda/kernels/gemv.cuh"

#include <cstring>

using namespace levin;
using namespace levin::bench;
using namespace levin::kernels;
using Half = __nv_bfloat16;

namespace {

template <Scalar Out> struct Plain {
  static constexpr int sumCount = 1, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Out};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ void apply(const float *sums, const float *, float *results, int) {
    results[0] = sums[0];
  }
};
/// silu(a) b
template <Scalar Out> struct Gated {
  static constexpr int sumCount = 2, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Out};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ void apply(const float *sums, const float *, float *results, int) {
    results[0] = sums[0] / (1.0f + expf(-sums[0])) * sums[1];
  }
};

/// As templates/StreamGroup.cpp has it.
template <class G> constexpr int resident() {
  if (G::Tiles > 1 || (G::X == Scalar::F32 && G::Matrices == 2))
    return 1;
  return 3;
}

template <class G, Scalar Out>
__global__ void __launch_bounds__(G::threads, resident<G>())
    dense(const StorageOf<G::X> *x, const void *w, const typename G::W::Scale *scales, void *out,
          int tokens, int n, int k) {
  gemv<G, Plain<Out>>(x, {{w, scales}}, Tail<Plain<Out>>{{}, {out}}, tokens, n, k);
}
/// One matrix, or two halves of `w` and of `scales` with experts * n rows each.
template <class G, int Choices, Scalar Out>
__global__ void __launch_bounds__(G::threads, resident<G>())
    grouped(const StorageOf<G::X> *x, const int32_t *places, const int32_t *offsets, const void *w,
            const typename G::W::Scale *scales, void *out, int rows, int n, int k, int experts) {
  int64_t size = int64_t(experts) * n * k;
  if constexpr (G::Matrices == 2)
    expertGemv<G, Choices, Gated<Out>>(
        x, places, offsets,
        {{w, scales},
         {static_cast<const char *>(w) + size * G::W::bits / 8, scales + size / G::W::group}},
        Tail<Gated<Out>>{{}, {out}}, rows, n, k, experts);
  else
    expertGemv<G, Choices, Plain<Out>>(x, places, offsets, {{w, scales}},
                                       Tail<Plain<Out>>{{}, {out}}, rows, n, k, experts);
}

/// Random numbers, their packed form, and their scales.
template <class W> struct Matrix {
  std::vector<uint8_t> packed;
  std::vector<typename W::Scale> scales;
  std::vector<double> values;
  Matrix(size_t rows, size_t k, std::mt19937_64 &generator) {
    scales = randomValues<typename W::Scale>(rows * k / W::group, 0.01, generator);
    packed.resize(rows * k * W::bits / 8);
    for (uint8_t &byte : packed)
      byte = static_cast<uint8_t>(generator());
    for (size_t i = 0; i < rows * k; ++i) {
      int q = W::bits == 8 ? static_cast<int8_t>(packed[i]) : packed[i / 2] >> (i % 2 * 4) & 15;
      if (W::bits == 4 && q > 7)
        q -= 16;
      values.push_back(q * double(static_cast<float>(scales[i / W::group])));
    }
  }
};

int failures = 0;
void report(const char *name, int tokens, int n, int k, double relative, bool same) {
  bool ok = same && relative < 2e-6;
  failures += !ok;
  if (!ok)
    std::printf("FAIL %s T=%d n=%d k=%d: %.3e%s\n", name, tokens, n, k, relative,
                same ? "" : " not repeatable");
}

template <class G, Scalar Out>
void launchDense(cudaStream_t stream, const StorageOf<G::X> *x, const void *w,
                 const typename G::W::Scale *scales, void *out, int tokens, int n, int k) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>((n + G::rows - 1) / G::rows * G::Cluster));
  config.blockDim = dim3(G::threads);
  config.dynamicSmemBytes = G::sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attributes[2] = {};
  attributes[0].id = cudaLaunchAttributeClusterDimension;
  attributes[0].val.clusterDim = {G::Cluster, 1, 1};
  attributes[1].id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attributes[1].val.programmaticStreamSerializationAllowed = 1;
  config.attrs = attributes;
  config.numAttrs = 2;
  CHECK_CUDA(cudaFuncSetAttribute(dense<G, Out>, cudaFuncAttributeMaxDynamicSharedMemorySize,
                                  G::sharedBytes));
  CHECK_CUDA(cudaLaunchKernelEx(&config, dense<G, Out>, x, w, scales, out, tokens, n, k));
}

template <class G> void checkDense(const char *name) {
  using X = StorageOf<G::X>;
  for (int tokens = 1; tokens <= 8 * G::Tiles; tokens += tokens < 4 ? 1 : 4)
    for (int n : {5, 48, 200})
      for (int k : {G::W::group, 3 * G::W::group, 4096}) {
        std::mt19937_64 generator(tokens * 31 + n + k);
        Matrix<typename G::W> matrix(n, k, generator);
        auto x = randomValues<X>(size_t(tokens) * k, 1, generator);
        std::vector<double> expected;
        for (int t = 0; t < tokens; ++t)
          for (int row = 0; row < n; ++row) {
            double sum = 0;
            for (int i = 0; i < k; ++i)
              sum += double(static_cast<float>(x[size_t(t) * k + i])) *
                     matrix.values[size_t(row) * k + i];
            expected.push_back(sum);
          }
        Buffer<X> xs(x);
        Buffer<uint8_t> w(matrix.packed);
        Buffer<typename G::W::Scale> scales(matrix.scales);
        Buffer<float> out(expected.size()), again(expected.size());
        for (Buffer<float> *to : {&out, &again})
          launchDense<G, Scalar::F32>(nullptr, xs.data(), w.data(), scales.data(), to->data(),
                                      tokens, n, k);
        CHECK_CUDA(cudaDeviceSynchronize());
        auto values = out.get(), repeated = again.get();
        report(name, tokens, n, k, compare(values, expected).relative,
               std::memcmp(values.data(), repeated.data(), values.size() * 4) == 0);
      }
  std::printf("%-28s checked, %d failures so far\n", name, failures);
  std::fflush(stdout);
}

/// Every token chooses experts e and e + 1 modulo their number.
template <class G, Scalar Out>
void launchGrouped(cudaStream_t stream, const StorageOf<G::X> *x, const int32_t *places,
                   const int32_t *offsets, const void *w, const typename G::W::Scale *scales,
                   void *out, int rows, int n, int k, int experts) {
  dim3 grid(static_cast<unsigned>((n + G::rows - 1) / G::rows),
            static_cast<unsigned>(std::min(experts, rows)),
            static_cast<unsigned>((rows / 2 + 8 * G::Tiles - 1) / (8 * G::Tiles)));
  auto kernel = grouped<G, 2, Out>;
  CHECK_CUDA(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, G::sharedBytes));
  kernel<<<grid, G::threads, G::sharedBytes, stream>>>(x, places, offsets, w, scales, out, rows, n,
                                                       k, experts);
}
struct Routing {
  std::vector<int32_t> places, offsets, tokenOf, expertOf;
  Routing(int tokens, int experts) : places(2 * tokens), offsets(experts + 1) {
    for (int e = 0; e < experts; ++e) {
      offsets[e] = static_cast<int>(tokenOf.size());
      for (int t = 0; t < tokens; ++t)
        for (int c = 0; c < 2; ++c)
          if ((t * 5 + c) % experts == e) {
            places[2 * t + c] = static_cast<int>(tokenOf.size());
            tokenOf.push_back(t);
            expertOf.push_back(e);
          }
    }
    offsets[experts] = static_cast<int>(tokenOf.size());
  }
};

template <class G> void checkGrouped(const char *name) {
  using X = StorageOf<G::X>;
  for (int tokens : {1, 2, 8, 20})
    for (int n : {8, 72})
      for (int k : {G::W::group, 1024}) {
        int experts = 3, rows = 2 * tokens;
        std::mt19937_64 generator(tokens * 31 + n + k);
        Routing routing(tokens, experts);
        Matrix<typename G::W> matrix(size_t(2) * experts * n, k, generator);
        auto x = randomValues<X>(size_t(tokens) * k, 1, generator);
        std::vector<double> expected;
        for (int r = 0; r < rows; ++r)
          for (int c = 0; c < n; ++c) {
            double sums[2] = {0, 0};
            for (int p = 0; p < 2; ++p)
              for (int i = 0; i < k; ++i)
                sums[p] +=
                    double(static_cast<float>(x[size_t(routing.tokenOf[r]) * k + i])) *
                    matrix.values[((size_t(p) * experts + routing.expertOf[r]) * n + c) * k + i];
            expected.push_back(sums[0] / (1 + std::exp(-sums[0])) * sums[1]);
          }
        Buffer<X> xs(x);
        Buffer<uint8_t> w(matrix.packed);
        Buffer<typename G::W::Scale> scales(matrix.scales);
        Buffer<int32_t> places(routing.places), offsets(routing.offsets);
        Buffer<float> out(expected.size());
        launchGrouped<G, Scalar::F32>(nullptr, xs.data(), places.data(), offsets.data(), w.data(),
                                      scales.data(), out.data(), rows, n, k, experts);
        CHECK_CUDA(cudaDeviceSynchronize());
        report(name, tokens, n, k, compare(out.get(), expected).relative / 2, true);
      }
  std::printf("%-28s checked, %d failures so far\n", name, failures);
  std::fflush(stdout);
}

double copyRate;

template <class G> void timeDense(const char *name, int tokens, int n, int k) {
  using X = StorageOf<G::X>;
  size_t size = size_t(n) * k * G::W::bits / 8, sets = size_t(400) * 1024 * 1024 / size + 1;
  Buffer<uint8_t> w(size * sets);
  Buffer<Half> view(1);
  fillRandomKernel<<<1024, 256>>>(reinterpret_cast<Half *>(w.data()), w.size() / 2, 1, 1);
  std::mt19937_64 generator(1);
  size_t groups = size_t(n) * k / G::W::group;
  Buffer<typename G::W::Scale> scales(randomValues<typename G::W::Scale>(groups, 0.01, generator));
  Buffer<X> x(randomValues<X>(size_t(tokens) * k, 1, generator));
  Buffer<Half> out(size_t(tokens) * n);
  double time = timeInGraph(
                    [&](cudaStream_t stream, int i) {
                      launchDense<G, Scalar::BF16>(stream, x.data(), w.data() + size * (i % sets),
                                                   scales.data(), out.data(), tokens, n, k);
                    },
                    20, 10)
                    .median;
  double bytes = double(size) + double(groups * sizeof(typename G::W::Scale)) +
                 double(sizeof(X)) * tokens * k + 2.0 * tokens * n;
  std::printf("%-32s T=%-3d %6dx%-5d %8.2f us %5.1f %% of copy\n", name, tokens, n, k, time * 1e3,
              bytes / (time * 1e-3) / copyRate * 100);
  std::fflush(stdout);
}
template <class G> void timeGrouped(const char *name, const uint8_t *w, int tokens) {
  using X = StorageOf<G::X>;
  int experts = 32, n = G::Matrices == 2 ? 9216 : 6144, k = G::Matrices == 2 ? 6144 : 9216;
  std::mt19937_64 generator(1);
  Routing routing(tokens, experts);
  size_t groups = size_t(G::Matrices) * experts * n * k / G::W::group;
  Buffer<typename G::W::Scale> scales(groups);
  CHECK_CUDA(cudaMemset(scales.data(), 0x3C, scales.bytes()));
  Buffer<X> x(randomValues<X>(size_t(2) * tokens * k, 1, generator));
  Buffer<int32_t> places(routing.places), offsets(routing.offsets);
  Buffer<Half> out(size_t(2) * tokens * n);
  double touched = 0;
  for (int e = 0; e < experts; ++e)
    touched += routing.offsets[e + 1] > routing.offsets[e];
  double time =
      timeInGraph(
          [&](cudaStream_t stream, int) {
            launchGrouped<G, Scalar::BF16>(stream, x.data(), places.data(), offsets.data(), w,
                                           scales.data(), out.data(), 2 * tokens, n, k, experts);
          },
          6, 7)
          .median;
  double bytes = touched * G::Matrices * n * k *
                 (G::W::bits / 8.0 + double(sizeof(typename G::W::Scale)) / G::W::group);
  std::printf("%-32s T=%-3d touched %4.0f %8.2f us %5.1f %% of copy\n", name, tokens, touched,
              time * 1e3, bytes / (time * 1e-3) / copyRate * 100);
  std::fflush(stdout);
}

template <int Tiles, int RT, int DW, int C, int Depth, class W>
using Dense = GemvShape<1, Tiles, RT, 1, DW, C, Depth, Scalar::BF16, W>;
template <int M, int Tiles, int RT, int DW, int Depth, class W>
using Experts = ExpertShape<M, Tiles, RT, DW, Depth, Scalar::BF16, W>;

void timings() {
  copyRate = copyBandwidth();
  std::printf("copy %.3f TB/s\n", copyRate * 1e-12);
  using I8 = Int8Matrix<128, Half>;
  using I4 = Int4Matrix<128, Half>;
  using Short = Int4Matrix<64, Half>;
  for (int tokens : {1, 8}) {
    timeDense<Dense<1, 1, 4, 1, 4, I8>>("int8", tokens, 24576, 6144);
    timeDense<Dense<1, 1, 4, 1, 4, I4>>("int4", tokens, 24576, 6144);
    timeDense<Dense<1, 1, 4, 1, 8, Short>>("int4, groups of 64", tokens, 24576, 6144);
  }
  Buffer<uint8_t> w(size_t(2) * 32 * 9216 * 6144);
  fillRandomKernel<<<1024, 256>>>(reinterpret_cast<Half *>(w.data()), w.size() / 2, 1, 1);
  for (int tokens : {1, 8, 16}) {
    timeGrouped<Experts<2, 1, 1, 4, 2, I8>>("int8 w13", w.data(), tokens);
    timeGrouped<Experts<2, 1, 1, 4, 2, I4>>("int4 w13", w.data(), tokens);
    timeGrouped<Experts<2, 1, 1, 4, 4, Short>>("int4 w13, groups of 64", w.data(), tokens);
    timeGrouped<Experts<1, 1, 1, 4, 4, I8>>("int8 w2", w.data(), tokens);
    timeGrouped<Experts<1, 1, 1, 4, 4, I4>>("int4 w2", w.data(), tokens);
    timeGrouped<Experts<1, 1, 1, 4, 8, Short>>("int4 w2, groups of 64", w.data(), tokens);
  }
}

} // namespace

int main(int argc, char **argv) {
  bool all = argc < 2;
  if (all || std::strcmp(argv[1], "check") == 0) {
    checkDense<Dense<1, 1, 4, 1, 4, Int8Matrix<64, float>>>("int8, groups of 64");
    checkDense<Dense<1, 1, 4, 1, 8, Int8Matrix<32, __half>>>("int8, groups of 32");
    checkDense<Dense<2, 2, 8, 2, 2, Int8Matrix<128, Half>>>("int8, two tiles, cluster 2");
    checkDense<Dense<1, 1, 4, 1, 4, Int4Matrix<128, Half>>>("int4, groups of 128");
    checkDense<Dense<1, 1, 4, 1, 8, Int4Matrix<64, Half>>>("int4, groups of 64");
    checkDense<Dense<2, 2, 4, 4, 2, Int4Matrix<256, float>>>("int4, two tiles, cluster 4");
    checkDense<GemvShape<1, 1, 1, 1, 4, 1, 4, Scalar::F32, Int4Matrix<128, float>>>(
        "int4, float32 input");
    checkGrouped<Experts<2, 1, 1, 4, 2, Int8Matrix<128, Half>>>("int8 experts");
    checkGrouped<Experts<2, 1, 1, 4, 4, Int4Matrix<64, Half>>>("int4 experts, groups of 64");
    checkGrouped<Experts<2, 4, 1, 4, 2, Int4Matrix<128, float>>>("int4 experts");
  }
  if (all || std::strcmp(argv[1], "time") == 0)
    timings();
  std::printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
