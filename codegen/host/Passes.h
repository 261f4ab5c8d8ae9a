// Passes that show what code generation for the host does.
#ifndef LEVIN_CODEGEN_HOST_PASSES_H
#define LEVIN_CODEGEN_HOST_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace levin::host {

#define GEN_PASS_DECL
#include "codegen/host/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "codegen/host/Passes.h.inc"

/// What code generation needs registered: dialects, and the external models by which upstream's
/// dialects are tiled and bufferised.
void registerHostCodegen(mlir::DialectRegistry &registry);

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_PASSES_H
