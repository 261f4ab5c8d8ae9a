// Passes that need nothing but the ops' interfaces.
#ifndef LEVIN_DIALECTS_INTERFACES_PASSES_H
#define LEVIN_DIALECTS_INTERFACES_PASSES_H

#include "mlir/Pass/Pass.h"

namespace levin::interfaces {
#define GEN_PASS_DECL
#include "dialects/interfaces/Passes.h.inc"
#define GEN_PASS_REGISTRATION
#include "dialects/interfaces/Passes.h.inc"
} // namespace levin::interfaces

#endif // LEVIN_DIALECTS_INTERFACES_PASSES_H
