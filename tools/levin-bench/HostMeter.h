// The processor as the device under a model.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_HOSTMETER_H
#define LEVIN_TOOLS_LEVIN_BENCH_HOSTMETER_H

#include "runtime/hal/HostMemory.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/Program.h"
#include "tools/levin-bench/Meter.h"

namespace levin::bench {

/// Runs programs on state and workspace of its own.
class HostMeter : public Meter {
public:
  /// Failures: LV4001, LV4103.
  static Result<std::unique_ptr<Meter>> create(std::shared_ptr<const Model> model,
                                               unsigned threads);

  Facts facts() const override;
  Result<double> copyBandwidth() override;
  Result<double> productRate() override { return 0.0; }
  Result<std::vector<LaunchSpan>> trace(const artifact::Entry &entry,
                                        const StepInputs &inputs) override;
  Result<std::vector<LaunchTime>> timeLaunches(const artifact::Entry &entry,
                                               const StepInputs &inputs,
                                               unsigned repetitions) override;

private:
  /// A program of one command each.
  struct Steps {
    std::vector<BoundProgram> commands;
    std::vector<const artifact::Launch *> launches; // null for copies
  };
  explicit HostMeter(std::shared_ptr<const Model> model) : model(std::move(model)) {}
  Result<Steps> bind(const artifact::Entry &entry) const;
  void write(const artifact::Entry &entry, const StepInputs &inputs);
  std::vector<LaunchSpan> run(const Steps &steps);

  std::shared_ptr<const Model> model;
  std::unique_ptr<hal::ThreadPool> pool;
  hal::HostMemory state, workspace;
  Arenas arenas;
};

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_HOSTMETER_H
