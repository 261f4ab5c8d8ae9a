#include "tools/levin-bench/CudaMeter.h"

#include <algorithm>
#include <bit>
#include <chrono>
#include <fstream>
#include <thread>

namespace levin::bench {

namespace cuda = hal::cuda;
using artifact::ArenaKind;
using artifact::DType;
using artifact::Role;

Result<std::unique_ptr<Meter>> CudaMeter::create(std::shared_ptr<const Model> model) {
  std::unique_ptr<CudaMeter> meter(new CudaMeter(std::move(model)));
  LEVIN_RETURN_IF_ERROR(meter->prepare());
  return std::unique_ptr<Meter>(std::move(meter));
}

Status CudaMeter::prepare() {
  LEVIN_RETURN_IF_ERROR(device->activate());
  LEVIN_ASSIGN_OR_RETURN(main, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(side, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(fork, cuda::makeEvent(device));
  LEVIN_ASSIGN_OR_RETURN(join, cuda::makeEvent(device));
  LEVIN_ASSIGN_OR_RETURN(begin, cuda::makeTimedEvent(device));
  LEVIN_ASSIGN_OR_RETURN(end, cuda::makeTimedEvent(device));
  streams = {main.get(), side.get(), fork.get(), join.get()};
  return {};
}

/// The driver's own version, "580.82.07"; empty if the system does not tell.
static std::string kernelDriver() {
  std::ifstream file("/proc/driver/nvidia/version");
  std::string word;
  while (file >> word)
    if (!word.empty() && word.find_first_not_of("0123456789.") == word.npos &&
        word.find('.') != word.npos)
      return word;
  return "";
}

Facts CudaMeter::facts() const {
  const cuda::DeviceFacts &about = device->facts();
  auto attribute = [&](int which) {
    cuda::CUdevice number = 0;
    int value = 0;
    if (device->functions().cuDeviceGet(&number, about.index) != 0 ||
        device->functions().cuDeviceGetAttribute(&value, which, number) != 0)
      return 0;
    return value;
  };
  constexpr int clockRate = 13, memoryClockRate = 36; // kHz
  std::string driver = "CUDA " + cuda::versionText(device->driver().version());
  if (std::string version = kernelDriver(); !version.empty())
    driver += ", " + version;
  return {
      {"device", fmt::format("cuda:{} {}, sm_{}, {} multiprocessors, {} bytes", about.index,
                             about.name, about.capability, about.multiprocessors, about.memory)},
      {"driver", driver},
      {"clocks", fmt::format("at most {} MHz, memory {} MHz", attribute(clockRate) / 1000,
                             attribute(memoryClockRate) / 1000)}};
}

// --- Time ----------------------------------------------------------------------------------------

Status CudaMeter::wait() {
  auto started = std::chrono::steady_clock::now();
  while (true) {
    cuda::CUresult code = device->functions().cuStreamQuery(main.get());
    if (code != cuda::NotReady)
      return device->driver().check(code, "cuStreamQuery");
    if (std::chrono::steady_clock::now() - started > std::chrono::seconds(60)) {
      device->abandon();
      return makeError(ErrorCode::GpuTimeout, "a kernel on the GPU did not end in time")
          .note("have", "60 s without an end")
          .note("fix", "levin-run --validate tells which kernel hangs");
    }
  }
}

Result<cuda::GraphExec> CudaMeter::capture(const Enqueue &enqueue, unsigned count) {
  const cuda::Driver &driver = device->driver();
  LEVIN_RETURN_IF_ERROR(
      LEVIN_CUDA(driver, cuStreamBeginCapture, main.get(), cuda::captureModeRelaxed));
  Status enqueued;
  for (unsigned i = 0; i < count && enqueued.ok(); ++i)
    enqueued = enqueue(i);
  cuda::CUgraph raw = nullptr;
  Status ended = LEVIN_CUDA(driver, cuStreamEndCapture, main.get(), &raw);
  cuda::Graph graph(device, raw);
  LEVIN_RETURN_IF_ERROR(std::move(enqueued));
  LEVIN_RETURN_IF_ERROR(std::move(ended));
  cuda::CUgraphExec executable = nullptr;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuGraphInstantiate, &executable, graph.get(), 0));
  cuda::GraphExec captured(device, executable);
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuGraphUpload, executable, main.get()));
  return captured;
}

Result<double> CudaMeter::timeOnce(const std::function<Status()> &enqueue) {
  const cuda::Driver &driver = device->driver();
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, begin.get(), main.get()));
  LEVIN_RETURN_IF_ERROR(enqueue());
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, end.get(), main.get()));
  LEVIN_RETURN_IF_ERROR(wait());
  float milliseconds = 0;
  LEVIN_RETURN_IF_ERROR(
      LEVIN_CUDA(driver, cuEventElapsedTime, &milliseconds, begin.get(), end.get()));
  return static_cast<double>(milliseconds) * 1e-3;
}

Result<Spread> CudaMeter::timeInGraph(const Enqueue &enqueue, unsigned count, unsigned samples) {
  LEVIN_ASSIGN_OR_RETURN(cuda::GraphExec graph, capture(enqueue, count));
  std::vector<double> times;
  for (unsigned i = 0; i <= samples; ++i) {
    LEVIN_ASSIGN_OR_RETURN(double seconds, timeOnce([&] {
                             return LEVIN_CUDA(device->driver(), cuGraphLaunch, graph.get(),
                                               main.get());
                           }));
    if (i > 0)
      times.push_back(seconds / count);
  }
  return Spread::of(std::move(times));
}

// --- Ceilings ------------------------------------------------------------------------------------

/// Random values, since a GPU is faster on zeros: they cost less power.
Status CudaMeter::fillRandom(const cuda::DeviceMemory &memory, uint64_t seed) {
  LEVIN_ASSIGN_OR_RETURN(CudaModel::Utility fill,
                         gpu.findUtility(model->manifest(), "fill_random"));
  constexpr uint64_t bf16 = 1;
  uint64_t words[] = {memory.address(), memory.size() / 2, bf16, std::bit_cast<uint32_t>(1.0f),
                      seed};
  return fill.launch(*device, 8 * device->facts().multiprocessors, words, main.get());
}

Result<double> CudaMeter::copyBandwidth() {
  LEVIN_RETURN_IF_ERROR(device->activate());
  LEVIN_ASSIGN_OR_RETURN(uint64_t free, device->freeMemory());
  // Far larger than caches, but beside a model that fills the card.
  uint64_t bytes = std::min(uint64_t(1) << 30, free / 4 / 256 * 256);
  LEVIN_ASSIGN_OR_RETURN(cuda::DeviceMemory from,
                         cuda::DeviceMemory::allocate(device, bytes, "the copy that is timed"));
  LEVIN_ASSIGN_OR_RETURN(cuda::DeviceMemory to,
                         cuda::DeviceMemory::allocate(device, bytes, "the copy that is timed"));
  LEVIN_RETURN_IF_ERROR(fillRandom(from, 1));
  // On a stream, where the driver copies with the multiprocessors: in a graph it may choose the
  // copy engines, which reach two thirds of that.
  constexpr unsigned copies = 4, samples = 15;
  auto enqueue = [&]() -> Status {
    for (unsigned i = 0; i < copies; ++i)
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemcpyDtoDAsync, to.address(),
                                       from.address(), bytes, main.get()));
    return {};
  };
  std::vector<double> times;
  for (unsigned i = 0; i <= samples; ++i) {
    LEVIN_ASSIGN_OR_RETURN(double seconds, timeOnce(enqueue));
    if (i > 0)
      times.push_back(seconds / copies);
  }
  return 2.0 * static_cast<double>(bytes) / Spread::of(std::move(times)).median;
}

Result<double> CudaMeter::productRate() {
  constexpr uint64_t size = 8192, bytes = 2 * size * size;
  LEVIN_RETURN_IF_ERROR(device->activate());
  Result<std::shared_ptr<const cuda::Blas>> blas = cuda::Blas::open(device);
  if (!blas.ok())
    return 0.0; // no cuBLASLt: a column less
  std::vector<cuda::DeviceMemory> matrices(3);
  std::vector<cuda::CUdeviceptr> addresses;
  for (cuda::DeviceMemory &matrix : matrices) {
    LEVIN_ASSIGN_OR_RETURN(
        matrix, cuda::DeviceMemory::allocate(device, bytes, "the product that is timed"));
    LEVIN_RETURN_IF_ERROR(fillRandom(matrix, addresses.size() + 1));
    addresses.push_back(matrix.address());
  }
  LEVIN_ASSIGN_OR_RETURN(
      cuda::DeviceMemory space,
      cuda::DeviceMemory::allocate(device, cuda::blasWorkspaceBytes, "the product that is timed"));
  artifact::LibraryProduct product{size, size,        size,        0,          1,
                                   2,    DType::BF16, DType::BF16, DType::BF16};
  LEVIN_ASSIGN_OR_RETURN(cuda::PreparedProduct prepared,
                         cuda::PreparedProduct::make(*blas, product, addresses, space.address()));
  LEVIN_ASSIGN_OR_RETURN(
      Spread seconds, timeInGraph([&](unsigned) { return prepared.enqueue(main.get()); }, 10, 20));
  return 2.0 * size * size * size / seconds.median;
}

// --- Programs ------------------------------------------------------------------------------------

Result<CudaProgram> CudaMeter::bind(const artifact::Entry &entry) {
  const artifact::Manifest &manifest = model->manifest();
  LEVIN_RETURN_IF_ERROR(device->activate());
  if (!allocated) {
    CudaPlan plan(manifest);
    for (auto [memory, bytes] :
         {std::pair(&state, plan.state), std::pair(&workspace, plan.workspace),
          std::pair(&scratch, plan.scratch), std::pair(&products, plan.products)}) {
      LEVIN_ASSIGN_OR_RETURN(*memory,
                             cuda::DeviceMemory::allocate(device, bytes, "single launches"));
      if (bytes != 0)
        LEVIN_RETURN_IF_ERROR(
            LEVIN_CUDA(device->driver(), cuMemsetD8Async, memory->address(), 0, bytes, main.get()));
    }
    allocated = true;
  }
  CudaArenas arenas;
  for (const artifact::Arena &arena : manifest.arenas)
    arenas.base.push_back(arena.kind == ArenaKind::Parameters ? gpu.parameters.address()
                          : arena.kind == ArenaKind::State    ? state.address()
                                                              : workspace.address());
  arenas.scratch = scratch.address();
  arenas.products = products.address();
  return CudaProgram::bind(manifest, entry, gpu, arenas);
}

Status CudaMeter::write(const CudaProgram &program, const artifact::Entry &entry,
                        const StepInputs &inputs) {
  for (const artifact::Binding &binding : entry.inputs)
    if (const std::vector<int32_t> *values = inputs.of(binding.role))
      LEVIN_RETURN_IF_ERROR(
          LEVIN_CUDA(device->driver(), cuMemcpyHtoDAsync, program.address(binding), values->data(),
                     std::min<uint64_t>(byteSize(binding.type), values->size() * sizeof(int32_t)),
                     main.get()));
  return wait();
}

/// The launches of a program by the number of their command; null for copies.
static std::vector<const artifact::Launch *> launchesOf(const artifact::Program &program) {
  std::vector<const artifact::Launch *> launches;
  for (const artifact::Stream &stream : program.ranks[0].streams)
    for (const artifact::Item &item : stream.items)
      launches.push_back(std::get_if<artifact::Launch>(&item.command));
  return launches;
}

Result<std::vector<LaunchTime>> CudaMeter::timeLaunches(const artifact::Entry &entry,
                                                        const StepInputs &inputs,
                                                        unsigned repetitions) {
  LEVIN_ASSIGN_OR_RETURN(CudaProgram program, bind(entry));
  auto launches = launchesOf(model->manifest().programs[entry.program]);
  LEVIN_RETURN_IF_ERROR(write(program, entry, inputs));
  std::vector<LaunchTime> times;
  // In order, so that each launch finds what the ones before made.
  for (size_t i = 0; i < program.commands(); ++i) {
    bool afterKernel = false;
    auto enqueue = [&](unsigned repetition) {
      afterKernel &= repetition > 0;
      return program.enqueue(i, *device, streams, afterKernel);
    };
    auto describe = [&](Status failure) {
      return program.describe(std::move(failure), i, model->manifest());
    };
    Result<double> once = timeOnce([&] { return enqueue(0); });
    if (!once.ok())
      return describe(once.takeStatus());
    if (!launches[i])
      continue;
    // About a millisecond, in which the clock of events does not show.
    auto count = static_cast<unsigned>(std::clamp(1e-3 / std::max(*once, 1e-6), 2.0, 50.0));
    Result<Spread> seconds = timeInGraph(enqueue, count, std::max(repetitions, 5u));
    if (!seconds.ok())
      return describe(seconds.takeStatus());
    times.push_back({launches[i], *seconds});
  }
  return times;
}

Result<std::vector<LaunchSpan>> CudaMeter::trace(const artifact::Entry &entry,
                                                 const StepInputs &inputs) {
  LEVIN_ASSIGN_OR_RETURN(CudaProgram program, bind(entry));
  auto launches = launchesOf(model->manifest().programs[entry.program]);
  const cuda::Driver &driver = device->driver();
  std::vector<cuda::Event> events;
  for (size_t i = 0; i <= program.commands(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(cuda::Event event, cuda::makeTimedEvent(device));
    events.push_back(std::move(event));
  }
  // Something to do for the GPU while all of the program is put on the stream.
  LEVIN_ASSIGN_OR_RETURN(
      cuda::DeviceMemory delay,
      cuda::DeviceMemory::allocate(device, uint64_t(256) << 20, "the begin of a trace"));
  for (int run = 0; run < 2; ++run) { // the first warms up
    LEVIN_RETURN_IF_ERROR(write(program, entry, inputs));
    for (size_t i = 0; i < 4 + program.commands() / 4; ++i)
      LEVIN_RETURN_IF_ERROR(
          LEVIN_CUDA(driver, cuMemsetD8Async, delay.address(), 0, delay.size(), main.get()));
    bool afterKernel = false;
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, events[0].get(), main.get()));
    for (size_t i = 0; i < program.commands(); ++i) {
      LEVIN_RETURN_IF_ERROR(program.enqueue(i, *device, streams, afterKernel));
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, events[i + 1].get(), main.get()));
      afterKernel = false;
    }
    LEVIN_RETURN_IF_ERROR(wait());
  }
  std::vector<LaunchSpan> spans;
  double at = 0;
  for (size_t i = 0; i < program.commands(); ++i) {
    float milliseconds = 0;
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventElapsedTime, &milliseconds, events[i].get(),
                                     events[i + 1].get()));
    double next = at + static_cast<double>(milliseconds) * 1e-3;
    if (launches[i])
      spans.push_back({launches[i], at, next});
    at = next;
  }
  return spans;
}

} // namespace levin::bench
