#include "dialects/Dialects.h"
#include "dialects/interfaces/Passes.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllPasses.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Tools/mlir-opt/MlirOptMain.h"

int main(int argc, char **argv) {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  levin::registerLevinDialects(registry);
  levin::interfaces::registerInterfacesPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(argc, argv, "Levin", registry));
}
