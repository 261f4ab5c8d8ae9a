// levin-import: a model folder to IR at model level, or a check of the folder.
#include "models/Import.h"
#include "runtime/base/File.h"
#include "tools/common/CommandLine.h"
#include "tools/common/Format.h"
#include "tools/common/Nesting.h"
#include "tools/common/Progress.h"
#include "tools/common/Report.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/raw_ostream.h"

#include <nlohmann/json.hpp>

using namespace levin;

namespace {

struct Options {
  std::string input, dtype = "auto";
  std::optional<std::string> output;
  std::vector<std::string> overrides;
  bool check = false;
};

class Importer {
public:
  Importer(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general), progress(general.progress) {}

  Status run();

private:
  Status importModel();
  Status checkFile();
  void tell(const models::ImportedModel &model);
  std::string summaryText(const models::ImportedModel &model) const;
  std::string summaryJson(const models::ImportedModel &model) const;

  const Options &options;
  const tool::GeneralOptions &general;
  tool::Progress progress;
  mlir::MLIRContext context;
};

} // namespace

static std::string printed(mlir::ModuleOp module) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  stream << "\n";
  return text;
}

void Importer::tell(const models::ImportedModel &model) {
  if (general.quiet || general.json)
    return;
  for (const std::string &note : model.notes)
    progress.note("note: " + note);
  for (const std::string &warning : model.warnings)
    tool::reportWarning(warning);
}

std::string Importer::summaryText(const models::ImportedModel &model) const {
  const models::Checkpoint &checkpoint = model.checkpoint;
  tool::Table table;
  table.column("").column("");
  table.row({"model", model.family + ": " + model.summary});
  table.row({"parameters", tool::humanCount(model.parameters)});
  table.row(
      {"tensors", fmt::format("{} in {} file{}, 0 missing, 0 unexpected{}",
                              tool::humanCount(checkpoint.tensors.size()), checkpoint.files.size(),
                              checkpoint.files.size() == 1 ? "" : "s",
                              checkpoint.headersRead ? "; shapes and types agree" : "")});
  if (model.bytes)
    table.row({"size", tool::humanBytes(model.bytes)});
  return table.text();
}

std::string Importer::summaryJson(const models::ImportedModel &model) const {
  nlohmann::ordered_json json;
  json["family"] = model.family;
  json["summary"] = model.summary;
  json["parameters"] = model.parameters;
  if (model.bytes)
    json["bytes"] = model.bytes;
  json["tensors"] = model.checkpoint.tensors.size();
  json["files"] = model.checkpoint.files;
  json["shapes_checked"] = model.checkpoint.headersRead;
  json["assets"] = nlohmann::ordered_json::array();
  for (const models::Asset &asset : model.assets)
    json["assets"].push_back(asset.name);
  json["notes"] = model.notes;
  json["warnings"] = model.warnings;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Status Importer::importModel() {
  models::ImportOptions request;
  request.overrides = options.overrides;
  request.requireWeights = false;
  request.checkOnly = options.check;
  if (options.dtype != "auto")
    request.dtype = options.dtype == "bf16"  ? weights::DType::BF16
                    : options.dtype == "f16" ? weights::DType::F16
                                             : weights::DType::F32;
  progress.begin(options.check ? "check" : "import");
  LEVIN_ASSIGN_OR_RETURN(models::ImportedModel model,
                         models::importFolder(options.input, request, context));
  progress.end(model.family + ": " + model.summary);
  tell(model);
  tool::Output output;
  if (!options.check && !options.output) {
    output.write(printed(*model.module));
    return output.finish();
  }
  if (options.output)
    LEVIN_RETURN_IF_ERROR(writeFile(*options.output, printed(*model.module)));
  output.write(general.json ? summaryJson(model) : summaryText(model));
  return output.finish();
}

// A file of IR: parsed and verified, and printed again.
Status Importer::checkFile() {
  if (!options.overrides.empty() || options.dtype != "auto")
    return makeError(ErrorCode::Usage, "--override and --dtype are for folders, and '{}' is a file",
                     options.input);
  LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(options.input));
  LEVIN_RETURN_IF_ERROR(tool::checkNesting(text, options.input));
  mlir::DialectRegistry registry;
  models::registerDialects(registry);
  context.appendDialectRegistry(registry);
  std::string where, what;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    if (diagnostic.getSeverity() == mlir::DiagnosticSeverity::Error && what.empty()) {
      what = diagnostic.str();
      llvm::raw_string_ostream(where) << diagnostic.getLocation();
    }
    return mlir::success();
  });
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context, options.input);
  if (!module)
    return makeError(ErrorCode::IrSyntax, "'{}' cannot be read: {}", options.input, what)
        .note("where", where);
  if (options.output)
    return writeFile(*options.output, printed(*module));
  if (options.check)
    return {};
  tool::Output output;
  output.write(printed(*module));
  return output.finish();
}

Status Importer::run() {
  if (options.check && options.output)
    return makeError(ErrorCode::Usage, "--check writes nothing, so -o cannot be used with it");
  if (models::isFolder(options.input))
    return general.json && !options.check && !options.output
               ? makeError(ErrorCode::Usage, "--json needs --check or -o: without them the module "
                                             "goes to standard output")
               : importModel();
  if (options.input.ends_with(".mlir") || options.input.ends_with(".mlirbc"))
    return checkFile();
  return makeError(ErrorCode::ModelFolder, "'{}' is neither a folder nor a .mlir file",
                   options.input)
      .note("need", "a folder with config.json and safetensors files, or a file of IR");
}

int main(int argc, char **argv) {
  Options options;
  tool::CommandLine line("levin-import", "imports a model folder as IR, or checks it");
  line.root()
      .positional("MODEL", &options.input, "folder with config.json, or a .mlir file",
                  {.required = true})
      .option("-o,--output", &options.output, "write the module there, not to standard output",
              {.value = "FILE"})
      .option("--check", &options.check,
              "only check configuration and tensors; an index without its files is enough")
      .option("--override", &options.overrides,
              "set a key of config.json before reading; may be repeated", {.value = "KEY=VALUE"})
      .option("--dtype", &options.dtype, "element type of all matrices; auto keeps the stored one",
              {.value = "TYPE", .choices = {"auto", "f32", "bf16", "f16"}})
      .epilogue("Examples:\n"
                "  levin-import --check models/tiny-python\n"
                "  levin-import models/tiny-python -o tiny.mlir\n"
                "  levin-import --check FOLDER --override rotary_dim=64\n")
      .action([&] { return Importer(options, line.general()).run(); });
  return line.main(argc, argv);
}
