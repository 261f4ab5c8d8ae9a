#include "runtime/session/WeightFiles.h"

#include "runtime/artifact/WeightType.h"
#include "runtime/base/Digest.h"

#include <algorithm>
#include <memory>

namespace levin {

static constexpr const char *recompile = "compile the artifact again from this folder, or give the "
                                         "folder it was compiled from (--weights DIR)";

std::vector<std::string> defaultWeightFolders(const std::string &path) {
  size_t slash = path.rfind('/');
  std::string folder = slash == path.npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
  return {folder, path + ".weights"};
}

static Result<File> findFile(const artifact::WeightFile &wanted,
                             std::span<const std::string> folders) {
  std::string tried, other;
  uint64_t otherSize = 0;
  for (const std::string &folder : folders) {
    Result<File> file = File::openBeneath(folder, wanted.name, ErrorCode::WeightsMissing);
    if (file.ok() && file->size() == wanted.size)
      return file;
    if (file.ok() && other.empty()) {
      other = file->path();
      otherSize = file->size();
    }
    if (!file.ok())
      tried += (tried.empty() ? "" : "; ") + file.status().what();
  }
  if (!other.empty())
    return makeError(ErrorCode::WeightsChanged, "'{}' is not the file that was compiled", other)
        .note("have", fmt::format("{} bytes", otherSize))
        .note("need", fmt::format("{} bytes", wanted.size))
        .note("fix", recompile);
  return makeError(ErrorCode::WeightsMissing, "weight file '{}' is not there", wanted.name)
      .note("have", tried)
      .note("need", fmt::format("a file of {} bytes", wanted.size))
      .note("fix", "give the folder that holds it (--weights DIR)");
}

Result<WeightFiles> WeightFiles::open(std::span<const artifact::WeightFile> files,
                                      std::span<const std::string> folders) {
  WeightFiles result;
  for (const artifact::WeightFile &wanted : files) {
    LEVIN_ASSIGN_OR_RETURN(File file, findFile(wanted, folders));
    LEVIN_ASSIGN_OR_RETURN(weights::Safetensors tensors,
                           weights::Safetensors::open(std::move(file)));
    result.opened.push_back(std::move(tensors));
  }
  return result;
}

Result<const weights::TensorInfo *> WeightFiles::find(const artifact::Piece &piece) const {
  const weights::Safetensors &source = opened[piece.file];
  const std::string &path = source.file().path();
  const weights::TensorInfo *tensor = source.find(piece.key);
  if (!tensor)
    return makeError(ErrorCode::TensorsMissing, "'{}' has no tensor '{}'", path, piece.key)
        .note("fix", recompile);
  if (artifact::typeOf(tensor->dtype) != piece.dtype)
    return makeError(ErrorCode::TensorDType, "tensor '{}' of '{}' has another type", piece.key,
                     path)
        .note("have", artifact::nameOf(artifact::typeOf(tensor->dtype)))
        .note("need", artifact::nameOf(piece.dtype))
        .note("fix", recompile);
  if (tensor->shape != piece.shape)
    return makeError(ErrorCode::TensorShape, "tensor '{}' of '{}' has another shape", piece.key,
                     path)
        .note("have", weights::shapeText(tensor->shape))
        .note("need", weights::shapeText(piece.shape))
        .note("fix", recompile);
  return tensor;
}

Status WeightFiles::verifyDigest(uint32_t index, const artifact::WeightFile &expected,
                                 const std::function<bool(uint64_t)> &onBytes) const {
  constexpr uint64_t piece = uint64_t(1) << 20;
  const File &file = opened[index].file();
  auto buffer = std::make_unique<std::byte[]>(static_cast<size_t>(piece));
  Sha256 hash;
  for (uint64_t offset = 0; offset < file.size();) {
    uint64_t length = std::min(piece, file.size() - offset);
    LEVIN_RETURN_IF_ERROR(file.readAt(offset, buffer.get(), static_cast<size_t>(length)));
    hash.update(buffer.get(), static_cast<size_t>(length));
    offset += length;
    if (!onBytes(length))
      return {};
  }
  Digest found = hash.finish();
  if (found == expected.digest)
    return {};
  return makeError(ErrorCode::WeightsChanged, "'{}' is not the file that was compiled", file.path())
      .note("have", "SHA-256 " + toHex(found))
      .note("need", "SHA-256 " + toHex(expected.digest))
      .note("fix", recompile);
}

} // namespace levin
