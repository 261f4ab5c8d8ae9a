// What is measured: rows as "pp512", "tg128 @ d4096", "mix 2x50+18x1".
#ifndef LEVIN_TOOLS_LEVIN_BENCH_CASES_H
#define LEVIN_TOOLS_LEVIN_BENCH_CASES_H

#include "runtime/base/Status.h"
#include "runtime/session/StepPlan.h"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace levin::bench {

/// Steps that are alike, on sequences that hold `depth` tokens before the first.
struct Case {
  std::string name;             // "pp512"
  std::vector<uint64_t> tokens; // of each sequence, in each step
  uint64_t steps = 1;
  uint64_t depth = 0;

  uint64_t tokensPerStep() const;
  /// "pp512 @ d4096", with the number of sequences where it is not in the name.
  std::string title() const;
};

/// The options that say what is measured, as they were written.
struct CaseOptions {
  std::string prompts = "512", generations = "128", depths = "0", batches = "1";
  std::vector<std::string> mixed;
};

/// Every case, prompts before generations before mixtures, depth by depth.  LV2002 for text that
/// cannot be read.
Result<std::vector<Case>> listCases(const CaseOptions &options);

/// What a model can do.
struct Limits {
  uint64_t slots = 0, maxContext = 0;
  std::span<const Bucket> buckets;
};
/// LV4002 or LV4003 for a case that does not fit, before anything is measured.
Status checkCase(const Case &wanted, const Limits &limits);

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_CASES_H
