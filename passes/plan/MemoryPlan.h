// What planned programs need of a machine's memory.
#ifndef LEVIN_PASSES_PLAN_MEMORYPLAN_H
#define LEVIN_PASSES_PLAN_MEMORYPLAN_H

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace levin::plan {

/// Bytes of a tensor as it lies in memory: whole bytes for each element (one for i1), row-major.
/// Nothing if the shape is not static or the size exceeds 62 bits.
std::optional<uint64_t> byteSizeOf(mlir::ShapedType type);

struct ProgramMemory {
  std::string name;
  std::optional<std::array<int64_t, 3>> bucket; // tokens, sequences, rows
  uint64_t workspaceBytes = 0;
  unsigned launches = 0, copies = 0;
};

struct MemoryPlan {
  uint64_t weightBytes = 0, stateBytes = 0;
  std::vector<ProgramMemory> programs;

  /// Programs run one at a time and share one workspace: that of the one that needs most.
  uint64_t workspaceBytes() const;
  /// What the running process takes beside the arenas: its own data and that of the libraries it
  /// uses, the tokenizer, and tables of the commands (measured on Debian 12).
  uint64_t runtimeBytes() const;
  uint64_t totalBytes() const {
    return weightBytes + stateBytes + workspaceBytes() + runtimeBytes();
  }
};

/// Reads the plan back from the `exec.program`s of `module`.
MemoryPlan memoryPlanOf(mlir::ModuleOp module);

} // namespace levin::plan

#endif // LEVIN_PASSES_PLAN_MEMORYPLAN_H
