// Generated definitions only, so that editing a verifier does not rebuild them.
#include "dialects/moe/Moe.h"

#include "mlir/IR/Builders.h"
#include "mlir/IR/DialectImplementation.h"
#include "llvm/ADT/TypeSwitch.h"

#include "dialects/moe/MoeDialect.cpp.inc"
#define GET_OP_CLASSES
#include "dialects/moe/MoeOps.cpp.inc"

void levin::moe::MoeDialect::initialize() {
  addOperations<
#define GET_OP_LIST
#include "dialects/moe/MoeOps.cpp.inc"
      >();
}
