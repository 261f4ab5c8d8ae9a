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
void buildInput(OpPassManager &pm, const HostOptions &) {
  pm.addPass(createVerifyInputPass());
  pm.addPass(mlir::createInlinerPass());
  pm.addPass(mlir::createSymbolDCEPass());
  pm.addPass(mlir::createCanonicalizerPass());
  pm.addPass(mlir::createCSEPass());
}

// Static functions, one step for each bucket, of the ops that kernels are made of.
void buildSpecialise(OpPassManager &pm, const HostOptions &options) {
  SpecialisePassOptions buckets;
  for (const Bucket &bucket : options.buckets) {
    buckets.tokens.push_back(bucket.tokens);
    buckets.sequences.push_back(bucket.sequences);
    buckets.rows.push_back(bucket.rows);
  }
  buckets.slots = options.slots;
  buckets.blocks = options.blocks;
  pm.addPass(createCheckToOutputsPass());
  pm.addPass(createSpecialisePass(buckets));
  pm.addPass(createCastWeightsPass({options.dtype}));
  pm.addPass(createNormalisePass());
  pm.addPass(mlir::createCanonicalizerPass());
  pm.addPass(mlir::createCSEPass());
}

// Kernels, and functions that only dispatch them.
void buildFuse(OpPassManager &pm, const HostOptions &) {
  pm.addPass(fuse::createFuseMatchPass());
  pm.addPass(fuse::createFuseGroupPass());
  pm.addPass(fuse::createFusePackPass());
  pm.addPass(fuse::createFuseFormKernelsPass());
}

// Programs: commands on bytes.
void buildPlan(OpPassManager &pm, const HostOptions &) { pm.addPass(plan::createPlanMemoryPass()); }

constexpr Phase phases[] = {
    {"input", "a checked module without calls", buildInput,
     [](OpPassManager &pm) { pm.addPass(createVerifyInputPass({/*final=*/true})); }},
    {"specialise", "static functions, one step for each bucket", buildSpecialise,
     [](OpPassManager &pm) { pm.addPass(createVerifyStaticPass()); }},
    {"fuse", "kernels, and functions that dispatch them", buildFuse,
     [](OpPassManager &pm) { pm.addPass(fuse::createFuseVerifyPass()); }},
    {"plan", "programs: commands on bytes", buildPlan,
     [](OpPassManager &pm) { pm.addPass(plan::createPlanVerifyPass()); }},
};

// The options of `levin-host-pipeline`, for tests.
struct HostPipelineOptions : mlir::PassPipelineOptions<HostPipelineOptions> {
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

  HostOptions get() const {
    HostOptions options{{}, slots, blocks, dtype};
    for (size_t i = 0; i < tokens.size(); ++i)
      options.buckets.push_back(
          {tokens[i], i < sequences.size() ? sequences[i] : 1, i < rows.size() ? rows[i] : 1});
    return options;
  }
};

} // namespace

llvm::ArrayRef<Phase> hostPhases() { return phases; }

void buildHostPipeline(OpPassManager &manager, const HostOptions &options) {
  for (const Phase &phase : phases) {
    phase.build(manager, options);
    phase.verify(manager);
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
  mlir::PassPipelineRegistration<HostPipelineOptions>(
      "levin-host-pipeline", "Everything between a model and programs for the host.",
      [](mlir::OpPassManager &manager, const HostPipelineOptions &options) {
        buildHostPipeline(manager, options.get());
      });
}
