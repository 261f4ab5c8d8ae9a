// Kernels out of an artifact, loaded onto a GPU, and their launches.
#ifndef LEVIN_RUNTIME_HAL_CUDA_EXECUTABLE_H
#define LEVIN_RUNTIME_HAL_CUDA_EXECUTABLE_H

#include "runtime/artifact/Manifest.h"
#include "runtime/hal/cuda/Handles.h"

#include <cstddef>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace levin::hal::cuda {

/// The variants of `executable` that the device can run, in the order in which they should be
/// tried: machine code for its architecture, then code that the driver compiles.  LV3004 with what
/// is there if there is none.
Result<std::vector<size_t>> chooseVariants(const artifact::Executable &executable,
                                           const DeviceFacts &device);

class Executable {
public:
  Executable() = default;

  /// Loads the first of `variants` that the driver accepts, finds every kernel of every export, and
  /// lets it use the shared memory and clusters that its launches ask for.  `segment` gives the
  /// bytes of a segment.  Failures: LV3019 the driver refuses all variants, or a kernel is not
  /// there; LV3004 a launch asks for more shared memory than the device has.
  static Result<Executable>
  load(const std::shared_ptr<Device> &device, const artifact::Executable &executable,
       std::span<const size_t> variants,
       const std::function<std::span<const std::byte>(uint32_t segment)> &segment);

  /// The variant that was loaded.
  size_t variant() const { return loaded; }
  /// Null if there is none.
  CUfunction find(const std::string &symbol) const;

private:
  Status prepare(const Device &device, const artifact::Executable &executable);

  Module module;
  size_t loaded = 0;
  std::map<std::string, CUfunction, std::less<>> functions;
};

/// A launch whose arguments are known.
class PreparedLaunch {
public:
  /// `bindings` and `scratch` are addresses on the device.  Failures: LV3017 a tensor map is not
  /// acceptable to the driver or leaves its binding, or the kernel is not there.
  static Result<PreparedLaunch> make(const Device &device, const Executable &executable,
                                     const artifact::DeviceLaunch &launch,
                                     std::span<const CUdeviceptr> bindings, CUdeviceptr scratch);

  /// Puts the launch on `stream`.  `afterKernel`: a kernel was put there last, so that this one may
  /// begin before that one ends, if it is made for it.
  Status enqueue(const Device &device, CUstream stream, bool afterKernel) const;

private:
  CUfunction function = nullptr;
  CUlaunchConfig config{};
  bool cluster = false, programmatic = false;
  unsigned clusterSize[3] = {1, 1, 1};
  // The values of the parameters; their addresses are taken at the launch.
  std::vector<CUtensorMap> maps;
  std::vector<uint64_t> words;
};

/// Encodes a tensor map for a binding that begins at `address`.  LV3017 if the driver refuses it.
Result<CUtensorMap> encodeTensorMap(const Device &device, const artifact::TensorMap &map,
                                    CUdeviceptr address);

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_EXECUTABLE_H
