// The whole way from a model to programs, phase by phase.
#ifndef LEVIN_PASSES_PIPELINES_PIPELINES_H
#define LEVIN_PASSES_PIPELINES_PIPELINES_H

#include "passes/pipelines/Passes.h"

#include "mlir/Pass/PassManager.h"

#include <cstdint>
#include <string>
#include <vector>

namespace levin::pipelines {

/// The extents of one step program.
struct Bucket {
  int64_t tokens = 1, sequences = 1, rows = 1;
  bool operator==(const Bucket &) const = default;
};

struct HostOptions {
  std::vector<Bucket> buckets;
  int64_t slots = 4;          // sequences whose state is kept
  int64_t blocks = 1;         // cache blocks that one sequence may fill
  std::string dtype = "auto"; // of weight matrices: auto, f32, bf16, f16
};

/// A stretch of the pipeline, and the pass that closes it: it states what later phases rely on, and
/// runs once more after passes that were inserted.  Dumps, insertions and --stop-after name a
/// phase.
struct Phase {
  llvm::StringLiteral name;
  llvm::StringLiteral summary;
  void (*build)(mlir::OpPassManager &, const HostOptions &);
  void (*verify)(mlir::OpPassManager &);
};

/// The phases of the host target that change IR, in order: input, specialise, fuse, plan.  Code
/// generation and the artifact follow them.
llvm::ArrayRef<Phase> hostPhases();

/// All of them.
void buildHostPipeline(mlir::OpPassManager &manager, const HostOptions &options);

} // namespace levin::pipelines

#endif // LEVIN_PASSES_PIPELINES_PIPELINES_H
