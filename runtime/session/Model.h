// A loaded artifact: checked, its code in this process, its parameters in memory.
#ifndef LEVIN_RUNTIME_SESSION_MODEL_H
#define LEVIN_RUNTIME_SESSION_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/base/Status.h"
#include "runtime/hal/HostExecutable.h"
#include "runtime/hal/HostMemory.h"
#include "runtime/session/WeightFiles.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin {

struct CudaModel;

struct ModelOptions {
  std::vector<std::string> weightFolders; // none: defaultWeightFolders()
  unsigned threads = 0;                   // that read weights; 0: all usable cores
  bool verifyDigests = true;              // of the weight files
  bool artifactOnly = false;              // neither code nor weights
  std::string signatureKey;               // see OpenOptions::requireSignature
  uint64_t maxMemory = 0;                 // for parameters; 0: what the machine has
  std::string device;                     // "host", "cuda:0"; empty: what the artifact is for
  std::optional<uint64_t> randomWeights;  // a seed; weight files are not looked at
  std::function<void(const char *phase, uint64_t done, uint64_t total)> progress;
  std::function<void(const std::string &line)> log;
};

/// Seconds of each part of loading.
struct LoadTimes {
  double artifact = 0, code = 0, weights = 0, total = 0;
};

/// Does not change after load(), so any number of sessions and threads may share it.
class Model {
public:
  /// Failures: those of Artifact::open, HostExecutable, CudaModel, WeightFiles, loadParameters;
  /// LV2002, LV3023 the device; LV4001, LV4103.
  static Result<std::shared_ptr<const Model>> load(const std::string &path,
                                                   const ModelOptions &options);

  const artifact::Manifest &manifest() const { return file.manifest(); }
  std::span<const hal::HostExecutable> executables() const { return code; }
  std::span<std::byte> parameters() const { return parameterMemory.bytes(); }
  bool isComplete() const { return complete; }
  /// What it has on a GPU; null if it runs on the host.
  const CudaModel *cuda() const { return gpu.get(); }
  /// "host", or "cuda:0 (NVIDIA H200)"; empty if nothing was loaded.
  const std::string &device() const { return deviceName; }
  /// The variant in use, such as "host-x86_64-v4"; empty if this machine can run none.
  const std::string &target() const { return targetName; }
  const LoadTimes &times() const { return loadTimes; }
  uint64_t weightBytes() const { return weightFileBytes; }
  /// Bytes of the arena of `kind`; 0 if there is none.
  uint64_t arenaBytes(artifact::ArenaKind kind) const;

  /// The index of an entry; LV2007 with the nearest name if there is none.
  Result<size_t> findEntry(std::string_view name) const;
  /// The bytes of an asset; LV2010 if there is none of that name.
  Result<std::span<const std::byte>> asset(std::string_view name) const;

private:
  Status loadForHost(const std::string &path, const ModelOptions &options);
  Status loadForGpu(const std::string &path, int index, const ModelOptions &options);
  Status loadCode();
  void releaseCode();
  Result<WeightFiles> openWeights(const std::string &path, const ModelOptions &options);
  std::string findTarget(bool forGpu) const;
  Status loadWeights(const std::string &path, const ModelOptions &options);

  artifact::Artifact file;
  std::vector<hal::HostExecutable> code;
  hal::HostMemory parameterMemory;
  std::shared_ptr<const CudaModel> gpu; // shared_ptr: it is whole only where it is made
  bool complete = false;
  std::string targetName, deviceName;
  LoadTimes loadTimes;
  uint64_t weightFileBytes = 0;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_MODEL_H
