// Kernels in the gpu dialect, as code generation makes and lowers them.
#ifndef LEVIN_CODEGEN_CUDA_DEVICECODE_H
#define LEVIN_CODEGEN_CUDA_DEVICECODE_H

#include "codegen/host/KernelSignature.h"
#include "runtime/artifact/Manifest.h"

#include "mlir/Dialect/GPU/IR/GPUDialect.h"

#include <cstdint>
#include <string>
#include <vector>

namespace levin::cuda {

/// Kernels of one gpu.module, each a launch.  Their parameters are a buffer for each binding, then
/// the scratch bytes if there are any.
struct DeviceCode {
  mlir::gpu::GPUModuleOp module;
  std::vector<artifact::DeviceLaunch> launches;
  uint64_t scratchBytes = 0;
  bool refuseSpills = false; // whether a spilled register is a mistake
  std::string method;
};

/// A name for the assembler, whose own words must not be met: "k_" and `name`, with a digest of it
/// if characters had to be replaced.
std::string symbolFor(llvm::StringRef name);

/// An empty kernel `symbol` in `module` with a buffer for each binding of `kernel` (one that
/// `signature` describes) and `scratchBytes` of scratch.  The builder is left in its body.
mlir::gpu::GPUFuncOp createDeviceKernel(mlir::OpBuilder &builder, mlir::gpu::GPUModuleOp module,
                                        llvm::StringRef symbol, mlir::TypeRange bindings,
                                        uint64_t scratchBytes, uint32_t threads);

/// The number of this thread in x over the whole grid, or within its block; as index.
mlir::Value gridThread(mlir::OpBuilder &builder, mlir::Location loc);
/// The number of threads in x of the whole grid.
mlir::Value gridThreads(mlir::OpBuilder &builder, mlir::Location loc);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_DEVICECODE_H
