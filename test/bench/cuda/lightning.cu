// Lightning attention on the device: conformance against float64, then time.
//
//   lightning check [filter]   every kernel on every edge length; exit code 1 if one fails
//   lightning time [filter]    rows of milliseconds, TB/s and share of the measured copy bandwidth
#include "Lightning.cuh"

#include <cstring>
#include <functional>

using namespace levin::bench;

static bool passed = true;
static std::string filter;

static bool wanted(const std::string &name) { return name.find(filter) != std::string::npos; }

// Rounding the output to bf16 alone gives 1.66e-3; float32 sums give about 1e-6.  With bf16
// operands S is of values rounded once more (1.5e-3): 2.2e-3 together where S as an operand has
// twice the digits, 2.5e-3 where half of it has, 2.7e-3 where none has.  Two rows have few scores,
// each of which may be off by 2e-3.
static constexpr double roundedOutput = 2.0e-3, exactSums = 5e-6, roundedState = 1.7e-3;
static constexpr double roundedTwice = 2.4e-3, roundedHalf = 2.7e-3, roundedOperands = 2.9e-3;

/// One way to run a step.  Limits are relative L2 errors of output and state.
template <typename In, typename Out> struct Runner {
  std::string name;
  std::function<void(const LightningArguments<In, Out> &, int sequences)> launch;
  double outputLimit, stateLimit;
  int longest = 1 << 30; // rows of a sequence that it is tested with
};

template <int D, typename In, typename Out>
static void checkBatch(const Runner<In, Out> &runner, const std::string &name,
                       const BatchShape &shape, uint64_t seed) {
  Batch<D, In, Out> batch(shape, seed);
  auto reference = batch.reference();
  batch.reset();
  runner.launch(batch.arguments(), batch.sequences);
  std::string title = runner.name + " " + name;
  passed &= batch.check(title, reference, runner.outputLimit, runner.stateLimit);
  std::vector<Out> first = batch.output.get();
  std::vector<float> firstState = batch.state.get();
  batch.reset();
  runner.launch(batch.arguments(), batch.sequences);
  std::vector<Out> second = batch.output.get();
  std::vector<float> secondState = batch.state.get();
  size_t used = size_t(batch.rows) * shape.heads * D; // padding rows are unspecified
  if (std::memcmp(first.data(), second.data(), used * sizeof(Out)) != 0 ||
      std::memcmp(firstState.data(), secondState.data(), firstState.size() * sizeof(float)) != 0) {
    std::printf("FAIL %s: other bits on repetition\n", title.c_str());
    passed = false;
  }
}

/// A prompt of `length` rows, in two steps, cut everywhere.
template <int D, typename In, typename Out>
static void checkSplits(const Runner<In, Out> &runner, int length, int stride, uint64_t seed) {
  Batch<D, In, Out> batch({{length}, {0}, 4, 3}, seed);
  auto reference = batch.reference();
  int failures = 0, cuts = 0;
  for (int cut = 1; cut < length; cut += stride, ++cuts) {
    batch.reset();
    auto arguments = batch.arguments();
    batch.setBatch({0, cut}, {0});
    runner.launch(arguments, 1);
    batch.setBatch({cut, length}, {cut});
    runner.launch(arguments, 1);
    failures += !batch.check("", reference, runner.outputLimit, runner.stateLimit);
  }
  std::printf("%-4s %s %d rows in two steps, %d cuts\n", failures ? "FAIL" : "ok",
              runner.name.c_str(), length, cuts);
  passed &= failures == 0;
}

template <int D, typename In, typename Out> static void check(const Runner<In, Out> &runner) {
  if (!wanted(runner.name))
    return;
  uint64_t seed = 1;
  if (D == 128 && runner.stateLimit == roundedState) // beside lightning_peer.py
    checkBatch<D>(runner, "1024 rows, 64 heads", {{1024}, {0}, 64}, ++seed);
  for (int length : {1, 2, 63, 64, 65, 127, 128, 129, 255, 256, 257, 1000}) {
    if (length > runner.longest)
      continue;
    checkBatch<D>(runner, std::to_string(length) + " rows", {{length}, {0}, 8, 5}, ++seed);
    checkBatch<D>(runner, std::to_string(length) + " rows, past", {{length}, {77}, 8, 5, false},
                  ++seed);
  }
  if (runner.longest >= 1000) {
    BatchShape mixture{{1, 2, 63, 64, 65, 0, 127, 1, 128, 129, 0, 255, 256, 257, 1000, 1, 1},
                       {0, 5, 0, 7, 0, 3, 9, 1, 0, 64, 0, 0, 2, 0, 11, 0, 4},
                       5,
                       37};
    checkBatch<D>(runner, "mixture", mixture, ++seed);
    mixture.interleaved = false;
    mixture.padding = 0;
    checkBatch<D>(runner, "mixture, plain", mixture, ++seed);
    checkBatch<D>(runner, "nothing", {{0, 0}, {0, 3}, 2, 9}, ++seed);
    checkBatch<D>(runner, "long ones", {{2500, 1537, 2048}, {3, 0, 5}, 3, 11}, ++seed);
    checkSplits<D>(runner, 131, 3, ++seed);
    checkSplits<D>(runner, 400, 37, ++seed);
  } else {
    checkBatch<D>(runner, "one row each", {{1, 0, 1, 1, 1, 0, 1}, {0, 1, 1, 5, 0, 0, 9}, 16, 9},
                  ++seed);
  }
}

template <int D, int Columns, typename In, typename Out>
static Runner<In, Out> decodeRunner(const std::string &types) {
  return {"decode/" + types + "/d" + std::to_string(D) + "/c" + std::to_string(Columns),
          [](const LightningArguments<In, Out> &arguments, int sequences) {
            launchDecode<D, Columns>(arguments, sequences, anyLength);
          },
          std::is_same_v<Out, float> ? exactSums : roundedOutput, exactSums};
}
template <int D, typename In, typename Out>
static Runner<In, Out> plainRunner(const std::string &types) {
  return {"plain/" + types + "/d" + std::to_string(D),
          [](const LightningArguments<In, Out> &arguments, int sequences) {
            launchPlain<D>(arguments, sequences, 0);
          },
          std::is_same_v<Out, float> ? exactSums : roundedOutput, exactSums};
}

/// Prefill of sequences of two and more rows, decode of those of one.
template <int D, int Stages, bool Multicast, int Fine = D / 32>
static Runner<bf16, bf16> prefillRunner(int segments = 1) {
  return {"prefill/d" + std::to_string(D) + "/" + std::to_string(Stages) + (Multicast ? "m" : "") +
              (Fine != D / 32 ? "/fine " + std::to_string(Fine) : "") +
              (segments > 1 ? "/segments" : ""),
          [=](const LightningArguments<bf16, bf16> &arguments, int sequences) {
            launchPrefill<D, Stages, Multicast, Fine>(arguments, sequences, 2, nullptr, segments);
            launchDecode<D, 32>(arguments, sequences, 1);
          },
          Fine == 0       ? roundedOperands
          : Fine < D / 16 ? roundedHalf
                          : roundedTwice,
          roundedState};
}

static void checkAll() {
  check<128>(decodeRunner<128, 32, bf16, bf16>("bf16"));
  check<128>(decodeRunner<128, 64, bf16, bf16>("bf16"));
  check<96>(decodeRunner<96, 32, bf16, float>("bf16-f32"));
  check<256>(decodeRunner<256, 64, bf16, bf16>("bf16"));
  check<128>(decodeRunner<128, 128, bf16, bf16>("bf16"));
  check<64>(decodeRunner<64, 32, bf16, bf16>("bf16"));
  check<64>(decodeRunner<64, 32, float, float>("f32"));
  check<128>(decodeRunner<128, 32, float, float>("f32"));
  check<128>(prefillRunner<128, 3, true>());
  check<128>(prefillRunner<128, 3, true, 0>());
  check<128>(prefillRunner<128, 3, true, 8>());
  check<64>(prefillRunner<64, 4, false>());
  check<128>(prefillRunner<128, 3, true>(5));
  check<64>(prefillRunner<64, 4, false>(3));
  check<128>(plainRunner<128, bf16, bf16>("bf16"));
  check<128>(plainRunner<128, float, float>("f32"));
  check<64>(plainRunner<64, float, float>("f32"));
  check<96>(plainRunner<96, bf16, bf16>("bf16"));
  check<256>(plainRunner<256, float, float>("f32"));
  check<24>(plainRunner<24, float, float>("f32"));
  check<10>(plainRunner<10, float, float>("f32"));
  check<3>(plainRunner<3, float, float>("f32"));
}

//===- Time ---------------------------------------------------------------------------------===//

static double copyRate = 0;

static void row(const std::string &name, Times times, double bytes) {
  double rate = bytes / (times.median * 1e-3);
  std::printf("%-40s %9.2f us  (%.2f to %.2f)  %6.3f TB/s  %5.1f %% of copy\n", name.c_str(),
              times.median * 1e3, times.low * 1e3, times.high * 1e3, rate * 1e-12,
              100 * rate / copyRate);
  std::fflush(stdout);
}

/// A step of `sequences` sequences of one row, 64 heads of 128, as one launch of a graph that walks
/// through states of more bytes than L2 holds.
template <int Columns> static void timeDecode(int sequences) {
  constexpr int d = 128, heads = 64;
  std::string name = "decode B" + std::to_string(sequences) + " columns " + std::to_string(Columns);
  if (!wanted(name))
    return;
  int sets = std::max(2, 64 / sequences);
  Batch<d, bf16, bf16> batch(
      {std::vector<int>(sequences, 1), std::vector<int>(sequences, 1), heads, 0, true, 1.0f, true},
      5);
  size_t stateSize = size_t(batch.slotCount) * heads * d * d;
  Buffer<float> states(std::vector<float>(stateSize * sets, 0.5f));
  Times times = timeInGraph(
      [&](cudaStream_t stream, int i) {
        auto arguments = batch.arguments();
        arguments.state = states.data() + stateSize * (i % sets);
        launchDecode<d, Columns>(arguments, sequences, 1, stream);
      },
      2 * sets, 20);
  row(name, times, double(sequences) * heads * (2.0 * d * d * 4 + 4.0 * d * 2));
}

template <int Stages, bool Multicast, int Fine = 4>
static void timePrefill(int sequences, int length, int heads = 64, int segments = 1) {
  constexpr int d = 128;
  std::string name = "prefill B" + std::to_string(sequences) + " T" + std::to_string(length) +
                     " stages " + std::to_string(Stages) + (Multicast ? " multicast" : "") +
                     (Fine != 4 ? " fine " + std::to_string(Fine) : "") +
                     (heads == 64 ? "" : " heads " + std::to_string(heads)) +
                     (segments == 1 ? "" : " segments " + std::to_string(segments));
  if (!wanted(name))
    return;
  std::vector<std::unique_ptr<Batch<d, bf16, bf16>>> batches; // together larger than L2
  do
    batches.push_back(std::make_unique<Batch<d, bf16, bf16>>(
        BatchShape{std::vector<int>(sequences, length), {}, heads, 0, true, 1.0f, true}, 5));
  while (int(batches.size()) * sequences * length < 8192);
  launchPrefill<d, Stages, Multicast, Fine>(batches[0]->arguments(), sequences, 2, nullptr,
                                            segments);
  Times times = timeInGraph(
      [&](cudaStream_t stream, int i) {
        launchPrefill<d, Stages, Multicast, Fine>(batches[i % batches.size()]->arguments(),
                                                  sequences, 2, stream, segments);
      },
      int(batches.size()) * 2, 20);
  row(name, times, double(sequences) * heads * (double(length) * d * 8 + d * d * 4));
}

/// `sequences` of one row and two of 50, all with a past: decode alone, prefill alone, both beside
/// one another in a graph.
static void timeMixed(int sequences) {
  constexpr int d = 128, heads = 64, sets = 4;
  std::string name = "mixed " + std::to_string(sequences) + " of 1 row, 2 of 50";
  if (!wanted(name))
    return;
  std::vector<int> lengths(sequences, 1), past(sequences + 2, 4096);
  lengths.push_back(50), lengths.push_back(50);
  Batch<d, bf16, bf16> batch({lengths, past, heads, 0, true, 1.0f, true}, 5);
  size_t stateSize = size_t(batch.slotCount) * heads * d * d;
  Buffer<float> states(std::vector<float>(stateSize * sets, 0.5f));
  cudaStream_t side;
  cudaEvent_t fork, join;
  CHECK_CUDA(cudaStreamCreate(&side));
  CHECK_CUDA(cudaEventCreate(&fork));
  CHECK_CUDA(cudaEventCreate(&join));
  launchPrefill<d, 3, true>(batch.arguments(), batch.sequences, 2);
  for (int kind = 0; kind < 3; ++kind) {
    Times times = timeInGraph(
        [&](cudaStream_t stream, int i) {
          auto arguments = batch.arguments();
          arguments.state = states.data() + stateSize * (i % sets);
          if (kind == 2) {
            CHECK_CUDA(cudaEventRecord(fork, stream));
            CHECK_CUDA(cudaStreamWaitEvent(side, fork));
          }
          if (kind != 0)
            launchPrefill<d, 3, true>(arguments, batch.sequences, 2, stream);
          if (kind != 1)
            launchDecode<d, 64>(arguments, batch.sequences, 1, kind == 2 ? side : stream);
          if (kind == 2) {
            CHECK_CUDA(cudaEventRecord(join, side));
            CHECK_CUDA(cudaStreamWaitEvent(stream, join));
          }
        },
        5 * sets, 20);
    int counted = kind == 0 ? sequences : kind == 1 ? 2 : sequences + 2;
    row(name + (kind == 0   ? ": decode"
                : kind == 1 ? ": prefill"
                            : ": both"),
        times, double(counted) * heads * 2.0 * d * d * 4);
  }
}

static void timePlain(int length) {
  constexpr int d = 128, heads = 64;
  std::string name = "plain bf16 T" + std::to_string(length);
  if (!wanted(name))
    return;
  Batch<d, bf16, bf16> batch({{length}, {0}, heads, 0, true, 1.0f, true}, 5);
  Times times = timeOf([&] { launchPlain<d>(batch.arguments(), 1, 0); }, 2, 5);
  row(name, times, double(length) * heads * d * 8);
}

static void timeAll() {
  copyRate = copyBandwidth();
  std::printf("copy %.3f TB/s\n", copyRate * 1e-12);
  for (int sequences : {1, 2, 4, 16, 64}) {
    timeDecode<32>(sequences);
    timeDecode<64>(sequences);
    timeDecode<128>(sequences);
  }
  timeMixed(18);
  for (auto [sequences, length] :
       {std::pair(1, 8192), {1, 1024}, {1, 32768}, {8, 4096}, {1, 131072}}) {
    timePrefill<3, true>(sequences, length);
    timePrefill<3, true, 8>(sequences, length);
    timePrefill<3, true, 0>(sequences, length);
  }
  for (int heads : {8, 16, 32})
    for (int segments : {1, 2, 4, 8})
      if (heads * segments <= 64)
        timePrefill<3, true>(1, 8192, heads, segments);
  timePlain(1024);
  timePlain(8192);
}

int main(int argc, char **argv) {
  if (argc < 2)
    return std::fprintf(stderr, "lightning check|time [filter]\n"), 2;
  filter = argc > 2 ? argv[2] : "";
  cudaDeviceProp properties;
  CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
  std::printf("%s, %d multiprocessors\n", properties.name, properties.multiProcessorCount);
  if (std::string(argv[1]) == "time")
    timeAll();
  else
    checkAll();
  if (!passed)
    std::printf("FAILED\n");
  return passed ? 0 : 1;
}
