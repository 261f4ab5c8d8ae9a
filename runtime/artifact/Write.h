// Writing artifacts.
#ifndef LEVIN_RUNTIME_ARTIFACT_WRITE_H
#define LEVIN_RUNTIME_ARTIFACT_WRITE_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"

#include <span>
#include <string>

namespace levin::artifact {

/// Writes `manifest` and its segments to `path`, where the file appears only when it is complete.
/// `manifest.segments` is made anew, one for each element of `segments`, with offsets, sizes and
/// digests; `manifest.features` is what is in use.  The reader's checks run first: an artifact that
/// would be refused is a bug of the caller (LV9001).  Equal arguments give equal bytes.
Status writeArtifact(const std::string &path, Manifest manifest,
                     std::span<const std::string> segments);

/// The same in memory.
Result<std::string> serialise(Manifest manifest, std::span<const std::string> segments);

/// The file with `manifest` exactly as it is, checked by nobody: for tests of the reader.
std::string serialiseUnchecked(const Manifest &manifest, std::span<const std::string> segments);

/// Fills `manifest.segments` and `manifest.features` as writeArtifact() does.
void placeSegments(Manifest &manifest, std::span<const std::string> segments);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_WRITE_H
