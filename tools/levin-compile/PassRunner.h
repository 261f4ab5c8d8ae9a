// Runs the phases of the pipeline, with what the user wants to see or add in between.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_PASSRUNNER_H
#define LEVIN_TOOLS_LEVINCOMPILE_PASSRUNNER_H

#include "tools/levin-compile/Diagnostics.h"
#include "tools/levin-compile/Options.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Support/Timing.h"

#include <memory>

namespace levin::compile {

class PassRunner {
public:
  PassRunner(const Options &options, mlir::MLIRContext &context, Diagnostics &diagnostics);

  /// Makes the passes of every phase.  LV2002 for a pass that --insert or --print-ir-after names
  /// and nobody knows.
  Status prepare(const pipelines::TargetOptions &target);

  /// The phases and their passes, as --print-pipeline shows them.
  std::string text() const;

  /// Runs phase number `index`.  LV1031 for input that is refused, LV1032 for a pass that fails.
  Status run(size_t index, mlir::ModuleOp module);

  /// Writes `text` to `name` in the folder of --dump-phases, if it was given.
  Status dump(const std::string &name, const std::string &text) const;

private:
  Status insert(const Insertion &insertion);
  Status verifyPrintNames() const;

  const Options &options;
  mlir::MLIRContext &context;
  Diagnostics &diagnostics;
  mlir::DefaultTimingManager timing;
  mlir::TimingScope timingScope;
  std::vector<std::unique_ptr<mlir::PassManager>> managers; // one for each phase
};

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_PASSRUNNER_H
