#include "runtime/weights/Safetensors.h"

#include "runtime/base/Checked.h"
#include "runtime/base/Json.h"

#include <algorithm>
#include <bit>
#include <cstring>

namespace levin::weights {

static_assert(std::endian::native == std::endian::little, "safetensors are little endian");

static constexpr ErrorCode bad = ErrorCode::SafetensorsFormat;
static constexpr size_t maxRank = 32;

std::string shapeText(std::span<const uint64_t> shape) {
  std::string text = "[";
  for (size_t d = 0; d < shape.size(); ++d)
    text += fmt::format("{}{}", d ? ", " : "", shape[d]);
  return text + "]";
}

// --- Header --------------------------------------------------------------------------------------

/// Reads one member of the header.  `dataStart` and `dataBytes` bound the data part.
static Result<TensorInfo> parseTensor(const std::string &name, const JsonValue &entry,
                                      std::string_view file, uint64_t dataStart,
                                      uint64_t dataBytes) {
  TensorInfo tensor;
  tensor.name = name;
  LEVIN_ASSIGN_OR_RETURN(JsonValue dtypeEntry, entry.at("dtype"));
  LEVIN_ASSIGN_OR_RETURN(std::string dtype, dtypeEntry.asString());
  auto known = dtypeFromName(dtype);
  if (!known)
    return makeError(ErrorCode::TensorDType, "{}: tensor '{}' has data type '{}'", file, name,
                     dtype.substr(0, 40))
        .note("need", "one of F64 F32 F16 BF16 I64 I32 I16 I8 U8 BOOL");
  tensor.dtype = *known;

  LEVIN_ASSIGN_OR_RETURN(JsonValue shape, entry.at("shape"));
  LEVIN_RETURN_IF_ERROR(shape.expectArray());
  if (shape.size() > maxRank)
    return makeError(bad, "{}: tensor '{}' has {} dimensions", file, name, shape.size())
        .note("need", fmt::format("at most {}", maxRank));
  for (size_t d = 0; d < shape.size(); ++d) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue extent, shape.at(d));
    LEVIN_ASSIGN_OR_RETURN(uint64_t size, extent.asUint());
    tensor.shape.push_back(size);
  }

  LEVIN_ASSIGN_OR_RETURN(JsonValue offsets, entry.at("data_offsets"));
  LEVIN_RETURN_IF_ERROR(offsets.expectArray());
  if (offsets.size() != 2)
    return offsets.error("is not a pair of offsets");
  LEVIN_ASSIGN_OR_RETURN(JsonValue first, offsets.at(0));
  LEVIN_ASSIGN_OR_RETURN(JsonValue second, offsets.at(1));
  LEVIN_ASSIGN_OR_RETURN(uint64_t begin, first.asUint());
  LEVIN_ASSIGN_OR_RETURN(uint64_t end, second.asUint());
  if (begin > end || end > dataBytes)
    return makeError(bad, "{}: tensor '{}' lies outside the file", file, name)
        .note("have", fmt::format("bytes {} to {} of the data", begin, end))
        .note("need", fmt::format("0 <= first <= second <= {}", dataBytes));
  tensor.offset = dataStart + begin;
  tensor.bytes = end - begin;

  auto elements = checkedProduct<uint64_t>(tensor.shape);
  auto bytes = elements ? checkedMul(*elements, byteSize(tensor.dtype)) : std::nullopt;
  if (!bytes || *bytes != tensor.bytes)
    return makeError(bad, "{}: tensor '{}' has another length than its shape says", file, name)
        .note("have", fmt::format("{} bytes", tensor.bytes))
        .note("need", fmt::format("{} for {} {}", bytes ? fmt::format("{} bytes", *bytes) : "2^64",
                                  dtype, shapeText(tensor.shape)));
  return tensor;
}

static Result<std::map<std::string, std::string>> parseMetadata(const JsonValue &entry) {
  LEVIN_RETURN_IF_ERROR(entry.expectObject());
  std::map<std::string, std::string> metadata;
  for (const auto &[key, raw] : entry.raw().get_ref<const Json::object_t &>()) {
    if (!raw.is_string())
      return entry.error(fmt::format("has a value for '{}' that is no string", key));
    metadata.emplace(key, raw.get_ref<const std::string &>());
  }
  return metadata;
}

static Status checkTiling(const std::vector<TensorInfo> &tensors, uint64_t dataStart,
                          uint64_t fileSize, std::string_view file) {
  uint64_t position = dataStart;
  for (const TensorInfo &tensor : tensors) {
    if (tensor.offset != position)
      return makeError(bad, "{}: tensor '{}' {}", file, tensor.name,
                       tensor.offset < position ? "overlaps the one before it"
                                                : "leaves a hole before it")
          .note("have", fmt::format("starts at byte {}", tensor.offset))
          .note("need", fmt::format("starts at byte {}", position));
    position += tensor.bytes; // within the file, as parseTensor checked
  }
  if (position != fileSize)
    return makeError(bad, "{}: bytes after the last tensor", file)
        .note("have", fmt::format("a file of {} bytes", fileSize))
        .note("need", fmt::format("{} bytes", position));
  return {};
}

Result<SafetensorsHeader> SafetensorsHeader::parse(std::string_view prefix, uint64_t fileSize,
                                                   std::string_view file) {
  uint64_t length = 0;
  if (fileSize < 8 || prefix.size() < 8)
    return makeError(bad, "{}: too short for a safetensors file", file)
        .note("have", fmt::format("{} bytes", fileSize))
        .note("need", "at least 8 bytes");
  std::memcpy(&length, prefix.data(), 8);
  if (length > maxHeaderBytes ||
      !fitsWithin(8, length, std::min<uint64_t>(fileSize, prefix.size())))
    return makeError(bad, "{}: the header's length is impossible", file)
        .note("have", fmt::format("{} bytes of header in a file of {}", length, fileSize))
        .note("need", fmt::format("at most {} and within the file", maxHeaderBytes));
  // The data part starts within the file, so these cannot wrap.
  uint64_t dataStart = 8 + length, dataBytes = fileSize - dataStart;

  std::string what = fmt::format("{}: the header", file);
  LEVIN_ASSIGN_OR_RETURN(Json document, parseJson(prefix.substr(8, length), what, bad, {8}));
  JsonValue root(document, what, bad);
  LEVIN_RETURN_IF_ERROR(root.expectObject());
  SafetensorsHeader header;
  for (const auto &[name, raw] : document.get_ref<const Json::object_t &>()) {
    JsonValue entry(raw, fmt::format("{}: tensor '{}'", file, name), bad);
    LEVIN_RETURN_IF_ERROR(entry.expectObject());
    if (name == "__metadata__") {
      LEVIN_ASSIGN_OR_RETURN(header.metadata, parseMetadata(entry));
      continue;
    }
    LEVIN_ASSIGN_OR_RETURN(TensorInfo tensor, parseTensor(name, entry, file, dataStart, dataBytes));
    header.tensors.push_back(std::move(tensor));
  }
  // An empty tensor comes before the one that starts at the same place.
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo &a, const TensorInfo &b) {
                     return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
                   });
  LEVIN_RETURN_IF_ERROR(checkTiling(header.tensors, dataStart, fileSize, file));
  header.index();
  return header;
}

void SafetensorsHeader::index() {
  byName.resize(tensors.size());
  for (size_t i = 0; i < byName.size(); ++i)
    byName[i] = static_cast<uint32_t>(i);
  std::sort(byName.begin(), byName.end(),
            [&](uint32_t a, uint32_t b) { return tensors[a].name < tensors[b].name; });
}

const TensorInfo *SafetensorsHeader::find(std::string_view name) const {
  auto place =
      std::lower_bound(byName.begin(), byName.end(), name,
                       [&](uint32_t i, std::string_view n) { return tensors[i].name < n; });
  return place != byName.end() && tensors[*place].name == name ? &tensors[*place] : nullptr;
}

// --- Reading -------------------------------------------------------------------------------------

Result<Safetensors> Safetensors::open(File file) {
  uint64_t length = 0;
  std::string prefix;
  if (file.size() >= 8) {
    LEVIN_RETURN_IF_ERROR(file.readAt(0, &length, 8));
    uint64_t wanted = std::min({length, maxHeaderBytes, file.size() - 8});
    prefix.resize(8 + static_cast<size_t>(wanted));
    LEVIN_RETURN_IF_ERROR(file.readAt(0, prefix.data(), prefix.size()));
  }
  Safetensors result;
  LEVIN_ASSIGN_OR_RETURN(result.contents,
                         SafetensorsHeader::parse(prefix, file.size(), file.path()));
  result.source = std::move(file);
  return result;
}

Result<Safetensors> Safetensors::open(const std::string &path) {
  LEVIN_ASSIGN_OR_RETURN(File file, File::open(path, bad));
  return open(std::move(file));
}

static Status wrongTarget(const TensorInfo &tensor, uint64_t have, uint64_t need) {
  return makeError(ErrorCode::Argument, "tensor '{}' is read into memory of another length",
                   tensor.name)
      .note("have", fmt::format("{} bytes", have))
      .note("need", fmt::format("{} bytes", need));
}

Status Safetensors::read(const TensorInfo &tensor, std::span<std::byte> target) const {
  if (target.size() != tensor.bytes)
    return wrongTarget(tensor, target.size(), tensor.bytes);
  return source.readAt(tensor.offset, target.data(), target.size());
}

Status Safetensors::readBox(const TensorInfo &tensor, const Box &box,
                            std::span<std::byte> target) const {
  size_t rank = tensor.shape.size();
  bool inside = box.start.size() == rank && box.size.size() == rank;
  for (size_t d = 0; inside && d < rank; ++d)
    inside = fitsWithin(box.start[d], box.size[d], tensor.shape[d]);
  if (!inside)
    return makeError(ErrorCode::Argument, "a box lies outside tensor '{}'", tensor.name)
        .note("have", fmt::format("{} from {}", shapeText(box.size), shapeText(box.start)))
        .note("need", fmt::format("within {}", shapeText(tensor.shape)));
  // No product below exceeds the tensor's own length, so none can wrap.
  uint64_t need = byteSize(tensor.dtype);
  for (uint64_t size : box.size)
    need *= size;
  if (target.size() != need)
    return wrongTarget(tensor, target.size(), need);
  if (need == 0)
    return {};

  // Dimensions from `split` on are taken whole and lie together with one range of `split - 1`.
  std::vector<uint64_t> stride(rank + 1, byteSize(tensor.dtype));
  for (size_t d = rank; d-- > 0;)
    stride[d] = stride[d + 1] * tensor.shape[d];
  size_t split = rank;
  while (split > 0 && box.size[split - 1] == tensor.shape[split - 1])
    --split;
  if (split > 0)
    --split; // the range of this dimension is contiguous
  uint64_t run = split < rank ? box.size[split] * stride[split + 1] : stride[rank];

  std::vector<uint64_t> index(split, 0);
  std::byte *out = target.data();
  while (true) {
    uint64_t offset = tensor.offset;
    for (size_t d = 0; d < rank; ++d)
      offset += (box.start[d] + (d < split ? index[d] : 0)) * stride[d + 1];
    LEVIN_RETURN_IF_ERROR(source.readAt(offset, out, static_cast<size_t>(run)));
    out += run;
    size_t d = split;
    while (d > 0 && ++index[d - 1] == box.size[d - 1])
      index[--d] = 0;
    if (d == 0)
      return {};
  }
}

} // namespace levin::weights
