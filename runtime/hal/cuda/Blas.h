// Products by cuBLASLt, opened at run time.
#ifndef LEVIN_RUNTIME_HAL_CUDA_BLAS_H
#define LEVIN_RUNTIME_HAL_CUDA_BLAS_H

#include "runtime/artifact/Manifest.h"
#include "runtime/hal/cuda/Handles.h"

#include <array>
#include <memory>
#include <span>

namespace levin::hal::cuda {

/// Bytes that products may use while they run; one region a session.
inline constexpr uint64_t blasWorkspaceBytes = uint64_t(32) << 20;

class Blas {
public:
  /// Opens libcublasLt.so.13 or .12, or the library that the environment variable LEVIN_CUBLASLT
  /// names.  Failure: LV8003.
  static Result<std::shared_ptr<const Blas>> open(std::shared_ptr<Device> device);
  ~Blas();
  Blas(const Blas &) = delete;
  Blas &operator=(const Blas &) = delete;

private:
  friend class PreparedProduct;
  struct Api;
  Blas();

  Status check(int code, const char *call) const;

  std::shared_ptr<Device> device;
  Library library;
  std::unique_ptr<Api> api;
  void *handle = nullptr;
};

/// A product whose operands and algorithm are known.
class PreparedProduct {
public:
  PreparedProduct() = default;
  ~PreparedProduct();
  PreparedProduct(PreparedProduct &&other) noexcept;
  PreparedProduct &operator=(PreparedProduct &&other) noexcept;

  /// Asks the library for its best algorithm.  `bindings` and `workspace` are addresses on the
  /// device.  Failures: LV3017 types that cannot be multiplied, LV8004 there is no algorithm.
  static Result<PreparedProduct> make(std::shared_ptr<const Blas> blas,
                                      const artifact::LibraryProduct &product,
                                      std::span<const CUdeviceptr> bindings, CUdeviceptr workspace);

  Status enqueue(CUstream stream) const;

private:
  void swap(PreparedProduct &other);

  std::shared_ptr<const Blas> blas;
  void *description = nullptr;
  std::array<void *, 3> layouts{}; // weight, input, output
  std::array<uint64_t, 8> algorithm{};
  CUdeviceptr weight = 0, input = 0, output = 0, workspace = 0;
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_BLAS_H
