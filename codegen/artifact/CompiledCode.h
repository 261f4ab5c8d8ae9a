// Machine code as an artifact lists it, whatever it was compiled for.
#ifndef LEVIN_CODEGEN_ARTIFACT_COMPILEDCODE_H
#define LEVIN_CODEGEN_ARTIFACT_COMPILEDCODE_H

#include "codegen/cuda/CudaCodegen.h"
#include "codegen/host/HostCodegen.h"
#include "runtime/artifact/Manifest.h"

#include <array>
#include <string>
#include <vector>

namespace levin::artifact {

struct CompiledKernel {
  Export exported;
  std::array<uint32_t, 3> grid{1, 1, 1}; // of a launch on the host
  std::string method;                    // how it was made: a template's name, "tiled", ..
  std::string ir;                        // before machine code, if it was kept
};

/// Code for one target; `variant.segment` is not set yet.
struct CompiledVariant {
  Variant variant;
  std::string bytes;
};

struct CompiledExecutable {
  std::vector<CompiledKernel> kernels;
  std::vector<CompiledVariant> variants; // best first
};

/// The host's code; the most capable processors first, so that the first variant that runs is best.
CompiledExecutable compiledCodeOf(host::HostModule code);

/// The code of a GPU: that of the kernels, then that of what the runtime launches itself.
std::vector<CompiledExecutable> compiledCodeOf(cuda::CudaModule code,
                                               const cuda::CudaTarget &target);

} // namespace levin::artifact

#endif // LEVIN_CODEGEN_ARTIFACT_COMPILEDCODE_H
