#include "tools/levin-bench/HostMeter.h"

#include <chrono>
#include <cstring>
#include <fstream>

namespace levin::bench {

using artifact::ArenaKind;
using artifact::Role;

namespace {
class Clock {
public:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};
} // namespace

Result<std::unique_ptr<Meter>> HostMeter::create(std::shared_ptr<const Model> model,
                                                 unsigned threads) {
  std::unique_ptr<HostMeter> meter(new HostMeter(std::move(model)));
  LEVIN_ASSIGN_OR_RETURN(meter->pool, hal::ThreadPool::create(threads));
  hal::MemoryBudget budget;
  LEVIN_ASSIGN_OR_RETURN(meter->state,
                         hal::HostMemory::allocate(meter->model->arenaBytes(ArenaKind::State),
                                                   "state of single launches", budget));
  LEVIN_ASSIGN_OR_RETURN(meter->workspace,
                         hal::HostMemory::allocate(meter->model->arenaBytes(ArenaKind::Workspace),
                                                   "workspace of single launches", budget));
  for (const artifact::Arena &arena : meter->model->manifest().arenas)
    meter->arenas.push_back(arena.kind == ArenaKind::Parameters ? meter->model->parameters()
                            : arena.kind == ArenaKind::State    ? meter->state.bytes()
                                                                : meter->workspace.bytes());
  return std::unique_ptr<Meter>(std::move(meter));
}

Facts HostMeter::facts() const {
  std::string processor = "unknown";
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.starts_with("model name")) {
      processor = line.substr(std::min(line.size(), line.find(": ") + 2));
      break;
    }
  return {{"device", processor}, {"threads", std::to_string(pool->threads())}};
}

Result<double> HostMeter::copyBandwidth() {
  // Far larger than caches; in pieces, so that all threads take part.
  constexpr uint64_t bytes = uint64_t(256) << 20, piece = uint64_t(1) << 20;
  hal::MemoryBudget budget;
  LEVIN_ASSIGN_OR_RETURN(hal::HostMemory from,
                         hal::HostMemory::allocate(bytes, "the copy that is timed", budget));
  LEVIN_ASSIGN_OR_RETURN(hal::HostMemory to,
                         hal::HostMemory::allocate(bytes, "the copy that is timed", budget));
  std::memset(from.data(), 0x5a, bytes);
  std::vector<double> times;
  for (int i = 0; i < 8; ++i) {
    Clock clock;
    pool->forEach(bytes / piece, [&](uint64_t part) {
      std::memcpy(to.data() + part * piece, from.data() + part * piece, piece);
    });
    if (i > 0)
      times.push_back(clock.seconds());
  }
  return 2.0 * static_cast<double>(bytes) / Spread::of(std::move(times)).median;
}

Result<HostMeter::Steps> HostMeter::bind(const artifact::Entry &entry) const {
  const artifact::Manifest &manifest = model->manifest();
  const artifact::Program &program = manifest.programs[entry.program];
  Steps steps;
  artifact::Program single = program;
  for (const artifact::Stream &stream : program.ranks[0].streams)
    for (const artifact::Item &item : stream.items) {
      single.ranks[0].streams.assign(1, artifact::Stream{{item}});
      LEVIN_ASSIGN_OR_RETURN(BoundProgram bound,
                             BoundProgram::bind(manifest, single, arenas, model->executables()));
      steps.commands.push_back(std::move(bound));
      steps.launches.push_back(std::get_if<artifact::Launch>(&item.command));
    }
  return steps;
}

void HostMeter::write(const artifact::Entry &entry, const StepInputs &inputs) {
  const artifact::RankProgram &program = model->manifest().programs[entry.program].ranks[0];
  for (const artifact::Binding &binding : entry.inputs) {
    const std::vector<int32_t> *values = inputs.of(binding.role);
    const artifact::Slice &slice = program.slices[binding.slices[0]];
    if (values)
      std::memcpy(arenas[slice.arena].data() + slice.offset, values->data(),
                  std::min<uint64_t>(slice.size, values->size() * sizeof(int32_t)));
  }
}

std::vector<LaunchSpan> HostMeter::run(const Steps &steps) {
  std::vector<LaunchSpan> spans;
  spans.reserve(steps.commands.size());
  Clock clock;
  for (size_t i = 0; i < steps.commands.size(); ++i) {
    double begin = clock.seconds();
    steps.commands[i].run(*pool);
    if (steps.launches[i])
      spans.push_back({steps.launches[i], begin, clock.seconds()});
  }
  return spans;
}

Result<std::vector<LaunchSpan>> HostMeter::trace(const artifact::Entry &entry,
                                                 const StepInputs &inputs) {
  LEVIN_ASSIGN_OR_RETURN(Steps steps, bind(entry));
  write(entry, inputs);
  run(steps);
  write(entry, inputs); // the plan may give the place of an input to something else
  return run(steps);
}

Result<std::vector<LaunchTime>> HostMeter::timeLaunches(const artifact::Entry &entry,
                                                        const StepInputs &inputs,
                                                        unsigned repetitions) {
  LEVIN_ASSIGN_OR_RETURN(Steps steps, bind(entry));
  std::vector<std::vector<double>> times;
  std::vector<LaunchTime> launches;
  for (unsigned repetition = 0; repetition <= repetitions; ++repetition) {
    write(entry, inputs);
    std::vector<LaunchSpan> spans = run(steps);
    times.resize(spans.size());
    for (size_t i = 0; i < spans.size() && repetition > 0; ++i) // the first run warms up
      times[i].push_back(spans[i].end - spans[i].begin);
    launches.resize(spans.size());
    for (size_t i = 0; i < spans.size(); ++i)
      launches[i].launch = spans[i].launch;
  }
  for (size_t i = 0; i < launches.size(); ++i)
    launches[i].seconds = Spread::of(std::move(times[i]));
  return launches;
}

} // namespace levin::bench
