// From functions on buffers to LLVM, objects and a shared object.
#ifndef LEVIN_CODEGEN_HOST_LOWERING_H
#define LEVIN_CODEGEN_HOST_LOWERING_H

#include "codegen/host/HostTarget.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/BuiltinOps.h"

#include <cstdint>
#include <string>

namespace levin::host {

/// An upper bound of the stack that a call of `function` takes, in bytes.
uint64_t stackBytesOf(mlir::func::FuncOp function);

/// Lowers the one function `body` of `module` (on buffers: memref, vector, scf, linalg, arith and
/// math) to the LLVM dialect and adds the exported function `name`.
mlir::LogicalResult lowerToLlvm(mlir::ModuleOp module, llvm::StringRef body, llvm::StringRef name,
                                unsigned bindings);

/// Machine code of `module` (LLVM dialect) as an object file.
mlir::FailureOr<std::string> emitObject(mlir::ModuleOp module, const HostTarget &target);

/// Links objects to a shared object that needs nothing else and has no relocations.
mlir::FailureOr<std::string> linkShared(mlir::Location loc, llvm::ArrayRef<std::string> objects,
                                        const HostTarget &target);

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_LOWERING_H
