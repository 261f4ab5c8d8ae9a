// The CUDA driver, opened at run time, and its failures as Status.
#ifndef LEVIN_RUNTIME_HAL_CUDA_DRIVER_H
#define LEVIN_RUNTIME_HAL_CUDA_DRIVER_H

#include "runtime/base/Status.h"
#include "runtime/hal/cuda/Library.h"
#include "runtime/hal/cuda/Types.h"

#include <memory>
#include <string>

namespace levin::hal::cuda {

struct Functions {
#define LEVIN_CUDA_FUNCTION(name, symbol, parameters) CUresult(*name) parameters = nullptr;
#include "runtime/hal/cuda/Functions.def"
#undef LEVIN_CUDA_FUNCTION
};

/// Major and minor number of CUDA 12.3, the first whose graphs keep programmatic launches.
inline constexpr int oldestDriver = 12030;

class Driver {
public:
  /// Opens libcuda.so.1, or the library that the environment variable LEVIN_CUDA_DRIVER names, and
  /// initialises it.
  /// Failures: LV8001 it is absent, too old or unusable; LV8002 it knows no GPU.
  static Result<std::shared_ptr<const Driver>> open();

  const Functions &functions() const { return table; }
  /// 1000 * major + 10 * minor of the newest CUDA that the driver knows.
  int version() const { return cudaVersion; }

  /// What `code`, the answer of the function `call`, means: LV4001 no memory is left; LV8005 a
  /// kernel failed; LV8006 the device is lost; LV8004 anything else.
  Status check(CUresult code, const char *call) const;
  /// "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered".
  std::string textOf(CUresult code) const;

private:
  Library library;
  Functions table;
  int cudaVersion = 0;
};

/// "12.3" of 12030.
std::string versionText(int version);

/// The status of a call of the driver: LEVIN_CUDA(driver, cuMemFree, address).
#define LEVIN_CUDA(driver, function, ...)                                                          \
  (driver).check((driver).functions().function(__VA_ARGS__), #function)

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_DRIVER_H
