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

namespace levin {

/// Registers all passes of the project, the upstream passes that its pipelines use, and
/// `levin-host-pipeline`.
void registerLevinPasses();

} // namespace levin

#endif // LEVIN_PASSES_PIPELINES_PASSES_H
