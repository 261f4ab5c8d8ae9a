// Damaging an artifact so that the damage is reached: digests and places are made to fit again.
#ifndef LEVIN_TEST_FUZZ_MUTATEARTIFACT_H
#define LEVIN_TEST_FUZZ_MUTATEARTIFACT_H

#include "runtime/artifact/Manifest.h"

#include <optional>
#include <random>
#include <string>
#include <vector>

namespace levin::artifact {

/// A file taken apart.  The manifest need not pass any check.
struct Parts {
  Manifest manifest;
  std::vector<std::string> segments;
};

/// The parts of `file`, or nothing if its header or flatbuffer cannot be read.
std::optional<Parts> takeApart(const std::string &file);

/// Changes one field of `manifest`.
void mutateField(Manifest &manifest, std::mt19937 &random);

/// Sets the digest of the manifest in the header of `file` to what the bytes have.
void fixDigest(std::string &file);

} // namespace levin::artifact

#endif // LEVIN_TEST_FUZZ_MUTATEARTIFACT_H
