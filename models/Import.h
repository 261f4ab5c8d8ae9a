// From a Hugging Face folder to a module at model level.
//
// A family of models is a row in Family.cpp: the names by which configurations call it, and the
// function that imports it.  Everything here reads configuration, index and safetensors headers,
// and no weight bytes.
#ifndef LEVIN_MODELS_IMPORT_H
#define LEVIN_MODELS_IMPORT_H

#include "models/Checkpoint.h"
#include "runtime/base/Status.h"
#include "runtime/weights/DType.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mlir {
class DialectRegistry;
class MLIRContext;
} // namespace mlir

namespace levin::models {

struct ImportOptions {
  /// Configuration keys to set before reading, each "key=value" ("rope_parameters.rope_theta=1e7").
  /// The value is JSON, or a string if it is no JSON.
  std::vector<std::string> overrides;
  /// Element type of all matrices; without one each keeps the type in which it is stored.
  std::optional<weights::DType> dtype;
  /// Whether the weight files must be there.  Otherwise an index alone is enough: names are
  /// checked, shapes and types are taken from the configuration.
  bool requireWeights = true;
  /// No checkpoint at all: the tensors are those of the configuration, and their values random.
  bool randomWeights = false;
  /// Check only: the module stays empty.
  bool checkOnly = false;
};

/// A file that travels in the artifact as it is: tokenizer, chat template, golden data.
struct Asset {
  std::string name; // within the folder, also the asset's name
  std::string path; // where to read it
  uint64_t bytes = 0;
};

struct ImportedModel {
  mlir::OwningOpRef<mlir::ModuleOp> module; // null with checkOnly
  std::string family;                       // "minimax"
  std::string summary;                      // "80 layers (70 lightning + 10 softmax), .."
  Checkpoint checkpoint;                    // which file holds which tensor
  std::vector<Asset> assets;
  std::vector<std::string> notes;    // harmless things worth knowing
  std::vector<std::string> warnings; // things that may make results differ from what is expected
  uint64_t parameters = 0;           // elements of all tensors of the model
  uint64_t bytes = 0;                // of these in the types of the module; 0 with checkOnly
};

/// Whether `path` is a folder, as opposed to a file of IR.
bool isFolder(const std::string &path);

/// Imports the model in `folder`; loads the dialects that it needs into `context`.  Failures:
/// LV1001 to LV1015, LV2002 for an override that cannot be used.
Result<ImportedModel> importFolder(const std::string &folder, const ImportOptions &options,
                                   mlir::MLIRContext &context);

/// Registers the dialects that imported modules use.
void registerDialects(mlir::DialectRegistry &registry);

} // namespace levin::models

#endif // LEVIN_MODELS_IMPORT_H
