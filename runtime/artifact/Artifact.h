// A compiled model on disk (model.lvn), read and checked.
//
// open() executes nothing and believes nothing: docs/artifact.md lists its checks in their order.
// The bytes are read, not mapped, so that what was checked is what is used even if the file
// changes.
#ifndef LEVIN_RUNTIME_ARTIFACT_ARTIFACT_H
#define LEVIN_RUNTIME_ARTIFACT_ARTIFACT_H

#include "runtime/artifact/Header.h"
#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin::artifact {

struct OpenOptions {
  /// The file must have a signature beside it (`<path>.sig`) by the key whose public half is this
  /// PEM file; empty asks for none.
  std::string requireSignature;
  /// A larger file is refused (LV3009).
  uint64_t maxFileBytes = uint64_t(4) << 30;
};

class Artifact {
public:
  /// Reads and checks the artifact at `path`.  Failures: LV3001 to LV3022, LV4001; LV2003 if the
  /// key of the options cannot be read.
  static Result<Artifact> open(const std::string &path, const OpenOptions &options = {});

  /// The same for a file's bytes in memory, without a signature.
  static Result<Artifact> parse(std::span<const std::byte> bytes, const OpenOptions &options = {});

  /// As given to open(); empty after parse().
  const std::string &path() const { return file; }
  const Header &header() const { return head; }
  const Manifest &manifest() const { return contents; }
  /// SHA-256 of the manifest, which covers the digests of everything else: the artifact's identity.
  const Digest &manifestDigest() const { return head.manifestDigest; }

  /// The bytes of segment `index`, which must be less than manifest().segments.size(); they match
  /// their digest.  Empty once the segment was released.
  std::span<const std::byte> segmentBytes(uint32_t index) const;
  /// Gives back the memory of segment `index`, whose bytes are needed no more.
  void releaseSegment(uint32_t index) { segments[index].reset(); }
  /// The bytes of the asset `name`, or nothing if there is none.
  std::optional<std::span<const std::byte>> findAsset(std::string_view name) const;

private:
  class Source;
  class Loader;

  struct Free {
    void operator()(std::byte *bytes) const {
      ::operator delete(bytes, std::align_val_t(segmentAlignment));
    }
  };
  using Bytes = std::unique_ptr<std::byte, Free>;

  std::string file;
  Header head;
  Manifest contents;
  std::vector<Bytes> segments; // as long as the manifest says
};

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_ARTIFACT_H
