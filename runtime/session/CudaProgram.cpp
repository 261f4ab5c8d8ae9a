#include "runtime/session/CudaProgram.h"

#include "runtime/base/Checked.h"

#include <algorithm>

namespace levin {

namespace cuda = hal::cuda;

// --- Binding -------------------------------------------------------------------------------------

Result<cuda::CUdeviceptr> CudaProgram::addressOf(const artifact::Ref &ref) const {
  if (ref.slice >= slices.size() || !fitsWithin(ref.offset, ref.size, slices[ref.slice].size))
    return makeError(ErrorCode::ArtifactMemory, "a reference leaves slice {}", ref.slice)
        .note("have", fmt::format("{} bytes at {}", ref.size, ref.offset));
  return slices[ref.slice].address + ref.offset;
}

Status CudaProgram::bindSlices(const artifact::RankProgram &rank,
                               const artifact::Manifest &manifest, const CudaArenas &arenas) {
  for (const artifact::Slice &slice : rank.slices) {
    if (slice.arena >= arenas.base.size() ||
        !fitsWithin(slice.offset, slice.size, manifest.arenas[slice.arena].size))
      return makeError(ErrorCode::ArtifactMemory, "a slice leaves its arena");
    slices.push_back({arenas.base[slice.arena] + slice.offset, slice.size, slice.arena});
  }
  return {};
}

/// Gives every input a place in the staging memory.  Nothing else is alive in the workspace when a
/// program begins, so what lies between two inputs may be overwritten, too.
void CudaProgram::layOutInputs(const artifact::Entry &entry) {
  constexpr uint64_t nearBytes = uint64_t(64) << 10;
  inputOffsets.resize(slices.size());
  std::vector<uint32_t> order;
  for (const artifact::Binding &binding : entry.inputs)
    order.push_back(binding.slices[0]);
  std::ranges::sort(order, [&](uint32_t a, uint32_t b) {
    return std::pair(slices[a].arena, slices[a].address) <
           std::pair(slices[b].arena, slices[b].address);
  });
  const Range *before = nullptr;
  for (uint32_t slice : order) {
    const Range &range = slices[slice];
    Upload *last = inputRuns.empty() ? nullptr : &inputRuns.back();
    if (!last || before->arena != range.arena ||
        range.address > last->target + last->bytes + nearBytes) {
      inputRuns.push_back({range.address, staged, 0});
      last = &inputRuns.back();
    }
    uint64_t within = range.address - last->target;
    inputOffsets[slice] = last->offset + within;
    last->bytes = std::max(last->bytes, within + range.size);
    staged = (last->offset + last->bytes + 63) / 64 * 64;
    before = &range;
  }
}

Status CudaProgram::bindCopy(const artifact::Copy &copy, Step &step) {
  LEVIN_ASSIGN_OR_RETURN(step.source, addressOf(copy.source));
  LEVIN_ASSIGN_OR_RETURN(step.target, addressOf(copy.target));
  step.bytes = copy.source.size;
  return {};
}

Status CudaProgram::bindLaunch(const artifact::Launch &launch, const artifact::Manifest &manifest,
                               const CudaModel &model, const CudaArenas &arenas, Step &step) {
  if (launch.executable >= model.executables.size() ||
      launch.exportIndex >= manifest.executables[launch.executable].exports.size())
    return makeError(ErrorCode::ArtifactLaunch, "a launch names a kernel that is not there");
  const artifact::Export &exported =
      manifest.executables[launch.executable].exports[launch.exportIndex];
  std::vector<cuda::CUdeviceptr> bindings;
  for (const artifact::Ref &ref : launch.bindings) {
    LEVIN_ASSIGN_OR_RETURN(cuda::CUdeviceptr address, addressOf(ref));
    bindings.push_back(address);
  }
  if (exported.product) {
    LEVIN_ASSIGN_OR_RETURN(step.product, cuda::PreparedProduct::make(model.blas, *exported.product,
                                                                     bindings, arenas.products));
    ++launchCount;
    return {};
  }
  for (const artifact::DeviceLaunch &device : exported.launches) {
    auto made =
        cuda::PreparedLaunch::make(*model.device, model.executables[launch.executable], device,
                                   bindings, exported.scratchBytes != 0 ? arenas.scratch : 0);
    if (!made.ok())
      return made.takeStatus().note("where", exported.name);
    step.launches.push_back({std::move(*made), device.concurrent});
    ++launchCount;
  }
  return {};
}

Result<CudaProgram> CudaProgram::bind(const artifact::Manifest &manifest,
                                      const artifact::Entry &entry, const CudaModel &model,
                                      const CudaArenas &arenas) {
  const artifact::Program &program = manifest.programs[entry.program];
  if (program.ranks.size() != 1)
    return makeError(ErrorCode::ArtifactFeature, "program '{}' is for {} ranks", program.name,
                     program.ranks.size())
        .note("need", "1, on this target");
  CudaProgram bound;
  LEVIN_RETURN_IF_ERROR(bound.bindSlices(program.ranks[0], manifest, arenas));
  bound.layOutInputs(entry);
  // Streams without events between them touch disjoint bytes (the artifact was checked), so one
  // after the other is an order they allow.
  for (const artifact::Stream &stream : program.ranks[0].streams) {
    for (const artifact::Item &item : stream.items) {
      Step step;
      step.item = &item;
      if (const auto *copy = std::get_if<artifact::Copy>(&item.command))
        LEVIN_RETURN_IF_ERROR(bound.bindCopy(*copy, step));
      else
        LEVIN_RETURN_IF_ERROR(bound.bindLaunch(std::get<artifact::Launch>(item.command), manifest,
                                               model, arenas, step));
      bound.steps.push_back(std::move(step));
    }
  }
  return bound;
}

// --- Running -------------------------------------------------------------------------------------

Status CudaProgram::enqueueLaunches(const Step &step, const cuda::Device &device,
                                    const CudaStreams &streams, bool &afterKernel) const {
  const cuda::Driver &driver = device.driver();
  bool forks = std::ranges::any_of(step.launches, &Launch::concurrent);
  if (forks) {
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, streams.fork, streams.main));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuStreamWaitEvent, streams.side, streams.fork, 0));
  }
  bool afterOnSide = false;
  for (const Launch &launch : step.launches) {
    bool &after = launch.concurrent ? afterOnSide : afterKernel;
    LEVIN_RETURN_IF_ERROR(
        launch.launch.enqueue(device, launch.concurrent ? streams.side : streams.main, after));
    after = true;
  }
  if (forks) {
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuEventRecord, streams.join, streams.side));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuStreamWaitEvent, streams.main, streams.join, 0));
    afterKernel = false;
  }
  return {};
}

Status CudaProgram::enqueue(size_t index, const cuda::Device &device, const CudaStreams &streams,
                            bool &afterKernel) const {
  const Step &step = steps[index];
  if (step.product) {
    afterKernel = false; // what the library puts there is not known
    return step.product->enqueue(streams.main);
  }
  if (step.bytes != 0) {
    afterKernel = false;
    return LEVIN_CUDA(device.driver(), cuMemcpyDtoDAsync, step.target, step.source, step.bytes,
                      streams.main);
  }
  return enqueueLaunches(step, device, streams, afterKernel);
}

Status CudaProgram::describe(Status failure, size_t index,
                             const artifact::Manifest &manifest) const {
  const artifact::Item &item = *steps[index].item;
  if (const auto *launch = std::get_if<artifact::Launch>(&item.command)) {
    const artifact::Export &exported =
        manifest.executables[launch->executable].exports[launch->exportIndex];
    std::string symbols;
    for (const artifact::DeviceLaunch &device : exported.launches)
      symbols += (symbols.empty() ? " (" : ", ") + device.symbol;
    failure.note("kernel", exported.name + symbols + (symbols.empty() ? "" : ")"));
  } else {
    failure.note("kernel", "a copy");
  }
  if (item.location)
    failure.note("where", manifest.debug.locations[*item.location]);
  return failure;
}

} // namespace levin
