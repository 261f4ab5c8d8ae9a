#include "models/Checkpoint.h"

#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"

#include <algorithm>
#include <filesystem>
#include <set>

namespace levin::models {

namespace fs = std::filesystem;

static constexpr size_t shownNames = 10;
static constexpr uint64_t longestIndex = 100'000'000; // as the longest safetensors header

const StoredTensor *Checkpoint::find(std::string_view name) const {
  auto place = tensors.find(std::string(name));
  return place == tensors.end() ? nullptr : &place->second;
}

// A name from a file as it may stand in a message.
static std::string shown(std::string_view name) {
  std::string text(name.substr(0, 120));
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return c < 32 || c == 127; }, '?');
  return name.size() > 120 ? text + ".." : text;
}

// --- the index -----------------------------------------------------------------------------------

static bool isPlainFileName(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == name.npos && name.find('\0') == name.npos &&
         name.ends_with(".safetensors");
}

Result<Checkpoint> parseIndex(std::string_view text) {
  LEVIN_ASSIGN_OR_RETURN(Json document, parseJson(text, indexName, ErrorCode::SafetensorsIndex));
  JsonValue root(document, std::string(indexName), ErrorCode::SafetensorsIndex);
  LEVIN_ASSIGN_OR_RETURN(JsonValue map, root.at("weight_map"));
  LEVIN_RETURN_IF_ERROR(map.expectObject());
  if (map.size() == 0)
    return map.error("names no tensor");
  std::map<std::string, uint32_t> places;
  for (const auto &[name, file] : map.raw().items()) {
    const auto *fileName = file.get_ptr<const std::string *>();
    if (!fileName || !isPlainFileName(*fileName))
      return makeError(ErrorCode::SafetensorsIndex, "{}: the file of tensor '{}' is {}", indexName,
                       shown(name), shortJson(file))
          .note("need", "the name of a .safetensors file in the same folder");
    places.emplace(*fileName, 0);
  }
  Checkpoint checkpoint;
  checkpoint.headersRead = false;
  for (auto &[name, place] : places) {
    place = static_cast<uint32_t>(checkpoint.files.size());
    checkpoint.files.push_back(name);
  }
  for (const auto &[name, file] : map.raw().items())
    checkpoint.tensors[name].file = places[*file.get_ptr<const std::string *>()];
  return checkpoint;
}

// --- the files -----------------------------------------------------------------------------------

static Result<weights::Safetensors> openWeights(const std::string &folder, const std::string &name,
                                                ErrorCode code) {
  auto file = File::openBeneath(folder, name, code);
  if (!file.ok()) {
    Status failure = file.takeStatus();
    std::error_code ignored;
    if (fs::is_symlink(fs::path(folder) / name, ignored))
      failure.note("fix", "copy the folder with links resolved: cp -rL FOLDER COPY");
    return failure;
  }
  return weights::Safetensors::open(std::move(*file));
}

// Reads the headers of the files of an index, and holds both against each other.
static Status readIndexedFiles(const std::string &folder, Checkpoint &checkpoint) {
  std::set<std::string> indexed;
  for (const auto &[name, tensor] : checkpoint.tensors)
    indexed.insert(name);
  for (uint32_t i = 0; i < checkpoint.files.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(weights::Safetensors file,
                           openWeights(folder, checkpoint.files[i], ErrorCode::SafetensorsIndex));
    for (const weights::TensorInfo &info : file.tensors()) {
      auto [place, isNew] = checkpoint.tensors.try_emplace(info.name);
      if (!isNew && place->second.file != i) {
        return makeError(ErrorCode::SafetensorsIndex, "tensor '{}' lies in '{}'", shown(info.name),
                         checkpoint.files[i])
            .note("have",
                  fmt::format("{} says '{}'", indexName, checkpoint.files[place->second.file]))
            .note("fix", "download the folder again, or remove files of an older download");
      }
      place->second = {i, info.dtype, info.shape};
      indexed.erase(info.name);
    }
  }
  if (!indexed.empty())
    return makeError(ErrorCode::SafetensorsIndex,
                     "tensor '{}' is not in '{}', where {} places it ({} such tensors)",
                     shown(*indexed.begin()),
                     checkpoint.files[checkpoint.tensors[*indexed.begin()].file], indexName,
                     indexed.size())
        .note("fix", "download the folder again");
  checkpoint.headersRead = true;
  return {};
}

static Result<Checkpoint> readIndexed(const std::string &folder, bool requireFiles) {
  std::string path = folder + "/" + std::string(indexName);
  LEVIN_ASSIGN_OR_RETURN(std::string text,
                         readFile(path, longestIndex, ErrorCode::SafetensorsIndex));
  LEVIN_ASSIGN_OR_RETURN(Checkpoint checkpoint, parseIndex(text));
  std::vector<std::string> absent;
  for (const std::string &name : checkpoint.files) {
    std::error_code ignored;
    if (fs::symlink_status(fs::path(folder) / name, ignored).type() == fs::file_type::not_found)
      absent.push_back(name);
  }
  bool none = absent.size() == checkpoint.files.size();
  if (!absent.empty() && (requireFiles || !none))
    return makeError(ErrorCode::SafetensorsIndex, "{} names '{}', which is not in '{}'", indexName,
                     absent.front(), folder)
        .note("have", fmt::format("{} of {} weight files", checkpoint.files.size() - absent.size(),
                                  checkpoint.files.size()))
        .note("fix", "finish the download of the folder");
  if (none) {
    checkpoint.notes.push_back(fmt::format(
        "no weight file is there ({} in all): names were checked against {}, shapes and "
        "types were not checked",
        checkpoint.files.size(), indexName));
    return checkpoint;
  }
  LEVIN_RETURN_IF_ERROR(readIndexedFiles(folder, checkpoint));
  return checkpoint;
}

// The safetensors files of `folder`, sorted; golden data is no weights.
static Result<std::vector<std::string>> listFiles(const std::string &folder) {
  std::error_code failure;
  fs::directory_iterator entries(folder, failure);
  std::vector<std::string> files;
  bool otherFormat = false;
  for (; !failure && entries != fs::directory_iterator(); entries.increment(failure)) {
    std::string name = entries->path().filename().string();
    otherFormat |= name.ends_with(".bin") || name.ends_with(".gguf") || name.ends_with(".pt");
    if (name.ends_with(".safetensors") && !name.starts_with("golden"))
      files.push_back(std::move(name));
  }
  if (failure)
    return makeError(ErrorCode::ModelFolder, "cannot read folder '{}': {}", folder,
                     failure.message());
  if (files.empty())
    return makeError(ErrorCode::ModelFolder, "'{}' holds no weights", folder)
        .note("have", otherFormat ? "weights in another format" : "no weight file at all")
        .note("need", fmt::format("*.safetensors, or {}", indexName))
        .note("fix", otherFormat ? "save the model as safetensors: "
                                   "model.save_pretrained(FOLDER, safe_serialization=True)"
                                 : "download the model's .safetensors files into the folder");
  std::sort(files.begin(), files.end());
  return files;
}

Result<Checkpoint> readCheckpoint(const std::string &folder, bool requireFiles) {
  std::error_code ignored;
  if (fs::exists(fs::path(folder) / indexName, ignored))
    return readIndexed(folder, requireFiles);
  Checkpoint checkpoint;
  LEVIN_ASSIGN_OR_RETURN(checkpoint.files, listFiles(folder));
  for (uint32_t i = 0; i < checkpoint.files.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(weights::Safetensors file,
                           openWeights(folder, checkpoint.files[i], ErrorCode::ModelFolder));
    for (const weights::TensorInfo &info : file.tensors()) {
      auto [place, isNew] =
          checkpoint.tensors.try_emplace(info.name, StoredTensor{i, info.dtype, info.shape});
      if (!isNew)
        return makeError(ErrorCode::TensorsUnexpected, "tensor '{}' is in '{}' and in '{}'",
                         shown(info.name), checkpoint.files[place->second.file],
                         checkpoint.files[i])
            .note("fix", fmt::format("remove one of the files, or add {}", indexName));
    }
  }
  return checkpoint;
}

// --- comparison ----------------------------------------------------------------------------------

static std::string listNames(const std::vector<std::string> &names, size_t most = shownNames) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), most); ++i)
    text += (i ? ", " : "") + shown(names[i]);
  if (names.size() > most)
    text += fmt::format(", and {} more", names.size() - most);
  return text;
}

static Status nameFailure(const std::vector<std::string> &missing,
                          const std::vector<std::string> &unexpected) {
  if (missing.empty())
    return makeError(ErrorCode::TensorsUnexpected, "{} tensor{} not part of the model",
                     unexpected.size(), unexpected.size() == 1 ? " is" : "s are")
        .note("unexpected", listNames(unexpected))
        .note("fix", "check num_hidden_layers, num_local_experts and the kinds of layers in "
                     "config.json, or remove the tensors");
  Status failure = makeError(ErrorCode::TensorsMissing, "{} tensor{} missing", missing.size(),
                             missing.size() == 1 ? " is" : "s are")
                       .note("missing", listNames(missing));
  if (!unexpected.empty())
    failure.note("unexpected", fmt::format("{}: {}", unexpected.size(), listNames(unexpected)));
  if (missing.size() == 1 && missing.front() == "lm_head.weight")
    return std::move(failure).note(
        "fix", "if the head is the embedding: --override tie_word_embeddings=true");
  return std::move(failure).note("fix", "finish the download, or check the layers and experts that "
                                        "config.json states");
}

static Status checkNames(const Checkpoint &checkpoint, const std::vector<ExpectedTensor> &expected,
                         const std::function<bool(std::string_view)> &ignored,
                         std::vector<std::string> &notes) {
  std::vector<std::string> missing, unexpected, skipped;
  std::set<std::string_view> known;
  for (const ExpectedTensor &tensor : expected) {
    known.insert(tensor.name);
    if (!checkpoint.find(tensor.name))
      missing.push_back(tensor.name);
  }
  for (const auto &[name, tensor] : checkpoint.tensors)
    if (!known.contains(name))
      (ignored(name) ? skipped : unexpected).push_back(name);
  if (!missing.empty() || !unexpected.empty())
    return nameFailure(missing, unexpected);
  if (!skipped.empty())
    notes.push_back(fmt::format("{} stored tensor{} not needed and ignored: {}", skipped.size(),
                                skipped.size() == 1 ? " is" : "s are", listNames(skipped, 2)));
  return {};
}

// Adds a line for each of the first differences.
static Status differences(ErrorCode code, std::string_view what,
                          const std::vector<std::string> &lines) {
  Status failure =
      makeError(code, "{} tensor{} {}", lines.size(), lines.size() == 1 ? " has" : "s have", what);
  for (size_t i = 0; i < std::min(lines.size(), shownNames); ++i)
    failure.note("tensor", lines[i]);
  if (lines.size() > shownNames)
    failure.note("tensor", fmt::format("and {} more", lines.size() - shownNames));
  return failure;
}

Status checkTensors(const Checkpoint &checkpoint, const std::vector<ExpectedTensor> &expected,
                    const std::function<bool(std::string_view)> &ignored,
                    std::vector<std::string> &notes) {
  LEVIN_RETURN_IF_ERROR(checkNames(checkpoint, expected, ignored, notes));
  if (!checkpoint.headersRead)
    return {};
  std::vector<std::string> shapes, types;
  for (const ExpectedTensor &tensor : expected) {
    const StoredTensor &stored = *checkpoint.find(tensor.name);
    if (stored.shape != tensor.shape)
      shapes.push_back(fmt::format("{} is {}, not {}", tensor.name,
                                   weights::shapeText(stored.shape),
                                   weights::shapeText(tensor.shape)));
    using weights::DType;
    if (stored.dtype != DType::F32 && stored.dtype != DType::BF16 && stored.dtype != DType::F16 &&
        stored.dtype != DType::F64)
      types.push_back(fmt::format("{} is {}", tensor.name, weights::nameOf(stored.dtype)));
  }
  if (!shapes.empty())
    return differences(ErrorCode::TensorShape, "another shape than config.json says", shapes)
        .note("fix", "use the config.json that belongs to these weights");
  if (!types.empty())
    return differences(ErrorCode::TensorDType, "a type that cannot be read", types)
        .note("need", "BF16, F16, F32 or F64; quantised checkpoints are not read")
        .note("fix", "use the unquantised release of the model");
  return {};
}

} // namespace levin::models
