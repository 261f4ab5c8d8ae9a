// The first 128 bytes of an artifact.
#ifndef LEVIN_RUNTIME_ARTIFACT_HEADER_H
#define LEVIN_RUNTIME_ARTIFACT_HEADER_H

#include "runtime/base/Digest.h"
#include "runtime/base/Status.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace levin::artifact {

inline constexpr uint64_t headerBytes = 128;
inline constexpr uint64_t segmentAlignment = 4096;
/// Broken by a copy that changes line ends, drops the eighth bit or stops at Ctrl-Z.
inline constexpr std::array<uint8_t, 8> magic = {0x89, 'L', 'V', 'N', '\r', '\n', 0x1a, '\n'};

/// All integers are little endian and follow each other in this order; docs/artifact.md.
struct Header {
  uint16_t major = 0, minor = 0;
  uint64_t fileBytes = 0;
  uint64_t manifestOffset = 0, manifestBytes = 0;
  uint64_t segmentsOffset = 0, segmentsBytes = 0;
  uint64_t features = 0;
  Digest manifestDigest{};
};

using HeaderBytes = std::array<uint8_t, headerBytes>;

HeaderBytes encode(const Header &header);

/// The header that `bytes` hold.  Refuses a wrong magic (LV3002), version (LV3003), impossible
/// places (LV3005), another length than `fileBytes` (LV3006), limits (LV3009) and unknown features
/// (LV3010).
Result<Header> decodeHeader(std::span<const uint8_t> bytes, uint64_t fileBytes);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_HEADER_H
