// The exec dialect: the program.
#ifndef LEVIN_DIALECTS_EXEC_EXEC_H
#define LEVIN_DIALECTS_EXEC_EXEC_H

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

#include "dialects/exec/ExecDialect.h.inc"
#include "dialects/exec/ExecEnums.h.inc"

namespace levin::exec {
/// The memory of a program: arenas, and the bytes in them.
struct MemoryResource : mlir::SideEffects::Resource::Base<MemoryResource> {
  llvm::StringRef getName() final { return "exec.memory"; }
};
} // namespace levin::exec

#define GET_ATTRDEF_CLASSES
#include "dialects/exec/ExecAttrs.h.inc"
#define GET_TYPEDEF_CLASSES
#include "dialects/exec/ExecTypes.h.inc"
#define GET_OP_CLASSES
#include "dialects/exec/ExecOps.h.inc"

#endif // LEVIN_DIALECTS_EXEC_EXEC_H
