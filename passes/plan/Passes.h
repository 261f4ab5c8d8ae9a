// Passes that give programs their memory.
#ifndef LEVIN_PASSES_PLAN_PASSES_H
#define LEVIN_PASSES_PLAN_PASSES_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"

namespace levin::plan {
#define GEN_PASS_DECL
#include "passes/plan/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "passes/plan/Passes.h.inc"
} // namespace levin::plan

#endif // LEVIN_PASSES_PLAN_PASSES_H
