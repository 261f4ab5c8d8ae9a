// Dense products that nothing follows, by cuBLASLt.
//
// Not tried unless asked for: the project's own products are as fast and take what follows them
// (docs/rationale/cuda.md).
#include "codegen/cuda/templates/Functor.h"
#include "codegen/cuda/templates/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

namespace levin::cuda::templates {

using artifact::DType;

/// The argument that `value` is, or widens.
static std::optional<unsigned> argumentBehind(mlir::Value value) {
  if (auto widened = value.getDefiningOp<mlir::arith::ExtFOp>())
    value = widened.getIn();
  auto argument = llvm::dyn_cast<mlir::BlockArgument>(value);
  return argument ? std::optional(argument.getArgNumber()) : std::nullopt;
}

namespace {
class LibraryTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "cublaslt"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

std::optional<KernelPlan> LibraryTemplate::plan(mlir::func::FuncOp kernel,
                                                const CudaTarget &) const {
  mlir::Operation *end = kernel.getBody().front().getTerminator();
  if (end->getNumOperands() != 1)
    return std::nullopt;
  mlir::Value result = end->getOperand(0);
  if (auto rounded = result.getDefiningOp<mlir::arith::TruncFOp>())
    result = rounded.getIn();
  auto linear = result.getDefiningOp<nn::LinearOp>();
  if (!linear || linear.getBias())
    return std::nullopt;
  auto input = argumentBehind(linear.getInput()), weight = argumentBehind(linear.getWeight());
  if (!input || !weight)
    return std::nullopt;
  auto typeOf = [&](unsigned argument) {
    return llvm::cast<mlir::RankedTensorType>(kernel.getArgumentTypes()[argument]);
  };
  auto extent = [](mlir::RankedTensorType type, unsigned i) {
    return static_cast<uint64_t>(type.getDimSize(i));
  };
  auto resultType = llvm::cast<mlir::RankedTensorType>(kernel.getResultTypes()[0]);
  artifact::LibraryProduct product;
  product.m = extent(typeOf(*input), 0);
  product.n = extent(typeOf(*weight), 0);
  product.k = extent(typeOf(*weight), 1);
  product.input = *input;
  product.weight = *weight;
  product.output = kernel.getNumArguments();
  product.inputType = floatDType(typeOf(*input).getElementType());
  product.weightType = floatDType(typeOf(*weight).getElementType());
  product.outputType = floatDType(resultType.getElementType());
  // What the library multiplies: operands of one type, whose rows begin at multiples of 16 bytes.
  bool isKnown = product.inputType == DType::BF16 || product.inputType == DType::F32;
  if (!isKnown || product.inputType != product.weightType || product.k % 8 || product.n % 8 ||
      (product.outputType != product.inputType && product.outputType != DType::F32))
    return std::nullopt;
  KernelPlan plan;
  plan.product = product;
  return plan;
}

const KernelTemplate &library() {
  static const LibraryTemplate instance;
  return instance;
}

} // namespace levin::cuda::templates
