#include "runtime/base/Checked.h"
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"

namespace levin::weights {

static Status checkLength(const TensorToWrite &tensor) {
  auto elements = checkedProduct<uint64_t>(tensor.shape);
  auto bytes = elements ? checkedMul(*elements, byteSize(tensor.dtype)) : std::nullopt;
  if (bytes && *bytes == tensor.data.size())
    return {};
  return makeError(ErrorCode::Argument, "tensor '{}' has another length than its shape",
                   tensor.name)
      .note("have", fmt::format("{} bytes", tensor.data.size()))
      .note("need", fmt::format("{} {}", nameOf(tensor.dtype), shapeText(tensor.shape)));
}

Status writeSafetensors(const std::string &path, std::span<const TensorToWrite> tensors,
                        const std::map<std::string, std::string> &metadata) {
  Json header = Json::object();
  if (!metadata.empty())
    header["__metadata__"] = metadata;
  uint64_t position = 0;
  for (const TensorToWrite &tensor : tensors) {
    LEVIN_RETURN_IF_ERROR(checkLength(tensor));
    if (tensor.name == "__metadata__" || header.contains(tensor.name))
      return makeError(ErrorCode::Argument, "tensor name '{}' is taken", tensor.name);
    uint64_t end = position + tensor.data.size();
    header[tensor.name] = Json{{"dtype", std::string(nameOf(tensor.dtype))},
                               {"shape", tensor.shape},
                               {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Data starts at a multiple of 8, so that a mapped file can be used in place.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  uint64_t length = text.size();
  LEVIN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  LEVIN_RETURN_IF_ERROR(file.write(&length, sizeof(length)));
  LEVIN_RETURN_IF_ERROR(file.write(text));
  for (const TensorToWrite &tensor : tensors)
    LEVIN_RETURN_IF_ERROR(file.write(tensor.data.data(), tensor.data.size()));
  return file.commit();
}

} // namespace levin::weights
