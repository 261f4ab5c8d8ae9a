#include "dialects/interfaces/Decompose.h"

#include "dialects/interfaces/Interfaces.h"

#include "dialects/interfaces/DecomposableOpInterface.cpp.inc"

using namespace mlir;

namespace levin {

static LogicalResult verifyStaticShapes(Operation *op) {
  for (auto types : {TypeRange(op->getOperandTypes()), TypeRange(op->getResultTypes())})
    for (Type type : types)
      if (auto shaped = dyn_cast<ShapedType>(type); shaped && !shaped.hasStaticShape())
        return op->emitOpError("has a value of type ")
               << type << ", expected static shapes to decompose it; run levin-specialise first";
  return success();
}

static LogicalResult decomposeOne(DecomposableOpInterface op) {
  if (failed(verifyStaticShapes(op)))
    return failure();
  OpBuilder builder(op);
  auto values = op.decompose(builder);
  if (failed(values))
    return failure();
  op->replaceAllUsesWith(*values);
  op->erase();
  return success();
}

LogicalResult decomposeAll(Operation *root) {
  while (true) {
    SmallVector<DecomposableOpInterface> ops;
    root->walk([&](DecomposableOpInterface op) { ops.push_back(op); });
    if (ops.empty())
      return success();
    for (DecomposableOpInterface op : ops)
      if (failed(decomposeOne(op)))
        return failure();
  }
}

} // namespace levin
