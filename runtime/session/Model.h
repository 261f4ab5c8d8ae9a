// A loaded artifact: checked, its code in this process, its parameters in memory.
#ifndef LEVIN_RUNTIME_SESSION_MODEL_H
#define LEVIN_RUNTIME_SESSION_MODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/base/Status.h"
#include "runtime/hal/HostExecutable.h"
#include "runtime/hal/HostMemory.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin {

struct ModelOptions {
  std::vector<std::string> weightFolders; // none: defaultWeightFolders()
  unsigned threads = 0;                   // that read weights; 0: all usable cores
  bool verifyDigests = true;              // of the weight files
  bool artifactOnly = false;              // neither code nor weights
  std::string signatureKey;               // see OpenOptions::requireSignature
  uint64_t maxMemory = 0;                 // for parameters; 0: what the machine has
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
  /// Failures: those of Artifact::open, HostExecutable, WeightFiles, loadParameters; LV4001,
  /// LV4103.
  static Result<std::shared_ptr<const Model>> load(const std::string &path,
                                                   const ModelOptions &options);

  const artifact::Manifest &manifest() const { return file.manifest(); }
  std::span<const hal::HostExecutable> executables() const { return code; }
  std::span<std::byte> parameters() const { return parameterMemory.bytes(); }
  bool isComplete() const { return complete; }
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
  Status loadCode(const hal::CpuFeatures &machine);
  Status loadWeights(const std::string &path, const ModelOptions &options);

  artifact::Artifact file;
  std::vector<hal::HostExecutable> code;
  hal::HostMemory parameterMemory;
  bool complete = false;
  std::string targetName;
  LoadTimes loadTimes;
  uint64_t weightFileBytes = 0;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_MODEL_H
