// How the tokens of one step are cut into compiled buckets.
#ifndef LEVIN_RUNTIME_SESSION_STEPPLAN_H
#define LEVIN_RUNTIME_SESSION_STEPPLAN_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <span>
#include <vector>

namespace levin {

/// Whose logits are wanted.
enum class LogitsMode { Last, All, None };

/// The sizes of a step entry.
struct Bucket {
  uint64_t tokens = 0, sequences = 0, rows = 0;
};

/// A sequence's tokens in a step.
struct StepWork {
  uint64_t tokens = 0;
  LogitsMode logits = LogitsMode::Last;
};

/// Tokens [first, first + count) of a sequence, of which the last `rows` have logits.
struct StepPart {
  uint32_t sequence = 0;
  uint64_t first = 0, count = 0, rows = 0;
};

/// One run of a bucket.
struct StepRun {
  uint32_t bucket = 0;
  std::vector<StepPart> parts; // of different sequences
};

/// Runs that together do `work`, each sequence's tokens in order.
///
/// A bucket's time is estimated as a constant (weights are read, kernels launched) plus something
/// for each token, row and sequence it has room for, whether used or not.  Of the plans that begin
/// with one bucket and go on with the bucket that does most for its time, the cheapest is taken:
/// 300 tokens with buckets of 512, 256 and 64 become 256 + 64.
/// Failure: LV4003 if no bucket can do some part of the work.
Result<std::vector<StepRun>> planStep(std::span<const Bucket> buckets,
                                      std::span<const StepWork> work);

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_STEPPLAN_H
