// Running cases on a session.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_MEASURE_H
#define LEVIN_TOOLS_LEVIN_BENCH_MEASURE_H

#include "runtime/session/Session.h"
#include "tools/levin-bench/Cases.h"
#include "tools/levin-bench/Meter.h"

#include <functional>
#include <vector>

namespace levin::bench {

/// One row of the table.
struct Measured {
  Case wanted;
  Spread seconds; // of one step
  Work work;      // of one step, with half of the case's tokens behind it
  uint64_t runs = 0;
};

/// The runs of buckets that a step of `wanted` is cut into, and the shape of each, where every
/// sequence holds `past` tokens.
struct PlannedRun {
  const artifact::Entry *entry = nullptr;
  StepShape shape;
  bool operator==(const PlannedRun &) const = default;
};
Result<std::vector<PlannedRun>> planRuns(const artifact::Manifest &manifest, const Case &wanted,
                                         uint64_t past);

/// Measures `wanted` `repetitions` times, after one time unmeasured.  Every repetition fills fresh
/// slots with `depth` random tokens first, outside the time.  Tokens are random, by `seed`.
/// `progress` is told how many repetitions are done.  Failures: those of Session::step.
Result<Measured> measure(Session &session, const Case &wanted, unsigned repetitions, uint64_t seed,
                         const std::function<void(uint64_t done)> &progress);

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_MEASURE_H
