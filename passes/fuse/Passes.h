// Passes that gather ops into kernels.
#ifndef LEVIN_PASSES_FUSE_PASSES_H
#define LEVIN_PASSES_FUSE_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace levin::fuse {
#define GEN_PASS_DECL
#include "passes/fuse/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/fuse/Passes.h.inc"
} // namespace levin::fuse

#endif // LEVIN_PASSES_FUSE_PASSES_H
