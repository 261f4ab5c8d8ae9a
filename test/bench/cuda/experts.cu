// Experts of few tokens: conformance to float64, and time against the bandwidth of a copy.
// `experts` runs both, `experts check` the first, `experts time` the second.
#include "Harness.cuh"

#include "codegen/cuda/kernels/expert_gemv.cuh"

#include <cstring>
#include <set>

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
template <Scalar Out> struct Gated {
  static constexpr int sumCount = 2, operandCount = 0, resultCount = 1;
  static constexpr Scalar operandTypes[] = {Scalar::F32}, resultTypes[] = {Out};
  static constexpr bool operandIsColumn[] = {false};
  static __device__ void apply(const float *sums, const float *, float *results, int) {
    results[0] = sums[0] / (1.0f + expf(-sums[0])) * sums[1];
  }
};
template <int Matrices, Scalar Out> struct TailOf {
  using Type = Plain<Out>;
};
template <Scalar Out> struct TailOf<2, Out> {
  using Type = Gated<Out>;
};

/// Matrices are halves of `w`: [experts, n, k] each.
/// As templates/StreamGroup.cpp has it.
template <class G> constexpr int resident() {
  if (G::X == Scalar::F32)
    return 1;
  return G::Tiles == 1 && G::Matrices == 1 ? 3 : 2;
}

template <class G, int Choices, Scalar Out>
__global__ void __launch_bounds__(G::threads, resident<G>())
    expertKernel(const StorageOf<G::X> *x, const int32_t *places, const int32_t *offsets,
                 const Half *w, const Half *v, void *out, int64_t rows, int64_t n, int64_t k,
                 int64_t experts) {
  using F = typename TailOf<G::Matrices, Out>::Type;
  if constexpr (G::Matrices == 2)
    expertGemv<G, Choices, F>(x, places, offsets, {{w, nullptr}, {v, nullptr}}, Tail<F>{{}, {out}},
                              static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),
                              static_cast<int>(experts));
  else
    expertGemv<G, Choices, F>(x, places, offsets, {{w, nullptr}}, Tail<F>{{}, {out}},
                              static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),
                              static_cast<int>(experts));
}

template <class G, int Choices, Scalar Out>
void launch(cudaStream_t stream, bool programmatic, const StorageOf<G::X> *x, const int32_t *places,
            const int32_t *offsets, const Half *w, const Half *v, void *out, int64_t rows,
            int64_t n, int64_t k, int64_t experts) {
  cudaLaunchConfig_t config = {};
  config.gridDim = dim3(static_cast<unsigned>((n + G::rows - 1) / G::rows),
                        static_cast<unsigned>(std::min(experts, rows)),
                        static_cast<unsigned>((rows + 8 * G::Tiles - 1) / (8 * G::Tiles)));
  config.blockDim = dim3(G::threads);
  config.dynamicSmemBytes = G::sharedBytes;
  config.stream = stream;
  cudaLaunchAttribute attribute = {};
  attribute.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  attribute.val.programmaticStreamSerializationAllowed = 1;
  config.attrs = &attribute;
  config.numAttrs = programmatic;
  CHECK_CUDA(cudaFuncSetAttribute(expertKernel<G, Choices, Out>,
                                  cudaFuncAttributeMaxDynamicSharedMemorySize, G::sharedBytes));
  CHECK_CUDA(cudaLaunchKernelEx(&config, expertKernel<G, Choices, Out>, x, places, offsets, w, v,
                                out, rows, n, k, experts));
}

/// A routing of random distinct experts for each token; tokens from `live` on have none.
struct Routing {
  std::vector<int32_t> places, offsets, tokenOf;
  int touched = 0;
};
Routing randomRouting(int tokens, int live, int experts, int choices, int only,
                      std::mt19937_64 &generator) {
  Routing routing;
  std::vector<int> chosen(size_t(tokens) * choices, -1);
  routing.places.assign(chosen.size(), -1);
  routing.tokenOf.assign(chosen.size(), -1);
  routing.offsets.assign(experts + 1, 0);
  for (int t = 0; t < live; ++t) {
    std::set<int> used;
    for (int c = 0; c < choices; ++c) {
      int e;
      do
        e = static_cast<int>(generator() % std::max(only, choices));
      while (!used.insert(e).second);
      chosen[t * choices + c] = (e * 7 + 3) % experts;
    }
  }
  for (int e : chosen)
    if (e >= 0)
      ++routing.offsets[e + 1];
  for (int e = 0; e < experts; ++e) {
    routing.touched += routing.offsets[e + 1] > 0;
    routing.offsets[e + 1] += routing.offsets[e];
  }
  auto next = routing.offsets;
  for (size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i] >= 0) {
      routing.places[i] = next[chosen[i]]++;
      routing.tokenOf[routing.places[i]] = static_cast<int>(i) / choices;
    }
  return routing;
}

int failures = 0;

template <class G, int Choices>
void check(const char *name, int tokens, int live, int experts, int n, int k, int only) {
  using X = StorageOf<G::X>;
  constexpr int choices = Choices > 0 ? Choices : 2;
  std::mt19937_64 generator(tokens * 7919 + n * 31 + k + only);
  Routing routing = randomRouting(tokens, live, experts, choices, only, generator);
  int rows = tokens * choices;
  int inputs = Choices > 0 ? tokens : rows;
  auto x = randomValues<X>(size_t(inputs) * k, 1, generator);
  Buffer<Half> ws(size_t(experts) * n * k), vs(ws.size());
  fillRandom(ws, 1 / std::sqrt(float(k)), 2 * generator());
  fillRandom(vs, 1 / std::sqrt(float(k)), 2 * generator() + 1);
  auto w = ws.get(), v = vs.get();
  std::vector<double> expected;
  std::vector<size_t> kept;
  for (int e = 0; e < experts; ++e)
    for (int r = routing.offsets[e]; r < routing.offsets[e + 1]; ++r) {
      const X *in = &x[size_t(Choices > 0 ? routing.tokenOf[r] : r) * k];
      for (int c = 0; c < n; ++c) {
        double a = 0, b = 0;
        const Half *first = &w[(size_t(e) * n + c) * k], *second = &v[(size_t(e) * n + c) * k];
        for (int i = 0; i < k; ++i) {
          double value = static_cast<float>(in[i]);
          a += value * static_cast<float>(first[i]);
          b += G::Matrices == 2 ? value * static_cast<float>(second[i]) : 0;
        }
        expected.push_back(G::Matrices == 2 ? a / (1 + std::exp(-a)) * b : a);
        kept.push_back(size_t(r) * n + c);
      }
    }
  Buffer<X> xs(x);
  Buffer<int32_t> places(routing.places), offsets(routing.offsets);
  Buffer<float> out(size_t(rows) * n + 64), again(size_t(rows) * n + 64);
  for (Buffer<float> *to : {&out, &again})
    launch<G, Choices, Scalar::F32>(nullptr, true, xs.data(), places.data(), offsets.data(),
                                    ws.data(), vs.data(), to->data(), rows, n, k, experts);
  CHECK_CUDA(cudaDeviceSynchronize());
  auto values = out.get(), repeated = again.get();
  bool same = std::memcmp(values.data(), repeated.data(), values.size() * 4) == 0;
  for (size_t i = size_t(rows) * n; i < values.size(); ++i)
    same &= std::isnan(values[i]);
  std::vector<float> results;
  for (size_t at : kept)
    results.push_back(values[at]);
  Difference difference = compare(results, expected);
  bool ok = same && (expected.empty() || difference.relative < 3e-6);
  failures += !ok;
  if (!ok)
    std::printf("FAIL %s T=%d live=%d E=%d n=%d k=%d only=%d: %.3e%s\n", name, tokens, live,
                experts, n, k, only, difference.relative, same ? "" : " not repeatable");
}

template <class G, int Choices> void checkAll(const char *name) {
  for (int tokens = 1; tokens <= 64; tokens += tokens < 17 ? 1 : 9)
    check<G, Choices>(name, tokens, tokens, 5, 24, 72, 5);
  for (int tokens : {1, 5, 8 * G::Tiles})
    for (int n : {8, 40, 100})
      for (int k : {8, 136, 520}) {
        check<G, Choices>(name, tokens, tokens, 32, n, k, 32);
        check<G, Choices>(name, tokens, tokens, 40, n, k, 2); // all rows to two experts
        check<G, Choices>(name, tokens, tokens / 2, 6, n, k, 6);
      }
  check<G, Choices>(name, 3, 0, 4, 32, 64, 4);
  check<G, Choices>(name, 80, 77, 4, 32, 64, 2); // more rows than one pass takes
  std::printf("%-30s checked, %d failures so far\n", name, failures);
  std::fflush(stdout);
}

double copyRate;

template <class G, int Choices>
void time(const char *name, const Half *weights, int tokens, int64_t experts, int64_t n,
          int64_t k) {
  using X = StorageOf<G::X>;
  constexpr int choices = Choices > 0 ? Choices : 2;
  constexpr int sets = 4;
  std::mt19937_64 generator(tokens);
  int64_t rows = int64_t(tokens) * choices;
  std::vector<int32_t> places, offsets;
  double touched = 0;
  for (int i = 0; i < sets; ++i) {
    Routing routing = randomRouting(tokens, tokens, static_cast<int>(experts), choices,
                                    static_cast<int>(experts), generator);
    places.insert(places.end(), routing.places.begin(), routing.places.end());
    offsets.insert(offsets.end(), routing.offsets.begin(), routing.offsets.end());
    touched += double(routing.touched) / sets;
  }
  Buffer<int32_t> placesOf(places), offsetsOf(offsets);
  Buffer<X> x(randomValues<X>(size_t(rows) * k, 1, generator));
  Buffer<Half> out(size_t(rows) * n);
  double times[2];
  for (int programmatic = 0; programmatic < 2; ++programmatic)
    times[programmatic] =
        timeInGraph(
            [&](cudaStream_t stream, int i) {
              launch<G, Choices, Scalar::BF16>(
                  stream, programmatic, x.data(), placesOf.data() + i % sets * rows,
                  offsetsOf.data() + i % sets * (experts + 1), weights, weights + experts * n * k,
                  out.data(), rows, n, k, experts);
            },
            tokens > 8 ? 4 : 12, 7)
            .median;
  double bytes = 2.0 * G::Matrices * n * k * touched + 2.0 * rows * n + sizeof(X) * rows * k;
  std::printf("%-30s T=%-3d touched %5.2f %8.2f us %5.1f %% | PDL %8.2f us %5.1f %% of copy\n",
              name, tokens, touched, times[0] * 1e3, bytes / (times[0] * 1e-3) / copyRate * 100,
              times[1] * 1e3, bytes / (times[1] * 1e-3) / copyRate * 100);
  std::fflush(stdout);
}

template <int M, int Tiles, int RowTiles, int DW, int Depth>
using Bf16 = ExpertShape<M, Tiles, RowTiles, DW, Depth, Scalar::BF16>;

void timings() {
  copyRate = copyBandwidth();
  std::printf("copy %.3f TB/s\n", copyRate * 1e-12);
  int64_t experts = 32, f = 9216, d = 6144;
  Buffer<Half> weights(size_t(2) * experts * f * d);
  fillRandom(weights, 1 / std::sqrt(float(d)), 1);
  const Half *w = weights.data();
  for (int tokens : {1, 2, 4, 8}) {
    time<Bf16<2, 1, 1, 8, 4>, 2>("w13", w, tokens, experts, f, d);
    time<Bf16<1, 1, 1, 8, 4>, 0>("w2", w, tokens, experts, d, f);
  }
  time<Bf16<2, 2, 1, 8, 2>, 2>("w13 two tiles", w, 16, experts, f, d);
  time<Bf16<1, 2, 2, 8, 2>, 0>("w2 two tiles", w, 16, experts, d, f);
  for (int tokens : {32, 64}) {
    time<Bf16<2, 4, 2, 4, 2>, 2>("w13 four tiles", w, tokens, experts, f, d);
    time<Bf16<1, 4, 2, 4, 2>, 0>("w2 four tiles", w, tokens, experts, d, f);
  }
}

} // namespace

int main(int argc, char **argv) {
  bool all = argc < 2;
  if (all || std::strcmp(argv[1], "check") == 0) {
    checkAll<Bf16<2, 1, 1, 8, 4>, 2>("gate and up, one tile");
    checkAll<Bf16<2, 2, 1, 8, 2>, 2>("gate and up, two tiles");
    checkAll<Bf16<2, 4, 2, 4, 2>, 2>("gate and up, four tiles");
    checkAll<Bf16<1, 1, 1, 8, 4>, 0>("down, one tile");
    checkAll<Bf16<1, 2, 2, 8, 2>, 0>("down, two tiles");
    checkAll<Bf16<1, 4, 2, 4, 2>, 0>("down, four tiles");
    checkAll<ExpertShape<2, 4, 1, 8, 2, Scalar::F32>, 3>("gate and up, float32");
  }
  if (all || std::strcmp(argv[1], "time") == 0)
    timings();
  std::printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
