// Memory, streams, events and graphs of a GPU, each freed with its owner.  All move-only; each
// holds its device.
#ifndef LEVIN_RUNTIME_HAL_CUDA_HANDLES_H
#define LEVIN_RUNTIME_HAL_CUDA_HANDLES_H

#include "runtime/hal/cuda/Device.h"

#include <cstddef>
#include <span>
#include <string_view>
#include <utility>

namespace levin::hal::cuda {

/// A handle of the driver and the function that ends its life.
template <typename T, CUresult (*Functions::*destroy)(T)> class Handle {
public:
  Handle() = default;
  Handle(std::shared_ptr<Device> device, T value) : device(std::move(device)), value(value) {}
  Handle(Handle &&other) noexcept { swap(other); }
  Handle &operator=(Handle &&other) noexcept {
    swap(other);
    return *this;
  }
  ~Handle() {
    // Not an error that one could act on: the device is gone, or the process ends.
    if (value && !device->isAbandoned() && device->activate().ok())
      (device->functions().*destroy)(value);
  }

  T get() const { return value; }
  explicit operator bool() const { return value != T(); }

private:
  void swap(Handle &other) {
    std::swap(device, other.device);
    std::swap(value, other.value);
  }

  std::shared_ptr<Device> device;
  T value{};
};

using Event = Handle<CUevent, &Functions::cuEventDestroy>;
using Stream = Handle<CUstream, &Functions::cuStreamDestroy>;
using Module = Handle<CUmodule, &Functions::cuModuleUnload>;
using Graph = Handle<CUgraph, &Functions::cuGraphDestroy>;
using GraphExec = Handle<CUgraphExec, &Functions::cuGraphExecDestroy>;

/// These need the device's context (Device::activate).
Result<Stream> makeStream(const std::shared_ptr<Device> &device);
/// An event that only orders.
Result<Event> makeEvent(const std::shared_ptr<Device> &device);
/// An event that knows when it was recorded.
Result<Event> makeTimedEvent(const std::shared_ptr<Device> &device);

/// Memory of the device, aligned to 256 bytes, with arbitrary contents.
class DeviceMemory {
public:
  DeviceMemory() = default;
  /// Failure: LV4001, which names `purpose`.  Nothing is allocated for 0 bytes.
  static Result<DeviceMemory> allocate(const std::shared_ptr<Device> &device, uint64_t bytes,
                                       std::string_view purpose);

  CUdeviceptr address() const { return memory.get(); }
  uint64_t size() const { return length; }

private:
  Handle<CUdeviceptr, &Functions::cuMemFree> memory;
  uint64_t length = 0;
};

/// Memory of the host that copies to and from the device can run beside.
class PinnedMemory {
public:
  PinnedMemory() = default;
  /// Failure: LV4001, which names `purpose`.
  static Result<PinnedMemory> allocate(const std::shared_ptr<Device> &device, uint64_t bytes,
                                       std::string_view purpose);

  std::byte *data() const { return static_cast<std::byte *>(memory.get()); }
  uint64_t size() const { return length; }
  std::span<std::byte> bytes() const { return {data(), static_cast<size_t>(length)}; }

private:
  Handle<void *, &Functions::cuMemFreeHost> memory;
  uint64_t length = 0;
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_HANDLES_H
