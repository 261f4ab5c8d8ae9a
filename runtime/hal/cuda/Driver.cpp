#include "runtime/hal/cuda/Driver.h"

#include <cstdlib>

namespace levin::hal::cuda {

std::string versionText(int version) {
  return fmt::format("{}.{}", version / 1000, version % 1000 / 10);
}

static Status missing(std::string have) {
  return makeError(ErrorCode::GpuDriver, "the driver of the GPU cannot be used")
      .note("have", std::move(have))
      .note("need",
            fmt::format("libcuda.so.1 of a driver for CUDA {} or newer", versionText(oldestDriver)))
      .note("fix", "install the NVIDIA driver (nvidia-smi shows its version), or run an artifact "
                   "compiled with --target host");
}

Result<std::shared_ptr<const Driver>> Driver::open() {
  auto driver = std::make_shared<Driver>();
  const char *named = std::getenv("LEVIN_CUDA_DRIVER");
  const std::string names[] = {named && *named ? named : "libcuda.so.1"};
  std::string why;
  driver->library = Library::open(names, why);
  if (!driver->library.isOpen())
    return missing(why);
#define LEVIN_CUDA_FUNCTION(function, symbol, parameters)                                          \
  driver->table.function =                                                                         \
      reinterpret_cast<decltype(driver->table.function)>(driver->library.find(symbol));            \
  if (!driver->table.function)                                                                     \
    return missing(fmt::format("{} without {}", driver->library.name(), symbol));
#include "runtime/hal/cuda/Functions.def"
#undef LEVIN_CUDA_FUNCTION

  const Functions &f = driver->table;
  // The version can be asked for before initialisation, which an old driver may refuse.
  if (CUresult code = f.cuDriverGetVersion(&driver->cudaVersion); code != Success)
    return missing(driver->textOf(code));
  if (driver->cudaVersion < oldestDriver)
    return missing(fmt::format("a driver for CUDA {}", versionText(driver->cudaVersion)));
  CUresult code = f.cuInit(0);
  int devices = 0;
  if (code == Success)
    code = f.cuDeviceGetCount(&devices);
  if (code == NoDevice || (code == Success && devices == 0))
    return makeError(ErrorCode::GpuMissing, "the machine has no GPU that can be used")
        .note("have", fmt::format("a driver for CUDA {}, which sees no GPU",
                                  versionText(driver->cudaVersion)))
        .note("need", "an NVIDIA GPU")
        .note("fix", "look at nvidia-smi and CUDA_VISIBLE_DEVICES, or run an artifact compiled "
                     "with --target host");
  if (code != Success)
    return missing(driver->textOf(code));
  return std::shared_ptr<const Driver>(std::move(driver));
}

std::string Driver::textOf(CUresult code) const {
  const char *name = nullptr, *text = nullptr;
  if (table.cuGetErrorName(code, &name) != Success || !name)
    return fmt::format("CUDA error {}", code);
  if (table.cuGetErrorString(code, &text) != Success || !text)
    return name;
  return fmt::format("{}: {}", name, text);
}

/// Whether a kernel's own doing is the cause: the context is lost, the device is not.
static bool isKernelFault(CUresult code) {
  return code == IllegalAddress || code == LaunchTimeout || code == AssertFailed ||
         (code >= HardwareStackError && code <= LaunchFailed);
}

/// Whether the device itself failed, or is gone.
static bool isDeviceLost(CUresult code) {
  constexpr CUresult deviceUnavailable = 46, contained = 226, contextDestroyed = 709,
                     external = 911, unknown = 999;
  return code == EccUncorrectable || code == NvlinkUncorrectable || code == deviceUnavailable ||
         code == contained || code == contextDestroyed || code == external || code == unknown;
}

Status Driver::check(CUresult code, const char *call) const {
  if (code == Success)
    return {};
  if (code == OutOfMemoryCode)
    return makeError(ErrorCode::OutOfMemory, "the GPU has no memory left ({})", call)
        .note("have", textOf(code))
        .note("fix", "end other programs on the GPU (nvidia-smi lists them), or compile with fewer "
                     "--slots or smaller --buckets");
  if (isKernelFault(code))
    return makeError(ErrorCode::KernelFault, "a kernel failed on the GPU")
        .note("have", fmt::format("{} ({})", textOf(code), call));
  if (isDeviceLost(code))
    return makeError(ErrorCode::GpuLost, "the GPU was lost")
        .note("have", fmt::format("{} ({})", textOf(code), call))
        .note("fix", "look for Xid messages in the system's log (dmesg), and start again");
  return makeError(ErrorCode::GpuCall, "{} failed", call).note("have", textOf(code));
}

} // namespace levin::hal::cuda
