#include "runtime/hal/cuda/Device.h"

namespace levin::hal::cuda {

static Result<DeviceFacts> factsOf(const Driver &driver, CUdevice device, int index) {
  DeviceFacts facts;
  facts.index = index;
  char name[256] = {};
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuDeviceGetName, name, sizeof(name) - 1, device));
  facts.name = name;
  size_t memory = 0;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuDeviceTotalMem, &memory, device));
  facts.memory = memory;
  auto attribute = [&](DeviceAttribute which, int &value) {
    return LEVIN_CUDA(driver, cuDeviceGetAttribute, &value, which, device);
  };
  int major = 0, minor = 0, processors = 0, shared = 0;
  LEVIN_RETURN_IF_ERROR(attribute(ComputeCapabilityMajor, major));
  LEVIN_RETURN_IF_ERROR(attribute(ComputeCapabilityMinor, minor));
  LEVIN_RETURN_IF_ERROR(attribute(MultiprocessorCount, processors));
  LEVIN_RETURN_IF_ERROR(attribute(MaxSharedMemoryPerBlockOptin, shared));
  facts.capability = major * 10 + minor;
  facts.multiprocessors = static_cast<uint32_t>(processors);
  facts.sharedBytes = static_cast<uint32_t>(shared);
  return facts;
}

Result<std::vector<DeviceFacts>> listDevices(const Driver &driver) {
  int count = 0;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuDeviceGetCount, &count));
  std::vector<DeviceFacts> devices;
  for (int i = 0; i < count; ++i) {
    CUdevice device = 0;
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuDeviceGet, &device, i));
    LEVIN_ASSIGN_OR_RETURN(DeviceFacts facts, factsOf(driver, device, i));
    devices.push_back(std::move(facts));
  }
  return devices;
}

Result<std::shared_ptr<Device>> Device::open(std::shared_ptr<const Driver> driver, int index) {
  int count = 0;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(*driver, cuDeviceGetCount, &count));
  if (index < 0 || index >= count)
    return makeError(ErrorCode::GpuMissing, "there is no GPU number {}", index)
        .note("have", fmt::format("{} GPU{}", count, count == 1 ? "" : "s"))
        .note("need", fmt::format("cuda:0 to cuda:{}", count - 1))
        .note("fix", "levin-run doctor lists them; CUDA_VISIBLE_DEVICES can hide some");
  std::shared_ptr<Device> device(new Device);
  device->library = std::move(driver);
  const Driver &library = *device->library;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(library, cuDeviceGet, &device->handle, index));
  LEVIN_ASSIGN_OR_RETURN(device->about, factsOf(library, device->handle, index));
  LEVIN_RETURN_IF_ERROR(
      LEVIN_CUDA(library, cuDevicePrimaryCtxRetain, &device->context, device->handle));
  LEVIN_RETURN_IF_ERROR(device->activate());
  return device;
}

Device::~Device() {
  if (context && !isAbandoned())
    functions().cuDevicePrimaryCtxRelease(handle);
}

Status Device::activate() const { return LEVIN_CUDA(*library, cuCtxSetCurrent, context); }

Result<uint64_t> Device::freeMemory() const {
  size_t free = 0, total = 0;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(*library, cuMemGetInfo, &free, &total));
  return static_cast<uint64_t>(free);
}

} // namespace levin::hal::cuda
