// Passes that accept a model and make it static.
#ifndef LEVIN_PASSES_PIPELINES_PASSES_H
#define LEVIN_PASSES_PIPELINES_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace levin::pipelines {
#define GEN_PASS_DECL
#include "passes/pipelines/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/pipelines/Passes.h.inc"
} // namespace levin::pipelines

#endif // LEVIN_PASSES_PIPELINES_PASSES_H
