#include "codegen/host/kernels/Epilogue.h"

#include "dialects/interfaces/Interfaces.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace levin::host::kernels {

namespace arith = mlir::arith;

bool isSplatConstant(mlir::Operation *op) {
  auto constant = llvm::dyn_cast<arith::ConstantOp>(op);
  return constant && llvm::isa<mlir::SplatElementsAttr>(constant.getValue());
}

static bool isRankTwo(Type type) {
  auto tensor = llvm::dyn_cast<mlir::RankedTensorType>(type);
  return tensor && tensor.getRank() == 2 && tensor.hasStaticShape();
}

/// Whether a kernel can read `value` from a buffer, or computes it.
static bool isReadable(Value value) {
  Type element = mlir::getElementTypeOrSelf(value.getType());
  return value.getDefiningOp() ||
         (llvm::isa<mlir::FloatType>(element) && element.getIntOrFloatBitWidth() <= 32);
}

bool isElementwise(mlir::Operation *op) {
  if (op->getNumResults() != 1 || !isRankTwo(op->getResult(0).getType()) ||
      op->getNumOperands() == 0)
    return false;
  auto shape = llvm::cast<mlir::RankedTensorType>(op->getResult(0).getType()).getShape();
  for (Value operand : op->getOperands())
    if (!isReadable(operand) || !isRankTwo(operand.getType()) ||
        llvm::cast<mlir::RankedTensorType>(operand.getType()).getShape() != shape)
      return false;
  return llvm::isa<ElementwiseOpInterface, nn::MaskTailOp>(op) ||
         (mlir::OpTrait::hasElementwiseMappableTraits(op) && op->getNumRegions() == 0);
}

Value VectorScope::get(Value tensor) {
  if (Value vector = known.lookup(tensor))
    return vector;
  Value vector;
  if (Value buffer = buffers.lookup(tensor)) {
    int64_t columns = llvm::cast<mlir::RankedTensorType>(tensor.getType()).getDimSize(1);
    vector = e.loadRaw(buffer, e.at(row, columns, column), e.lanes, mask);
  } else {
    vector = compute(tensor.getDefiningOp());
  }
  known[tensor] = vector;
  return vector;
}

Value VectorScope::compute(mlir::Operation *op) {
  auto typeOf = [&](Value tensor) {
    return e.vectorType(e.lanes, mlir::getElementTypeOrSelf(tensor.getType()));
  };
  Value result = op->getResult(0);
  if (auto constant = llvm::dyn_cast<arith::ConstantOp>(op)) {
    auto splat = llvm::cast<mlir::SplatElementsAttr>(constant.getValue());
    return arith::ConstantOp::create(e.builder, e.loc, splat.resizeSplat(typeOf(result)));
  }
  SmallVector<Value> operands;
  for (Value operand : op->getOperands())
    operands.push_back(get(operand));
  if (auto tail = llvm::dyn_cast<nn::MaskTailOp>(op)) {
    Value live = e.sub(e.index(tail.getLive()), column);
    Type element = mlir::getElementTypeOrSelf(result.getType());
    auto lowest = mlir::FloatAttr::get(element, -std::numeric_limits<double>::infinity());
    Value infinity = arith::ConstantOp::create(
        e.builder, e.loc, mlir::DenseElementsAttr::get(typeOf(result), lowest.getValue()));
    return e.select(e.mask(live, e.lanes), operands[0], infinity);
  }
  if (auto elementwise = llvm::dyn_cast<ElementwiseOpInterface>(op))
    return elementwise.buildElement(e.builder, operands);
  mlir::OperationState state(e.loc, op->getName(), operands, typeOf(result), op->getAttrs());
  return e.builder.create(state)->getResult(0);
}

} // namespace levin::host::kernels
