#include "tools/levin-compile/Driver.h"

#include "codegen/artifact/ArtifactBuilder.h"
#include "codegen/cuda/CudaCodegen.h"
#include "codegen/cuda/Passes.h"
#include "codegen/host/HostCodegen.h"
#include "codegen/host/Passes.h"
#include "dialects/Dialects.h"
#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"
#include "runtime/artifact/Write.h"
#include "runtime/base/File.h"
#include "runtime/hal/HostMemory.h"
#include "tools/common/CommandLine.h"
#include "tools/common/Format.h"
#include "tools/common/Report.h"
#include "tools/levin-compile/Diagnostics.h"
#include "tools/levin-compile/Input.h"
#include "tools/levin-compile/PassRunner.h"
#include "tools/levin-compile/PlanReport.h"
#include "tools/levin-compile/Quantise.h"
#include "tools/levin-compile/WeightFiles.h"
#include "tools/levin-compile/WeightsLink.h"
#include "tools/levin-opt/PluginLoader.h"

#include "mlir/IR/Remarks.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "llvm/Support/ThreadPool.h"

#include <filesystem>

namespace levin::compile {
namespace {

constexpr uint64_t defaultContext = 8192;

class Driver {
public:
  explicit Driver(const Options &options)
      : options(options), progress(options.progress),
        pool(llvm::hardware_concurrency(static_cast<unsigned>(options.threads))) {}

  Status run();

private:
  Status prepareContext();
  Status import();
  Status chooseExtents();
  void choosePages();
  Status checkOutput() const;
  Status lower();
  Status plan();
  Status readWeights();
  Status quantise();
  Status generateCode();
  Status generateHost(mlir::ModuleOp kernels);
  Status generateCuda(mlir::ModuleOp kernels);
  std::string targetNames() const;
  Status writeOutput();
  Status emitIr();
  PlanChoices choices();
  std::vector<std::pair<std::string, std::string>> recordedOptions() const;
  std::string outputPath() const {
    return options.output.empty() ? input.name + ".lvn" : options.output;
  }
  bool stopsAfter(std::string_view phase) const { return options.stopAfter == phase; }

  const Options &options;
  tool::Progress progress;
  llvm::DefaultThreadPool pool;
  std::optional<mlir::MLIRContext> context;
  std::optional<Diagnostics> diagnostics;
  std::optional<PassRunner> passes;
  Targets targets;
  Input input;
  StateExtents extents;
  pipelines::TargetOptions host;
  uint64_t maxContext = 0;
  uint64_t pages = 0, pageTokens = 0; // of caches that all sequences share; 0 without
  PlanReport report;
  artifact::WeightIndex weights;
  std::vector<artifact::CompiledExecutable> code;
};

Status Driver::prepareContext() {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  registerLevinDialects(registry);
  host::registerHostCodegen(registry);
  cuda::registerCudaCodegen(registry);
  registerLevinPasses();
  for (const std::string &plugin : options.plugins)
    LEVIN_RETURN_IF_ERROR(tool::loadPlugin(plugin, tool::PluginKind::Levin, registry));
  context.emplace(registry, mlir::MLIRContext::Threading::DISABLED);
  if (options.threads != 1)
    context->setThreadPool(pool);
  context->loadAllAvailableDialects(); // kernels are compiled on several threads, too late for it
  diagnostics.emplace(*context);
  return enableRemarks(*context, options.remarks);
}

Status Driver::import() {
  progress.begin("import");
  LEVIN_ASSIGN_OR_RETURN(input, loadInput(options, *context, *diagnostics));
  progress.end(input.summary);
  for (const std::string &note : input.notes)
    progress.note("note: " + note);
  for (const std::string &warning : input.warnings)
    tool::reportWarning(warning, options.json);
  return {};
}

// Slots, context and buckets from the options, and from what the input leaves open.
Status Driver::chooseExtents() {
  extents = stateExtentsOf(*input.module);
  chooseTypes(options, host);
  LEVIN_RETURN_IF_ERROR(parseQuantisation(options.quantise, host));
  host.slots = static_cast<int64_t>(options.slots);
  if (extents.fixedSlots)
    host.slots = *extents.fixedSlots;
  uint64_t asked = options.maxContext.value_or(defaultContext);
  if (extents.blockTokens && extents.fixedBlocks) {
    maxContext = static_cast<uint64_t>(*extents.fixedBlocks * extents.blockTokens);
    if (options.maxContext.value_or(0) > maxContext)
      return makeError(ErrorCode::OptionValue, "--max-context {} is more than the step holds",
                       asked)
          .note("have",
                fmt::format("{} blocks of {} tokens", *extents.fixedBlocks, extents.blockTokens))
          .note("need", fmt::format("at most {}", maxContext));
  } else {
    maxContext = asked;
    if (extents.blockTokens)
      host.blocks = static_cast<int64_t>((asked + static_cast<uint64_t>(extents.blockTokens) - 1) /
                                         static_cast<uint64_t>(extents.blockTokens));
  }
  host.buckets = defaultBuckets(options.slots);
  if (!options.buckets.empty()) {
    LEVIN_ASSIGN_OR_RETURN(host.buckets, parseBuckets(options.buckets, options.slots));
  }
  choosePages();
  return {};
}

void Driver::choosePages() {
  if (!extents.blockTokens || (!extents.isPaged && host.caches.empty()))
    return;
  pageTokens = extents.isPaged ? static_cast<uint64_t>(extents.blockTokens) : pipelines::pageTokens;
  pages = options.kvPages.value_or(static_cast<uint64_t>(host.slots) *
                                   ((maxContext + pageTokens - 1) / pageTokens));
  if (extents.fixedPages)
    pages = static_cast<uint64_t>(*extents.fixedPages);
  host.pages = static_cast<int64_t>(pages);
}

// Whether the artifact can be written, told before the work and not after it.
Status Driver::checkOutput() const {
  if (options.planOnly)
    return {};
  std::error_code ignored;
  std::string path = outputPath();
  if (std::filesystem::is_directory(path, ignored))
    return makeError(ErrorCode::OutputFile, "'{}' is a folder", path)
        .note("fix", "name a file with -o");
  if (std::filesystem::equivalent(path, options.input, ignored))
    return makeError(ErrorCode::OutputFile, "'{}' is the input", path)
        .note("fix", "name another file with -o");
  bool isText = !options.stopAfter.empty() && !stopsAfter("artifact");
  if (isText && std::filesystem::exists(path, ignored) &&
      !std::filesystem::is_regular_file(path, ignored))
    return {};                                  // text may go to a device or pipe
  return AtomicFile::create(path).takeStatus(); // which goes away again
}

Status Driver::lower() {
  passes.emplace(options, *context, *diagnostics);
  LEVIN_RETURN_IF_ERROR(passes->prepare(host));
  auto phases = pipelines::phases();
  progress.begin("lower", phases.size());
  for (size_t i = 0; i < phases.size(); ++i) {
    progress.update(i, phases[i].name.str());
    LEVIN_RETURN_IF_ERROR(passes->run(i, *input.module));
    if (stopsAfter(phases[i].name)) {
      progress.end("stopped after " + options.stopAfter);
      return {};
    }
  }
  unsigned kernels = 0;
  input.module->walk([&](mlir::func::FuncOp) { ++kernels; });
  report.memory = plan::memoryPlanOf(*input.module);
  progress.end(fmt::format("{} programs, {} kernels", report.memory.programs.size(), kernels));
  return {};
}

PlanChoices Driver::choices() {
  PlanChoices result;
  mlir::ModuleOp module = *input.module;
  if (extents.hasStep && !extents.fixedSlots)
    result.slots = options.slots;
  if (extents.blockTokens && !extents.fixedBlocks)
    result.context = maxContext;
  // Caches scale with slots and context, or with their pages; other states with slots alone.
  uint64_t slots = static_cast<uint64_t>(host.slots);
  uint64_t block =
      pages ? pageTokens : static_cast<uint64_t>(std::max<int64_t>(extents.blockTokens, 1));
  uint64_t blocks = pages ? pages : slots * static_cast<uint64_t>(host.blocks);
  uint64_t perBlock = block * extents.numbersPerToken * bytesOfCacheNumber(host.caches);
  uint64_t caches = std::min(blocks * perBlock, report.memory.stateBytes);
  uint64_t fixed = report.memory.stateBytes - caches;
  bool ownPages = pages && (options.kvPages || extents.fixedPages);
  if (pages && !extents.fixedPages) {
    result.pages = pages;
    result.pageBytes = perBlock;
  }
  result.stateBytes = [=](uint64_t wantedSlots, uint64_t context) {
    uint64_t wanted = wantedSlots * ((context + block - 1) / block);
    return fixed / slots * wantedSlots + (ownPages ? caches : wanted * perBlock);
  };
  result.dtype = options.dtype;
  result.weightBytes = [module](uint64_t bytes) mutable {
    uint64_t total = 0;
    mlir::SymbolTable symbols(module);
    for (auto weight : module.getOps<exec::WeightOp>()) {
      uint64_t size = static_cast<uint64_t>(weight.getPlace()[1]);
      auto parameter = symbols.lookup<nn::ParameterOp>(weight.getParameter());
      auto type = llvm::cast<mlir::RankedTensorType>(parameter.getType());
      uint64_t element = std::max<uint64_t>(type.getElementTypeBitWidth() / 8, 1);
      total += type.getRank() >= 2 && element > bytes ? size / element * bytes : size;
    }
    return total;
  };
  return result;
}

Status Driver::plan() {
  report.machineBytes =
      options.memory.value_or(targets.cuda ? targets.cuda->memoryBytes : hal::machineMemory());
  if (extents.hasStep) {
    report.slots = static_cast<uint64_t>(host.slots);
    report.maxContext = maxContext;
    report.pages = pages;
    report.pageTokens = pageTokens;
  }
  progress.begin("plan");
  progress.end(report.line());
  return checkFits(report, choices());
}

// Before any code is made, so that absent weights are told at once.
Status Driver::readWeights() {
  if (options.randomWeights) {
    weights.random = true;
    return {};
  }
  LEVIN_ASSIGN_OR_RETURN(weights, readWeightIndex(input.weightFolder, input.weightFiles));
  if (host.experts.bits || host.attention.bits)
    LEVIN_RETURN_IF_ERROR(quantise());
  return artifact::weightFileBytes(*input.module, weights).takeStatus();
}

Status Driver::quantise() {
  progress.begin("quantise");
  LEVIN_ASSIGN_OR_RETURN(std::vector<QuantisedKind> kinds,
                         quantiseWeights(*input.module, weights, quantisedFileOf(outputPath()),
                                         [&](uint64_t done, uint64_t) { progress.update(done); }));
  uint64_t matrices = 0;
  for (const QuantisedKind &kind : kinds)
    matrices += kind.matrices;
  progress.end(fmt::format("{} matrices", matrices));
  for (const QuantisedKind &kind : kinds)
    progress.note(kind.text());
  return {};
}

// Remarks how a kernel was made; whether a template made it.
bool remarkOn(mlir::func::FuncOp function, const artifact::CompiledKernel &kernel) {
  auto options = mlir::remark::RemarkOpts::name("Kernel").category("codegen");
  const std::string &name = kernel.exported.name;
  if (kernel.method == "tiled" || kernel.method == "plain") {
    mlir::remark::missed(function.getLoc(), options) << fmt::format(
        "kernel '{}' matches no template; its definition is compiled ({})", name, kernel.method);
    return false;
  }
  mlir::remark::passed(function.getLoc(), options)
      << fmt::format("kernel '{}' is made by the template {}", name, kernel.method);
  return true;
}

std::string Driver::targetNames() const {
  std::string names = targets.cuda ? targets.cuda->name : "";
  for (const host::HostTarget &target : targets.host)
    names += (names.empty() ? "" : ", ") + target.name;
  return names;
}

Status Driver::generateHost(mlir::ModuleOp kernels) {
  host::HostCodegenOptions codegen;
  codegen.templates = options.kernels == "auto";
  codegen.keepIr = !options.dumpPhases.empty();
  codegen.progress = [&](size_t done, size_t) { progress.update(done); };
  if (host::findHostLinker().empty())
    return makeError(ErrorCode::ToolMissing, "the linker ld.lld is not installed")
        .note("fix", "install the Debian package lld-22, or name a linker in LEVIN_LINKER");
  auto made = host::compileKernels(kernels, targets.host, codegen);
  if (mlir::failed(made))
    return diagnostics->take(ErrorCode::PassFailed, "code generation failed")
        .note("phase", "codegen");
  code.push_back(artifact::compiledCodeOf(std::move(*made)));
  return {};
}

Status Driver::generateCuda(mlir::ModuleOp kernels) {
  LEVIN_ASSIGN_OR_RETURN(cuda::CudaToolkit toolkit, cuda::findCudaToolkit());
  cuda::CudaCodegenOptions codegen;
  codegen.templates = options.kernels != "generic";
  codegen.useCublas = options.kernels == "library";
  codegen.keepIr = !options.dumpPhases.empty();
  codegen.threads = static_cast<unsigned>(options.threads);
  codegen.progress = [&](size_t done, size_t) { progress.update(done); };
  auto made = cuda::compileKernels(kernels, *targets.cuda, toolkit, codegen);
  if (mlir::failed(made))
    return diagnostics->take(ErrorCode::PassFailed, "code generation failed")
        .note("phase", "codegen");
  code = artifact::compiledCodeOf(std::move(*made), *targets.cuda);
  return {};
}

Status Driver::generateCode() {
  auto kernels = input.module->lookupSymbol<mlir::ModuleOp>("kernels");
  if (!kernels)
    return {}; // functions that only return what they are given
  auto all = kernels.getOps<mlir::func::FuncOp>();
  uint64_t count = static_cast<uint64_t>(std::distance(all.begin(), all.end()));
  progress.begin("codegen", count * std::max<size_t>(targets.host.size(), 1));
  LEVIN_RETURN_IF_ERROR(targets.cuda ? generateCuda(kernels) : generateHost(kernels));
  const std::vector<artifact::CompiledKernel> &made = code.front().kernels;
  LEVIN_RETURN_IF_ERROR(artifact::setLaunchGrids(*input.module, code.front()));
  uint64_t templates = 0;
  for (auto [function, kernel] : llvm::zip(all, made)) {
    LEVIN_RETURN_IF_ERROR(passes->dump("5-codegen/" + kernel.exported.name + ".mlir", kernel.ir));
    templates += remarkOn(function, kernel);
  }
  progress.end(
      fmt::format("{} kernels, {} from templates, for {}", made.size(), templates, targetNames()));
  return {};
}

// What changes the artifact, without paths.
std::vector<std::pair<std::string, std::string>> Driver::recordedOptions() const {
  std::vector<std::pair<std::string, std::string>> list;
  std::string buckets;
  for (const pipelines::Bucket &bucket : host.buckets)
    buckets += (buckets.empty() ? "" : ",") + textOf(bucket);
  if (extents.hasStep) {
    list.push_back({"buckets", buckets});
    list.push_back({"slots", std::to_string(host.slots)});
    list.push_back({"max-context", std::to_string(maxContext)});
  }
  if (pages) {
    list.push_back({"kv-pages", std::to_string(pages)});
    list.push_back({"kv-type", host.caches});
  }
  if (std::string quantised = textOf(host); !quantised.empty())
    list.push_back({"quant", quantised});
  list.push_back({"target", targetNames()});
  list.push_back({"dtype", options.dtype});
  list.push_back({"activations", host.activations});
  list.push_back({"kernels", options.kernels});
  if (options.randomWeights)
    list.push_back({"random-weights", "true"});
  if (!options.insertions.empty())
    list.push_back({"insert", fmt::format("{}", fmt::join(options.insertions, ";"))});
  if (!options.overrides.empty())
    list.push_back({"override", fmt::format("{}", fmt::join(options.overrides, ","))});
  return list;
}

Status Driver::writeOutput() {
  artifact::ArtifactInput parts;
  parts.module = *input.module;
  parts.code = std::move(code);
  parts.weights = &weights;
  for (const auto &[name, path] : input.assets) {
    LEVIN_ASSIGN_OR_RETURN(std::string content,
                           readFile(path, uint64_t(1) << 30, ErrorCode::ModelFolder));
    parts.assets.push_back({name, std::move(content)});
  }
  parts.producer = {tool::versionLine("levin-compile"),
                    {input.sourceDigest.begin(), input.sourceDigest.end()},
                    recordedOptions()};
  if (extents.hasStep) {
    parts.slots = static_cast<uint64_t>(host.slots);
    parts.maxContext = maxContext;
    parts.pages = pages;
    parts.pageTokens = pageTokens;
  }
  parts.pipeline = passes->text();
  LEVIN_ASSIGN_OR_RETURN(uint64_t total, artifact::weightFileBytes(*input.module, weights));
  if (total)
    progress.begin("weights", total, tool::Progress::Unit::Bytes);
  LEVIN_ASSIGN_OR_RETURN(
      artifact::ArtifactContents contents,
      artifact::buildArtifact(parts, [&](uint64_t done, uint64_t) { progress.update(done); }));
  if (total)
    progress.end(
        fmt::format("{} files, {}", contents.manifest.weightFiles.size(), tool::humanBytes(total)));
  progress.begin("write");
  std::string path = outputPath();
  LEVIN_RETURN_IF_ERROR(artifact::writeArtifact(path, contents.manifest, contents.segments));
  if (!contents.manifest.weightFiles.empty())
    LEVIN_RETURN_IF_ERROR(linkWeights(path, input.weightFolder));
  std::error_code ignored;
  progress.end(
      fmt::format("{} ({})", path, tool::humanBytes(std::filesystem::file_size(path, ignored))));
  return {};
}

// The IR at the end of the phase that --stop-after names.
Status Driver::emitIr() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  input.module->print(stream);
  text += "\n";
  if (!options.output.empty())
    return writeFile(options.output, text);
  tool::Output output;
  output.write(text);
  return output.finish();
}

Status Driver::run() {
  LEVIN_ASSIGN_OR_RETURN(targets, parseTargets(options.targets));
  if (targets.cuda)
    host.target = pipelines::Target::Cuda;
  else if (options.kernels == "library")
    return makeError(ErrorCode::OptionValue, "--kernels library is for GPUs")
        .note("have", "--target " + options.targets)
        .note("fix", "leave it out, or compile with --target cuda");
  LEVIN_RETURN_IF_ERROR(prepareContext());
  if (options.printPipeline) {
    host.buckets = defaultBuckets(options.slots);
    chooseTypes(options, host);
    passes.emplace(options, *context, *diagnostics);
    LEVIN_RETURN_IF_ERROR(passes->prepare(host));
    tool::Output output;
    output.write(passes->text());
    return output.finish();
  }
  if (options.input.empty())
    return makeError(ErrorCode::Usage, "no model is given")
        .note("fix", "levin-compile FOLDER or levin-compile FILE.mlir");
  LEVIN_RETURN_IF_ERROR(import());
  LEVIN_RETURN_IF_ERROR(chooseExtents());
  LEVIN_RETURN_IF_ERROR(checkOutput());
  LEVIN_RETURN_IF_ERROR(lower());
  bool early = !options.stopAfter.empty() && !stopsAfter("codegen") && !stopsAfter("artifact");
  if (early)
    return emitIr();
  LEVIN_RETURN_IF_ERROR(plan());
  if (options.planOnly) {
    tool::Output output;
    output.write(options.json ? report.json() : report.table() + report.line() + "\n");
    return output.finish();
  }
  if (!stopsAfter("codegen"))
    LEVIN_RETURN_IF_ERROR(readWeights());
  LEVIN_RETURN_IF_ERROR(generateCode());
  return stopsAfter("codegen") ? emitIr() : writeOutput();
}

} // namespace

Status compile(const Options &options) { return Driver(options).run(); }

} // namespace levin::compile
