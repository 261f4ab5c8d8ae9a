#include "runtime/artifact/Header.h"

#include "runtime/artifact/Limits.h"
#include "runtime/artifact/Manifest.h"
#include "runtime/base/Checked.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace levin::artifact {

static_assert(std::endian::native == std::endian::little, "artifacts are little endian");

namespace {

constexpr size_t reservedOffset = 96;

template <typename T> void put(HeaderBytes &bytes, size_t &at, const T &value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
  at += sizeof value;
}

template <typename T> void take(std::span<const uint8_t> bytes, size_t &at, T &value) {
  std::memcpy(&value, bytes.data() + at, sizeof value);
  at += sizeof value;
}

Status checkMagic(std::span<const uint8_t> bytes) {
  size_t length = std::min(bytes.size(), magic.size());
  if (length > 0 && std::equal(magic.begin(), magic.begin() + length, bytes.begin()))
    return {}; // if the file ends here, that is what is said next
  if (length >= 4 && std::equal(magic.begin(), magic.begin() + 4, bytes.begin()))
    return Status(ErrorCode::ArtifactMagic, "the artifact was damaged by a copy in text mode")
        .note("fix", "copy the file again in binary mode");
  return Status(ErrorCode::ArtifactMagic, "the file is no Levin artifact")
      .note("need", "a file that levin-compile wrote");
}

Status checkVersion(const Header &header) {
  if (header.major == formatMajor)
    return {};
  return makeError(ErrorCode::ArtifactVersion, "the artifact's format is not the one read here")
      .note("have", fmt::format("format {}.{}", header.major, header.minor))
      .note("need", fmt::format("format {}.x", formatMajor))
      .note("fix", header.major > formatMajor ? "use a newer Levin"
                                              : "compile the model again with this Levin");
}

Status checkPlaces(const Header &header, uint64_t fileBytes) {
  constexpr ErrorCode bad = ErrorCode::ArtifactHeader;
  if (header.manifestOffset != headerBytes)
    return makeError(bad, "the manifest does not follow the header")
        .note("have", fmt::format("manifest at byte {}", header.manifestOffset))
        .note("need", fmt::format("byte {}", headerBytes));
  if (header.manifestBytes > limits::manifestBytes)
    return makeError(ErrorCode::ArtifactLimit, "the manifest is too large")
        .note("have", fmt::format("{} bytes", header.manifestBytes))
        .note("need", fmt::format("at most {}", limits::manifestBytes));
  // Neither sum can wrap: the manifest is at most 512 MiB long.
  uint64_t segments = *checkedAlign(headerBytes + header.manifestBytes, segmentAlignment);
  if (header.segmentsOffset != segments)
    return makeError(bad, "the segments do not follow the manifest")
        .note("have", fmt::format("segments at byte {}", header.segmentsOffset))
        .note("need", fmt::format("byte {}, where the manifest of {} bytes ends", segments,
                                  header.manifestBytes));
  if (header.segmentsOffset > fileBytes ||
      header.segmentsBytes != fileBytes - header.segmentsOffset)
    return makeError(bad, "the segments do not end with the file")
        .note("have", fmt::format("{} bytes at {}", header.segmentsBytes, header.segmentsOffset))
        .note("need", fmt::format("an end at {}", fileBytes));
  return {};
}

} // namespace

HeaderBytes encode(const Header &header) {
  HeaderBytes bytes{};
  size_t at = 0;
  put(bytes, at, magic);
  put(bytes, at, header.major);
  put(bytes, at, header.minor);
  put(bytes, at, static_cast<uint32_t>(headerBytes));
  put(bytes, at, header.fileBytes);
  put(bytes, at, header.manifestOffset);
  put(bytes, at, header.manifestBytes);
  put(bytes, at, header.segmentsOffset);
  put(bytes, at, header.segmentsBytes);
  put(bytes, at, header.features);
  put(bytes, at, header.manifestDigest);
  return bytes;
}

Result<Header> decodeHeader(std::span<const uint8_t> bytes, uint64_t fileBytes) {
  LEVIN_RETURN_IF_ERROR(checkMagic(bytes));
  if (bytes.size() < headerBytes)
    return makeError(ErrorCode::ArtifactTruncated, "the artifact ends within its header")
        .note("have", fmt::format("{} bytes", bytes.size()))
        .note("need", fmt::format("at least {}", headerBytes));
  Header header;
  uint32_t size = 0;
  size_t at = magic.size();
  take(bytes, at, header.major);
  take(bytes, at, header.minor);
  take(bytes, at, size);
  take(bytes, at, header.fileBytes);
  take(bytes, at, header.manifestOffset);
  take(bytes, at, header.manifestBytes);
  take(bytes, at, header.segmentsOffset);
  take(bytes, at, header.segmentsBytes);
  take(bytes, at, header.features);
  take(bytes, at, header.manifestDigest);

  LEVIN_RETURN_IF_ERROR(checkVersion(header));
  if (size != headerBytes)
    return makeError(ErrorCode::ArtifactHeader, "the header has another size")
        .note("have", fmt::format("{} bytes", size))
        .note("need", fmt::format("{}", headerBytes));
  if (header.fileBytes != fileBytes)
    return makeError(ErrorCode::ArtifactTruncated, "the artifact is {} than its header says",
                     fileBytes < header.fileBytes ? "shorter" : "longer")
        .note("have", fmt::format("a file of {} bytes", fileBytes))
        .note("need", fmt::format("{} bytes", header.fileBytes))
        .note("fix", "copy or compile the file again");
  LEVIN_RETURN_IF_ERROR(checkPlaces(header, fileBytes));
  if (uint64_t unknown = header.features & ~knownFeatures)
    return makeError(ErrorCode::ArtifactFeature, "the artifact needs unknown features")
        .note("have", fmt::format("feature bits {:#x}", header.features))
        .note("need", fmt::format("none but {:#x}; {:#x} is unknown", knownFeatures, unknown))
        .note("fix", "use a newer Levin");
  auto reserved = bytes.subspan(reservedOffset, headerBytes - reservedOffset);
  if (std::any_of(reserved.begin(), reserved.end(), [](uint8_t byte) { return byte != 0; }))
    return makeError(ErrorCode::ArtifactHeader, "the header's reserved bytes are not zero")
        .note("need", fmt::format("zero in bytes {} to {}", reservedOffset, headerBytes - 1));
  return header;
}

} // namespace levin::artifact
