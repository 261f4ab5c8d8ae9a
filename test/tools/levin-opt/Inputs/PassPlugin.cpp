// A plugin of mlir-opt: it knows nothing of Levin.
#include "mlir/Tools/Plugins/PassPlugin.h"
#include "mlir/Pass/Pass.h"

namespace {
struct SayHello : mlir::PassWrapper<SayHello, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(SayHello)
  // Flags that begin with h are taken for help by upstream's parser if they are unknown.
  llvm::StringRef getArgument() const final { return "hello"; }
  llvm::StringRef getDescription() const final { return "Says hello."; }
  void runOnOperation() override { getOperation()->emitRemark() << "hello"; }
};
} // namespace

extern "C" LLVM_ATTRIBUTE_WEAK mlir::PassPluginLibraryInfo mlirGetPassPluginInfo() {
  return {MLIR_PLUGIN_API_VERSION, "PassPlugin", "1", [] { mlir::PassRegistration<SayHello>(); }};
}
