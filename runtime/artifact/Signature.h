// Ed25519 signatures of artifacts, in a file beside them.
#ifndef LEVIN_RUNTIME_ARTIFACT_SIGNATURE_H
#define LEVIN_RUNTIME_ARTIFACT_SIGNATURE_H

#include "runtime/base/Status.h"

#include <cstdint>
#include <span>
#include <string>

namespace levin::artifact {

/// Checks that `signaturePath` holds the 64-byte Ed25519 signature of `message` by the key whose
/// public half is the PEM file `keyPath`.  Failures: LV2003 if the key cannot be used, LV3022 if
/// the signature is absent or wrong.
Status checkSignature(std::span<const uint8_t> message, const std::string &signaturePath,
                      const std::string &keyPath);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_SIGNATURE_H
