// The matmul template beside OpenBLAS, on the same machine and threads, in one run.
//
//   bench-gemm [threads]
#include "KernelHarness.h"

#include <algorithm>
#include <cblas.h>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fmt/format.h>
#include <functional>
#include <unistd.h>

extern "C" void openblas_set_num_threads(int);
extern "C" char *openblas_get_corename();

using namespace levin::host;

/// Seconds on this clock: of the processor for one thread, so that what else runs does not count.
static double now(unsigned threads) {
  timespec time;
  clock_gettime(threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time);
  return double(time.tv_sec) + double(time.tv_nsec) * 1e-9;
}

/// The best of several runs, in seconds.
static double best(unsigned threads, const std::function<void()> &run) {
  double result = 1e30;
  for (double end = now(threads) + 0.4; now(threads) < end;) {
    double start = now(threads);
    run();
    result = std::min(result, now(threads) - start);
  }
  return result;
}

/// How the weight of a product lies in memory.
enum class Weight { F32Panels, BF16Panels, F32Rows };

static std::string kernelFor(int64_t m, int64_t n, int64_t k, Weight weight) {
  if (weight == Weight::F32Rows)
    return fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %w: tensor<{1}x{2}xf32>) -> tensor<{0}x{1}xf32> {{
  %y = nn.linear %x, %w : tensor<{0}x{2}xf32>, tensor<{1}x{2}xf32>
  return %y : tensor<{0}x{1}xf32>
}})",
                       m, n, k);
  return fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %p: tensor<{3}x{2}x32x{4}>) -> tensor<{0}x{1}xf32> {{
  %w = exec.unpack %p : tensor<{3}x{2}x32x{4}> -> tensor<{1}x{2}x{4}>
  %y = nn.linear %x, %w : tensor<{0}x{2}xf32>, tensor<{1}x{2}x{4}>
  return %y : tensor<{0}x{1}xf32>
}})",
                     m, n, k, (n + 31) / 32, weight == Weight::BF16Panels ? "bf16" : "f32");
}

static void compare(int64_t m, int64_t n, int64_t k, Weight weight, unsigned threads) {
  bool half = weight == Weight::BF16Panels;
  std::string ir = kernelFor(m, n, k, weight);
  std::mt19937 generator(1);
  auto x = randomFloats(generator, m * k), w = randomFloats(generator, n * k);
  Buffer panels(size_t(n + 31) / 32 * 32 * k * (half ? 2 : 4));
  std::fill(panels.as<std::byte>().begin(), panels.as<std::byte>().end(), std::byte{0});
  Buffer input = Buffer::of(x), output = Buffer::poisoned(m * n);
  void *const pointers[] = {input.data(), panels.data(), output.data()};
  std::vector<float> c(m * n);
  double blas = best(threads, [&] {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, x.data(), k, w.data(), k, 0,
                c.data(), n);
  });
  double flops = 2.0 * m * n * k;
  std::printf("%5ld x %5ld x %5ld %-4s", m, n, k,
              weight == Weight::F32Rows ? "rows"
              : half                    ? "bf16"
                                        : "f32");
  std::printf("  openblas %7.1f GFLOP/s", flops / blas / 1e9);
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    if (!kernel)
      std::exit(1);
    double ours = best(threads, [&] { kernel->run(std::span<void *const>(pointers), threads); });
    std::printf("  %s %7.1f (%.2fx, %.1f GB/s)", target.name.c_str() + 12, flops / ours / 1e9,
                blas / ours, double(n) * k * (half ? 2 : 4) / ours / 1e9);
  }
  std::printf("\n");
}

/// OpenBLAS reads these before main: an environment that holds it back would flatter us.
static void leaveOpenBlasAlone(char **argv) {
  if (!std::getenv("OPENBLAS_CORETYPE") && !std::getenv("OPENBLAS_L2_SIZE"))
    return;
  unsetenv("OPENBLAS_CORETYPE");
  unsetenv("OPENBLAS_L2_SIZE");
  execv("/proc/self/exe", argv);
}

int main(int argc, char **argv) {
  leaveOpenBlasAlone(argv);
  int threads = argc > 1 ? std::max(1, std::atoi(argv[1])) : 1;
  openblas_set_num_threads(threads);
  std::printf("OpenBLAS core %s, %d threads\n", openblas_get_corename(), threads);
  for (int64_t size : {256, 512, 1024, 2048})
    compare(size, size, size, Weight::F32Panels, threads);
  compare(1024, 1024, 1024, Weight::BF16Panels, threads);
  compare(1024, 1024, 1024, Weight::F32Rows, threads);
  compare(2048, 768, 192, Weight::BF16Panels, threads);
  compare(64, 768, 192, Weight::BF16Panels, threads);
  for (int64_t m : {1, 2, 4, 8})
    compare(m, 768, 192, Weight::BF16Panels, threads);
  for (int64_t m : {1, 2, 4, 8})
    compare(m, 4096, 4096, Weight::BF16Panels, threads);
  compare(1, 4096, 4096, Weight::F32Panels, threads);
  return 0;
}
