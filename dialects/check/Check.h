// The check dialect: expectations of test programs.
#ifndef LEVIN_DIALECTS_CHECK_CHECK_H
#define LEVIN_DIALECTS_CHECK_CHECK_H

#include "dialects/interfaces/Interfaces.h"

#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/RegionKindInterface.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "dialects/check/CheckDialect.h.inc"

namespace levin::check {
/// What has been expected so far.
struct ExpectationResource : mlir::SideEffects::Resource::Base<ExpectationResource> {
  llvm::StringRef getName() final { return "check.expectation"; }
};
} // namespace levin::check

#define GET_OP_CLASSES
#include "dialects/check/CheckOps.h.inc"

#endif // LEVIN_DIALECTS_CHECK_CHECK_H
