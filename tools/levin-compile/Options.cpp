#include "tools/levin-compile/Options.h"

#include "runtime/base/DidYouMean.h"
#include "tools/common/Format.h"

#include <algorithm>

namespace levin::compile {

using pipelines::Bucket;

static constexpr std::string_view defaultBucketText = "1,4x4,16x16,64x16,256x16,256x1x256";

static std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    size_t at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos)
      return parts;
    text.remove_prefix(at + 1);
  }
}

std::vector<std::string> phaseNames() {
  std::vector<std::string> names;
  for (const pipelines::Phase &phase : pipelines::phases())
    names.push_back(phase.name.str());
  names.insert(names.end(), {"codegen", "artifact"});
  return names;
}

std::string textOf(const Bucket &bucket) {
  if (bucket.tokens == 1)
    return "1";
  std::string text = fmt::format("{}x{}", bucket.tokens, bucket.sequences);
  return bucket.rows == bucket.sequences ? text : fmt::format("{}x{}", text, bucket.rows);
}

static Result<Bucket> parseBucket(const std::string &text, uint64_t slots) {
  constexpr uint64_t most = uint64_t(1) << 20;
  auto refuse = [&](std::string need) {
    return makeError(ErrorCode::OptionValue, "'{}' is no bucket", text)
        .note("need", std::move(need))
        .note("fix", "TOKENS[xSEQUENCES[xROWS]], such as 64x4 or 256x1x256");
  };
  std::vector<uint64_t> extents;
  for (const std::string &part : split(text, 'x')) {
    auto extent = tool::parseCount(part);
    if (!extent || *extent < 1 || *extent > most)
      return refuse(fmt::format("numbers from 1 to {}", most));
    extents.push_back(*extent);
  }
  if (extents.size() > 3)
    return refuse("at most three numbers");
  uint64_t tokens = extents[0];
  uint64_t sequences = extents.size() > 1 ? extents[1] : 1;
  uint64_t rows = extents.size() > 2 ? extents[2] : sequences;
  if (sequences > tokens || rows > tokens)
    return refuse("no more sequences or rows than tokens");
  if (sequences > slots)
    return refuse(fmt::format("at most {} sequences, one for each of --slots", slots));
  return Bucket{static_cast<int64_t>(tokens), static_cast<int64_t>(sequences),
                static_cast<int64_t>(rows)};
}

Result<std::vector<Bucket>> parseBuckets(std::string_view text, uint64_t slots) {
  std::vector<Bucket> buckets;
  for (const std::string &part : split(text, ',')) {
    LEVIN_ASSIGN_OR_RETURN(Bucket bucket, parseBucket(part, slots));
    if (std::find(buckets.begin(), buckets.end(), bucket) == buckets.end())
      buckets.push_back(bucket);
  }
  return buckets;
}

std::vector<Bucket> defaultBuckets(uint64_t slots) {
  std::vector<Bucket> buckets;
  for (const std::string &part : split(defaultBucketText, ',')) {
    auto bucket = parseBucket(part, UINT64_MAX);
    bool isPrefill = bucket->rows != bucket->sequences;
    bucket->sequences =
        std::min(bucket->sequences, static_cast<int64_t>(std::min<uint64_t>(slots, INT64_MAX)));
    if (!isPrefill)
      bucket->rows = bucket->sequences;
    if (std::find(buckets.begin(), buckets.end(), *bucket) == buckets.end())
      buckets.push_back(*bucket);
  }
  return buckets;
}

// Names of targets: "host" and "cuda" stand for the best one.
static std::vector<std::string> targetNames() {
  std::vector<std::string> names = {"host"};
  for (const host::HostTarget &target : host::hostTargets())
    names.push_back(target.name);
  names.push_back("cuda");
  for (const cuda::CudaTarget &target : cuda::cudaTargets())
    names.push_back(target.name);
  return names;
}

static Status unknownTarget(const std::string &name) {
  std::vector<std::string> known = targetNames();
  Status status = makeError(ErrorCode::UnknownTarget, "the target '{}' is unknown", name)
                      .note("need", fmt::format("{}", fmt::join(known, ", ")));
  if (auto nearest = didYouMean(name, known))
    status.note("fix", *nearest);
  return status;
}

Result<Targets> parseTargets(std::string_view text) {
  Targets targets;
  std::vector<std::string> names = split(text, ',');
  for (const std::string &name : names) {
    if (auto gpu = cuda::lookupCudaTarget(name)) {
      if (names.size() > 1)
        return makeError(ErrorCode::OptionValue, "an artifact is for processors or for one GPU")
            .note("have", std::string(text))
            .note("fix", fmt::format("compile twice: --target {} alone", name));
      targets.cuda = *gpu;
      continue;
    }
    auto target = name == "host" ? host::nativeHostTarget() : host::lookupHostTarget(name);
    if (!target && name == "host")
      return makeError(ErrorCode::UnknownTarget,
                       "no host target of this build runs on this machine")
          .note("need", fmt::format("{}", fmt::join(targetNames(), ", ")))
          .note("fix", "name the target of another machine with --target");
    if (!target)
      return unknownTarget(name);
    auto same = [&](const host::HostTarget &other) { return other.name == target->name; };
    if (std::none_of(targets.host.begin(), targets.host.end(), same))
      targets.host.push_back(*target);
  }
  return targets;
}

void chooseTypes(const Options &options, pipelines::TargetOptions &target) {
  bool isCuda = target.target == pipelines::Target::Cuda;
  target.dtype = options.dtype;
  target.activations = options.activations;
  if (target.activations.empty())
    target.activations = isCuda ? "bf16" : "f32";
  // Kernels of a GPU read caches in pages only; on the host they are for those who ask.
  target.caches = options.kvType;
  if (target.caches.empty() && isCuda)
    target.caches = target.activations;
  if (target.caches.empty() && options.kvPages)
    target.caches = "f32";
}

uint64_t bytesOfCacheNumber(std::string_view type) {
  return type == "f8" ? 1 : type == "bf16" ? 2 : 4;
}

Result<Insertion> parseInsertion(std::string_view text) {
  constexpr std::string_view prefix = "after:";
  size_t equals = text.find('=');
  if (!text.starts_with(prefix) || equals == std::string_view::npos || equals + 1 == text.size())
    return makeError(ErrorCode::OptionValue, "--insert={} has another form than expected", text)
        .note("need", "after:PHASE=pass{options},..")
        .note("fix", "for example --insert=after:fuse=my-pass{limit=3}");
  std::vector<std::string> phases = phaseNames();
  phases.resize(phases.size() - 2); // nothing can follow code generation
  std::string phase(text.substr(prefix.size(), equals - prefix.size()));
  if (std::find(phases.begin(), phases.end(), phase) == phases.end()) {
    Status status = makeError(ErrorCode::OptionValue, "passes cannot be inserted after '{}'", phase)
                        .note("need", fmt::format("{}", fmt::join(phases, ", ")));
    if (auto nearest = didYouMean(phase, phases))
      status.note("fix", *nearest);
    return status;
  }
  return Insertion{phase, std::string(text.substr(equals + 1))};
}

} // namespace levin::compile
