// Compiles a model to an artifact.
#include "tools/levin-compile/Driver.h"

#include "tools/common/CommandLine.h"
#include "tools/common/Report.h"

#include "llvm/Support/ErrorHandling.h"

#include <cstdlib>

using namespace levin;

// LLVM ends the process where it cannot go on; say it as every other failure is said.
static void reportFatal(void *, const char *reason, bool) {
  std::_Exit(tool::reportStatus(makeError(ErrorCode::Internal, "LLVM cannot go on: {}",
                                          reason ? reason : "no reason given")));
}

static void addInput(tool::Command &command, compile::Options &options) {
  command.positional("MODEL", &options.input, "A Hugging Face folder, or a file of MLIR.",
                     {.value = "FOLDER|FILE.mlir"});
  command.group("Input and output");
  command.option("-o,--output", &options.output,
                 "The artifact; without it the model's name with .lvn, in the current folder.",
                 {.value = "FILE"});
  command.option("--weights", &options.weights,
                 "The folder with the weights of a .mlir file, if they do not lie beside it.",
                 {.value = "DIR"});
  command.option(
      "--random-weights", &options.randomWeights,
      "Needs no weight files: the artifact is for levin-run --random-weights SEED, which "
      "fills a GPU with random values.");
  command.option("--override", &options.overrides,
                 "Sets a key of config.json before it is read; may be repeated.",
                 {.value = "KEY=VALUE"});
}

static void addModel(tool::Command &command, compile::Options &options) {
  command.group("What to compile for");
  command.option(
      "--target", &options.targets,
      "Processors, separated by commas, or a GPU: host is the best target of this machine, "
      "cuda the most capable GPU.",
      {.value = "NAME,.."});
  command.option("--buckets", &options.buckets,
                 "Sizes of a step, TOKENS[xSEQUENCES[xROWS]] each; ROWS is how many tokens' logits "
                 "a step may give. Default: 1,4x4,16x16,64x16,256x16,256x1x256, with no more "
                 "sequences than slots.",
                 {.value = "BUCKET,.."});
  command.option("--slots", &options.slots, "Sequences whose state is kept. Default: 4.",
                 {.value = "N", .min = 1, .max = 65536});
  command.option("--max-context", &options.maxContext,
                 "Tokens that one sequence may have. Default: 8192.",
                 {.value = "N", .min = 1, .max = 1 << 30});
  command.option("--dtype", &options.dtype, "Type of weight matrices in memory; auto keeps it.",
                 {.value = "TYPE", .choices = {"auto", "f32", "bf16", "f16"}});
  command.option(
      "--activations", &options.activations,
      "Type in which kernels store what they make for one another; sums, routing, state and "
      "logits stay in float32. Default: f32 on the host, bf16 on a GPU.",
      {.value = "TYPE", .choices = {"f32", "bf16"}});
  command.option(
      "--quant", &options.quantise,
      "Stores matrices as integers of 8 or 4 bits with a scale for each N columns (128), "
      "for example experts=int4g64,attn=int8, and prints what is lost.",
      {.value = "KIND=TYPE[gN],.."});
  command.option("--kv-type", &options.kvType,
                 "Type of keys and values in caches whose pages all sequences share. Default: no "
                 "pages on the host, the type of --activations on a GPU.",
                 {.value = "TYPE", .choices = {"f32", "bf16", "f8"}});
  command.option("--kv-pages", &options.kvPages,
                 "Pages of 64 tokens of these caches. Default: as many as all slots may fill.",
                 {.value = "N", .min = 1, .max = 1u << 31});
  command.option("--kernels", &options.kernels,
                 "generic compiles every op's definition and uses no hand-written kernel; library "
                 "has cuBLASLt compute products that nothing follows (GPUs only).",
                 {.value = "KIND", .choices = {"auto", "generic", "library"}});
  command.option("--memory", &options.memory,
                 "Memory of the machine or card that will run it, in bytes (16G). Default: this "
                 "machine's, or that of the GPU that --target names.",
                 {.value = "SIZE", .min = 1});
  command.option("--plan-only", &options.planOnly,
                 "Prints the memory plan and stops; needs no weight files.");
}

static void addDevelopment(tool::Command &command, compile::Options &options) {
  command.group("For compiler engineers");
  command.option("--stop-after", &options.stopAfter,
                 "Prints the IR after this phase and stops (with -o, to a file).",
                 {.value = "PHASE", .choices = compile::phaseNames()});
  command.option("--dump-phases", &options.dumpPhases, "Writes the IR after each phase there.",
                 {.value = "DIR"});
  command.option("--print-ir-after", &options.printIrAfter,
                 "Prints the IR after a pass on stderr; may be repeated.", {.value = "PASS"});
  command.option("--print-pipeline", &options.printPipeline,
                 "Prints phases and passes and stops; needs no model.");
  command.option("--insert", &options.insertions, "Runs passes after a phase; may be repeated.",
                 {.value = "after:PHASE=PASSES"});
  command.option("--load-plugin", &options.plugins,
                 "Opens a plugin with passes or dialects; may be repeated.", {.value = "FILE.so"});
  command.option("--remarks", &options.remarks, "Prints what was fused and what was not, and why.",
                 {.value = "KIND", .choices = {"missed", "passed", "all"}});
  command.option("--time-passes", &options.timePasses, "Prints the time of each pass on stderr.");
  command.option("--threads", &options.threads,
                 "Threads that generate code. Default: one for each processor.",
                 {.value = "N", .max = 1024});
}

int main(int argc, char **argv) {
  llvm::install_fatal_error_handler(reportFatal);
  compile::Options options;
  tool::CommandLine line("levin-compile", "Compiles a model to an artifact that levin-run runs.");
  tool::Command &root = line.root();
  addInput(root, options);
  addModel(root, options);
  addDevelopment(root, options);
  root.epilogue("Examples:\n"
                "  levin-compile models/tiny-python -o tiny.lvn\n"
                "  levin-compile MiniMax-Text-01 --plan-only --max-context 512K\n"
                "  levin-compile two_layers.mlir --stop-after fuse --remarks all\n");
  root.action([&] {
    options.json = line.general().json;
    options.progress = line.general().progress;
    return compile::compile(options);
  });
  return line.main(argc, argv);
}
