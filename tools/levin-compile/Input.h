// What is compiled: a model folder or a file of IR.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_INPUT_H
#define LEVIN_TOOLS_LEVINCOMPILE_INPUT_H

#include "runtime/base/Digest.h"
#include "tools/levin-compile/Diagnostics.h"
#include "tools/levin-compile/Options.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace levin::compile {

struct Input {
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::string name;    // of the artifact, unless the user gives one
  std::string summary; // for the screen
  std::string weightFolder;
  std::vector<std::string> weightFiles;                    // names within it
  std::vector<std::pair<std::string, std::string>> assets; // name and path
  Digest sourceDigest{};                                   // of config.json or of the IR
  std::vector<std::string> notes, warnings;
};

/// Reads what `options.input` names.  With `options.planOnly` weight files may be absent.
/// Failures: those of models::importFolder, LV1001 for an absent file, LV1030 for bad IR.
Result<Input> loadInput(const Options &options, mlir::MLIRContext &context,
                        Diagnostics &diagnostics);

/// The extents of what the input keeps between steps.
struct StateExtents {
  bool hasStep = false;
  int64_t blockTokens = 0;            // tokens in a block of a cache; 0 without softmax attention
  std::optional<int64_t> fixedSlots;  // of a step that is static already
  std::optional<int64_t> fixedBlocks; // likewise
  bool isPaged = false;               // blocks are pages that all sequences share
  std::optional<int64_t> fixedPages;  // of a step that is static already
  uint64_t numbersPerToken = 0;       // keys and values of all layers
};
StateExtents stateExtentsOf(mlir::ModuleOp module);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_INPUT_H
