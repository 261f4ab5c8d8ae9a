// Runs passes on a file: mlir-opt with the project's dialects and passes, plugins that fail loudly
// and a command line that says what is wrong with it.
#include "codegen/cuda/Passes.h"
#include "codegen/host/Passes.h"
#include "dialects/Dialects.h"
#include "dialects/Version.h"
#include "dialects/interfaces/Passes.h"
#include "passes/pipelines/Passes.h"
#include "tools/common/Report.h"
#include "tools/levin-opt/Flags.h"
#include "tools/levin-opt/PluginLoader.h"

#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"
#include "llvm/Config/llvm-config.h"
#include "llvm/Support/InitLLVM.h"

#include <vector>

static bool has(llvm::ArrayRef<char *> args, llvm::ArrayRef<llvm::StringLiteral> flags) {
  return llvm::any_of(args.drop_front(),
                      [&](llvm::StringRef arg) { return llvm::is_contained(flags, arg); });
}

static void registerPasses() {
  mlir::registerAllPasses();
  levin::interfaces::registerInterfacesPasses();
  levin::registerLevinPasses();
  levin::host::registerHostCodegenPasses();
  levin::cuda::registerCudaCodegenPasses();
}

int main(int argc, char **argv) {
  llvm::InitLLVM init(argc, argv);
  std::vector<char *> args(argv, argv + argc);
  if (has(args, {"--version", "-version"})) {
    llvm::outs() << "levin-opt " LEVIN_VERSION_STRING " (LLVM " LLVM_VERSION_STRING ")\n";
    return 0;
  }

  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  levin::registerLevinDialects(registry);
  registerPasses();
  if (auto status = levin::tool::loadPlugins(args, registry); !status.ok())
    return levin::tool::reportStatus(status);

  mlir::registerCLIOptions("Levin", registry);
  if (has(args, {"--help", "-help", "-h"})) {
    levin::tool::printHelp();
    return 0;
  }
  for (char *&arg : args) {
    static char everything[] = "--help";
    if (llvm::StringRef(arg) == "--help-all")
      arg = everything;
  }
  if (auto status = levin::tool::verifyFlags(args); !status.ok())
    return levin::tool::reportStatus(status);

  int count = static_cast<int>(args.size());
  args.push_back(nullptr);
  auto [input, output] = mlir::parseCLIOptions(count, args.data(), "Runs passes on IR");
  return mlir::asMainReturnCode(mlir::MlirOptMain(count, args.data(), input, output, registry));
}
