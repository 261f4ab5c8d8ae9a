// What a model has on a GPU: its code and its parameters.
#ifndef LEVIN_RUNTIME_SESSION_CUDAMODEL_H
#define LEVIN_RUNTIME_SESSION_CUDAMODEL_H

#include "runtime/artifact/Artifact.h"
#include "runtime/hal/cuda/Blas.h"
#include "runtime/hal/cuda/Executable.h"
#include "runtime/session/Model.h"
#include "runtime/session/WeightFiles.h"

#include <memory>
#include <string>
#include <vector>

namespace levin {

/// Bytes of an artifact's plan on a GPU.
struct CudaPlan {
  uint64_t parameters = 0, state = 0, workspace = 0;
  uint64_t scratch = 0;  // of the export that needs most
  uint64_t products = 0; // what cuBLASLt works in
  uint64_t graphs = 0;   // estimated: of the instantiated programs

  explicit CudaPlan(const artifact::Manifest &manifest);
  /// What a session takes beside the parameters.
  uint64_t session() const { return state + workspace + scratch + products + graphs; }
};

struct CudaModel {
  std::shared_ptr<hal::cuda::Device> device;
  std::vector<hal::cuda::Executable> executables;
  std::shared_ptr<const hal::cuda::Blas> blas; // null if the artifact has no products
  hal::cuda::DeviceMemory parameters;

  /// Opens GPU number `index` and loads the code of `file`, whose segments are given back.  Looks
  /// first whether the plan fits.
  /// Failures: LV8001 to LV8004, LV3004, LV3019, LV4103 parameters and a session need more memory
  /// than is free.
  static Result<std::unique_ptr<CudaModel>> load(const artifact::Artifact &file, int index,
                                                 uint64_t maxMemory);

  /// Fills the parameters from `files` and segments, through pinned memory, with all threads of
  /// `pool`; those without values in a segment with random ones if a seed is given.
  Status loadParameters(const artifact::Artifact &file, const WeightFiles &files,
                        const ModelOptions &options);
  /// The target that code was loaded for.
  const std::string &target(const artifact::Manifest &manifest) const {
    return manifest.executables[0].variants[executables[0].variant()].target;
  }

  /// A kernel that the runtime itself launches, with arguments of 8 bytes each.
  struct Utility {
    hal::cuda::CUfunction function = nullptr;
    unsigned threads = 1, sharedBytes = 0;

    Status launch(const hal::cuda::Device &device, unsigned blocks, std::span<uint64_t> words,
                  hal::cuda::CUstream stream) const;
  };
  /// The export `name` of any executable; LV2010 if there is none.
  Result<Utility> findUtility(const artifact::Manifest &manifest, std::string_view name) const;

private:
  Status fillRandom(const artifact::Manifest &manifest, uint64_t seed, const ModelOptions &options);
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_CUDAMODEL_H
