// A small valid artifact, made by hand: two steps and a plain function.
#ifndef LEVIN_TEST_CORRUPT_SMALLARTIFACT_H
#define LEVIN_TEST_CORRUPT_SMALLARTIFACT_H

#include "runtime/artifact/Manifest.h"

#include <string>
#include <vector>

namespace levin::artifact {

/// Segments 0 (code, the bytes of `code`), 1 (constants) and 2 (an asset).
std::vector<std::string> smallSegments(const std::string &code);

/// The manifest of those segments, with places and digests.
Manifest smallManifest(const std::vector<std::string> &segments);

/// The small artifact for a GPU: its code is PTX, and its kernels have launches.
std::string smallPtx();
Manifest smallDeviceManifest(const std::vector<std::string> &segments);

} // namespace levin::artifact

#endif // LEVIN_TEST_CORRUPT_SMALLARTIFACT_H
