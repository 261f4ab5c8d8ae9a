#include "passes/plan/MemoryPlan.h"

#include "dialects/exec/Exec.h"
#include "runtime/base/Checked.h"

#include <algorithm>

namespace levin::plan {

std::optional<uint64_t> byteSizeOf(mlir::ShapedType type) {
  if (!type.hasStaticShape() || !type.getElementType().isIntOrFloat())
    return std::nullopt;
  uint64_t element = (type.getElementType().getIntOrFloatBitWidth() + 7) / 8;
  auto elements = checkedProduct(std::span<const int64_t>(type.getShape()));
  auto bytes = elements ? checkedMul(*elements, element) : std::nullopt;
  if (!bytes || *bytes >= uint64_t(1) << 62)
    return std::nullopt;
  return bytes;
}

uint64_t MemoryPlan::workspaceBytes() const {
  uint64_t most = 0;
  for (const ProgramMemory &program : programs)
    most = std::max(most, program.workspaceBytes);
  return most;
}

uint64_t MemoryPlan::runtimeBytes() const {
  constexpr uint64_t process = 1'700'000, command = 576;
  uint64_t bytes = process;
  for (const ProgramMemory &program : programs)
    bytes += command * (program.launches + program.copies);
  return bytes;
}

MemoryPlan memoryPlanOf(mlir::ModuleOp module) {
  MemoryPlan plan;
  for (auto program : module.getOps<exec::ProgramOp>()) {
    ProgramMemory memory;
    memory.name = program.getSymName().str();
    if (auto bucket = program.getBucket(); bucket && bucket->size() == 3)
      memory.bucket = {(*bucket)[0], (*bucket)[1], (*bucket)[2]};
    for (mlir::Operation &op : program.getBody().front()) {
      if (auto arena = llvm::dyn_cast<exec::ArenaOp>(op)) {
        uint64_t bytes = static_cast<uint64_t>(arena.getExtent()[0]);
        switch (arena.getKind()) {
        case exec::ArenaKind::Parameters:
          plan.weightBytes = std::max(plan.weightBytes, bytes);
          break;
        case exec::ArenaKind::State:
          plan.stateBytes = std::max(plan.stateBytes, bytes);
          break;
        case exec::ArenaKind::Workspace:
          memory.workspaceBytes += bytes;
          break;
        }
      }
      memory.launches += llvm::isa<exec::LaunchOp>(op);
      memory.copies += llvm::isa<exec::CopyOp>(op);
    }
    plan.programs.push_back(std::move(memory));
  }
  return plan;
}

} // namespace levin::plan
