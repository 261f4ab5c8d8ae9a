#include "tools/levin-compile/WeightFiles.h"

#include "runtime/artifact/WeightType.h"
#include "runtime/weights/Safetensors.h"
#include "tools/levin-compile/Quantise.h"

#include <algorithm>
#include <filesystem>

namespace levin::compile {

Result<artifact::WeightIndex> readWeightIndex(const std::string &folder,
                                              std::vector<std::string> files) {
  artifact::WeightIndex index;
  index.folder = folder;
  std::sort(files.begin(), files.end());
  for (const std::string &name : files) {
    LEVIN_ASSIGN_OR_RETURN(File file, File::open(folder + "/" + name, ErrorCode::WeightsMissing));
    LEVIN_ASSIGN_OR_RETURN(auto content, weights::Safetensors::open(std::move(file)));
    for (const weights::TensorInfo &tensor : content.tensors()) {
      artifact::WeightTensor entry{static_cast<uint32_t>(index.files.size()),
                                   artifact::typeOf(tensor.dtype), tensor.shape};
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
  std::filesystem::directory_iterator end, at(folder, error);
  for (; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    std::string name = at->path().filename().string();
    if (name.ends_with(".safetensors") && !isQuantisedFile(name) && at->is_regular_file(ignored))
      names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

} // namespace levin::compile
