// Softmax attention over a paged cache: every kernel against float64, then its time.
//
//   attention [check] [prefill-check] [decode] [prefill] [mixed]
//
// Prints a line for each case, the relative error ||out - ref|| / ||ref|| and "ok", or "WRONG" and
// ends with status 1.  Times are medians; bytes count the cache read once.
#include "AttentionCase.cuh"

#include <cstring>
#include <string>

namespace levin::bench {
namespace {

using bf16 = __nv_bfloat16;
using fp8 = __nv_fp8_e4m3;

int failures = 0;

void report(const std::string &what, bool good, const std::string &figures) {
  std::printf("%-5s %-58s %s\n", good ? "ok" : "WRONG", what.c_str(), figures.c_str());
  std::fflush(stdout);
  failures += !good;
}

/// Bytes that are e4m3 numbers up to 3.75.
__global__ void fillBytes(uint8_t *out, size_t count) {
  for (size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x; i < count;
       i += size_t(gridDim.x) * blockDim.x) {
    uint64_t z = (i + 1) * 0x9E3779B97F4A7C15ull;
    z = (z ^ (z >> 31)) * 0xBF58476D1CE4E5B9ull;
    out[i] = static_cast<uint8_t>((z >> 40 & 0x80) | (z >> 32) % 0x48);
  }
}

template <typename T> const char *nameOf() {
  return sizeof(T) == 4 ? "f32" : sizeof(T) == 2 ? "bf16" : "fp8";
}

enum class Path { Fast, Few, Plain }; // Few: long ones as in steps that should have none

/// Runs one case and compares output and cache.  `bound` is for the output.
template <typename Shape>
void check(const char *name, Path path, const std::vector<Load> &loads, int tokens, int sequences,
           int blocks, double bound) {
  using Page = typename Shape::Page;
  using Input = typename Shape::Input;
  setFrequencies(1e4, Shape::width);
  AttentionCase<Shape> test(loads, tokens, sequences, blocks, 7);
  std::mt19937_64 generator(11);
  std::vector<Input> projection =
      randomValues<Input>(static_cast<size_t>(tokens) * Shape::columns, 1.0, generator);
  int real = test.starts[sequences];
  uint8_t nan = 0xFF;
  std::memset(
      reinterpret_cast<void *>(projection.data() + static_cast<size_t>(real) * Shape::columns), nan,
      static_cast<size_t>(tokens - real) * Shape::columns * sizeof(Input));
  test.projection.set(projection);

  // Only the context's rows hold numbers.
  std::vector<Page> keys(test.poolCount()), values(test.poolCount());
  std::memset(reinterpret_cast<void *>(keys.data()), nan, keys.size() * sizeof(Page));
  std::memset(reinterpret_cast<void *>(values.data()), nan, values.size() * sizeof(Page));
  std::vector<uint8_t> isNew(static_cast<size_t>(test.poolPages) * pageRows, 0);
  std::vector<Page> stock = randomValues<Page>(1 << 18, 1.0, generator);
  auto pageOf = [&](int s, int position) {
    return static_cast<size_t>(test.pages[static_cast<size_t>(s) * blocks + position / pageRows]);
  };
  for (int s = 0; s < sequences; ++s) {
    int count = test.starts[s + 1] - test.starts[s];
    for (int position = 0; count > 0 && position < std::min(test.past[s], blocks * pageRows);
         ++position)
      for (int g = 0; g < Shape::groups; ++g) {
        size_t row = (pageOf(s, position) * Shape::groups + g) * pageRows + position % pageRows;
        for (std::vector<Page> *rows : {&keys, &values})
          std::copy_n(stock.begin() + static_cast<long>(generator() % (stock.size() - Shape::size)),
                      Shape::size, rows->begin() + static_cast<long>(row * Shape::size));
      }
    for (int i = 0; i < count && test.past[s] + i < blocks * pageRows; ++i)
      isNew[pageOf(s, test.past[s] + i) * pageRows + (test.past[s] + i) % pageRows] = 1;
  }

  std::vector<typename Shape::Output> first;
  bool same = true;
  for (int repeat = 0; repeat < 2; ++repeat) {
    test.keys.set(keys);
    test.values.set(values);
    test.output.poison();
    test.scratch.poison();
    if (path == Path::Plain) {
      test.plain(1);
    } else if constexpr (sizeof(Input) == 2 && Shape::size % 64 == 0 && Shape::size <= 128) {
      if (path == Path::Few)
        test.few();
      else
        test.prefill();
      CHECK_CUDA(cudaDeviceSynchronize());
      test.scratch.poison();
      test.decode();
    }
    CHECK_CUDA(cudaDeviceSynchronize());
    std::vector<typename Shape::Output> now = test.output.get();
    if (repeat == 0)
      first = now;
    else
      same = std::memcmp(first.data(), now.data(),
                         static_cast<size_t>(real) * Shape::heads * Shape::size *
                             sizeof(first[0])) == 0;
  }

  Buffer<double> reference(static_cast<size_t>(tokens) * Shape::heads * Shape::size);
  Buffer<float> newKeys(static_cast<size_t>(tokens) * Shape::groups * Shape::size);
  Buffer<float> newValues(newKeys.size());
  allowShared(referenceKernel<Shape>, 160 << 10);
  for (int s = 0; s < sequences; ++s) {
    int count = test.starts[s + 1] - test.starts[s];
    if (count == 0)
      continue;
    size_t bytes = static_cast<size_t>(test.past[s] + count) * sizeof(double);
    referenceKernel<Shape><<<dim3(count, Shape::heads), 256, bytes>>>(test.batch(), test.pointers(),
                                                                      s, reference.data());
    referenceRows<Shape><<<dim3(count, Shape::groups), Shape::size>>>(
        test.batch(), test.pointers(), s, newKeys.data(), newValues.data());
  }
  CHECK_CUDA(cudaDeviceSynchronize());
  std::vector<double> expected = reference.get();
  expected.resize(static_cast<size_t>(real) * Shape::heads * Shape::size);
  Difference difference = compare(first, expected);

  // The cache: new rows as computed, everything else untouched.
  std::vector<Page> keysAfter = test.keys.get(), valuesAfter = test.values.get();
  size_t touched = 0;
  for (size_t row = 0; row < keys.size() / Shape::size; ++row) {
    size_t page = row / pageRows / Shape::groups;
    if (isNew[page * pageRows + row % pageRows])
      continue;
    touched += std::memcmp(&keys[row * Shape::size], &keysAfter[row * Shape::size],
                           Shape::size * sizeof(Page)) != 0;
    touched += std::memcmp(&values[row * Shape::size], &valuesAfter[row * Shape::size],
                           Shape::size * sizeof(Page)) != 0;
  }
  std::vector<float> wantKeys = newKeys.get(), wantValues = newValues.get(), gotKeys, gotValues;
  std::vector<float> keysExpected, valuesExpected;
  for (int s = 0; s < sequences; ++s)
    for (int i = 0; i < test.starts[s + 1] - test.starts[s]; ++i) {
      int position = test.past[s] + i;
      if (position >= blocks * pageRows)
        continue;
      for (int g = 0; g < Shape::groups; ++g)
        for (int c = 0; c < Shape::size; ++c) {
          size_t row = (pageOf(s, position) * Shape::groups + g) * pageRows + position % pageRows;
          size_t from =
              (static_cast<size_t>(test.starts[s] + i) * Shape::groups + g) * Shape::size + c;
          gotKeys.push_back(static_cast<float>(keysAfter[row * Shape::size + c]));
          gotValues.push_back(static_cast<float>(valuesAfter[row * Shape::size + c]));
          keysExpected.push_back(wantKeys[from]);
          valuesExpected.push_back(wantValues[from]);
        }
    }
  double keyError = compare(gotKeys, keysExpected).relative;
  double valueError = compare(gotValues, valuesExpected).relative;
  char figures[160];
  std::snprintf(figures, sizeof(figures), "error %.2e (largest %.1e) keys %.1e values %.1e%s%s",
                difference.relative, difference.largest, keyError, valueError,
                same ? "" : " NOT REPEATED", touched ? " CACHE TOUCHED" : "");
  char what[120];
  std::snprintf(what, sizeof(what), "%s %s H%d/%d D%d pages %s",
                path == Path::Fast  ? "fast"
                : path == Path::Few ? "few"
                                    : "plain",
                name, Shape::heads, Shape::groups, Shape::size, nameOf<Page>());
  report(what,
         difference.relative < bound && keyError < 2e-3 && valueError == 0 && same && touched == 0,
         figures);
}

template <typename Shape> void checkDecode(double bound) {
  std::vector<Load> edges;
  for (int past : {0, 1, 62, 63, 64, 65, 126, 127, 128, 1000, 4095})
    edges.push_back({1, past});
  check<Shape>("decode, edges", Path::Fast, edges, 16, 16, 66, bound);
  check<Shape>("decode, one", Path::Fast, {{1, 4095}}, 1, 1, 64, bound);
  check<Shape>("decode, full cache", Path::Fast, {{1, 255}, {1, 256}, {1, 300}}, 4, 3, 4, bound);
  std::vector<Load> many;
  for (int s = 0; s < 70; ++s)
    many.push_back({s % 7 == 3 ? 0 : 1, s * 37 % 900});
  check<Shape>("decode, 70 sequences", Path::Fast, many, 70, 80, 16, bound);
}
template <typename Shape> void checkPrefill(double bound) {
  for (int past : {0, 1, 63, 64, 65, 4095}) {
    std::vector<Load> loads;
    for (int rows : {2, 63, 64, 65, 127, 128, 129, 300})
      loads.push_back({rows, past});
    std::string name = "prefill, context " + std::to_string(past);
    check<Shape>(name.c_str(), Path::Fast, loads, 900, 9, 72, bound);
  }
  check<Shape>("prefill, 1000", Path::Fast, {{1000, 0}, {1000, 1000}}, 2048, 2, 32, bound);
}
template <typename Shape> void checkMixed(Path path, double bound) {
  std::vector<Load> loads;
  for (int i = 0; i < 20; ++i)
    loads.push_back({i == 3 ? 50 : i == 11 ? 77 : i == 5 ? 0 : 1, 10 + i * 217 % 4096});
  check<Shape>("mixed", path, loads, 160, 20, 70, bound);
  check<Shape>("short", path, {{1, 0}, {2, 0}, {1, 63}, {65, 1}}, 80, 5, 4, bound);
  check<Shape>("long", path, {{300, 64}, {1, 700}}, 310, 4, 12, bound);
  check<Shape>("full cache", path, {{10, 120}, {4, 128}, {1, 127}, {1, 128}}, 16, 4, 2, bound);
}

template <typename Shape> void fillPages(AttentionCase<Shape> &test) {
  if constexpr (sizeof(typename Shape::Page) == 2) {
    fillRandom(test.keys, 1.0f, 2);
    fillRandom(test.values, 1.0f, 3);
  } else {
    for (auto *pages : {&test.keys, &test.values})
      fillBytes<<<1024, 256>>>(reinterpret_cast<uint8_t *>(pages->data()), pages->size());
  }
}

template <typename Shape> void timeDecode(double copy) {
  setFrequencies(1e7, Shape::width);
  for (int context : {4096, 65536})
    for (int count : {1, 4, 32}) {
      double bytes = 2.0 * count * (context + 1.0) * Shape::groups * Shape::size *
                     sizeof(typename Shape::Page);
      int copies = std::max(1, static_cast<int>(std::ceil(400e6 / bytes)));
      // Batches of one pool, so that runs after each other find nothing in L2.
      std::vector<Load> loads(static_cast<size_t>(count) * copies, {1, context});
      int blocks = context / pageRows + 1;
      AttentionCase<Shape> test(loads, count * copies, count * copies, blocks, 3);
      fillRandom(test.projection, 1.0f, 1);
      fillPages(test);
      std::vector<int> starts(count + 1);
      std::iota(starts.begin(), starts.end(), 0);
      Buffer<int> startsOfOne(starts);
      for (bool combine : {true, false}) {
        using Layout = kernels::attention::DecodeLayout<Shape>;
        allowShared(decodeKernel<Shape>, Layout::sharedBytes);
        Times times = timeInGraph(
            [&](cudaStream_t stream, int i) {
              test.decodePart(i % copies, count, startsOfOne.data(), stream, combine);
            },
            20, 20);
        std::printf("decode %-4s B %-3d context %-6d%s: %8.2f us (%.2f-%.2f)  %.2f TB/s  "
                    "%.0f %% of copy\n",
                    nameOf<typename Shape::Page>(), count, context,
                    combine ? "" : " without the second kernel", times.median * 1e3,
                    times.low * 1e3, times.high * 1e3, bytes / times.median / 1e9,
                    100 * bytes / (times.median * 1e-3) / copy);
        std::fflush(stdout);
      }
    }
}

template <typename Shape> void timePrefill() {
  setFrequencies(1e7, Shape::width);
  struct Size {
    int rows, past;
  };
  for (Size size : {Size{1024, 0}, {8192, 0}, {32768, 0}, {2048, 30720}}) {
    AttentionCase<Shape> test({{size.rows, size.past}}, size.rows, 1,
                              (size.rows + size.past) / pageRows, 3);
    fillRandom(test.projection, 1.0f, 1);
    fillPages(test);
    double pairs = 0.5 * size.rows * (size.rows + 1.0) + 1.0 * size.rows * size.past;
    double flops = 4.0 * pairs * Shape::heads * Shape::size;
    int runs = size.rows > 10000 ? 8 : 30;
    Times times = timeOf([&] { test.prefill(); }, 3, runs);
    Times store = timeOf([&] { test.store(2); }, 3, runs);
    std::printf("prefill %s D %d rows %d context %d: %.3f ms (%.3f-%.3f), of these store %.3f; "
                "%.0f TFLOP/s\n",
                nameOf<typename Shape::Page>(), Shape::size, size.rows, size.past, times.median,
                times.low, times.high, store.median, flops / times.median / 1e9);
    std::fflush(stdout);
  }
}

/// 18 sequences of one row and two of 50, each behind 4096 positions: alone, and beside each other.
template <typename Shape> void timeMixed() {
  setFrequencies(1e7, Shape::width);
  std::vector<Load> loads(18, {1, 4096});
  loads.insert(loads.end(), 2, {50, 4096});
  AttentionCase<Shape> test(loads, 128, 20, 66, 3);
  fillRandom(test.projection, 1.0f, 1);
  fillPages(test);
  cudaStream_t side;
  cudaEvent_t fork, join;
  CHECK_CUDA(cudaStreamCreate(&side));
  CHECK_CUDA(cudaEventCreate(&fork));
  CHECK_CUDA(cudaEventCreate(&join));
  auto print = [&](const char *what, Times times) {
    std::printf("mixed %s: %.2f us (%.2f-%.2f)\n", what, times.median * 1e3, times.low * 1e3,
                times.high * 1e3);
    std::fflush(stdout);
  };
  print("long ones alone", timeInGraph([&](cudaStream_t s, int) { test.prefill(s); }, 10, 20));
  for (int ctas : {264, 132, 100, 66}) {
    std::string name = std::to_string(ctas) + " CTAs";
    print(("short ones alone, " + name).c_str(),
          timeInGraph([&](cudaStream_t s, int) { test.decode(s, 1, ctas); }, 10, 20));
    print(("both, " + name).c_str(), timeInGraph(
                                         [&](cudaStream_t s, int) {
                                           CHECK_CUDA(cudaEventRecord(fork, s));
                                           CHECK_CUDA(cudaStreamWaitEvent(side, fork, 0));
                                           test.prefill(s);
                                           test.decode(side, 1, ctas);
                                           CHECK_CUDA(cudaEventRecord(join, side));
                                           CHECK_CUDA(cudaStreamWaitEvent(s, join, 0));
                                         },
                                         10, 20));
  }
  CHECK_CUDA(cudaStreamDestroy(side));
}

template <typename Page, int H, int G, int D, int W>
using Bf16Shape = AttentionShape<bf16, Page, bf16, H, G, D, W>;

} // namespace
} // namespace levin::bench

int main(int count, char **arguments) {
  using namespace levin::bench;
  auto asked = [&](const char *what) {
    bool found = count == 1;
    for (int i = 1; i < count; ++i)
      found |= std::strcmp(arguments[i], what) == 0;
    return found;
  };
  if (asked("check")) {
    checkDecode<Bf16Shape<bf16, 64, 8, 128, 64>>(6e-3);
    checkDecode<Bf16Shape<fp8, 64, 8, 128, 64>>(6e-3);
    checkDecode<Bf16Shape<bf16, 4, 2, 64, 64>>(6e-3);
    checkDecode<Bf16Shape<fp8, 6, 2, 64, 0>>(6e-3);
    checkDecode<Bf16Shape<bf16, 32, 2, 128, 128>>(6e-3);
    checkDecode<Bf16Shape<fp8, 12, 1, 128, 128>>(6e-3);
    checkMixed<AttentionShape<float, float, float, 4, 2, 64, 64>>(Path::Plain, 1e-6);
    checkMixed<AttentionShape<float, bf16, float, 6, 3, 40, 20>>(Path::Plain, 1e-6);
    checkMixed<AttentionShape<float, fp8, float, 8, 1, 256, 64>>(Path::Plain, 3e-6);
    checkMixed<AttentionShape<bf16, fp8, bf16, 64, 8, 128, 64>>(Path::Plain, 6e-3);
    checkMixed<AttentionShape<float, float, float, 3, 3, 7, 6>>(Path::Plain, 1e-6);
  }
  if (asked("prefill-check")) {
    checkMixed<Bf16Shape<bf16, 64, 8, 128, 64>>(Path::Fast, 6e-3);
    checkMixed<Bf16Shape<fp8, 4, 2, 64, 64>>(Path::Fast, 6e-3);
    checkMixed<Bf16Shape<bf16, 4, 2, 64, 64>>(Path::Few, 6e-3);
    checkMixed<Bf16Shape<fp8, 64, 8, 128, 64>>(Path::Few, 6e-3);
    checkPrefill<Bf16Shape<fp8, 16, 2, 128, 64>>(6e-3);
    checkPrefill<Bf16Shape<bf16, 16, 2, 128, 64>>(6e-3);
    checkPrefill<Bf16Shape<bf16, 4, 4, 128, 128>>(6e-3);
    checkPrefill<Bf16Shape<fp8, 4, 4, 64, 0>>(6e-3);
    checkPrefill<Bf16Shape<bf16, 6, 2, 64, 64>>(6e-3);
  }
  if (asked("prefill")) {
    timePrefill<Bf16Shape<bf16, 64, 8, 128, 64>>();
    timePrefill<Bf16Shape<fp8, 64, 8, 128, 64>>();
  }
  if (asked("mixed"))
    timeMixed<Bf16Shape<bf16, 64, 8, 128, 64>>();
  if (asked("decode")) {
    double copy = copyBandwidth();
    std::printf("copy: %.2f TB/s read and written\n", copy / 1e12);
    timeDecode<Bf16Shape<bf16, 64, 8, 128, 64>>(copy);
    timeDecode<Bf16Shape<fp8, 64, 8, 128, 64>>(copy);
  }
  if (failures > 0)
    std::printf("%d WRONG\n", failures);
  return failures > 0;
}
