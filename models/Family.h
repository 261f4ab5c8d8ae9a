// The families of models that can be imported, and how a configuration says which it is.
#ifndef LEVIN_MODELS_FAMILY_H
#define LEVIN_MODELS_FAMILY_H

#include "models/Import.h"
#include "runtime/base/Json.h"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin::models {

/// What every importer is given: the folder and its parsed configuration, overrides applied.
struct ModelFolder {
  std::string path;
  Json config;     // config.json
  Json generation; // generation_config.json, or null
};

/// One family.  A new one is a row in Family.cpp.
struct Family {
  std::string_view name;
  std::vector<std::string_view> modelTypes;    // values of `model_type`
  std::vector<std::string_view> architectures; // entries of `architectures`
  /// The keys that tell the family; of names joined by '|' one is enough.
  std::vector<std::string_view> keys;
  Result<ImportedModel> (*import)(const ModelFolder &, const ImportOptions &, mlir::MLIRContext &);
};

std::span<const Family> families();

/// The family that `config` names; if it names none, the one whose keys it has, with a note.
/// Failures: LV1003 for an unknown architecture, LV1006 for a known one that is not supported.
Result<const Family *> identifyFamily(const Json &config, std::vector<std::string> &notes);

} // namespace levin::models

#endif // LEVIN_MODELS_FAMILY_H
