// A session on a GPU: each program is captured once as a graph and launched as a whole.
#include "runtime/hal/cuda/Range.h"
#include "runtime/session/Backend.h"
#include "runtime/session/CudaProgram.h"
#include "runtime/session/Session.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <thread>

namespace levin {

namespace cuda = hal::cuda;
using artifact::ArenaKind;
using artifact::Binding;

namespace {

/// The most bytes of a result that are copied to the host at once.
constexpr uint64_t outputBytesAtOnce = uint64_t(32) << 20;

/// Bytes of what the kernel "row_summary" makes of a row.
constexpr uint64_t summaryBytes = 2 * sizeof(float) + RowSummary::most * sizeof(TokenLogit);

class CudaBackend final : public Backend {
public:
  CudaBackend(const Model &model, const SessionOptions &options)
      : manifest(model.manifest()), model(*model.cuda()), device(model.cuda()->device),
        validate(options.validate),
        timeout(options.timeoutSeconds != 0 ? options.timeoutSeconds : 60) {}

  Status prepare(uint64_t maxMemory);

  Status begin(uint32_t program) override;
  std::span<std::byte> input(uint32_t program, const Binding &binding) override {
    return staging.bytes().subspan(programs[program].stagingOffset(binding),
                                   byteSize(binding.type));
  }
  bool summarises() const override { return summarise.function != nullptr; }
  Status run(uint32_t program, const Wanted &wanted) override;
  RowSummary summary(uint64_t row) const override;
  Result<std::span<const std::byte>> read(uint32_t program, const Binding &binding, uint64_t offset,
                                          uint64_t bytes) override;
  uint64_t launches(uint32_t program) const override { return programs[program].launches(); }

private:
  Status checkMemory(const CudaPlan &plan, uint64_t maxMemory) const;
  Status allocate(uint64_t maxMemory);
  Status makeStreams();
  Status upload(const CudaProgram &program) const;
  Status capture(uint32_t index);
  Status enqueueAll(const CudaProgram &program) const;
  Status runOneByOne(uint32_t index);
  Status prepareSummaries();
  Status copySummaries(const CudaProgram &program, const Wanted &wanted);
  Status copyOut(const CudaProgram &program, const Binding &binding, uint64_t offset,
                 uint64_t bytes);
  Status wait();
  Status settle(Status status, uint32_t index);
  uint64_t unitOf(const Binding &binding) const;

  const artifact::Manifest &manifest;
  const CudaModel &model;
  std::shared_ptr<cuda::Device> device;
  bool validate;
  std::chrono::seconds timeout;

  cuda::DeviceMemory state, workspace, scratch, products;
  cuda::PinnedMemory staging, output, progress;
  CudaModel::Utility summarise; // no function: the artifact has none, or no logits
  cuda::DeviceMemory summaries; // of the rows of the largest bucket
  cuda::PinnedMemory summaryCopy;
  cuda::CUdeviceptr progressAddress = 0;
  cuda::Stream main, side, markers;
  cuda::Event fork, join, marked;
  CudaStreams streams;
  std::vector<CudaProgram> programs;     // by number
  std::vector<cuda::GraphExec> captured; // by number; empty until the first run
  Status broken;                         // why nothing can run any more

  // What `output` holds.
  const Binding *heldBinding = nullptr;
  uint64_t heldOffset = 0, heldBytes = 0;
};

// --- Making --------------------------------------------------------------------------------------

Status CudaBackend::checkMemory(const CudaPlan &plan, uint64_t maxMemory) const {
  LEVIN_ASSIGN_OR_RETURN(uint64_t free, device->freeMemory());
  uint64_t have = maxMemory != 0 ? std::min(maxMemory, free) : free;
  if (plan.session() <= have)
    return {};
  return makeError(ErrorCode::PlanDoesNotFit, "the session does not fit the memory of the GPU")
      .note("have", fmt::format("{} of {} bytes free on {}", have, device->facts().memory,
                                device->facts().name))
      .note("need", fmt::format("{} bytes: state {}, workspace {}, scratch {}, products {}, graphs "
                                "{}",
                                plan.session(), plan.state, plan.workspace, plan.scratch,
                                plan.products, plan.graphs))
      .note("fix", "end other sessions, or compile with fewer --slots, a smaller --max-context or "
                   "smaller --buckets");
}

Status CudaBackend::makeStreams() {
  LEVIN_ASSIGN_OR_RETURN(main, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(side, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(markers, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(marked, cuda::makeEvent(device));
  LEVIN_ASSIGN_OR_RETURN(fork, cuda::makeEvent(device));
  LEVIN_ASSIGN_OR_RETURN(join, cuda::makeEvent(device));
  streams = {main.get(), side.get(), fork.get(), join.get()};
  return {};
}

Status CudaBackend::allocate(uint64_t maxMemory) {
  CudaPlan plan(manifest);
  LEVIN_RETURN_IF_ERROR(checkMemory(plan, maxMemory));
  LEVIN_ASSIGN_OR_RETURN(state, cuda::DeviceMemory::allocate(device, plan.state, "state"));
  LEVIN_ASSIGN_OR_RETURN(workspace,
                         cuda::DeviceMemory::allocate(device, plan.workspace, "workspace"));
  LEVIN_ASSIGN_OR_RETURN(scratch, cuda::DeviceMemory::allocate(device, plan.scratch, "scratch"));
  LEVIN_ASSIGN_OR_RETURN(products, cuda::DeviceMemory::allocate(device, plan.products, "products"));
  // As on the host, state begins as zeros; the rest holds NaN until it is written.
  if (state.size() != 0)
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemsetD8Async, state.address(), 0,
                                     state.size(), main.get()));
  for (const cuda::DeviceMemory *memory : {&workspace, &scratch})
    if (memory->size() != 0)
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemsetD8Async, memory->address(), 0xff,
                                       memory->size(), main.get()));
  return wait();
}

/// Bytes of a row of the last dimension, the least that is read at once.
uint64_t CudaBackend::unitOf(const Binding &binding) const {
  const auto &shape = binding.type.shape;
  return (shape.empty() ? 1 : shape.back()) * byteSize(binding.type.dtype);
}

Status CudaBackend::prepare(uint64_t maxMemory) {
  LEVIN_RETURN_IF_ERROR(device->activate());
  LEVIN_RETURN_IF_ERROR(makeStreams());
  LEVIN_RETURN_IF_ERROR(allocate(maxMemory));
  CudaArenas arenas;
  for (const artifact::Arena &arena : manifest.arenas)
    arenas.base.push_back(arena.kind == ArenaKind::Parameters ? model.parameters.address()
                          : arena.kind == ArenaKind::State    ? state.address()
                                                              : workspace.address());
  arenas.scratch = scratch.address();
  arenas.products = products.address();
  programs.resize(manifest.programs.size());
  captured.resize(manifest.programs.size());
  uint64_t stagingBytes = 0, outputBytes = 0;
  for (const artifact::Entry &entry : manifest.entries) {
    LEVIN_ASSIGN_OR_RETURN(programs[entry.program],
                           CudaProgram::bind(manifest, entry, model, arenas));
    stagingBytes = std::max(stagingBytes, programs[entry.program].stagingBytes());
    for (const Binding &binding : entry.outputs)
      outputBytes = std::max(
          {outputBytes, unitOf(binding), std::min(byteSize(binding.type), outputBytesAtOnce)});
  }
  LEVIN_ASSIGN_OR_RETURN(staging, cuda::PinnedMemory::allocate(device, stagingBytes, "inputs"));
  LEVIN_ASSIGN_OR_RETURN(output, cuda::PinnedMemory::allocate(device, outputBytes, "results"));
  LEVIN_RETURN_IF_ERROR(prepareSummaries());
  LEVIN_ASSIGN_OR_RETURN(progress, cuda::PinnedMemory::allocate(device, 64, "progress"));
  return LEVIN_CUDA(device->driver(), cuMemHostGetDevicePointer, &progressAddress, progress.data(),
                    0);
}

Status CudaBackend::prepareSummaries() {
  uint64_t rows = 0;
  for (const artifact::Entry &entry : manifest.entries)
    rows = std::max(rows, entry.rows.value_or(0));
  auto found = model.findUtility(manifest, "row_summary");
  if (rows == 0 || !found.ok())
    return {};
  summarise = *found;
  LEVIN_ASSIGN_OR_RETURN(
      summaries, cuda::DeviceMemory::allocate(device, rows * summaryBytes, "summaries of logits"));
  LEVIN_ASSIGN_OR_RETURN(summaryCopy, cuda::PinnedMemory::allocate(device, rows * summaryBytes,
                                                                   "summaries of logits"));
  return {};
}

// --- Running -------------------------------------------------------------------------------------

Status CudaBackend::begin(uint32_t) {
  if (!broken.ok())
    return broken.clone();
  LEVIN_RETURN_IF_ERROR(device->activate());
  heldBinding = nullptr;
  if (!validate)
    return {};
  for (const cuda::DeviceMemory *memory : {&workspace, &scratch, &products})
    if (memory->size() != 0)
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemsetD8Async, memory->address(), 0xff,
                                       memory->size(), main.get()));
  return {};
}

Status CudaBackend::upload(const CudaProgram &program) const {
  for (const CudaProgram::Upload &run : program.uploads())
    if (run.bytes != 0)
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemcpyHtoDAsync, run.target,
                                       staging.data() + run.offset, run.bytes, main.get()));
  return {};
}

/// Puts the whole program on the streams.
///
/// After each command the number of those that have ended is written to the host's memory, where it
/// can be read when the device is lost.  These writes are a branch of their own: the next kernel
/// waits for none of them and can still begin before the one before it ends.  In a graph of short
/// kernels they take 0.1 us each; between the kernels they would take 2 us.
Status CudaBackend::enqueueAll(const CudaProgram &program) const {
  const cuda::Driver &driver = device->driver();
  LEVIN_RETURN_IF_ERROR(upload(program));
  bool afterKernel = false;
  for (size_t i = 0; i < program.commands(); ++i) {
    if (Status status = program.enqueue(i, *device, streams, afterKernel); !status.ok())
      return program.describe(std::move(status), i, manifest);
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, marked.get(), main.get()));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuStreamWaitEvent, markers.get(), marked.get(), 0));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuMemsetD32Async, progressAddress,
                                     static_cast<unsigned>(i + 1), 1, markers.get()));
  }
  if (program.commands() == 0)
    return {};
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, marked.get(), markers.get()));
  return LEVIN_CUDA(driver, cuStreamWaitEvent, main.get(), marked.get(), 0);
}

Status CudaBackend::capture(uint32_t index) {
  cuda::Range range("capture");
  const cuda::Driver &driver = device->driver();
  LEVIN_RETURN_IF_ERROR(
      LEVIN_CUDA(driver, cuStreamBeginCapture, main.get(), cuda::captureModeRelaxed));
  Status enqueued = enqueueAll(programs[index]);
  cuda::CUgraph raw = nullptr;
  Status ended = LEVIN_CUDA(driver, cuStreamEndCapture, main.get(), &raw);
  cuda::Graph graph(device, raw);
  LEVIN_RETURN_IF_ERROR(std::move(enqueued));
  LEVIN_RETURN_IF_ERROR(std::move(ended));
  cuda::CUgraphExec executable = nullptr;
  LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuGraphInstantiate, &executable, graph.get(), 0));
  captured[index] = cuda::GraphExec(device, executable);
  return LEVIN_CUDA(driver, cuGraphUpload, executable, main.get());
}

/// Every command alone, so that a failure is that of the command.
Status CudaBackend::runOneByOne(uint32_t index) {
  const CudaProgram &program = programs[index];
  LEVIN_RETURN_IF_ERROR(upload(program));
  auto *done = reinterpret_cast<volatile uint32_t *>(progress.data());
  for (size_t i = 0; i < program.commands(); ++i) {
    bool afterKernel = false;
    if (Status status = program.enqueue(i, *device, streams, afterKernel); !status.ok())
      return program.describe(std::move(status), i, manifest);
    LEVIN_RETURN_IF_ERROR(wait());
    *done = static_cast<uint32_t>(i + 1);
  }
  return {};
}

Status CudaBackend::run(uint32_t index, const Wanted &wanted) {
  cuda::Range range(manifest.programs[index].name);
  *reinterpret_cast<volatile uint32_t *>(progress.data()) = 0;
  if (validate) {
    LEVIN_RETURN_IF_ERROR(settle(runOneByOne(index), index));
  } else {
    if (!captured[index])
      LEVIN_RETURN_IF_ERROR(capture(index));
    LEVIN_RETURN_IF_ERROR(settle(
        LEVIN_CUDA(device->driver(), cuGraphLaunch, captured[index].get(), main.get()), index));
  }
  if (wanted.result && wanted.rows != 0)
    LEVIN_RETURN_IF_ERROR(settle(copySummaries(programs[index], wanted), index));
  else if (wanted.result && wanted.bytes != 0)
    LEVIN_RETURN_IF_ERROR(settle(copyOut(programs[index], *wanted.result, 0, wanted.bytes), index));
  return settle(wait(), index);
}

/// Has rows of logits summarised and begins to copy that.
Status CudaBackend::copySummaries(const CudaProgram &program, const Wanted &wanted) {
  uint64_t words[] = {program.address(*wanted.result), summaries.address(), wanted.rows,
                      wanted.result->type.shape.back()};
  LEVIN_RETURN_IF_ERROR(
      summarise.launch(*device, static_cast<unsigned>(wanted.rows), words, main.get()));
  return LEVIN_CUDA(device->driver(), cuMemcpyDtoHAsync, summaryCopy.data(), summaries.address(),
                    wanted.rows * summaryBytes, main.get());
}

RowSummary CudaBackend::summary(uint64_t row) const {
  // Log-sum-exp, the largest logit, then pairs of logits and tokens.
  const std::byte *place = summaryCopy.data() + row * summaryBytes;
  RowSummary out;
  std::memcpy(&out.logSumExp, place, sizeof(float));
  out.top = {reinterpret_cast<const TokenLogit *>(place + 2 * sizeof(float)), RowSummary::most};
  return out;
}

/// Begins to copy as much of a result as fits the memory for it.
Status CudaBackend::copyOut(const CudaProgram &program, const Binding &binding, uint64_t offset,
                            uint64_t bytes) {
  heldBinding = &binding;
  heldOffset = offset;
  uint64_t unit = std::max<uint64_t>(1, unitOf(binding));
  heldBytes = std::min(bytes, output.size() / unit * unit);
  return LEVIN_CUDA(device->driver(), cuMemcpyDtoHAsync, output.data(),
                    program.address(binding) + offset, heldBytes, main.get());
}

Result<std::span<const std::byte>> CudaBackend::read(uint32_t index, const Binding &binding,
                                                     uint64_t offset, uint64_t bytes) {
  bool held = heldBinding == &binding && offset >= heldOffset && offset < heldOffset + heldBytes;
  if (!held && bytes != 0) {
    LEVIN_RETURN_IF_ERROR(device->activate());
    LEVIN_RETURN_IF_ERROR(settle(copyOut(programs[index], binding, offset, bytes), index));
    LEVIN_RETURN_IF_ERROR(settle(wait(), index));
  }
  if (bytes == 0)
    return std::span<const std::byte>();
  uint64_t there = std::min(bytes, heldOffset + heldBytes - offset);
  return std::span<const std::byte>(output.bytes().subspan(offset - heldOffset, there));
}

// --- Waiting and failing -------------------------------------------------------------------------

/// Waits until the main stream has ended, but not for ever.
Status CudaBackend::wait() {
  using Clock = std::chrono::steady_clock;
  auto begin = Clock::now();
  for (uint64_t asked = 1;; ++asked) {
    cuda::CUresult code = device->functions().cuStreamQuery(main.get());
    if (code != cuda::NotReady)
      return device->driver().check(code, "cuStreamQuery");
    if (asked % 16 != 0)
      continue;
    auto waited = Clock::now() - begin;
    if (waited > timeout)
      return makeError(ErrorCode::GpuTimeout, "a run on the GPU did not end in time")
          .note("have", fmt::format("{} s without an end", timeout.count()))
          .note("fix", "if the work is that large, raise --timeout; otherwise --validate tells "
                       "which kernel hangs");
    // Long runs do not need the core; short ones need the answer at once.
    if (waited > std::chrono::milliseconds(20))
      std::this_thread::sleep_for(std::chrono::microseconds(50));
  }
}

/// `status` as it is to be reported.  Failures that no later run can survive end the session; the
/// command that was running is named.
Status CudaBackend::settle(Status status, uint32_t index) {
  if (status.ok())
    return status;
  ErrorCode code = status.code();
  if (code != ErrorCode::KernelFault && code != ErrorCode::GpuLost && code != ErrorCode::GpuTimeout)
    return status;
  device->abandon();
  uint32_t done = *reinterpret_cast<volatile uint32_t *>(progress.data());
  const CudaProgram &program = programs[index];
  if (done < program.commands())
    status = program.describe(std::move(status), done, manifest);
  status.note("program", manifest.programs[index].name);
  broken = status.clone();
  return status;
}

} // namespace

Result<std::unique_ptr<Backend>> makeCudaBackend(const Model &model,
                                                 const SessionOptions &options) {
  auto backend = std::make_unique<CudaBackend>(model, options);
  LEVIN_RETURN_IF_ERROR(backend->prepare(options.maxMemory));
  return std::unique_ptr<Backend>(std::move(backend));
}

} // namespace levin
