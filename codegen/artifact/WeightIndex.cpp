#include "codegen/artifact/WeightIndex.h"

#include "runtime/base/File.h"

#include <algorithm>

namespace levin::artifact {

Result<FileDigest> digestFile(const std::string &path,
                              const std::function<void(uint64_t bytes)> &progress) {
  constexpr uint64_t chunk = uint64_t(4) << 20;
  LEVIN_ASSIGN_OR_RETURN(File file, File::open(path, ErrorCode::WeightsMissing));
  std::string buffer(std::min(chunk, file.size()), '\0');
  Sha256 sha;
  for (uint64_t at = 0; at < file.size();) {
    size_t length = static_cast<size_t>(std::min<uint64_t>(chunk, file.size() - at));
    LEVIN_RETURN_IF_ERROR(file.readAt(at, buffer.data(), length));
    sha.update(buffer.data(), length);
    at += length;
    if (progress)
      progress(length);
  }
  return FileDigest{file.size(), sha.finish()};
}

} // namespace levin::artifact
