// A GPU in use: its primary context and what it can do.
#ifndef LEVIN_RUNTIME_HAL_CUDA_DEVICE_H
#define LEVIN_RUNTIME_HAL_CUDA_DEVICE_H

#include "runtime/hal/cuda/Driver.h"

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace levin::hal::cuda {

struct DeviceFacts {
  std::string name; // "NVIDIA H200"
  int index = 0;
  int capability = 0; // 90 for sm_90
  uint32_t multiprocessors = 0;
  uint32_t sharedBytes = 0; // the most that a block can ask for
  uint64_t memory = 0;      // bytes
};

/// What the GPUs of the machine are, without using one.
Result<std::vector<DeviceFacts>> listDevices(const Driver &driver);

/// Handles of a device hold it; any number of threads may use it.
class Device {
public:
  /// Failures: LV8002 there is no GPU of that number, LV4001 or LV8004 its context cannot be made.
  static Result<std::shared_ptr<Device>> open(std::shared_ptr<const Driver> driver, int index);
  ~Device();
  Device(const Device &) = delete;
  Device &operator=(const Device &) = delete;

  const Driver &driver() const { return *library; }
  const Functions &functions() const { return library->functions(); }
  const DeviceFacts &facts() const { return about; }

  /// Makes the context that of the calling thread, which every other call relies on.
  Status activate() const;
  /// Bytes that can be allocated now.
  Result<uint64_t> freeMemory() const;

  /// After a kernel fault or a kernel that does not end, nothing can be freed or destroyed any
  /// more: such calls fail, or wait for ever.
  void abandon() { lost.store(true, std::memory_order_relaxed); }
  bool isAbandoned() const { return lost.load(std::memory_order_relaxed); }

private:
  Device() = default;

  std::shared_ptr<const Driver> library;
  DeviceFacts about;
  CUdevice handle = 0;
  CUcontext context = nullptr;
  std::atomic<bool> lost{false};
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_DEVICE_H
