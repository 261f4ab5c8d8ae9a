// Diagnostics of MLIR as failures of the tool.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_DIAGNOSTICS_H
#define LEVIN_TOOLS_LEVINCOMPILE_DIAGNOSTICS_H

#include "runtime/base/Status.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"

#include <string>

namespace levin::compile {

/// "model.mlir:12:3", or the layer's name for imported IR; empty if unknown.
std::string placeOf(mlir::Location location);

/// Keeps the first error that MLIR reports, and prints warnings and remarks on stderr.
class Diagnostics {
public:
  explicit Diagnostics(mlir::MLIRContext &context);

  /// The first error since the last call, as a failure of `code`; `otherwise` describes a failure
  /// that came without a diagnostic.
  Status take(ErrorCode code, const std::string &otherwise);

private:
  void handle(mlir::Diagnostic &diagnostic);

  mlir::ScopedDiagnosticHandler handler;
  std::string what, where;
  std::vector<std::string> notes;
  unsigned errors = 0;
};

/// Prints remarks of the kinds that `kinds` names ("missed", "passed" or "all") on stderr, from
/// here on; nothing for an empty name.
Status enableRemarks(mlir::MLIRContext &context, const std::string &kinds);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_DIAGNOSTICS_H
