#include "codegen/artifact/WeightIndex.h"

#include "runtime/weights/Safetensors.h"

#include <algorithm>
#include <filesystem>

namespace levin::artifact {

Result<WeightIndex> WeightIndex::read(const std::string &folder, std::vector<std::string> files) {
  WeightIndex index;
  index.folder = folder;
  std::sort(files.begin(), files.end());
  for (const std::string &name : files) {
    std::string path = folder.empty() ? name : folder + "/" + name;
    LEVIN_ASSIGN_OR_RETURN(File file, File::open(path, ErrorCode::WeightsMissing));
    LEVIN_ASSIGN_OR_RETURN(auto content, weights::Safetensors::open(std::move(file)));
    for (const weights::TensorInfo &tensor : content.tensors()) {
      WeightTensor entry{static_cast<uint32_t>(index.files.size()), tensor.dtype, tensor.shape};
      auto [known, isNew] = index.tensors.insert({tensor.name, std::move(entry)});
      if (!isNew)
        return makeError(ErrorCode::TensorsUnexpected, "tensor '{}' is in two files", tensor.name)
            .note("have", index.files[known->second.file] + " and " + name)
            .note("fix", "keep one of them in the folder");
    }
    index.files.push_back(name);
    index.sizes.push_back(content.file().size());
  }
  return index;
}

std::vector<std::string> listWeightFiles(const std::string &folder) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator end, at(folder.empty() ? "." : folder, error);
  for (; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->path().extension() == ".safetensors" && at->is_regular_file(ignored))
      names.push_back(at->path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

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
