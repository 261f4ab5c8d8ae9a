// What ops of the dialects can be asked.
#ifndef LEVIN_DIALECTS_INTERFACES_INTERFACES_H
#define LEVIN_DIALECTS_INTERFACES_INTERFACES_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/OpDefinition.h"

#include "dialects/interfaces/DecomposableOpInterface.h.inc"

#endif // LEVIN_DIALECTS_INTERFACES_INTERFACES_H
