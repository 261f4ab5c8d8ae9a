// From programs and machine code to the manifest and segments of an artifact.
#ifndef LEVIN_CODEGEN_ARTIFACT_ARTIFACTBUILDER_H
#define LEVIN_CODEGEN_ARTIFACT_ARTIFACTBUILDER_H

#include "codegen/artifact/CompiledCode.h"
#include "codegen/artifact/WeightIndex.h"
#include "runtime/artifact/Manifest.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace levin::artifact {

struct ArtifactInput {
  mlir::ModuleOp module;                                   // planned, with the grids of its kernels
  std::vector<CompiledExecutable> code;                    // first that of the module's kernels
  const WeightIndex *weights = nullptr;                    // what parameters are made of
  std::vector<std::pair<std::string, std::string>> assets; // name and content
  Producer producer;                                       // no paths, no times
  uint64_t slots = 0, maxContext = 0;                      // of the step programs
  uint64_t pages = 0, pageTokens = 0;                      // of shared caches, 0 without
  std::string pipeline;                                    // for debugging
};

/// A manifest whose segments still lack place and digest, and their bytes.
struct ArtifactContents {
  Manifest manifest;
  std::vector<std::string> segments;
};

/// Tells how many bytes of weight files are digested, of how many.
using DigestProgress = std::function<void(uint64_t done, uint64_t total)>;

/// Sets the grid of every launch to that of its compiled kernel.  LV9001 if one was not compiled.
Status setLaunchGrids(mlir::ModuleOp module, const CompiledExecutable &code);

/// The bytes of weight files that the parameters of `module` come from.
Result<uint64_t> weightFileBytes(mlir::ModuleOp module, const WeightIndex &weights);

/// Builds everything but the file; equal input gives equal contents.  Failures: LV1012, LV1014 and
/// LV1015 for parameters that the weights do not hold as expected, LV1016 for an absent file.
Result<ArtifactContents> buildArtifact(const ArtifactInput &input,
                                       const DigestProgress &progress = {});

} // namespace levin::artifact

#endif // LEVIN_CODEGEN_ARTIFACT_ARTIFACTBUILDER_H
