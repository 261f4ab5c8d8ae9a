#include "runtime/artifact/Check.h"

#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Header.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <algorithm>
#include <bit>

namespace levin::artifact {

bool isName(std::string_view name) {
  auto allowed = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  };
  return !name.empty() && name.size() <= limits::nameBytes && name != "." && name != ".." &&
         std::all_of(name.begin(), name.end(), allowed);
}

namespace detail {

// A name from a file that may hold anything, fit for a message.
static std::string quoted(std::string_view text) {
  std::string out = "'";
  for (char c : text.substr(0, 60))
    out += c >= 0x20 && c < 0x7f ? c : '?';
  return out + (text.size() > 60 ? "...'" : "'");
}

Status Names::add(const std::string &name, const Path &path) {
  if (!isName(name))
    return path.refuse(ErrorCode::ArtifactName, "name {} is not allowed", quoted(name))
        .note("have", fmt::format("{} bytes", name.size()))
        .note("need", fmt::format("1 to {} of A-Z a-z 0-9 . _ -", limits::nameBytes));
  if (!seen.insert(name).second)
    return path.refuse(ErrorCode::ArtifactName, "name '{}' is used twice", name);
  return {};
}

Status checkIndex(uint64_t index, size_t count, const char *what, const Path &path) {
  if (index < count)
    return {};
  return path.refuse(ErrorCode::ArtifactIndex, "{} is no index into {} {}", index, count, what)
      .note("have", fmt::format("{}", index))
      .note("need", fmt::format("less than {}", count));
}

// The value of an enum that is neither Invalid nor past `last`.
template <typename Enum> static Status checkEnum(Enum value, Enum last, const Path &path) {
  if (value != Enum::Invalid && value <= last)
    return {};
  return path.refuse(ErrorCode::ArtifactEnum, "{} is no known value", static_cast<int>(value))
      .note("have", fmt::format("{}", static_cast<int>(value)))
      .note("need", fmt::format("1 to {}", static_cast<int>(last)));
}

Status checkDType(DType type, const Path &path) { return checkEnum(type, DType::F8E4M3, path); }

Status checkTensor(const TensorType &type, const Path &path) {
  LEVIN_RETURN_IF_ERROR(checkDType(type.dtype, Path(path, "dtype")));
  if (type.shape.size() > limits::rank)
    return path.refuse(ErrorCode::ArtifactTensor, "a tensor of {} dimensions", type.shape.size())
        .note("have", fmt::format("{}", type.shape.size()))
        .note("need", fmt::format("at most {}", limits::rank));
  for (size_t d = 0; d < type.shape.size(); ++d)
    if (type.shape[d] == 0)
      return path.refuse(ErrorCode::ArtifactTensor, "dimension {} is 0 in {}", d, textOf(type))
          .note("need", "at least 1");
  auto elements = checkedProduct<uint64_t>(type.shape);
  auto bytes = elements ? checkedMul(*elements, byteSize(type.dtype)) : std::nullopt;
  if (!bytes || *bytes > limits::memory)
    return path.refuse(ErrorCode::ArtifactTensor, "tensor {} is too large", textOf(type))
        .note("have", bytes ? fmt::format("{} bytes", *bytes) : "more than 2^64 bytes")
        .note("need", fmt::format("at most {} bytes", limits::memory));
  return {};
}

Status checkAlignment(uint64_t alignment, const Path &path) {
  if (std::has_single_bit(alignment) && alignment <= limits::alignment)
    return {};
  return path.refuse(ErrorCode::ArtifactMemory, "alignment {} is not allowed", alignment)
      .note("have", fmt::format("{}", alignment))
      .note("need", fmt::format("a power of two up to {}", limits::alignment));
}

std::string rangeText(uint64_t offset, uint64_t size) {
  return fmt::format("{} bytes at {}", size, offset);
}

const Arena *findArena(const Manifest &manifest, ArenaKind kind) {
  for (const Arena &arena : manifest.arenas)
    if (arena.kind == kind)
      return &arena;
  return nullptr;
}

// Text that is only shown: of bounded length and without control characters, which could steer a
// terminal.  `lines` allows line ends and tabs.
static Status checkText(std::string_view text, const Path &path, bool lines = false) {
  if (text.size() > limits::textBytes)
    return path.refuse(ErrorCode::ArtifactLimit, "text is too long")
        .note("have", fmt::format("{} bytes", text.size()))
        .note("need", fmt::format("at most {}", limits::textBytes));
  for (char c : text)
    if ((static_cast<unsigned char>(c) < 0x20 && !(lines && (c == '\n' || c == '\t'))) || c == 0x7f)
      return path.refuse(ErrorCode::ArtifactName, "text holds a control character")
          .note("have", fmt::format("byte {:#04x}", static_cast<unsigned char>(c)))
          .note("need", "printable text");
  return {};
}

static Status checkProducer(const Producer &producer) {
  Path path("producer");
  LEVIN_RETURN_IF_ERROR(checkText(producer.compiler, Path(path, "compiler")));
  if (producer.sourceDigest.size() != 0 && producer.sourceDigest.size() != 32)
    return path.refuse(ErrorCode::ArtifactManifest, "the source digest has another length")
        .note("have", fmt::format("{} bytes", producer.sourceDigest.size()))
        .note("need", "32 bytes or none");
  for (size_t i = 0; i < producer.options.size(); ++i) {
    Path at(path, "options", i);
    const auto &[key, value] = producer.options[i];
    LEVIN_RETURN_IF_ERROR(checkText(key, Path(at, "key")));
    LEVIN_RETURN_IF_ERROR(checkText(value, Path(at, "value")));
    if (i > 0 && producer.options[i - 1].first >= key)
      return at.refuse(ErrorCode::ArtifactName, "option {} is not in order", quoted(key))
          .note("need", "each key once, ascending");
  }
  return {};
}

// Segments lie one after the other, each at the first multiple of its alignment, so that no byte
// of the file is outside a digest but zero padding.
static Status checkSegments(const Manifest &manifest) {
  uint64_t end = 0;
  for (size_t i = 0; i < manifest.segments.size(); ++i) {
    Path path("segments", i);
    const Segment &segment = manifest.segments[i];
    LEVIN_RETURN_IF_ERROR(checkAlignment(segment.alignment, Path(path, "alignment")));
    auto start = checkedAlign(end, segment.alignment);
    if (!start || segment.offset != *start)
      return path.refuse(ErrorCode::ArtifactSegment, "the segment does not follow the one before")
          .note("have", fmt::format("offset {}", segment.offset))
          .note("need", fmt::format("offset {}", start.value_or(0)));
    if (segment.size > limits::memory || segment.offset > limits::memory)
      return path.refuse(ErrorCode::ArtifactLimit, "the segment is too large")
          .note("have", rangeText(segment.offset, segment.size))
          .note("need", fmt::format("at most {} bytes", limits::memory));
    end = segment.offset + segment.size;
  }
  return {};
}

static Status checkFiles(const Manifest &manifest) {
  Names files, assets;
  for (size_t i = 0; i < manifest.weightFiles.size(); ++i) {
    Path path("weight_files", i);
    const WeightFile &file = manifest.weightFiles[i];
    LEVIN_RETURN_IF_ERROR(files.add(file.name, Path(path, "name")));
    if (file.size > limits::memory)
      return path.refuse(ErrorCode::ArtifactLimit, "the weight file is too large")
          .note("have", fmt::format("{} bytes", file.size))
          .note("need", fmt::format("at most {}", limits::memory));
  }
  for (size_t i = 0; i < manifest.assets.size(); ++i) {
    Path path("assets", i);
    LEVIN_RETURN_IF_ERROR(assets.add(manifest.assets[i].name, Path(path, "name")));
    LEVIN_RETURN_IF_ERROR(checkIndex(manifest.assets[i].segment, manifest.segments.size(),
                                     "segments", Path(path, "segment")));
  }
  return {};
}

static Status checkExport(const Export &exported, const Path &path) {
  if (exported.written.size() > limits::bindings)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel has too many bindings")
        .note("have", fmt::format("{}", exported.written.size()))
        .note("need", fmt::format("at most {}", limits::bindings));
  if (exported.stackBytes > limits::stackBytes)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel needs too much stack")
        .note("have", fmt::format("{} bytes", exported.stackBytes))
        .note("need", fmt::format("at most {}", limits::stackBytes));
  LEVIN_RETURN_IF_ERROR(checkAlignment(exported.minAlignment, Path(path, "min_alignment")));
  return checkDeviceExport(exported, path);
}

// Host code and code of a GPU do not mix, since programs are laid out for one of them.
static Status checkKinds(const Executable &executable, const Path &path) {
  bool host = executable.variants.front().kind == CodeKind::HostElf;
  for (size_t v = 0; v < executable.variants.size(); ++v)
    if ((executable.variants[v].kind == CodeKind::HostElf) != host)
      return Path(path, "variants", v)
          .refuse(ErrorCode::ArtifactTarget, "code for a processor and for a GPU are mixed")
          .note("have", executable.variants[v].target)
          .note("need", fmt::format("the kind of {}", executable.variants.front().target));
  for (size_t e = 0; e < executable.exports.size(); ++e) {
    const Export &exported = executable.exports[e];
    bool device = !exported.launches.empty() || exported.product;
    if (device == host)
      return Path(path, "exports", e)
          .refuse(ErrorCode::ArtifactLaunch, "'{}' does not fit the code", exported.name)
          .note("have", device ? "launches of a GPU" : "a function of the host")
          .note("need", host ? "a function of the host" : "launches of a GPU");
  }
  return {};
}

static Status checkVariant(const Manifest &manifest, const Variant &variant, Names &targets,
                           const Path &path) {
  LEVIN_RETURN_IF_ERROR(targets.add(variant.target, Path(path, "target")));
  LEVIN_RETURN_IF_ERROR(checkEnum(variant.kind, CodeKind::Ptx, Path(path, "kind")));
  LEVIN_RETURN_IF_ERROR(
      checkIndex(variant.segment, manifest.segments.size(), "segments", Path(path, "segment")));
  Names features;
  for (size_t i = 0; i < variant.cpuFeatures.size(); ++i)
    LEVIN_RETURN_IF_ERROR(features.add(variant.cpuFeatures[i], Path(path, "cpu_features", i)));
  return {};
}

static Status checkExecutables(const Manifest &manifest) {
  for (size_t i = 0; i < manifest.executables.size(); ++i) {
    Path path("executables", i);
    const Executable &executable = manifest.executables[i];
    Names exports, targets;
    for (size_t e = 0; e < executable.exports.size(); ++e) {
      Path at(path, "exports", e);
      LEVIN_RETURN_IF_ERROR(exports.add(executable.exports[e].name, Path(at, "name")));
      LEVIN_RETURN_IF_ERROR(checkExport(executable.exports[e], at));
    }
    if (executable.variants.empty())
      return path.refuse(ErrorCode::ArtifactTarget, "the executable has code for no target")
          .note("need", "at least one variant");
    for (size_t v = 0; v < executable.variants.size(); ++v)
      LEVIN_RETURN_IF_ERROR(
          checkVariant(manifest, executable.variants[v], targets, Path(path, "variants", v)));
    LEVIN_RETURN_IF_ERROR(checkKinds(executable, path));
  }
  return {};
}

static Status checkArenas(const Manifest &manifest) {
  std::array<bool, 4> seen{};
  for (size_t i = 0; i < manifest.arenas.size(); ++i) {
    Path path("arenas", i);
    const Arena &arena = manifest.arenas[i];
    LEVIN_RETURN_IF_ERROR(checkEnum(arena.kind, ArenaKind::Workspace, Path(path, "kind")));
    if (std::exchange(seen[static_cast<size_t>(arena.kind)], true))
      return path.refuse(ErrorCode::ArtifactMemory, "a second arena for {}", nameOf(arena.kind))
          .note("need", "one of each kind at most");
    LEVIN_RETURN_IF_ERROR(checkAlignment(arena.alignment, Path(path, "alignment")));
    if (arena.size > limits::memory)
      return path.refuse(ErrorCode::ArtifactLimit, "the arena is too large")
          .note("have", fmt::format("{} bytes", arena.size))
          .note("need", fmt::format("at most {}", limits::memory));
  }
  return {};
}

static Status checkFeatures(const Manifest &manifest) {
  uint64_t used = featuresInUse(manifest);
  if (manifest.features == used)
    return {};
  return Path("features")
      .refuse(ErrorCode::ArtifactFeature, "the features stated are not those in use")
      .note("have", fmt::format("{:#x}", manifest.features))
      .note("need", fmt::format("{:#x}", used));
}

static Status checkWorld(const Manifest &manifest) {
  if (manifest.worldSize == 1)
    return {};
  return Path("world_size")
      .refuse(ErrorCode::ArtifactFeature, "the artifact is for {} ranks", manifest.worldSize)
      .note("have", fmt::format("{}", manifest.worldSize))
      .note("need", "1: this build runs programs of one rank");
}

static Status checkDebug(const Debug &debug) {
  for (size_t i = 0; i < debug.locations.size(); ++i)
    LEVIN_RETURN_IF_ERROR(checkText(debug.locations[i], Path("debug.locations", i)));
  return checkText(debug.pipeline, Path("debug.pipeline"), /*lines=*/true);
}

} // namespace detail

Status check(const Manifest &manifest) {
  using namespace detail;
  LEVIN_RETURN_IF_ERROR(checkWorld(manifest));
  LEVIN_RETURN_IF_ERROR(checkProducer(manifest.producer));
  LEVIN_RETURN_IF_ERROR(checkSegments(manifest));
  LEVIN_RETURN_IF_ERROR(checkFiles(manifest));
  LEVIN_RETURN_IF_ERROR(checkExecutables(manifest));
  LEVIN_RETURN_IF_ERROR(checkFeatures(manifest));
  LEVIN_RETURN_IF_ERROR(checkArenas(manifest));
  LEVIN_RETURN_IF_ERROR(checkParameters(manifest));
  LEVIN_RETURN_IF_ERROR(checkCommands(manifest));
  LEVIN_RETURN_IF_ERROR(checkEntries(manifest));
  LEVIN_RETURN_IF_ERROR(checkMemory(manifest));
  return checkDebug(manifest.debug);
}

} // namespace levin::artifact
