// Kernels to machine code of the host.
#ifndef LEVIN_CODEGEN_HOST_HOSTCODEGEN_H
#define LEVIN_CODEGEN_HOST_HOSTCODEGEN_H

#include "codegen/host/HostTarget.h"

#include "mlir/IR/BuiltinOps.h"

#include <array>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace levin::host {

struct HostCodegenOptions {
  /// Whether kernel templates may replace the decomposition (off: what every op means, compiled).
  bool templates = true;
  /// Keep the IR of each kernel before LLVM in HostKernel::ir.
  bool keepIr = false;
  /// Called as kernels are done, from any thread, one call at a time.
  std::function<void(size_t done, size_t total)> progress;
};

/// What a launch needs to know of a kernel; the same for every target.
struct HostKernel {
  std::string name;          // also the symbol: void name(void *const *bindings, x, y, z)
  std::vector<bool> written; // one for each binding
  std::array<uint32_t, 3> grid{1, 1, 1};
  uint64_t stackBytes = 0; // an upper bound of what a call takes
  std::string method;      // the template's name, "tiled" or "plain"
  std::string ir;
};

/// A shared object without dependencies, relocations or constructors.
struct HostCode {
  HostTarget target;
  std::string elf;
};

struct HostModule {
  std::vector<HostKernel> kernels; // in the order of the functions
  std::vector<HostCode> variants;  // in the order of the targets
};

/// The path of the linker that compileKernels() needs: LEVIN_LINKER, or ld.lld of LLVM 22; empty if
/// there is none.
std::string findHostLinker();

/// Compiles every function of `kernels` (one fused group each, on static tensors) for every
/// target.  Deterministic: the same module gives the same bytes.  Failures are diagnostics at the
/// kernel's location.
mlir::FailureOr<HostModule> compileKernels(mlir::ModuleOp kernels,
                                           llvm::ArrayRef<HostTarget> targets,
                                           const HostCodegenOptions &options = {});

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_HOSTCODEGEN_H
