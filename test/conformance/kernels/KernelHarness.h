// Compiles one kernel and runs it in this process, on memory that shows what it should not touch.
#ifndef LEVIN_TEST_CONFORMANCE_KERNELS_KERNELHARNESS_H
#define LEVIN_TEST_CONFORMANCE_KERNELS_KERNELHARNESS_H

#include "codegen/host/HostCodegen.h"

#include <cstddef>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

namespace levin::host {

/// A binding: 64-byte aligned, with guard bytes on both sides.
class Buffer {
public:
  explicit Buffer(size_t bytes);
  Buffer(Buffer &&) = default;

  template <typename T> static Buffer of(const std::vector<T> &values) {
    Buffer buffer(values.size() * sizeof(T));
    std::copy(values.begin(), values.end(), buffer.as<T>().begin());
    return buffer;
  }
  /// `count` float32, all NaN: what no kernel has written yet.
  static Buffer poisoned(size_t count);

  template <typename T> std::span<T> as() {
    return {reinterpret_cast<T *>(data()), size / sizeof(T)};
  }
  std::byte *data() { return begin; }
  /// Whether nothing was written outside.
  bool intact() const;

private:
  std::vector<std::byte> storage;
  std::byte *begin;
  size_t size;
};

/// A kernel as machine code.
class LoadedKernel {
public:
  /// Compiles the only function of `ir`.  Prints diagnostics and returns null if that fails.
  static std::unique_ptr<LoadedKernel> compile(const std::string &ir, const HostTarget &target,
                                               bool templates = true);
  ~LoadedKernel();

  /// Calls every point of the grid, on `threads` threads.
  void run(std::span<Buffer> bindings, unsigned threads = 1) const;
  void run(std::span<void *const> bindings, unsigned threads = 1) const;

  const HostKernel &info() const { return kernel; }

private:
  using Function = void (*)(void *const *bindings, int64_t x, int64_t y, int64_t z);
  HostKernel kernel;
  void *library = nullptr;
  Function function = nullptr;
};

/// Runs `ir`, compiled from the decomposition of its ops, on `bindings`; false if it does not
/// compile.  What a template computes must be what this does.
bool runMeaning(const std::string &ir, std::span<Buffer> bindings);

/// The targets that this machine runs.
std::vector<HostTarget> runnableTargets();

/// Normally distributed values.
std::vector<float> randomFloats(std::mt19937 &generator, size_t count, float scale = 1);
/// The nearest bfloat16, as its bits, and back.
uint16_t toBFloat16(float value);
float fromBFloat16(uint16_t bits);

/// The largest |a - b| / (largest |b|); NaN counts as infinite.
double relativeError(std::span<const float> a, std::span<const double> b);

} // namespace levin::host

#endif // LEVIN_TEST_CONFORMANCE_KERNELS_KERNELHARNESS_H
