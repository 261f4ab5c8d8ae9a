#include "runtime/artifact/Write.h"

#include "runtime/artifact/Check.h"
#include "runtime/artifact/Header.h"
#include "runtime/artifact/Limits.h"
#include "runtime/artifact/WriteManifest.h"
#include "runtime/base/Checked.h"
#include "runtime/base/File.h"

namespace levin::artifact {

namespace {

uint64_t alignUp(uint64_t value, uint64_t alignment) {
  return (value + alignment - 1) & ~(alignment - 1);
}

// Header and manifest, up to where `segmentsBytes` bytes of segments begin.
std::string frontOf(const Manifest &manifest, uint64_t segmentsBytes) {
  std::string encoded = encodeManifest(manifest);
  Header header;
  header.major = formatMajor;
  header.minor = formatMinor;
  header.manifestOffset = headerBytes;
  header.manifestBytes = encoded.size();
  header.segmentsOffset = alignUp(headerBytes + encoded.size(), segmentAlignment);
  header.segmentsBytes = segmentsBytes;
  header.fileBytes = header.segmentsOffset + segmentsBytes;
  header.features = manifest.features;
  header.manifestDigest = sha256(encoded);
  HeaderBytes head = encode(header);
  std::string front(head.begin(), head.end());
  front += encoded;
  front.resize(header.segmentsOffset);
  return front;
}

// Where the last segment ends.
uint64_t bytesOf(std::span<const std::string> segments) {
  uint64_t end = 0;
  for (const std::string &segment : segments)
    end = alignUp(end, segmentAlignment) + segment.size();
  return end;
}

// That the reader would take the file.  What it refuses is our own mistake, not the user's.
Status checkBeforeWriting(const Manifest &manifest, std::span<const std::string> segments) {
  Status status = check(manifest);
  for (size_t e = 0; status.ok() && e < manifest.executables.size(); ++e)
    for (size_t v = 0; status.ok() && v < manifest.executables[e].variants.size(); ++v) {
      const Variant &variant = manifest.executables[e].variants[v];
      const std::string &code = segments[variant.segment];
      status = checkCode(std::as_bytes(std::span(code)), variant.kind, manifest.executables[e],
                         fmt::format("executables[{}].variants[{}]", e, v));
    }
  if (status.ok())
    return {};
  return makeError(ErrorCode::Internal, "the artifact would be refused: {}", status.text());
}

} // namespace

void placeSegments(Manifest &manifest, std::span<const std::string> segments) {
  manifest.segments.clear();
  uint64_t end = 0;
  for (const std::string &bytes : segments) {
    Segment segment;
    segment.offset = alignUp(end, segmentAlignment);
    segment.size = bytes.size();
    segment.digest = sha256(bytes);
    end = segment.offset + segment.size;
    manifest.segments.push_back(segment);
  }
  manifest.features = featuresInUse(manifest);
}

std::string serialiseUnchecked(const Manifest &manifest, std::span<const std::string> segments) {
  std::string file = frontOf(manifest, bytesOf(segments));
  for (const std::string &segment : segments) {
    file.resize(alignUp(file.size(), segmentAlignment)); // the front is a multiple too
    file += segment;
  }
  return file;
}

Result<std::string> serialise(Manifest manifest, std::span<const std::string> segments) {
  placeSegments(manifest, segments);
  LEVIN_RETURN_IF_ERROR(checkBeforeWriting(manifest, segments));
  return serialiseUnchecked(manifest, segments);
}

Status writeArtifact(const std::string &path, Manifest manifest,
                     std::span<const std::string> segments) {
  placeSegments(manifest, segments);
  LEVIN_RETURN_IF_ERROR(checkBeforeWriting(manifest, segments));
  LEVIN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  std::string front = frontOf(manifest, bytesOf(segments));
  LEVIN_RETURN_IF_ERROR(file.write(front));
  for (size_t i = 0; i < segments.size(); ++i) {
    uint64_t start = front.size() + manifest.segments[i].offset;
    LEVIN_RETURN_IF_ERROR(file.write(std::string(start - file.position(), '\0')));
    LEVIN_RETURN_IF_ERROR(file.write(segments[i]));
  }
  return file.commit();
}

} // namespace levin::artifact
