// A GPU as the device under a model.
#ifndef LEVIN_TOOLS_LEVIN_BENCH_CUDAMETER_H
#define LEVIN_TOOLS_LEVIN_BENCH_CUDAMETER_H

#include "runtime/session/CudaProgram.h"
#include "tools/levin-bench/Meter.h"

#include <functional>

namespace levin::bench {

/// Runs programs on state and workspace of its own, which it takes when they are first needed: on
/// a GPU that is nearly full, sessions should have ended by then.
class CudaMeter : public Meter {
public:
  static Result<std::unique_ptr<Meter>> create(std::shared_ptr<const Model> model);

  Facts facts() const override;
  Result<double> copyBandwidth() override;
  Result<double> productRate() override;
  Result<std::vector<LaunchSpan>> trace(const artifact::Entry &entry,
                                        const StepInputs &inputs) override;
  /// Each launch is repeated in a graph, so that what is measured is the kernel and no launch; what
  /// fits the L2 cache is found there.
  Result<std::vector<LaunchTime>> timeLaunches(const artifact::Entry &entry,
                                               const StepInputs &inputs,
                                               unsigned repetitions) override;

private:
  using Enqueue = std::function<Status(unsigned repetition)>;

  explicit CudaMeter(std::shared_ptr<const Model> model)
      : model(std::move(model)), gpu(*this->model->cuda()), device(gpu.device) {}
  Status prepare();
  Result<CudaProgram> bind(const artifact::Entry &entry);
  Status write(const CudaProgram &program, const artifact::Entry &entry, const StepInputs &inputs);
  Status fillRandom(const hal::cuda::DeviceMemory &memory, uint64_t seed);
  Result<hal::cuda::GraphExec> capture(const Enqueue &enqueue, unsigned count);
  Status wait();
  /// Seconds of one of `count` calls of `enqueue` in a graph, `samples` times after one warming up.
  Result<Spread> timeInGraph(const Enqueue &enqueue, unsigned count, unsigned samples);
  /// Seconds between the events around `enqueue`.
  Result<double> timeOnce(const std::function<Status()> &enqueue);

  std::shared_ptr<const Model> model;
  const CudaModel &gpu;
  std::shared_ptr<hal::cuda::Device> device;
  hal::cuda::Stream main, side;
  hal::cuda::Event fork, join, begin, end;
  CudaStreams streams;
  bool allocated = false;
  hal::cuda::DeviceMemory state, workspace, scratch, products;
};

} // namespace levin::bench

#endif // LEVIN_TOOLS_LEVIN_BENCH_CUDAMETER_H
