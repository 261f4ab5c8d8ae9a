#include "models/minimax/Import.h"

#include "models/minimax/Builder.h"
#include "models/minimax/Config.h"
#include "models/minimax/Tensors.h"

#include "mlir/IR/Verifier.h"

#include <filesystem>

namespace levin::models::minimax {

static std::string summaryOf(const Config &config) {
  uint64_t lightning = config.lightningLayers();
  return fmt::format("{} layers ({} lightning + {} softmax), {} experts top-{}", config.layers,
                     lightning, config.layers - lightning, config.experts, config.choices);
}

// What later stages and the artifact say about the model.  The folder is a hint by its own name:
// no absolute path goes further.
static void describe(const Config &config, const std::string &folder, mlir::ModuleOp module) {
  mlir::Builder build(module.getContext());
  std::filesystem::path path(folder);
  std::string name = (path.has_filename() ? path : path.parent_path()).filename().string();
  module->setAttr("nn.family", build.getStringAttr("minimax"));
  module->setAttr("nn.vocabulary",
                  build.getI64IntegerAttr(static_cast<int64_t>(config.vocabulary)));
  module->setAttr("nn.layers", build.getI64IntegerAttr(static_cast<int64_t>(config.layers)));
  if (config.beginToken)
    module->setAttr("nn.begin_token", build.getI64IntegerAttr(*config.beginToken));
  module->setAttr("nn.end_tokens", build.getDenseI64ArrayAttr(config.endTokens));
  module->setAttr("nn.source", build.getStringAttr(name));
}

static Status buildModule(const Config &config, const ModelFolder &folder,
                          const ImportOptions &options, mlir::MLIRContext &context,
                          ImportedModel &model) {
  StepBuilder builder(context, model.checkpoint, options.dtype,
                      config.dtype.value_or(weights::DType::BF16));
  buildStep(config, builder);
  model.bytes = builder.parameterBytes();
  model.module = builder.take();
  describe(config, folder.path, *model.module);
  if (mlir::failed(mlir::verify(*model.module)))
    return makeError(ErrorCode::Internal, "the imported module of '{}' does not verify",
                     folder.path);
  return {};
}

Result<ImportedModel> importModel(const ModelFolder &folder, const ImportOptions &options,
                                  mlir::MLIRContext &context) {
  LEVIN_ASSIGN_OR_RETURN(Config config,
                         readConfig(folder.config, folder.generation, options.overrides));
  ImportedModel model;
  model.notes = config.notes;
  model.warnings = config.warnings;
  model.summary = summaryOf(config);
  std::vector<ExpectedTensor> tensors = expectedTensors(config);
  if (options.randomWeights) {
    for (const ExpectedTensor &tensor : tensors)
      model.checkpoint.tensors[tensor.name] = {0, config.dtype.value_or(weights::DType::BF16),
                                               tensor.shape};
  } else {
    LEVIN_ASSIGN_OR_RETURN(model.checkpoint, readCheckpoint(folder.path, options.requireWeights));
  }
  for (const std::string &note : model.checkpoint.notes)
    model.notes.push_back(note);
  LEVIN_RETURN_IF_ERROR(checkTensors(
      model.checkpoint, tensors,
      [&](std::string_view name) { return isKnownAndUnused(config, name); }, model.notes));
  model.parameters = parameterCount(tensors);
  if (config.vocabulary > trainedVocabulary)
    model.notes.push_back(fmt::format("logits of the rows from {} on, which were never trained, "
                                      "are set to minus infinity",
                                      trainedVocabulary));
  if (!options.checkOnly)
    LEVIN_RETURN_IF_ERROR(buildModule(config, folder, options, context, model));
  return model;
}

} // namespace levin::models::minimax
