#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <algorithm>
#include <numeric>

namespace levin::artifact::detail {

static constexpr ErrorCode bad = ErrorCode::ArtifactParameter;

static bool isFloat(DType type) { return type >= DType::F16; }

// What safetensors can store.
static bool isStored(DType type) { return type != DType::U64; }

static Status checkKey(std::string_view key, const Path &path) {
  if (key.empty() || key.size() > limits::keyBytes)
    return path.refuse(ErrorCode::ArtifactName, "the tensor's name has an impossible length")
        .note("have", fmt::format("{} bytes", key.size()))
        .note("need", fmt::format("1 to {}", limits::keyBytes));
  for (char c : key)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f)
      return path.refuse(ErrorCode::ArtifactName, "the tensor's name holds a control character")
          .note("have", fmt::format("byte {:#04x}", static_cast<unsigned char>(c)));
  return {};
}

static Status checkBox(const Piece &piece, const Path &path) {
  if (piece.starts.empty() && piece.sizes.empty())
    return {};
  if (piece.starts.size() != piece.shape.size() || piece.sizes.size() != piece.shape.size())
    return path.refuse(bad, "the box has another rank than the tensor '{}'", piece.key)
        .note("have",
              fmt::format("{} starts and {} sizes", piece.starts.size(), piece.sizes.size()))
        .note("need", fmt::format("{} each, or none", piece.shape.size()));
  for (size_t d = 0; d < piece.shape.size(); ++d)
    if (piece.sizes[d] == 0 || !fitsWithin(piece.starts[d], piece.sizes[d], piece.shape[d]))
      return path.refuse(bad, "the box leaves the tensor '{}' in dimension {}", piece.key, d)
          .note("have", fmt::format("{} from {}", piece.sizes[d], piece.starts[d]))
          .note("need", fmt::format("1 or more within {}", piece.shape[d]));
  return {};
}

static Status checkPiece(const Manifest &manifest, const Parameter &parameter, const Piece &piece,
                         const Path &path) {
  LEVIN_RETURN_IF_ERROR(
      checkIndex(piece.file, manifest.weightFiles.size(), "weight files", Path(path, "file")));
  LEVIN_RETURN_IF_ERROR(checkKey(piece.key, Path(path, "key")));
  LEVIN_RETURN_IF_ERROR(checkTensor({piece.dtype, piece.shape}, path));
  DType from = piece.dtype, to = parameter.type.dtype;
  bool castable = isFloat(from) ? isFloat(to) : from == to;
  if (!castable || !isStored(from))
    return path.refuse(bad, "'{}' cannot be cast to the parameter's type", piece.key)
        .note("have", nameOf(from))
        .note("need", isFloat(to) ? "a float type" : nameOf(to));
  return checkBox(piece, path);
}

// The shape that one piece gives, without copying it.
static const std::vector<uint64_t> &shapeOf(const Piece &piece) {
  return piece.sizes.empty() ? piece.shape : piece.sizes;
}

// The shape that the pieces make, joined; nothing if they do not fit together.
static std::optional<std::vector<uint64_t>> joinedShape(const Pieces &source) {
  std::vector<uint64_t> shape = shapeOf(source.pieces.front());
  bool stack = source.join == Join::Stack;
  if (!stack && source.pieces.size() > 1 && shape.empty())
    return std::nullopt;
  for (size_t i = 1; i < source.pieces.size(); ++i) {
    const std::vector<uint64_t> &next = shapeOf(source.pieces[i]);
    size_t free = stack ? 0 : 1; // dimensions that may differ
    if (next.size() != shape.size() ||
        !std::equal(next.begin() + free, next.end(), shape.begin() + free))
      return std::nullopt;
    if (stack)
      continue;
    auto sum = checkedAdd(shape[0], next[0]);
    if (!sum)
      return std::nullopt;
    shape[0] = *sum;
  }
  if (stack)
    shape.insert(shape.begin(), source.pieces.size());
  return shape;
}

static Status checkPieces(const Manifest &manifest, const Parameter &parameter,
                          const Pieces &source, const Path &path) {
  if (source.join != Join::Concat && source.join != Join::Stack)
    return path
        .refuse(ErrorCode::ArtifactEnum, "{} is no known way to join pieces",
                static_cast<int>(source.join))
        .note("need", "1 (concat) or 2 (stack)");
  if (source.pieces.empty()) // random values, for programs without a checkpoint
    return {};
  for (size_t i = 0; i < source.pieces.size(); ++i)
    LEVIN_RETURN_IF_ERROR(
        checkPiece(manifest, parameter, source.pieces[i], Path(path, "pieces", i)));
  auto shape = joinedShape(source);
  if (!shape)
    return path.refuse(bad, "the pieces of '{}' do not fit together", parameter.name)
        .note("need", source.join == Join::Stack ? "pieces of one shape"
                                                 : "pieces that differ in their first dimension");
  if (*shape != parameter.type.shape)
    return path.refuse(bad, "the pieces of '{}' make another shape", parameter.name)
        .note("have", textOf({parameter.type.dtype, *shape}))
        .note("need", textOf(parameter.type));
  return {};
}

static Status checkSegmentBytes(const Manifest &manifest, const Parameter &parameter,
                                const SegmentBytes &source, const Path &path) {
  LEVIN_RETURN_IF_ERROR(
      checkIndex(source.segment, manifest.segments.size(), "segments", Path(path, "segment")));
  const Segment &segment = manifest.segments[source.segment];
  if (!fitsWithin(source.offset, source.size, segment.size))
    return path.refuse(bad, "the bytes of '{}' leave their segment", parameter.name)
        .note("have", rangeText(source.offset, source.size))
        .note("need", fmt::format("within {} bytes", segment.size));
  if (source.size != byteSize(parameter.type))
    return path.refuse(bad, "the bytes of '{}' do not fill its type", parameter.name)
        .note("have", fmt::format("{} bytes", source.size))
        .note("need", fmt::format("{} for {}", byteSize(parameter.type), textOf(parameter.type)));
  return {};
}

static Status checkStoredSize(const Parameter &parameter, const Path &path) {
  const std::vector<uint64_t> &shape = parameter.type.shape;
  TensorType stored = parameter.type;
  if (uint64_t panel = parameter.panelRows) {
    if (shape.size() < 2)
      return path.refuse(bad, "'{}' has panels but no matrix", parameter.name)
          .note("have", textOf(parameter.type))
          .note("need", "two dimensions or more");
    uint64_t rows = shape[shape.size() - 2], columns = shape.back();
    stored.shape[shape.size() - 2] = (rows - 1) / panel + 1; // rows is not 0, see checkTensor
    stored.shape.back() = columns;
    stored.shape.push_back(panel);
  }
  auto elements = checkedProduct<uint64_t>(stored.shape);
  auto bytes = elements ? checkedMul(*elements, byteSize(stored.dtype)) : std::nullopt;
  if (bytes && *bytes == parameter.size)
    return {};
  return path.refuse(bad, "'{}' is stored in another size than its type has", parameter.name)
      .note("have", fmt::format("{} bytes", parameter.size))
      .note("need", fmt::format("{} for {}", bytes ? fmt::format("{}", *bytes) : "too many",
                                textOf(stored)));
}

static Status checkParameter(const Manifest &manifest, const Parameter &parameter,
                             const Arena *arena, const Path &path) {
  LEVIN_RETURN_IF_ERROR(checkTensor(parameter.type, Path(path, "type")));
  Path source(path, "source");
  if (auto *pieces = std::get_if<Pieces>(&parameter.source))
    LEVIN_RETURN_IF_ERROR(checkPieces(manifest, parameter, *pieces, source));
  else
    LEVIN_RETURN_IF_ERROR(
        checkSegmentBytes(manifest, parameter, std::get<SegmentBytes>(parameter.source), source));
  LEVIN_RETURN_IF_ERROR(checkStoredSize(parameter, path));
  if (!arena || !fitsWithin(parameter.offset, parameter.size, arena->size))
    return path
        .refuse(ErrorCode::ArtifactMemory, "'{}' lies outside the parameter arena", parameter.name)
        .note("have", rangeText(parameter.offset, parameter.size))
        .note("need", fmt::format("within {} bytes", arena ? arena->size : 0));
  if (parameter.offset % 64 != 0)
    return path.refuse(ErrorCode::ArtifactMemory, "'{}' is not aligned", parameter.name)
        .note("have", fmt::format("offset {}", parameter.offset))
        .note("need", "a multiple of 64");
  return {};
}

// In order of place, each parameter must end before the next begins.
static Status checkDisjoint(const std::vector<Parameter> &parameters) {
  std::vector<uint32_t> order(parameters.size());
  std::iota(order.begin(), order.end(), 0u);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(parameters[a].offset, a) < std::pair(parameters[b].offset, b);
  });
  for (size_t i = 1; i < order.size(); ++i) {
    const Parameter &first = parameters[order[i - 1]], &second = parameters[order[i]];
    if (first.offset + first.size > second.offset) // both lie in the arena
      return Path("parameters", order[i])
          .refuse(ErrorCode::ArtifactMemory, "'{}' overlaps '{}'", second.name, first.name)
          .note("have", fmt::format("{} and {}", rangeText(first.offset, first.size),
                                    rangeText(second.offset, second.size)))
          .note("need", "places apart");
  }
  return {};
}

Status checkParameters(const Manifest &manifest) {
  const Arena *arena = findArena(manifest, ArenaKind::Parameters);
  Names names;
  for (size_t i = 0; i < manifest.parameters.size(); ++i) {
    Path path("parameters", i);
    LEVIN_RETURN_IF_ERROR(names.add(manifest.parameters[i].name, Path(path, "name")));
    LEVIN_RETURN_IF_ERROR(checkParameter(manifest, manifest.parameters[i], arena, path));
  }
  return checkDisjoint(manifest.parameters);
}

} // namespace levin::artifact::detail
