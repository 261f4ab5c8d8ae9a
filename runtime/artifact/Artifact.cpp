#include "runtime/artifact/Artifact.h"

#include "runtime/artifact/Check.h"
#include "runtime/artifact/ReadManifest.h"
#include "runtime/artifact/Signature.h"
#include "runtime/base/Checked.h"
#include "runtime/base/File.h"

#include <algorithm>
#include <cstring>

namespace levin::artifact {

/// A file on disk, or its bytes in memory.
class Artifact::Source {
public:
  explicit Source(File opened) : file(std::move(opened)), bytes(file.size()) {}
  explicit Source(std::span<const std::byte> given) : memory(given), bytes(given.size()) {}

  uint64_t size() const { return bytes; }

  Status readAt(uint64_t offset, void *target, size_t length) const {
    if (file.descriptor() >= 0)
      return file.readAt(offset, target, length);
    if (!fitsWithin(offset, length, bytes))
      return makeError(ErrorCode::ArtifactTruncated, "cannot read {} bytes at {}", length, offset);
    if (length != 0)
      std::memcpy(target, memory.data() + offset, length);
    return {};
  }

private:
  File file;
  std::span<const std::byte> memory;
  uint64_t bytes;
};

/// The checks in their order; each relies on those before it.
class Artifact::Loader {
public:
  Loader(const Source &source, const OpenOptions &options) : source(source), options(options) {}

  Result<Artifact> run(std::string path);

private:
  Status readHeader(const std::string &path);
  Status readManifestCopy();
  Status readSegments();
  Status checkPadding(uint64_t begin, uint64_t end) const;
  Status checkExecutables() const;
  Result<Bytes> copy(uint64_t offset, uint64_t size) const;

  const Source &source;
  const OpenOptions &options;
  Artifact artifact;
};

static std::span<const uint8_t> asUnsigned(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const uint8_t *>(bytes.data()), bytes.size()};
}

Status Artifact::Loader::readHeader(const std::string &path) {
  if (source.size() > options.maxFileBytes)
    return makeError(ErrorCode::ArtifactLimit, "the artifact is too large")
        .note("have", fmt::format("{} bytes", source.size()))
        .note("need", fmt::format("at most {}", options.maxFileBytes));
  HeaderBytes bytes;
  size_t length = std::min<uint64_t>(source.size(), bytes.size());
  LEVIN_RETURN_IF_ERROR(source.readAt(0, bytes.data(), length));
  LEVIN_ASSIGN_OR_RETURN(artifact.head, decodeHeader({bytes.data(), length}, source.size()));
  if (options.requireSignature.empty())
    return {};
  return checkSignature(bytes, path + ".sig", options.requireSignature);
}

// Memory of the size that the file states, which is within the file's own; failing is a Status.
Result<Artifact::Bytes> Artifact::Loader::copy(uint64_t offset, uint64_t size) const {
  size_t length = std::max<size_t>(static_cast<size_t>(size), 1);
  Bytes bytes(static_cast<std::byte *>(
      ::operator new(length, std::align_val_t(segmentAlignment), std::nothrow)));
  if (!bytes)
    return makeError(ErrorCode::OutOfMemory, "no memory for {} bytes of the artifact", size);
  LEVIN_RETURN_IF_ERROR(source.readAt(offset, bytes.get(), static_cast<size_t>(size)));
  return bytes;
}

Status Artifact::Loader::readManifestCopy() {
  const Header &head = artifact.head;
  LEVIN_ASSIGN_OR_RETURN(Bytes bytes, copy(head.manifestOffset, head.manifestBytes));
  Digest digest = sha256(bytes.get(), head.manifestBytes);
  if (digest != head.manifestDigest)
    return makeError(ErrorCode::ArtifactDigest, "the manifest does not match its digest")
        .note("have", toHex(digest))
        .note("need", toHex(head.manifestDigest))
        .note("fix", "the file is damaged; copy or compile it again");
  LEVIN_ASSIGN_OR_RETURN(artifact.contents,
                         readManifest(asUnsigned({bytes.get(), head.manifestBytes})));
  if (artifact.contents.features != head.features)
    return makeError(ErrorCode::ArtifactHeader, "header and manifest state different features")
        .note("have", fmt::format("{:#x} in the header", head.features))
        .note("need", fmt::format("{:#x} as in the manifest", artifact.contents.features));
  return check(artifact.contents);
}

// No digest covers padding, so it must be zero.
Status Artifact::Loader::checkPadding(uint64_t begin, uint64_t end) const {
  std::array<std::byte, segmentAlignment> bytes;
  LEVIN_RETURN_IF_ERROR(source.readAt(begin, bytes.data(), end - begin));
  for (uint64_t i = 0; i < end - begin; ++i)
    if (bytes[i] != std::byte(0))
      return makeError(ErrorCode::ArtifactSegment, "padding is not zero")
          .note("have", fmt::format("{:#04x} at byte {}", static_cast<int>(bytes[i]), begin + i))
          .note("need", fmt::format("zero in bytes {} to {}", begin, end - 1));
  return {};
}

Status Artifact::Loader::readSegments() {
  const Header &head = artifact.head;
  uint64_t end = head.manifestOffset + head.manifestBytes, base = head.segmentsOffset;
  for (size_t i = 0; i < artifact.contents.segments.size(); ++i) {
    const Segment &segment = artifact.contents.segments[i];
    if (!fitsWithin(segment.offset, segment.size, head.segmentsBytes))
      return makeError(ErrorCode::ArtifactSegment, "segments[{}]: the segment leaves the file", i)
          .note("have", fmt::format("{} bytes at {}", segment.size, segment.offset))
          .note("need", fmt::format("within {} bytes", head.segmentsBytes));
    LEVIN_RETURN_IF_ERROR(checkPadding(end, base + segment.offset));
    LEVIN_ASSIGN_OR_RETURN(Bytes bytes, copy(base + segment.offset, segment.size));
    Digest digest = sha256(bytes.get(), segment.size);
    if (digest != segment.digest)
      return makeError(ErrorCode::ArtifactSegment,
                       "segments[{}]: the segment does not match its digest", i)
          .note("have", toHex(digest))
          .note("need", toHex(segment.digest))
          .note("fix", "the file is damaged; copy or compile it again");
    artifact.segments.push_back(std::move(bytes));
    end = base + segment.offset + segment.size;
  }
  uint64_t last = artifact.contents.segments.empty() ? base : end;
  if (last != source.size())
    return makeError(ErrorCode::ArtifactSegment, "bytes after the last segment")
        .note("have", fmt::format("a file of {} bytes", source.size()))
        .note("need", fmt::format("{} bytes", last));
  return checkPadding(end, last);
}

Status Artifact::Loader::checkExecutables() const {
  const std::vector<Executable> &executables = artifact.contents.executables;
  for (size_t e = 0; e < executables.size(); ++e)
    for (size_t v = 0; v < executables[e].variants.size(); ++v)
      LEVIN_RETURN_IF_ERROR(checkCode(artifact.segmentBytes(executables[e].variants[v].segment),
                                      executables[e].variants[v].kind, executables[e],
                                      fmt::format("executables[{}].variants[{}]", e, v)));
  return {};
}

Result<Artifact> Artifact::Loader::run(std::string path) {
  LEVIN_RETURN_IF_ERROR(readHeader(path));
  LEVIN_RETURN_IF_ERROR(readManifestCopy());
  LEVIN_RETURN_IF_ERROR(readSegments());
  LEVIN_RETURN_IF_ERROR(checkExecutables());
  artifact.file = std::move(path);
  return std::move(artifact);
}

Result<Artifact> Artifact::open(const std::string &path, const OpenOptions &options) {
  LEVIN_ASSIGN_OR_RETURN(File file, File::open(path, ErrorCode::ArtifactOpen));
  Source source(std::move(file));
  auto artifact = Loader(source, options).run(path);
  if (!artifact.ok())
    return artifact.takeStatus().note("file", path);
  return artifact;
}

Result<Artifact> Artifact::parse(std::span<const std::byte> bytes, const OpenOptions &options) {
  OpenOptions unsignedOptions = options;
  unsignedOptions.requireSignature.clear();
  Source source(bytes);
  return Loader(source, unsignedOptions).run({});
}

std::span<const std::byte> Artifact::segmentBytes(uint32_t index) const {
  if (!segments[index])
    return {};
  return {segments[index].get(), static_cast<size_t>(contents.segments[index].size)};
}

std::optional<std::span<const std::byte>> Artifact::findAsset(std::string_view name) const {
  for (const Asset &asset : contents.assets)
    if (asset.name == name)
      return segmentBytes(asset.segment);
  return std::nullopt;
}

} // namespace levin::artifact
