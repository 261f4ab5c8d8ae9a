// moe.route and the runtime's own kernels: conformance and time.  `route` runs both, `route check`
// the first, `route time` the second.
#include "Harness.cuh"

#include "codegen/cuda/kernels/route.cuh"
#include "codegen/cuda/kernels/utility.cuh"

#include <cstring>
#include <numeric>

using namespace levin;
using namespace levin::bench;
using namespace levin::kernels;

namespace {

template <class R>
__global__ void __launch_bounds__(R::Threads)
    routeKernel(const float *scores, const int32_t *starts, float *weights, int32_t *rows,
                int32_t *offsets, int64_t tokens, int64_t sequences) {
  route<R>(scores, starts, weights, rows, offsets, tokens, sequences);
}
template <class R>
__global__ void __launch_bounds__(R::Threads)
    chooseKernel(const float *scores, const int32_t *starts, float *weights, int32_t *entries,
                 int32_t *counts, int64_t tokens, int64_t sequences) {
  choose<R>(scores, starts, weights, entries, counts, tokens, sequences);
}
template <class R>
__global__ void __launch_bounds__(R::Threads)
    placeKernel(const int32_t *entries, const int32_t *counts, int32_t *rows, int32_t *offsets,
                int64_t tokens) {
  place<R>(entries, counts, rows, offsets, tokens);
}

int failures = 0;

template <int Experts, int Choices, bool Normalize> struct Router {
  using One = RouteShape<Experts, Choices, Normalize, 128, 1024>;
  using Few = RouteShape<Experts, Choices, Normalize, 8, 256>;
  using Many = RouteShape<Experts, Choices, Normalize, 64, 256>;
  int64_t tokens, sequences;
  Buffer<float> scores, weights;
  Buffer<int32_t> starts, rows, offsets, entries, counts;

  Router(const std::vector<float> &values, int64_t tokens, int live)
      : tokens(tokens), sequences(2), scores(values), weights(tokens * Choices),
        starts(std::vector<int32_t>{0, live / 2, live}), rows(tokens * Choices),
        offsets(Experts + 1), entries(tokens * Choices), counts((tokens + 63) / 64 * Experts) {}

  void launch(cudaStream_t stream, bool one) {
    auto blocks = static_cast<unsigned>((tokens + Many::Tokens - 1) / Many::Tokens);
    if (one && tokens <= Few::Tokens) {
      routeKernel<Few><<<1, Few::Threads, 0, stream>>>(scores.data(), starts.data(), weights.data(),
                                                       rows.data(), offsets.data(), tokens,
                                                       sequences);
    } else if (one) {
      routeKernel<One><<<1, One::Threads, 0, stream>>>(scores.data(), starts.data(), weights.data(),
                                                       rows.data(), offsets.data(), tokens,
                                                       sequences);
    } else {
      chooseKernel<Many><<<blocks, Many::Threads, 0, stream>>>(scores.data(), starts.data(),
                                                               weights.data(), entries.data(),
                                                               counts.data(), tokens, sequences);
      placeKernel<Many><<<blocks, Many::Threads, 0, stream>>>(entries.data(), counts.data(),
                                                              rows.data(), offsets.data(), tokens);
    }
  }
};

/// What moe.route means, in float64; `margin` gets the least distance of a choice from the next.
struct Routing {
  std::vector<double> weights;
  std::vector<int32_t> rows, offsets;
};
Routing reference(const std::vector<float> &scores, int tokens, int live, int experts, int choices,
                  bool normalize) {
  Routing routing;
  routing.weights.assign(size_t(tokens) * choices, 0);
  routing.rows.assign(size_t(tokens) * choices, -1);
  routing.offsets.assign(experts + 1, 0);
  std::vector<int> chosen(size_t(tokens) * choices, -1);
  for (int t = 0; t < live; ++t) {
    const float *row = &scores[size_t(t) * experts];
    double largest = row[0], sum = 0, total = 0;
    for (int e = 0; e < experts; ++e)
      largest = std::max<double>(largest, row[e]);
    std::vector<double> shares(experts);
    for (int e = 0; e < experts; ++e)
      sum += shares[e] = std::exp(row[e] - largest);
    std::vector<int> order(experts);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
    for (int c = 0; c < choices; ++c)
      total += shares[order[c]] / sum;
    for (int c = 0; c < choices; ++c) {
      chosen[t * choices + c] = order[c];
      routing.weights[t * choices + c] = shares[order[c]] / sum / (normalize ? total : 1);
      ++routing.offsets[order[c] + 1];
    }
  }
  for (int e = 0; e < experts; ++e)
    routing.offsets[e + 1] += routing.offsets[e];
  std::vector<int32_t> next = routing.offsets;
  for (size_t i = 0; i < chosen.size(); ++i)
    if (chosen[i] >= 0)
      routing.rows[i] = next[chosen[i]]++;
  return routing;
}

template <int E, int C, bool Normalize> void checkRoute(int tokens, int live, bool ties) {
  std::mt19937_64 generator(tokens * 31 + live + E);
  auto scores = randomValues<float>(size_t(tokens) * E, 2, generator);
  for (float &score : scores)
    score = ties ? std::round(score) : std::round(score * 4096) / 4096; // no near misses
  Routing expected = reference(scores, tokens, live, E, C, Normalize);
  for (size_t i = size_t(live) * E; i < scores.size(); ++i)
    scores[i] = NAN; // padding must not be read for a result
  Router<E, C, Normalize> router(scores, tokens, live);
  for (bool one : {true, false}) {
    if (one && tokens > 128)
      continue;
    router.weights.poison();
    router.rows.poison();
    router.offsets.poison();
    router.launch(nullptr, one);
    CHECK_CUDA(cudaDeviceSynchronize());
    auto difference = compare(router.weights.get(), expected.weights);
    bool ok = router.rows.get() == expected.rows && router.offsets.get() == expected.offsets &&
              (difference.relative < 1e-6 || live == 0);
    failures += !ok;
    if (!ok)
      std::printf("FAIL route E=%d C=%d T=%d live=%d ties=%d one=%d: rows %s offsets %s weights "
                  "%.2e\n",
                  E, C, tokens, live, ties, one,
                  router.rows.get() == expected.rows ? "ok" : "differ",
                  router.offsets.get() == expected.offsets ? "ok" : "differ", difference.relative);
  }
}
template <int E, int C, bool Normalize> void checkRoutes() {
  for (bool ties : {false, true}) {
    for (int tokens : {1, 2, 3, 7, 16, 31, 64, 65, 128})
      for (int live : {tokens, tokens / 2, 0})
        checkRoute<E, C, Normalize>(tokens, live, ties);
    for (int tokens : {129, 1000, 5000})
      checkRoute<E, C, Normalize>(tokens, tokens - 3, ties);
  }
}

void checkStrange() { // NaN and infinity: experts, each once
  std::vector<float> scores(4 * 32, 0.5f);
  scores[3] = NAN;
  scores[32 + 5] = INFINITY;
  for (int e = 0; e < 32; ++e)
    scores[64 + e] = -INFINITY;
  scores[96 + 9] = -INFINITY;
  Router<32, 2, true> router(scores, 4, 4);
  router.launch(nullptr, true);
  CHECK_CUDA(cudaDeviceSynchronize());
  auto rows = router.rows.get();
  auto sorted = rows;
  std::sort(sorted.begin(), sorted.end());
  for (int i = 0; i < 8; ++i)
    failures += sorted[i] != i;
  auto offsets = router.offsets.get();
  failures += offsets[1] != 4 || offsets[2] != 8; // all took experts 0 and 1
  if (offsets[1] != 4 || offsets[2] != 8)
    std::printf("FAIL route of NaN: %d %d\n", offsets[1], offsets[2]);
}

//===-- utility --------------------------------------------------------------===//

void checkSummary(const char *name, const std::vector<float> &logits, int rows, int vocabulary) {
  Buffer<float> in(logits), out(size_t(rows) * 130);
  row_summary<<<rows, 1024>>>(in.data(), out.data(), rows, vocabulary);
  CHECK_CUDA(cudaDeviceSynchronize());
  auto values = out.get();
  for (int r = 0; r < rows; ++r) {
    const float *row = &logits[size_t(r) * vocabulary];
    std::vector<int> order(vocabulary);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
    double sum = 0, largest = row[order[0]];
    for (int i = 0; i < vocabulary; ++i)
      sum += std::exp(row[i] - largest);
    double expected = largest + std::log(sum);
    const float *summary = &values[size_t(r) * 130];
    bool ok = std::abs(summary[0] - expected) < 2e-6 * std::max(1.0, std::abs(expected)) &&
              summary[1] == row[order[0]];
    for (int i = 0; i < 64; ++i) {
      int32_t id;
      std::memcpy(&id, &summary[2 + 2 * i + 1], 4);
      ok &= i < vocabulary ? id == order[i] && summary[2 + 2 * i] == row[id]
                           : id == -1 && summary[2 + 2 * i] == -INFINITY;
    }
    failures += !ok;
    if (!ok)
      std::printf("FAIL row_summary %s row %d of %d: lse %.7f (%.7f) largest %f (%f)\n", name, r,
                  vocabulary, summary[0], expected, summary[1], row[order[0]]);
  }
}

void checkUtility() {
  std::mt19937_64 generator(3);
  for (int vocabulary : {1, 5, 63, 64, 65, 1000, 1024, 4097, 32003, 200064})
    checkSummary("normal", randomValues<float>(size_t(3) * vocabulary, 3, generator), 3,
                 vocabulary);
  checkSummary("equal", std::vector<float>(200064, 1.25f), 1, 200064);
  auto sorted = randomValues<float>(50000, 3, generator);
  std::sort(sorted.begin(), sorted.end());
  checkSummary("rising", sorted, 1, 50000);
  auto coarse = randomValues<float>(100000, 3, generator);
  for (float &x : coarse)
    x = std::round(x);
  checkSummary("ties", coarse, 1, 100000);
  auto tail = randomValues<float>(200064, 3, generator);
  for (int i = 199000; i < 200064; ++i)
    tail[i] = -INFINITY;
  checkSummary("masked", tail, 1, 200064);

  int64_t count = 1000003;
  Buffer<float> f(count + 8), again(count + 8);
  float scale = 0.25f;
  int bits;
  std::memcpy(&bits, &scale, 4);
  fill_random<<<300, 256>>>(f.data(), count, 0, bits, 7);
  fill_random<<<17, 256>>>(again.data(), count, 0, bits, 7);
  CHECK_CUDA(cudaDeviceSynchronize());
  auto values = f.get();
  auto repeated = again.get();
  bool ok = std::memcmp(values.data(), repeated.data(), values.size() * 4) == 0;
  double sum = 0, square = 0, fourth = 0, neighbours = 0;
  for (int64_t i = 0; i < count; ++i) {
    double x = values[i] / scale;
    sum += x;
    square += x * x;
    fourth += x * x * x * x;
    neighbours += i ? x * values[i - 1] / scale : 0;
    ok &= std::isfinite(values[i]);
  }
  ok &= std::isnan(values[count]) && std::abs(sum / count) < 5e-3 &&
        std::abs(square / count - 1) < 1e-2 && std::abs(fourth / count - 3) < 0.1 &&
        std::abs(neighbours / count) < 5e-3;
  failures += !ok;
  std::printf("fill_random: mean %.4f variance %.4f fourth %.3f neighbours %.4f %s\n", sum / count,
              square / count, fourth / count, neighbours / count, ok ? "ok" : "FAIL");
  Buffer<__nv_bfloat16> half(1003);
  fill_random<<<3, 256>>>(half.data(), 1001, 5, bits, 7);
  auto halves = half.get();
  for (int i = 0; i < 1003; ++i)
    failures += i < 1001 ? float(halves[i]) != scale : !std::isnan(float(halves[i]));
}

//===-- times ----------------------------------------------------------------===//

template <int E, int C> void timeRoute(int tokens) {
  std::mt19937_64 generator(1);
  Router<E, C, true> router(randomValues<float>(size_t(tokens) * E, 1, generator), tokens, tokens);
  for (bool one : {true, false}) {
    if (one && tokens > 128)
      continue;
    double time =
        timeInGraph([&](cudaStream_t stream, int) { router.launch(stream, one); }, 20, 10).median;
    std::printf("route T=%-6d E=%-4d C=%d %s %8.2f us\n", tokens, E, C,
                one ? "one CTA" : "two kernels", time * 1e3);
  }
}

void timings() {
  for (int tokens : {1, 16, 64, 128, 1024, 8192, 16384})
    timeRoute<32, 2>(tokens);
  for (int tokens : {1, 16, 128, 16384})
    timeRoute<256, 8>(tokens);
  std::mt19937_64 generator(5);
  for (int rows : {1, 32}) {
    int vocabulary = 200064;
    Buffer<float> in(randomValues<float>(size_t(rows) * vocabulary, 3, generator)),
        out(size_t(rows) * 130);
    double time =
        timeInGraph(
            [&](cudaStream_t stream, int) {
              row_summary<<<rows, 1024, 0, stream>>>(in.data(), out.data(), rows, vocabulary);
            },
            10, 10)
            .median;
    std::printf("row_summary %d x %d: %.2f us\n", rows, vocabulary, time * 1e3);
  }
  Buffer<float> equal(std::vector<float>(200064, 1.0f)), out(130);
  double time =
      timeOf([&] { row_summary<<<1, 1024>>>(equal.data(), out.data(), 1, 200064); }, 2, 5).median;
  std::printf("row_summary of equal elements: %.2f us\n", time * 1e3);
  int64_t count = int64_t(1) << 30;
  Buffer<__nv_bfloat16> large(count);
  time = timeOf([&] { fill_random<<<132 * 8, 256>>>(large.data(), count, 1, 0x3F000000, 7); }, 1, 5)
             .median;
  std::printf("fill_random bf16: %.3f TB/s\n", 2.0 * count / time * 1e-9);
}

} // namespace

int main(int argc, char **argv) {
  bool all = argc < 2;
  if (all || std::strcmp(argv[1], "check") == 0) {
    checkRoutes<32, 2, true>();
    checkRoutes<4, 2, true>();
    checkRoutes<256, 8, false>();
    checkRoutes<40, 3, true>();
    checkRoutes<1, 1, false>();
    checkStrange();
    std::printf("route checked, %d failures so far\n", failures);
    std::fflush(stdout);
    checkUtility();
  }
  if (all || std::strcmp(argv[1], "time") == 0)
    timings();
  std::printf("%s\n", failures ? "FAILED" : "passed");
  return failures != 0;
}
