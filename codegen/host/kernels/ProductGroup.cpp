#include "codegen/host/kernels/ProductGroup.h"

#include "codegen/host/kernels/Heads.h"

#include "dialects/exec/Exec.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/IR/Matchers.h"

namespace levin::host::kernels {

static mlir::RankedTensorType tensorType(Value value) {
  return llvm::cast<mlir::RankedTensorType>(value.getType());
}

/// linalg.matmul of [m, k] and [k, n] that adds to zeros.
static bool isPlainMatmul(mlir::linalg::MatmulOp op) {
  if (op.hasUserDefinedMaps() || op->getNumResults() != 1)
    return false;
  auto fill = op.getOutputs()[0].getDefiningOp<mlir::linalg::FillOp>();
  return fill && mlir::matchPattern(fill.getInputs()[0], mlir::m_AnyZeroFloat());
}

namespace {
/// Gathers a ProductGroup op by op.
struct Analysis {
  ProductGroup group;

  bool addProduct(mlir::Operation *op, Value input, std::optional<WeightSource> weight) {
    auto argument = argumentNumber(input);
    auto inputType = tensorType(input), type = tensorType(op->getResult(0));
    if (!argument || !weight || !inputType.hasStaticShape() ||
        !inputType.getElementType().isF32() || !type.getElementType().isF32() ||
        inputType.getDimSize(0) == 0 || weight->n == 0 || weight->k == 0)
      return false;
    bool first = group.products.empty();
    if (first) {
      group.input = *argument;
      group.m = inputType.getDimSize(0);
      group.n = weight->n;
      group.k = weight->k;
    } else if (group.input != *argument || group.n != weight->n || group.k != weight->k) {
      return false;
    }
    group.products.push_back({op, *weight, std::nullopt});
    return true;
  }

  bool add(mlir::Operation *op) {
    if (auto linear = llvm::dyn_cast<nn::LinearOp>(op)) {
      if (group.offsets || !addProduct(op, linear.getInput(), traceWeight(linear.getWeight())))
        return false;
      if (Value bias = linear.getBias()) {
        group.products.back().bias = argumentNumber(bias);
        return group.products.back().bias.has_value();
      }
      return true;
    }
    if (auto matmul = llvm::dyn_cast<mlir::linalg::MatmulOp>(op)) {
      if (group.offsets || !isPlainMatmul(matmul))
        return false;
      auto weight = traceWeight(matmul.getInputs()[1]);
      if (!weight || weight->layout != WeightLayout::Rows)
        return false;
      weight->layout = WeightLayout::Columns;
      std::swap(weight->n, weight->k);
      return addProduct(op, matmul.getInputs()[0], weight);
    }
    if (auto grouped = llvm::dyn_cast<moe::GroupedLinearOp>(op)) {
      auto offsets = argumentNumber(grouped.getOffsets());
      bool first = group.products.empty();
      if (!offsets || (!first && group.offsets != offsets))
        return false;
      group.offsets = offsets;
      group.experts = tensorType(grouped.getWeight()).getDimSize(0);
      return addProduct(op, grouped.getInput(), traceWeight(grouped.getWeight()));
    }
    if (llvm::isa<exec::UnpackOp>(op))
      return llvm::all_of(op->getUsers(), [](mlir::Operation *user) {
        return llvm::isa<nn::LinearOp, moe::GroupedLinearOp>(user);
      });
    if (llvm::isa<mlir::linalg::FillOp, mlir::tensor::EmptyOp>(op))
      return llvm::all_of(op->getUsers(), [](mlir::Operation *user) {
        return llvm::isa<mlir::linalg::FillOp, mlir::linalg::MatmulOp>(user);
      });
    if (auto constant = llvm::dyn_cast<mlir::arith::ConstantOp>(op))
      return isSplatConstant(op) || llvm::isa<mlir::FloatAttr>(constant.getValue());
    return isElementwise(op);
  }

  bool isResultShape(Value value) const {
    auto type = tensorType(value);
    return type.getRank() == 2 && type.getDimSize(0) == group.m && type.getDimSize(1) == group.n;
  }

  bool checkShapes(mlir::func::FuncOp kernel) const {
    if (group.products.empty())
      return false;
    for (mlir::Operation &op : kernel.getBody().front()) {
      if (isElementwise(&op) && !isResultShape(op.getResult(0)))
        return false;
      if (llvm::isa<mlir::func::ReturnOp>(op))
        for (Value result : op.getOperands())
          if (llvm::isa<mlir::BlockArgument>(result) || !isResultShape(result))
            return false;
    }
    return true;
  }
};
} // namespace

std::optional<ProductGroup> analyseProducts(mlir::func::FuncOp kernel) {
  Analysis analysis;
  for (mlir::Operation &op : kernel.getBody().front())
    if (!llvm::isa<mlir::func::ReturnOp>(op) && !analysis.add(&op))
      return std::nullopt;
  if (!analysis.checkShapes(kernel))
    return std::nullopt;
  return analysis.group;
}

SmallVector<Gemm::Factor> factorsOf(Emit &e, const ProductGroup &group, mlir::func::FuncOp function,
                                    Value expert) {
  SmallVector<Gemm::Factor> factors;
  for (const Product &product : group.products) {
    const WeightSource &weight = product.weight;
    int64_t size = weight.layout == WeightLayout::Panels ? roundUp(weight.n, panelWidth) * weight.k
                                                         : weight.n * weight.k;
    factors.push_back(
        {e.flat(function.getArgument(weight.argument)), e.mul(expert, size), weight.layout});
  }
  return factors;
}

void emitResults(Emit &e, const ProductGroup &group, mlir::func::FuncOp kernel,
                 mlir::func::FuncOp function, Value row, Value column, Value mask,
                 ArrayRef<Value> sums) {
  VectorScope scope(e, row, column, mask);
  for (mlir::BlockArgument argument : kernel.getArguments())
    if (tensorType(argument).getRank() == 2)
      scope.setBuffer(argument, e.flat(function.getArgument(argument.getArgNumber())));
  for (auto [product, sum] : llvm::zip(group.products, sums)) {
    Value value = sum;
    if (product.bias)
      value = e.addf(value, e.load(function.getArgument(*product.bias), column, e.lanes, mask));
    scope.set(product.op->getResult(0), value);
  }
  unsigned arguments = kernel.getNumArguments();
  auto results = kernel.getBody().front().getTerminator()->getOperands();
  for (auto [i, result] : llvm::enumerate(results))
    e.store(scope.get(result), e.flat(function.getArgument(arguments + i)),
            e.at(row, group.n, column), mask);
}

} // namespace levin::host::kernels
