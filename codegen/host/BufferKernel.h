// A kernel on tensors to the loops of one grid point.
#ifndef LEVIN_CODEGEN_HOST_BUFFERKERNEL_H
#define LEVIN_CODEGEN_HOST_BUFFERKERNEL_H

#include "codegen/host/HostTarget.h"
#include "codegen/host/KernelSignature.h"

#include <array>
#include <string>

namespace levin::host {

struct BufferKernel {
  mlir::func::FuncOp function;
  KernelSignature signature;
  std::array<int64_t, 3> grid{1, 1, 1};
  std::string method; // a template's name, "tiled" or "plain"
};

/// Makes function `name` beside `kernel`, by a template if one matches and `templates` is set,
/// else from the decomposition.  `kernel` is consumed.
mlir::FailureOr<BufferKernel> emitBufferKernel(mlir::func::FuncOp kernel, llvm::StringRef name,
                                               const HostTarget &target, bool templates);

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_BUFFERKERNEL_H
