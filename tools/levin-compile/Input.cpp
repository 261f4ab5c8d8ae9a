#include "tools/levin-compile/Input.h"

#include "dialects/nn/NN.h"
#include "models/Import.h"
#include "runtime/base/File.h"
#include "tools/common/Nesting.h"
#include "tools/levin-compile/WeightFiles.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"

#include <filesystem>

namespace levin::compile {

namespace fs = std::filesystem;

// "folder" for "a/folder/", whatever the user's spelling.
static std::string folderName(const std::string &path) {
  std::error_code ignored;
  fs::path full = fs::weakly_canonical(path, ignored);
  std::string name = full.filename().string();
  return name.empty() ? "model" : name;
}

static Result<Input> loadFolder(const Options &options, mlir::MLIRContext &context) {
  models::ImportOptions import;
  import.overrides = options.overrides;
  import.requireWeights = !options.planOnly;
  import.randomWeights = options.randomWeights;
  LEVIN_ASSIGN_OR_RETURN(models::ImportedModel model,
                         models::importFolder(options.input, import, context));
  Input input;
  input.module = std::move(model.module);
  input.name = folderName(options.input);
  input.summary = fmt::format("{}: {}", model.family, model.summary);
  input.weightFolder = options.input;
  input.weightFiles = model.checkpoint.files;
  for (const models::Asset &asset : model.assets)
    input.assets.push_back({asset.name, asset.path});
  input.notes = std::move(model.notes);
  input.warnings = std::move(model.warnings);
  LEVIN_ASSIGN_OR_RETURN(std::string config, readFile(options.input + "/config.json",
                                                      uint64_t(64) << 20, ErrorCode::ModelFolder));
  for (const std::string &override : options.overrides)
    config += "\n" + override;
  input.sourceDigest = sha256(config);
  return input;
}

static Result<Input> loadFile(const Options &options, mlir::MLIRContext &context,
                              Diagnostics &diagnostics) {
  LEVIN_ASSIGN_OR_RETURN(std::string text,
                         readFile(options.input, uint64_t(1) << 32, ErrorCode::ModelFolder));
  LEVIN_RETURN_IF_ERROR(tool::checkNesting(text, options.input));
  Input input;
  input.sourceDigest = sha256(text);
  input.module =
      mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context), options.input);
  if (!input.module)
    return diagnostics.take(ErrorCode::IrSyntax, "the IR cannot be parsed");
  fs::path path(options.input);
  input.name = path.stem().string();
  input.weightFolder = options.weights;
  if (input.weightFolder.empty())
    input.weightFolder = path.has_parent_path() ? path.parent_path().string() : ".";
  input.weightFiles = listWeightFiles(input.weightFolder);
  auto functions = input.module->getOps<mlir::func::FuncOp>();
  input.summary = fmt::format("{}: {} functions", path.filename().string(),
                              std::distance(functions.begin(), functions.end()));
  return input;
}

Result<Input> loadInput(const Options &options, mlir::MLIRContext &context,
                        Diagnostics &diagnostics) {
  std::error_code ignored;
  if (models::isFolder(options.input)) {
    if (!options.weights.empty())
      return makeError(ErrorCode::Usage, "--weights is for .mlir files; '{}' is a folder",
                       options.input)
          .note("fix", "leave --weights out: a folder's own weights are used");
    return loadFolder(options, context);
  }
  if (!fs::exists(options.input, ignored))
    return makeError(ErrorCode::ModelFolder, "'{}' does not exist", options.input)
        .note("need", "a model folder or a .mlir file");
  if (!options.overrides.empty())
    return makeError(ErrorCode::Usage, "--override is for model folders; '{}' is a file",
                     options.input);
  return loadFile(options, context, diagnostics);
}

static nn::RoleAttr roleOf(mlir::func::FuncOp function, unsigned argument) {
  return function.getArgAttrOfType<nn::RoleAttr>(argument, "nn.role");
}

// Whether the argument is a cache whose pages all sequences share.
static bool isReadInPages(mlir::func::FuncOp function, unsigned argument) {
  return !function.isExternal() && llvm::any_of(function.getArgument(argument).getUsers(),
                                                llvm::IsaPred<nn::PagedAttentionOp>);
}

StateExtents stateExtentsOf(mlir::ModuleOp module) {
  StateExtents extents;
  auto keepSmaller = [](std::optional<int64_t> &to, int64_t value) {
    if (!mlir::ShapedType::isDynamic(value))
      to = to ? std::min(*to, value) : value;
  };
  for (auto function : module.getOps<mlir::func::FuncOp>()) {
    bool isStep = false;
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      nn::RoleAttr role = roleOf(function, i);
      isStep |= static_cast<bool>(role);
      auto type = llvm::dyn_cast<mlir::ShapedType>(function.getArgumentTypes()[i]);
      bool isPool = isReadInPages(function, i);
      if (role && role.getValue() == nn::Role::State && type && type.hasRank() &&
          type.getRank() > 0)
        keepSmaller(isPool ? extents.fixedPages : extents.fixedSlots, type.getDimSize(0));
    }
    extents.hasStep |= isStep;
    if (!isStep)
      continue;
    // A cache of blocks of `tokens`.
    auto addCache = [&](int64_t tokens, int64_t blocks, int64_t groups, int64_t size) {
      if (!mlir::ShapedType::isDynamic(tokens))
        extents.blockTokens = extents.blockTokens ? std::min(extents.blockTokens, tokens) : tokens;
      keepSmaller(extents.fixedBlocks, blocks);
      extents.numbersPerToken += static_cast<uint64_t>(2 * groups * size);
    };
    bool first = extents.numbersPerToken == 0; // static steps, one a bucket, share their caches
    function.walk([&](mlir::Operation *op) {
      if (auto attention = llvm::dyn_cast<nn::AttentionOp>(op); attention && first) {
        llvm::ArrayRef<int64_t> keys = attention.getKeys().getType().getShape();
        addCache(keys[4], keys[2], keys[1], keys[3]);
      } else if (auto paged = llvm::dyn_cast<nn::PagedAttentionOp>(op); paged && first) {
        llvm::ArrayRef<int64_t> keys = paged.getKeys().getType().getShape();
        addCache(keys[2], paged.getPages().getType().getDimSize(1), keys[1], keys[3]);
        extents.isPaged = true;
      }
    });
  }
  return extents;
}

} // namespace levin::compile
