// The device under a model: what it is, what it can do at best, and how long its kernels take.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_METER_H
#define LEVIN_TOOLS_LEVIN_BENCH_METER_H

#include "runtime/base/Status.h"
#include "runtime/session/Session.h"
#include "tools/levin-bench/Work.h"

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace levin::bench {

/// The integers that a run of a step entry reads.
struct StepInputs {
  std::vector<int32_t> ids, starts, slots, past, rows, pages;
  StepShape shape;

  /// The values of the input of `role`; null if a step has none of it.
  const std::vector<int32_t> *of(artifact::Role role) const;
};

/// Inputs of `entry` for sequences of these shapes, sequence i in slot i, with random ids: as a
/// session would write them.  The sequences must fit the entry.  Sequences share pages if all of
/// them together need more than there are.
StepInputs makeInputs(const artifact::Manifest &manifest, const artifact::Entry &entry,
                      const StepShape &shape, uint64_t seed);

/// A launch of a program in time.
struct LaunchSpan {
  const artifact::Launch *launch = nullptr;
  double begin = 0, end = 0; // seconds from the begin of the program
};

/// Median, 10th and 90th percentile; of few values the nearest.
struct Spread {
  double median = 0, low = 0, high = 0;
  static Spread of(std::vector<double> values);
};

struct LaunchTime {
  const artifact::Launch *launch = nullptr;
  Spread seconds;
};

using Facts = std::vector<std::pair<std::string, std::string>>;

class Meter {
public:
  virtual ~Meter() = default;

  /// Name, driver, library versions, clocks: what a reader of the figures must know.
  virtual Facts facts() const = 0;
  /// Bytes a second of a large copy, those read and those written; measured now.
  virtual Result<double> copyBandwidth() = 0;
  /// Floating-point operations a second of a large bf16 matrix product by the vendor's library;
  /// measured now; 0 where there is no such library.
  virtual Result<double> productRate() = 0;

  /// One run of the program of `entry`, launch by launch, in its order, after one run unmeasured.
  virtual Result<std::vector<LaunchSpan>> trace(const artifact::Entry &entry,
                                                const StepInputs &inputs) = 0;
  /// The time of each launch of the program of `entry`, in its order.
  virtual Result<std::vector<LaunchTime>>
  timeLaunches(const artifact::Entry &entry, const StepInputs &inputs, unsigned repetitions) = 0;
};

/// The meter of the device that `model` was loaded for; `threads` (0: all) compute on the host.
/// Failures: LV4001, LV4103, and LV8004 on a GPU.
Result<std::unique_ptr<Meter>> makeMeter(std::shared_ptr<const Model> model, unsigned threads);

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_METER_H
