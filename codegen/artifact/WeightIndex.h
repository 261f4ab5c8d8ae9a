// Which safetensors file holds which tensor.
#ifndef LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H
#define LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H

#include "runtime/base/Digest.h"
#include "runtime/base/Status.h"
#include "runtime/weights/DType.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace levin::artifact {

struct WeightTensor {
  uint32_t file = 0; // place in WeightIndex::files
  weights::DType dtype = weights::DType::F32;
  std::vector<uint64_t> shape;
};

struct WeightIndex {
  std::string folder;
  std::vector<std::string> files; // names within the folder, sorted
  std::vector<uint64_t> sizes;    // bytes of each file
  std::map<std::string, WeightTensor> tensors;

  /// Reads the headers of `files` (names within `folder`).
  /// Failures: LV1016 for an absent file, LV1010 for a malformed one, LV1013 for a tensor in two.
  static Result<WeightIndex> read(const std::string &folder, std::vector<std::string> files);
};

/// The names of the safetensors files in `folder`, sorted; none if it cannot be listed.
std::vector<std::string> listWeightFiles(const std::string &folder);

/// Size and SHA-256 of a file; `progress` is told of each read.
struct FileDigest {
  uint64_t size = 0;
  Digest digest{};
};
Result<FileDigest> digestFile(const std::string &path,
                              const std::function<void(uint64_t bytes)> &progress);

} // namespace levin::artifact

#endif // LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H
