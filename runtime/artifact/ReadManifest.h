// From the flatbuffer to plain structs.
#ifndef LEVIN_RUNTIME_ARTIFACT_READMANIFEST_H
#define LEVIN_RUNTIME_ARTIFACT_READMANIFEST_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <span>

namespace levin::artifact {

/// The manifest that `bytes` hold, which must be aligned to 8.  Refuses what is no flatbuffer of
/// the schema (LV3008), another version (LV3003), unknown union tags and padding that is not zero
/// (LV3013), and tables that are shared so often that plain structs would not fit in memory
/// (LV3009).  Nothing else is checked: check() follows.
Result<Manifest> readManifest(std::span<const uint8_t> bytes);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_READMANIFEST_H
