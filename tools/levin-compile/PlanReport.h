// The memory plan on the screen, and the refusal of one that does not fit.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_PLANREPORT_H
#define LEVIN_TOOLS_LEVINCOMPILE_PLANREPORT_H

#include "passes/plan/MemoryPlan.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace levin::compile {

/// A plan and what it was made for.
struct PlanReport {
  plan::MemoryPlan memory;
  uint64_t slots = 0, maxContext = 0; // 0 without a step
  uint64_t pages = 0, pageTokens = 0; // of shared caches; 0 without
  uint64_t machineBytes = 0;

  /// "weights 11.6 MiB | state 2.1 MiB (4 slots, context 8192) | workspace 1.2 MiB = 14.9 MiB of
  /// 23.4 GiB".
  std::string line() const;
  /// One row for each program.
  std::string table() const;
  std::string json() const;
};

/// Another way to compile, and what it would need.
struct Alternative {
  std::string option; // "--slots 2"
  uint64_t bytes = 0;
};

/// What could be changed, as the driver computes it.
struct PlanChoices {
  uint64_t slots = 0, context = 0;   // as asked for; 0 where there is no choice
  uint64_t pages = 0, pageBytes = 0; // likewise, and the bytes of one page in all layers
  std::function<uint64_t(uint64_t slots, uint64_t context)> stateBytes;
  std::string dtype;                                   // as asked for
  std::function<uint64_t(uint64_t bytes)> weightBytes; // with matrices of that many bytes a number
};

/// Fine if the plan fits; else LV4103 with what would help and what would not.
Status checkFits(const PlanReport &report, const PlanChoices &choices);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_PLANREPORT_H
