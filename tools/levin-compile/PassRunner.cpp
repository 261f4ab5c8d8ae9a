#include "tools/levin-compile/PassRunner.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/base/File.h"

#include "mlir/Pass/PassRegistry.h"

#include <filesystem>

namespace levin::compile {

PassRunner::PassRunner(const Options &options, mlir::MLIRContext &context, Diagnostics &diagnostics)
    : options(options), context(context), diagnostics(diagnostics) {
  timing.setEnabled(options.timePasses);
  timingScope = timing.getRootScope();
}

Status PassRunner::prepare(const pipelines::TargetOptions &target) {
  std::vector<Insertion> insertions;
  for (const std::string &text : options.insertions) {
    LEVIN_ASSIGN_OR_RETURN(Insertion insertion, parseInsertion(text));
    insertions.push_back(std::move(insertion));
  }
  for (const pipelines::Phase &phase : pipelines::phases()) {
    auto &manager = managers.emplace_back(
        std::make_unique<mlir::PassManager>(&context, mlir::ModuleOp::getOperationName()));
    phase.build(*manager, target);
    phase.verify(*manager, target);
    bool inserted = false;
    for (const Insertion &insertion : insertions) {
      if (insertion.phase != phase.name)
        continue;
      LEVIN_RETURN_IF_ERROR(insert(insertion));
      inserted = true;
    }
    if (inserted)
      phase.verify(*manager, target);
    manager->enableTiming(timingScope);
  }
  LEVIN_RETURN_IF_ERROR(verifyPrintNames());
  auto shouldPrint = [this](mlir::Pass *pass, mlir::Operation *) {
    return llvm::is_contained(options.printIrAfter, pass->getArgument().str());
  };
  if (!options.printIrAfter.empty())
    for (auto &manager : managers)
      manager->enableIRPrinting([](mlir::Pass *, mlir::Operation *) { return false; }, shouldPrint,
                                /*printModuleScope=*/false, /*printAfterOnlyOnChange=*/false);
  return {};
}

Status PassRunner::insert(const Insertion &insertion) {
  std::string message;
  llvm::raw_string_ostream stream(message);
  if (mlir::succeeded(mlir::parsePassPipeline(insertion.pipeline, *managers.back(), stream)))
    return {};
  // "MLIR Textual PassPipeline Parser:1:1: error: 'x' does not ..", and the text once more.
  llvm::StringRef reason = llvm::StringRef(message).split('\n').first;
  reason = reason.contains("error: ") ? reason.split("error: ").second : reason;
  return makeError(ErrorCode::OptionValue, "the passes of --insert=after:{}={} cannot be made",
                   insertion.phase, insertion.pipeline)
      .note("have", reason.str())
      .note("fix", "levin-opt --help lists passes; --load-plugin=FILE.so brings more");
}

// Names of the passes that `manager` runs on the module.
static void collect(mlir::OpPassManager &manager, std::vector<std::string> &names) {
  for (mlir::Pass &pass : manager.getPasses())
    if (!pass.getArgument().empty())
      names.push_back(pass.getArgument().str());
}

Status PassRunner::verifyPrintNames() const {
  std::vector<std::string> names;
  for (const auto &manager : managers)
    collect(*manager, names);
  for (const std::string &name : options.printIrAfter) {
    if (llvm::is_contained(names, name))
      continue;
    Status status = makeError(ErrorCode::OptionValue,
                              "--print-ir-after names '{}', which is no pass of the pipeline", name)
                        .note("need", "a pass that --print-pipeline lists");
    if (auto nearest = didYouMean(name, names))
      status.note("fix", *nearest);
    return status;
  }
  return {};
}

std::string PassRunner::text() const {
  std::string text;
  for (auto [phase, manager] : llvm::zip(pipelines::phases(), managers)) {
    std::string passes;
    llvm::raw_string_ostream stream(passes);
    manager->printAsTextualPipeline(stream, /*pretty=*/false);
    text += fmt::format("{}: {}\n  {}\n", phase.name.str(), phase.summary.str(), passes);
  }
  return text;
}

Status PassRunner::run(size_t index, mlir::ModuleOp module) {
  const pipelines::Phase &phase = pipelines::phases()[index];
  if (mlir::failed(managers[index]->run(module))) {
    bool refused = phase.name == "input";
    Status status = diagnostics.take(refused ? ErrorCode::IrInput : ErrorCode::PassFailed,
                                     fmt::format("the phase '{}' failed", phase.name.str()));
    if (!refused)
      status.note("phase", phase.name.str());
    return status;
  }
  if (options.dumpPhases.empty())
    return {};
  std::string ir;
  llvm::raw_string_ostream stream(ir);
  module->print(stream, mlir::OpPrintingFlags().enableDebugInfo(true, true));
  return dump(fmt::format("{}-{}.mlir", index + 1, phase.name.str()), ir + "\n");
}

Status PassRunner::dump(const std::string &name, const std::string &text) const {
  if (options.dumpPhases.empty())
    return {};
  std::filesystem::path path = std::filesystem::path(options.dumpPhases) / name;
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error)
    return makeError(ErrorCode::OutputFile, "the folder '{}' cannot be made",
                     path.parent_path().string())
        .note("have", error.message());
  return writeFile(path.string(), text);
}

} // namespace levin::compile
