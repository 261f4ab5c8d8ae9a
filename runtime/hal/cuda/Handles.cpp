#include "runtime/hal/cuda/Handles.h"

namespace levin::hal::cuda {

Result<Stream> makeStream(const std::shared_ptr<Device> &device) {
  CUstream stream = nullptr;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuStreamCreate, &stream, streamNonBlocking));
  return Stream(device, stream);
}

static Result<Event> makeEvent(const std::shared_ptr<Device> &device, unsigned flags) {
  CUevent event = nullptr;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuEventCreate, &event, flags));
  return Event(device, event);
}

Result<Event> makeEvent(const std::shared_ptr<Device> &device) {
  return makeEvent(device, eventDisableTiming);
}

Result<Event> makeTimedEvent(const std::shared_ptr<Device> &device) { return makeEvent(device, 0); }

static Status forPurpose(Status status, uint64_t bytes, std::string_view purpose) {
  if (!status.ok())
    status.note("need", fmt::format("{} bytes for {}", bytes, purpose));
  return status;
}

Result<DeviceMemory> DeviceMemory::allocate(const std::shared_ptr<Device> &device, uint64_t bytes,
                                            std::string_view purpose) {
  DeviceMemory memory;
  if (bytes == 0)
    return memory;
  CUdeviceptr address = 0;
  LEVIN_RETURN_IF_ERROR(
      forPurpose(LEVIN_CUDA(device->driver(), cuMemAlloc, &address, bytes), bytes, purpose));
  memory.memory = Handle<CUdeviceptr, &Functions::cuMemFree>(device, address);
  memory.length = bytes;
  return memory;
}

Result<PinnedMemory> PinnedMemory::allocate(const std::shared_ptr<Device> &device, uint64_t bytes,
                                            std::string_view purpose) {
  PinnedMemory memory;
  if (bytes == 0)
    return memory;
  void *address = nullptr;
  LEVIN_RETURN_IF_ERROR(
      forPurpose(LEVIN_CUDA(device->driver(), cuMemHostAlloc, &address, bytes, hostAllocPortable),
                 bytes, purpose));
  memory.memory = Handle<void *, &Functions::cuMemFreeHost>(device, address);
  memory.length = bytes;
  return memory;
}

} // namespace levin::hal::cuda
