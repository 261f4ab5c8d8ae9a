// A pass out of tree: says how many multiply-adds the matrix products of each function take.
#include "dialects/Plugin.h"
#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/Pass.h"
#include "llvm/ADT/TypeSwitch.h"

namespace {

// How often each entry of `weight` meets a row of `input`; nothing if a shape is dynamic.  For a
// grouped product each row meets one expert's matrix.
std::optional<int64_t> multiplyAdds(mlir::Value input, mlir::Value weight) {
  auto rows = llvm::cast<mlir::RankedTensorType>(input.getType());
  auto matrix = llvm::cast<mlir::RankedTensorType>(weight.getType());
  if (!rows.hasStaticShape() || !matrix.hasStaticShape())
    return std::nullopt;
  int64_t rank = matrix.getRank();
  return rows.getDimSize(0) * matrix.getDimSize(rank - 2) * matrix.getDimSize(rank - 1);
}

struct CountFlops : mlir::PassWrapper<CountFlops, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountFlops)
  llvm::StringRef getArgument() const final { return "count-flops"; }
  llvm::StringRef getDescription() const final {
    return "Remarks how many multiply-adds the matrix products of each function take.";
  }

  void runOnOperation() override {
    getOperation()->walk([](mlir::FunctionOpInterface function) { count(function); });
  }

  static void count(mlir::FunctionOpInterface function) {
    int64_t products = 0, total = 0, unknown = 0;
    function.walk([&](mlir::Operation *op) {
      auto add = [&](mlir::Value input, mlir::Value weight) {
        ++products;
        if (auto flops = multiplyAdds(input, weight))
          total += *flops;
        else
          ++unknown;
      };
      llvm::TypeSwitch<mlir::Operation *>(op)
          .Case([&](levin::nn::LinearOp linear) { add(linear.getInput(), linear.getWeight()); })
          .Case([&](levin::moe::GroupedLinearOp linear) {
            add(linear.getInput(), linear.getWeight());
          });
    });
    auto remark = function->emitRemark() << products << " products, " << total << " multiply-adds";
    if (unknown)
      remark << ", " << unknown << " of dynamic shape not counted";
  }
};

void registerPasses() { mlir::PassRegistration<CountFlops>(); }

} // namespace

LEVIN_PLUGIN("count-flops", registerPasses, nullptr)
