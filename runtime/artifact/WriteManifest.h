// From plain structs to the flatbuffer.
#ifndef LEVIN_RUNTIME_ARTIFACT_WRITEMANIFEST_H
#define LEVIN_RUNTIME_ARTIFACT_WRITEMANIFEST_H

#include "runtime/artifact/Manifest.h"

#include <string>

namespace levin::artifact {

/// The flatbuffer of `manifest`, as it is: nothing is checked.  Equal manifests give equal bytes.
std::string encodeManifest(const Manifest &manifest);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_WRITEMANIFEST_H
