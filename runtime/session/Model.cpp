#include "runtime/session/Model.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/ParameterLoader.h"
#include "runtime/session/WeightFiles.h"

#include <malloc.h>

#include <algorithm>
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

Status Model::loadCode(const hal::CpuFeatures &machine) {
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
  // The loader has its own copy.
  for (const artifact::Executable &executable : manifest().executables)
    for (const artifact::Variant &variant : executable.variants)
      if (std::ranges::none_of(manifest().assets, [&](const artifact::Asset &asset) {
            return asset.segment == variant.segment;
          }))
        file.releaseSegment(variant.segment);
  return {};
}

Status Model::loadWeights(const std::string &path, const ModelOptions &options) {
  std::vector<std::string> folders = options.weightFolders;
  if (folders.empty())
    folders = defaultWeightFolders(path);
  LEVIN_ASSIGN_OR_RETURN(WeightFiles files, WeightFiles::open(manifest().weightFiles, folders));
  for (uint32_t i = 0; i < files.count(); ++i) {
    weightFileBytes += files.file(i).size();
    if (options.log)
      options.log("weights: " + files.file(i).path());
  }
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
  return loadParameters(manifest(), files, parameterMemory.bytes(), *pool, work);
}

Result<std::shared_ptr<const Model>> Model::load(const std::string &path,
                                                 const ModelOptions &options) {
  Clock total;
  auto model = std::make_shared<Model>();
  artifact::OpenOptions openOptions;
  openOptions.requireSignature = options.signatureKey;
  LEVIN_ASSIGN_OR_RETURN(model->file, artifact::Artifact::open(path, openOptions));
  model->loadTimes.artifact = total.seconds();
  Result<hal::CpuFeatures> features = hal::CpuFeatures::ofThisMachine();
  if (!features.ok() && !options.artifactOnly)
    return features.takeStatus();
  hal::CpuFeatures machine = features.ok() ? std::move(*features) : hal::CpuFeatures();
  const auto &executables = model->manifest().executables;
  if (!executables.empty()) {
    Result<size_t> chosen = hal::chooseVariant(executables[0], machine);
    if (chosen.ok())
      model->targetName = executables[0].variants[*chosen].target;
    if (options.log)
      options.log(chosen.ok() ? "code: " + model->targetName : "code: none for this machine");
  }
  if (!options.artifactOnly) {
    Clock codeClock;
    LEVIN_RETURN_IF_ERROR(model->loadCode(machine));
    model->loadTimes.code = codeClock.seconds();
    Clock weightsClock;
    LEVIN_RETURN_IF_ERROR(model->loadWeights(path, options));
    model->loadTimes.weights = weightsClock.seconds();
    model->complete = true;
    ::malloc_trim(0); // what reading took goes back, so that memory is what the plan says
  }
  model->loadTimes.total = total.seconds();
  return std::shared_ptr<const Model>(std::move(model));
}

} // namespace levin
