// The nn dialect: the layers of a model.
#ifndef LEVIN_DIALECTS_NN_NN_H
#define LEVIN_DIALECTS_NN_NN_H

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

#include "dialects/nn/NNDialect.h.inc"
#include "dialects/nn/NNEnums.h.inc"

#define GET_ATTRDEF_CLASSES
#include "dialects/nn/NNAttrs.h.inc"
#define GET_OP_CLASSES
#include "dialects/nn/NNOps.h.inc"

namespace levin::nn {
/// The inverse frequencies 1 / theta^(2j/width) of a rotary embedding, j < width/2, in float32 with
/// the roundings of the implementations that models were trained with (docs/rationale/rotary.md).
llvm::SmallVector<float> rotaryFrequencies(double theta, int64_t width);
} // namespace levin::nn

#endif // LEVIN_DIALECTS_NN_NN_H
