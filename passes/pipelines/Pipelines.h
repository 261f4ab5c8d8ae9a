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

enum class Target { Host, Cuda };

/// What a target needs of the bytes of a program.
int64_t memoryAlignmentOf(Target target);

/// How matrices are stored: in how many bits (0: as they are), and how many columns share a scale.
struct Quantisation {
  int64_t bits = 0, group = 128;
};

/// What a model is compiled for.
struct TargetOptions {
  Target target = Target::Host;
  std::vector<Bucket> buckets;
  int64_t slots = 4;               // sequences whose state is kept
  int64_t blocks = 1;              // cache blocks that one sequence may fill
  std::string dtype = "auto";      // of weight matrices: auto, f32, bf16, f16
  std::string activations = "f32"; // of values between kernels: f32, bf16
  std::string caches;              // of keys and values, in pages: f32, bf16, f8; else not in pages
  int64_t pages = 0;               // that all sequences share; 0: as many as all slots may fill
  Quantisation experts, attention; // matrices of experts, and of the other layers
};

/// Tokens in one page of a cache.
inline constexpr int64_t pageTokens = 64;

/// A stretch of the pipeline, and the pass that closes it: it states what later phases rely on, and
/// runs once more after passes that were inserted.  Dumps, insertions and --stop-after name a
/// phase.
struct Phase {
  llvm::StringLiteral name;
  llvm::StringLiteral summary;
  void (*build)(mlir::OpPassManager &, const TargetOptions &);
  void (*verify)(mlir::OpPassManager &, const TargetOptions &);
};

/// The phases that change IR, in order: input, specialise, fuse, plan.  They are the same for every
/// target; their passes follow from the options.  Code generation and the artifact come after them.
llvm::ArrayRef<Phase> phases();

/// All of them.
void buildPipeline(mlir::OpPassManager &manager, const TargetOptions &options);

} // namespace levin::pipelines

#endif // LEVIN_PASSES_PIPELINES_PIPELINES_H
