#include "passes/pipelines/Pipelines.h"

#include "dialects/interfaces/Passes.h"
#include "passes/fuse/Passes.h"
#include "passes/pipelines/Passes.h"
#include "passes/plan/Passes.h"

#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

namespace levin::pipelines {
namespace {

using mlir::OpPassManager;

// A module of one dynamic step and plain functions, without calls.
void buildInput(OpPassManager &pm, const TargetOptions &) {
  pm.addPass(createVerifyInputPass());
  pm.addPass(mlir::createInlinerPass());
  pm.addPass(mlir::createSymbolDCEPass());
  pm.addPass(mlir::createCanonicalizerPass());
  pm.addPass(mlir::createCSEPass());
}

// Static functions, one step for each bucket, of the ops that kernels are made of.
void buildSpecialise(OpPassManager &pm, const TargetOptions &options) {
  SpecialisePassOptions buckets;
  for (const Bucket &bucket : options.buckets) {
    buckets.tokens.push_back(bucket.tokens);
    buckets.sequences.push_back(bucket.sequences);
    buckets.rows.push_back(bucket.rows);
  }
  buckets.slots = options.slots;
  buckets.blocks = options.blocks;
  buckets.pages = options.pages;
  pm.addPass(createCheckToOutputsPass());
  pm.addPass(createSpecialisePass(buckets));
  if (!options.caches.empty())
    pm.addPass(createPageCachesPass({pageTokens, options.pages, options.caches}));
  pm.addPass(createCastWeightsPass({options.dtype}));
  pm.addPass(createNormalisePass());
  if (options.experts.bits || options.attention.bits)
    pm.addPass(createQuantisePass({options.experts.bits, options.experts.group,
                                   options.attention.bits, options.attention.group}));
  pm.addPass(mlir::createCanonicalizerPass());
  pm.addPass(mlir::createCSEPass());
}

// Kernels, and functions that only dispatch them.
void buildFuse(OpPassManager &pm, const TargetOptions &options) {
  bool isCuda = options.target == Target::Cuda;
  pm.addPass(fuse::createFuseMatchPass());
  pm.addPass(fuse::createFuseGroupPass({/*fusedGather=*/isCuda}));
  if (options.activations != "f32")
    pm.addPass(fuse::createFuseNarrowPass({options.activations}));
  if (!isCuda) // tensor cores read matrices as they are stored
    pm.addPass(fuse::createFusePackPass());
  pm.addPass(fuse::createFuseFormKernelsPass());
}

// Programs: commands on bytes.
void buildPlan(OpPassManager &pm, const TargetOptions &options) {
  pm.addPass(plan::createPlanMemoryPass({memoryAlignmentOf(options.target)}));
}

constexpr Phase allPhases[] = {
    {"input", "a checked module without calls", buildInput,
     [](OpPassManager &pm, const TargetOptions &) {
       pm.addPass(createVerifyInputPass({/*final=*/true}));
     }},
    {"specialise", "static functions, one step for each bucket", buildSpecialise,
     [](OpPassManager &pm, const TargetOptions &) { pm.addPass(createVerifyStaticPass()); }},
    {"fuse", "kernels, and functions that dispatch them", buildFuse,
     [](OpPassManager &pm, const TargetOptions &) { pm.addPass(fuse::createFuseVerifyPass()); }},
    {"plan", "programs: commands on bytes", buildPlan,
     [](OpPassManager &pm, const TargetOptions &options) {
       pm.addPass(plan::createPlanVerifyPass({memoryAlignmentOf(options.target)}));
     }},
};

// The options of the pipelines, for tests.
struct PipelineOptions : mlir::PassPipelineOptions<PipelineOptions> {
  ListOption<int64_t> tokens{*this, "tokens", llvm::cl::desc("Tokens of each bucket.")};
  ListOption<int64_t> sequences{*this, "sequences", llvm::cl::desc("Sequences of each bucket.")};
  ListOption<int64_t> rows{*this, "rows", llvm::cl::desc("Rows of logits of each bucket.")};
  Option<int64_t> slots{*this, "slots", llvm::cl::desc("Sequences whose state is kept."),
                        llvm::cl::init(4)};
  Option<int64_t> blocks{*this, "blocks",
                         llvm::cl::desc("Blocks of cache that one sequence may fill."),
                         llvm::cl::init(1)};
  Option<std::string> dtype{*this, "dtype",
                            llvm::cl::desc("Of weight matrices: auto, f32, bf16 or f16."),
                            llvm::cl::init("auto")};
  Option<std::string> activations{*this, "activations",
                                  llvm::cl::desc("Of values between kernels: f32 or bf16."),
                                  llvm::cl::init("f32")};
  Option<std::string> caches{*this, "caches",
                             llvm::cl::desc("Of caches in pages: f32, bf16 or f8.")};
  Option<int64_t> pages{*this, "pages", llvm::cl::desc("Pages that all sequences share."),
                        llvm::cl::init(0)};

  TargetOptions get(Target target) const {
    TargetOptions options{target, {}, slots, blocks, dtype, activations, caches, pages, {}, {}};
    for (size_t i = 0; i < tokens.size(); ++i)
      options.buckets.push_back(
          {tokens[i], i < sequences.size() ? sequences[i] : 1, i < rows.size() ? rows[i] : 1});
    return options;
  }
};

} // namespace

int64_t memoryAlignmentOf(Target target) { return target == Target::Cuda ? 256 : 64; }

llvm::ArrayRef<Phase> phases() { return allPhases; }

void buildPipeline(OpPassManager &manager, const TargetOptions &options) {
  for (const Phase &phase : allPhases) {
    phase.build(manager, options);
    phase.verify(manager, options);
  }
}

} // namespace levin::pipelines

void levin::registerLevinPasses() {
  using namespace levin::pipelines;
  interfaces::registerInterfacesPasses();
  registerPipelinesPasses();
  fuse::registerFusePasses();
  plan::registerPlanPasses();
  mlir::registerCanonicalizerPass();
  mlir::registerCSEPass();
  mlir::registerInlinerPass();
  mlir::registerSymbolDCEPass();
  mlir::PassPipelineRegistration<PipelineOptions>(
      "levin-host-pipeline", "Everything between a model and programs for the host.",
      [](mlir::OpPassManager &manager, const PipelineOptions &options) {
        buildPipeline(manager, options.get(Target::Host));
      });
  mlir::PassPipelineRegistration<PipelineOptions>(
      "levin-cuda-pipeline", "Everything between a model and programs for a GPU.",
      [](mlir::OpPassManager &manager, const PipelineOptions &options) {
        buildPipeline(manager, options.get(Target::Cuda));
      });
}
