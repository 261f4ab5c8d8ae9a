#include "dialects/interfaces/Decompose.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Pass/Pass.h"

namespace levin::interfaces {
#define GEN_PASS_DEF_DECOMPOSEPASS
#include "dialects/interfaces/Passes.h.inc"

namespace {
struct DecomposePass : impl::DecomposePassBase<DecomposePass> {
  void runOnOperation() override {
    if (mlir::failed(decomposeAll(getOperation())))
      signalPassFailure();
  }
};
} // namespace
} // namespace levin::interfaces
