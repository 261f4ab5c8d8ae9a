// A plugin of Levin with one pass and one dialect.
#include "dialects/Plugin.h"

#include "mlir/IR/Dialect.h"
#include "mlir/Pass/Pass.h"

namespace {

struct CountOps : mlir::PassWrapper<CountOps, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(CountOps)
  llvm::StringRef getArgument() const final { return "test-count-ops"; }
  llvm::StringRef getDescription() const final { return "Counts ops."; }
  void runOnOperation() override {
    unsigned count = 0;
    getOperation()->walk([&](mlir::Operation *) { ++count; });
    getOperation()->emitRemark() << "holds " << count << " ops";
  }
};

struct GoodDialect : mlir::Dialect {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(GoodDialect)
  explicit GoodDialect(mlir::MLIRContext *context)
      : Dialect("good", context, mlir::TypeID::get<GoodDialect>()) {
    allowUnknownOperations();
  }
  static llvm::StringRef getDialectNamespace() { return "good"; }
};

void registerPasses() { mlir::PassRegistration<CountOps>(); }
void registerDialects(mlir::DialectRegistry &registry) { registry.insert<GoodDialect>(); }

} // namespace

LEVIN_PLUGIN("good", registerPasses, registerDialects)
