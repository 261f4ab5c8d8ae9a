// Which weight file holds which tensor.
#ifndef LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H
#define LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace levin::artifact {

struct WeightTensor {
  uint32_t file = 0; // place in WeightIndex::files
  DType dtype = DType::Invalid;
  std::vector<uint64_t> shape;
};

struct WeightIndex {
  std::string folder;
  std::vector<std::string> files; // names within the folder, sorted
  std::vector<uint64_t> sizes;    // bytes of each file
  std::map<std::string, WeightTensor> tensors;
  std::map<uint32_t, std::string> elsewhere; // paths of files that lie in no such folder

  std::string pathOf(uint32_t file) const {
    auto other = elsewhere.find(file);
    return other == elsewhere.end() ? folder + "/" + files[file] : other->second;
  }
  bool random = false; // no files: parameters get random values when the artifact is run
};

struct FileDigest {
  uint64_t size = 0;
  Digest digest{};
};
/// Size and SHA-256 of a file; `progress` is told of each read.  LV1016 if it cannot be read.
Result<FileDigest> digestFile(const std::string &path,
                              const std::function<void(uint64_t bytes)> &progress);

} // namespace levin::artifact

#endif // LEVIN_CODEGEN_ARTIFACT_WEIGHTINDEX_H
