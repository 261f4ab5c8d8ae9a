#include "runtime/session/Model.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/CudaModel.h"
#include "runtime/session/ParameterLoader.h"

#include <malloc.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <utility>

namespace levin {

namespace {
class Clock {
public:
  /// Seconds since construction.
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }

private:
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();
};
} // namespace

uint64_t Model::arenaBytes(artifact::ArenaKind kind) const {
  uint64_t bytes = 0;
  for (const artifact::Arena &arena : manifest().arenas)
    if (arena.kind == kind)
      bytes += arena.size;
  return bytes;
}

/// A failure that says what there is instead of `wanted`.
static Status unknownName(ErrorCode code, std::string_view kind, std::string_view wanted,
                          std::span<const std::string> names) {
  std::string all = fmt::format("{}", fmt::join(names, ", "));
  Status status = makeError(code, "the artifact has no {} '{}'", kind, wanted.substr(0, 128));
  status.note("have", all.empty() ? "none" : all.substr(0, 400));
  if (auto hint = didYouMean(wanted, names))
    status.note("fix", *hint);
  return status;
}

Result<size_t> Model::findEntry(std::string_view name) const {
  std::vector<std::string> names;
  for (const artifact::Entry &entry : manifest().entries) {
    if (entry.name == name)
      return names.size();
    names.push_back(entry.name);
  }
  return unknownName(ErrorCode::UnknownEntry, "entry", name, names);
}

Result<std::span<const std::byte>> Model::asset(std::string_view name) const {
  std::vector<std::string> names;
  for (const artifact::Asset &asset : manifest().assets) {
    if (asset.name == name)
      return file.segmentBytes(asset.segment);
    names.push_back(asset.name);
  }
  return unknownName(ErrorCode::NotInArtifact, "asset", name, names);
}

// --- Which device --------------------------------------------------------------------------------

namespace {
/// The host, or a GPU by its number.
struct DeviceChoice {
  bool gpu = false;
  int index = 0;
};
} // namespace

/// Reads "host", "cuda" or "cuda:N"; nothing is what the artifact is for.
static Result<DeviceChoice> chooseDevice(const std::string &text, bool forGpu) {
  if (text.empty())
    return DeviceChoice{forGpu, 0};
  DeviceChoice choice;
  if (text.starts_with("cuda")) {
    choice.gpu = true;
    std::string_view rest = std::string_view(text).substr(4);
    auto [end, error] = std::from_chars(rest.data() + std::min<size_t>(1, rest.size()),
                                        rest.data() + rest.size(), choice.index);
    bool number = rest.starts_with(':') && error == std::errc() && choice.index >= 0 &&
                  end == rest.data() + rest.size();
    if (rest.empty() || number)
      return choice;
  } else if (text == "host") {
    return choice;
  }
  return makeError(ErrorCode::OptionValue, "there is no device '{}'", text)
      .note("need", "host, or cuda:0 for the first GPU");
}

/// Whether the code of an artifact is for GPUs.
static bool isForGpu(const artifact::Manifest &manifest) {
  for (const artifact::Executable &executable : manifest.executables)
    for (const artifact::Variant &variant : executable.variants)
      return variant.kind != artifact::CodeKind::HostElf;
  return false;
}

static Status checkDevice(const DeviceChoice &choice, bool forGpu) {
  if (choice.gpu == forGpu)
    return {};
  return makeError(ErrorCode::ArtifactDevice, "the artifact is for {}, not for {}",
                   forGpu ? "a GPU" : "the host", choice.gpu ? "a GPU" : "the host")
      .note("have", forGpu ? "code for cuda" : "code for host")
      .note("need", choice.gpu ? "code for cuda" : "code for host")
      .note("fix", fmt::format("leave --device out, or levin-compile ... --target {}",
                               choice.gpu ? "cuda" : "host"));
}

// --- Loading -------------------------------------------------------------------------------------

/// The variant that this machine would run; empty if it can run none.
std::string Model::findTarget(bool forGpu) const {
  if (manifest().executables.empty())
    return "";
  const artifact::Executable &first = manifest().executables[0];
  if (!forGpu) {
    auto machine = hal::CpuFeatures::ofThisMachine();
    auto chosen = hal::chooseVariant(first, machine.ok() ? *machine : hal::CpuFeatures());
    return chosen.ok() ? first.variants[*chosen].target : "";
  }
  auto driver = hal::cuda::Driver::open();
  if (!driver.ok())
    return "";
  auto devices = hal::cuda::listDevices(**driver);
  if (!devices.ok() || devices->empty())
    return "";
  auto chosen = hal::cuda::chooseVariants(first, devices->front());
  return chosen.ok() ? first.variants[chosen->front()].target : "";
}

Status Model::loadCode() {
  LEVIN_ASSIGN_OR_RETURN(hal::CpuFeatures machine, hal::CpuFeatures::ofThisMachine());
  for (size_t i = 0; i < manifest().executables.size(); ++i) {
    const artifact::Executable &executable = manifest().executables[i];
    LEVIN_ASSIGN_OR_RETURN(size_t chosen, hal::chooseVariant(executable, machine));
    const artifact::Variant &variant = executable.variants[chosen];
    std::string name = fmt::format("executables[{}].variants[{}] ({})", i, chosen, variant.target);
    LEVIN_ASSIGN_OR_RETURN(
        hal::HostExecutable loaded,
        hal::HostExecutable::load(file.segmentBytes(variant.segment), executable.exports, name));
    code.push_back(std::move(loaded));
  }
  return {};
}

/// Gives back the segments of code, of which the loader has its own copy.
void Model::releaseCode() {
  for (const artifact::Executable &executable : manifest().executables)
    for (const artifact::Variant &variant : executable.variants)
      if (std::ranges::none_of(manifest().assets, [&](const artifact::Asset &asset) {
            return asset.segment == variant.segment;
          }))
        file.releaseSegment(variant.segment);
}

Result<WeightFiles> Model::openWeights(const std::string &path, const ModelOptions &options) {
  if (options.randomWeights)
    return WeightFiles();
  std::vector<std::string> folders = options.weightFolders;
  if (folders.empty())
    folders = defaultWeightFolders(path);
  LEVIN_ASSIGN_OR_RETURN(WeightFiles files, WeightFiles::open(manifest().weightFiles, folders));
  for (uint32_t i = 0; i < files.count(); ++i) {
    weightFileBytes += files.file(i).size();
    if (options.log)
      options.log("weights: " + files.file(i).path());
  }
  return files;
}

Status Model::loadForHost(const std::string &path, const ModelOptions &options) {
  if (options.randomWeights)
    return makeError(ErrorCode::OptionValue, "random weights are made on GPUs only")
        .note("have", "an artifact for the host")
        .note("fix", "leave --random-weights out, or levin-compile ... --target cuda");
  Clock codeClock;
  LEVIN_RETURN_IF_ERROR(loadCode());
  releaseCode();
  loadTimes.code = codeClock.seconds();
  Clock weightsClock;
  LEVIN_ASSIGN_OR_RETURN(WeightFiles files, openWeights(path, options));
  // The threads that fill the parameters also make their pages, faster than one could beforehand.
  hal::MemoryBudget budget(options.maxMemory);
  LEVIN_ASSIGN_OR_RETURN(parameterMemory,
                         hal::HostMemory::allocate(arenaBytes(artifact::ArenaKind::Parameters),
                                                   "parameters", budget, false));
  LEVIN_ASSIGN_OR_RETURN(auto pool, hal::ThreadPool::create(options.threads));
  LoadWork work;
  work.segment = [this](uint32_t segment) { return file.segmentBytes(segment); };
  work.verifyDigests = options.verifyDigests;
  if (options.progress)
    work.progress = [&](uint64_t done, uint64_t total) {
      options.progress("weights", done, total);
    };
  LEVIN_RETURN_IF_ERROR(loadParameters(manifest(), files, parameterMemory.bytes(), *pool, work));
  loadTimes.weights = weightsClock.seconds();
  deviceName = "host";
  return {};
}

Status Model::loadForGpu(const std::string &path, int index, const ModelOptions &options) {
  Clock codeClock;
  LEVIN_ASSIGN_OR_RETURN(std::unique_ptr<CudaModel> cuda,
                         CudaModel::load(file, index, options.maxMemory));
  releaseCode();
  loadTimes.code = codeClock.seconds();
  Clock weightsClock;
  LEVIN_ASSIGN_OR_RETURN(WeightFiles files, openWeights(path, options));
  LEVIN_RETURN_IF_ERROR(cuda->loadParameters(file, files, options));
  loadTimes.weights = weightsClock.seconds();
  targetName = cuda->target(manifest());
  deviceName = fmt::format("cuda:{} ({})", index, cuda->device->facts().name);
  gpu = std::move(cuda);
  return {};
}

Result<std::shared_ptr<const Model>> Model::load(const std::string &path,
                                                 const ModelOptions &options) {
  Clock total;
  auto model = std::make_shared<Model>();
  artifact::OpenOptions openOptions;
  openOptions.requireSignature = options.signatureKey;
  LEVIN_ASSIGN_OR_RETURN(model->file, artifact::Artifact::open(path, openOptions));
  model->loadTimes.artifact = total.seconds();
  bool forGpu = isForGpu(model->manifest());
  if (options.artifactOnly || !forGpu)
    model->targetName = model->findTarget(forGpu);
  if (options.log && !model->manifest().executables.empty())
    options.log(model->targetName.empty()
                    ? forGpu ? "code: for GPUs" : "code: none for this machine"
                    : "code: " + model->targetName);
  if (!options.artifactOnly) {
    LEVIN_ASSIGN_OR_RETURN(DeviceChoice choice, chooseDevice(options.device, forGpu));
    LEVIN_RETURN_IF_ERROR(checkDevice(choice, forGpu));
    LEVIN_RETURN_IF_ERROR(choice.gpu ? model->loadForGpu(path, choice.index, options)
                                     : model->loadForHost(path, options));
    model->complete = true;
    ::malloc_trim(0); // what reading took goes back, so that memory is what the plan says
  }
  model->loadTimes.total = total.seconds();
  return std::shared_ptr<const Model>(std::move(model));
}

} // namespace levin
