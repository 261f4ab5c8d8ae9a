#include "models/Import.h"

#include "dialects/Dialects.h"
#include "models/ConfigReader.h"
#include "models/Family.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <algorithm>
#include <filesystem>

namespace levin::models {

namespace fs = std::filesystem;

static constexpr uint64_t largestGolden = uint64_t(16) << 20;

bool isFolder(const std::string &path) {
  std::error_code ignored;
  return fs::is_directory(path, ignored);
}

void registerDialects(mlir::DialectRegistry &registry) {
  registerLevinDialects(registry);
  registry.insert<mlir::arith::ArithDialect, mlir::func::FuncDialect>();
}

static void loadDialects(mlir::MLIRContext &context) {
  mlir::DialectRegistry registry;
  registerDialects(registry);
  context.appendDialectRegistry(registry);
  context.loadDialect<mlir::arith::ArithDialect, mlir::func::FuncDialect, moe::MoeDialect,
                      nn::NNDialect>();
}

static bool isAsset(const std::string &name, uint64_t bytes) {
  static constexpr std::string_view names[] = {"tokenizer.json", "tokenizer_config.json",
                                               "generation_config.json", "chat_template.jinja",
                                               "golden.json"};
  if (std::find(std::begin(names), std::end(names), name) != std::end(names))
    return true;
  return name.starts_with("golden") && name.ends_with(".safetensors") && bytes < largestGolden;
}

// Files of the folder that travel with the model, by name.
static std::vector<Asset> findAssets(const std::string &folder) {
  std::vector<Asset> assets;
  std::error_code failure;
  fs::directory_iterator entries(folder, failure);
  for (; !failure && entries != fs::directory_iterator(); entries.increment(failure)) {
    std::error_code unreadable;
    uint64_t bytes = entries->file_size(unreadable);
    std::string name = entries->path().filename().string();
    if (!unreadable && entries->is_regular_file(unreadable) && isAsset(name, bytes))
      assets.push_back({name, folder + "/" + name, bytes});
  }
  std::sort(assets.begin(), assets.end(),
            [](const Asset &a, const Asset &b) { return a.name < b.name; });
  return assets;
}

static Result<ModelFolder> openFolder(const std::string &path, const ImportOptions &options) {
  std::error_code ignored;
  if (!isFolder(path))
    return makeError(ErrorCode::ModelFolder, "'{}' is not a folder", path)
        .note("need", "a folder with config.json and safetensors files");
  if (!fs::exists(fs::path(path) / "config.json", ignored))
    return makeError(ErrorCode::ModelFolder, "'{}' holds no config.json", path)
        .note("need", "a folder as Hugging Face lays it out")
        .note("fix", "name the folder that holds config.json");
  ModelFolder folder;
  folder.path = path;
  LEVIN_ASSIGN_OR_RETURN(folder.config, readConfig(path, "config.json"));
  for (const std::string &assignment : options.overrides)
    LEVIN_RETURN_IF_ERROR(applyOverride(folder.config, assignment));
  if (fs::exists(fs::path(path) / "generation_config.json", ignored)) {
    LEVIN_ASSIGN_OR_RETURN(folder.generation, readConfig(path, "generation_config.json"));
  }
  return folder;
}

Result<ImportedModel> importFolder(const std::string &folder, const ImportOptions &options,
                                   mlir::MLIRContext &context) {
  LEVIN_ASSIGN_OR_RETURN(ModelFolder opened, openFolder(folder, options));
  std::vector<std::string> notes;
  LEVIN_ASSIGN_OR_RETURN(const Family *family, identifyFamily(opened.config, notes));
  loadDialects(context);
  LEVIN_ASSIGN_OR_RETURN(ImportedModel model, family->import(opened, options, context));
  model.family = family->name;
  model.notes.insert(model.notes.begin(), notes.begin(), notes.end());
  model.assets = findAssets(folder);
  return model;
}

} // namespace levin::models
