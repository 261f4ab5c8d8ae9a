// What the stand-alone benchmarks of CUDA kernels share: random inputs, poison, comparison, time.
#ifndef LEVIN_TEST_BENCH_CUDA_HARNESS_CUH
#define LEVIN_TEST_BENCH_CUDA_HARNESS_CUH

#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <vector>

#define CHECK_CUDA(call)                                                                           \
  do {                                                                                             \
    cudaError_t error_ = (call);                                                                   \
    if (error_ != cudaSuccess) {                                                                   \
      std::printf("%s:%d: %s: %s\n", __FILE__, __LINE__, #call, cudaGetErrorString(error_));       \
      std::exit(1);                                                                                \
    }                                                                                              \
  } while (0)

namespace levin::bench {

/// Device memory of `count` elements, every byte 0xFF (NaN in every float type) until set.
template <typename T> class Buffer {
public:
  explicit Buffer(size_t count) : count(count) {
    CHECK_CUDA(cudaMalloc(&base, std::max<size_t>(bytes(), 16)));
    poison();
  }
  explicit Buffer(const std::vector<T> &values) : Buffer(values.size()) { set(values); }
  ~Buffer() { cudaFree(base); }
  Buffer(const Buffer &) = delete;
  Buffer &operator=(const Buffer &) = delete;

  void poison() { CHECK_CUDA(cudaMemset(base, 0xFF, bytes())); }
  void set(const std::vector<T> &values) {
    CHECK_CUDA(cudaMemcpy(base, values.data(), bytes(), cudaMemcpyHostToDevice));
  }
  std::vector<T> get() const {
    std::vector<T> values(count);
    CHECK_CUDA(cudaMemcpy(values.data(), base, bytes(), cudaMemcpyDeviceToHost));
    return values;
  }
  T *data() const { return base; }
  size_t size() const { return count; }
  size_t bytes() const { return count * sizeof(T); }

private:
  T *base = nullptr;
  size_t count;
};

/// Standard normal values times `scale`.  bf16 values are rounded from them.
template <typename T>
std::vector<T> randomValues(size_t count, double scale, std::mt19937_64 &generator) {
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  std::vector<T> values(count);
  for (T &value : values)
    value = static_cast<T>(normal(generator));
  return values;
}

__global__ inline void fillRandomKernel(__nv_bfloat16 *out, size_t count, float scale,
                                        uint64_t seed) {
  for (size_t i = blockIdx.x * size_t(blockDim.x) + threadIdx.x; i < count;
       i += size_t(gridDim.x) * blockDim.x) {
    uint64_t z = (i + seed * 0x9E3779B97F4A7C15ull) * 0xBF58476D1CE4E5B9ull;
    float sum = 0; // of four uniform values: close to normal, variance 1/3
    for (int k = 0; k < 4; ++k) {
      z = (z ^ (z >> 29)) * 0x94D049BB133111EBull;
      sum += static_cast<float>(static_cast<int32_t>(z >> 32)) * (1.0f / 2147483648.0f);
    }
    out[i] = __float2bfloat16(sum * 0.866f * scale);
  }
}
/// Fills large buffers on the device with values of standard deviation `scale`.
inline void fillRandom(Buffer<__nv_bfloat16> &buffer, float scale, uint64_t seed) {
  fillRandomKernel<<<1024, 256>>>(buffer.data(), buffer.size(), scale, seed);
  CHECK_CUDA(cudaDeviceSynchronize());
}

struct Difference {
  double relative = 0; // |a - b|_2 / |b|_2; NaN and infinity never pass as small
  double largest = 0;
};
template <typename T, typename R>
Difference compare(const std::vector<T> &values, const std::vector<R> &reference) {
  double square = 0, norm = 0, largest = 0;
  for (size_t i = 0; i < reference.size(); ++i) {
    double value = static_cast<double>(static_cast<float>(values[i]));
    double expected = static_cast<double>(reference[i]);
    double difference = std::abs(value - expected);
    if (!(difference < INFINITY))
      difference = 1e30;
    square += difference * difference;
    norm += expected * expected;
    largest = std::max(largest, difference);
  }
  return {std::sqrt(square / std::max(norm, 1e-300)), largest};
}

/// Median, 10th and 90th percentile of the milliseconds of one `launch()`; warms up first.
struct Times {
  double median = 0, low = 0, high = 0;
};
template <typename F> Times timeOf(F &&launch, int warmups = 10, int runs = 50) {
  cudaEvent_t begin, end;
  CHECK_CUDA(cudaEventCreate(&begin));
  CHECK_CUDA(cudaEventCreate(&end));
  for (int i = 0; i < warmups; ++i)
    launch();
  std::vector<double> all;
  for (int i = 0; i < runs; ++i) {
    CHECK_CUDA(cudaEventRecord(begin));
    launch();
    CHECK_CUDA(cudaEventRecord(end));
    CHECK_CUDA(cudaEventSynchronize(end));
    float milliseconds = 0;
    CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin, end));
    all.push_back(milliseconds);
  }
  CHECK_CUDA(cudaGetLastError());
  cudaEventDestroy(begin);
  cudaEventDestroy(end);
  std::sort(all.begin(), all.end());
  return {all[all.size() / 2], all[all.size() / 10], all[all.size() * 9 / 10]};
}
/// timeOf() of one launch inside a graph that holds `repeats` of them: for anything under 50 us.
template <typename F> Times timeInGraph(F &&launch, int repeats = 20, int runs = 30) {
  cudaStream_t stream;
  CHECK_CUDA(cudaStreamCreate(&stream));
  cudaGraph_t graph;
  cudaGraphExec_t executable;
  CHECK_CUDA(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
  for (int i = 0; i < repeats; ++i)
    launch(stream, i);
  CHECK_CUDA(cudaStreamEndCapture(stream, &graph));
  CHECK_CUDA(cudaGraphInstantiate(&executable, graph, 0));
  Times times = timeOf([&] { CHECK_CUDA(cudaGraphLaunch(executable, nullptr)); }, 3, runs);
  CHECK_CUDA(cudaGraphExecDestroy(executable));
  CHECK_CUDA(cudaGraphDestroy(graph));
  CHECK_CUDA(cudaStreamDestroy(stream));
  return {times.median / repeats, times.low / repeats, times.high / repeats};
}

/// Bytes a second, read plus written, of a copy of `bytes`: the ceiling for memory-bound kernels.
inline double copyBandwidth(size_t bytes = size_t(2) << 30) {
  Buffer<char> from(bytes), to(bytes);
  Times times = timeOf(
      [&] { cudaMemcpyAsync(to.data(), from.data(), bytes, cudaMemcpyDeviceToDevice); }, 3, 15);
  return 2.0 * static_cast<double>(bytes) / (times.median * 1e-3);
}

} // namespace levin::bench

#endif // LEVIN_TEST_BENCH_CUDA_HARNESS_CUH
