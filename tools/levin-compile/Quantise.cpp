#include "tools/levin-compile/Quantise.h"

#include "dialects/nn/NN.h"
#include "runtime/artifact/WeightType.h"
#include "runtime/base/Checked.h"
#include "runtime/base/Half.h"
#include "runtime/base/Json.h"
#include "runtime/weights/Safetensors.h"
#include "tools/common/Format.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>

namespace levin::compile {

using weights::DType;
using weights::TensorInfo;

static constexpr std::string_view suffix = ".quantised.safetensors";

std::string quantisedFileOf(const std::string &artifact) {
  std::filesystem::path path(artifact);
  return path.replace_extension().string() + std::string(suffix);
}

bool isQuantisedFile(std::string_view name) { return name.ends_with(suffix); }

// --- the option ----------------------------------------------------------------------------------

Status parseQuantisation(std::string_view text, pipelines::TargetOptions &target) {
  auto refuse = [&](std::string_view part) {
    return makeError(ErrorCode::OptionValue, "'{}' of --quant is not understood", part)
        .note("need", "KIND=int8 or int4, of the kinds experts and attn, with gN for groups of N "
                      "columns (128), separated by commas")
        .note("fix", "for example --quant experts=int4g64,attn=int8");
  };
  while (!text.empty()) {
    std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(text.size(), part.size() + 1));
    size_t equals = part.find('=');
    if (equals == std::string_view::npos)
      return refuse(part);
    std::string_view kind = part.substr(0, equals), type = part.substr(equals + 1);
    pipelines::Quantisation &chosen = kind == "experts" ? target.experts : target.attention;
    bool isKnown = kind == "experts" || kind == "attn";
    if (!isKnown || !(type.starts_with("int8") || type.starts_with("int4")))
      return refuse(part);
    chosen.bits = type[3] - '0';
    type.remove_prefix(4);
    if (type.empty())
      continue;
    auto group = type[0] == 'g' ? tool::parseCount(std::string(type.substr(1))) : std::nullopt;
    if (!group || *group < 1 || *group > (uint64_t(1) << 20))
      return refuse(part);
    chosen.group = static_cast<int64_t>(*group);
  }
  return {};
}

std::string textOf(const pipelines::TargetOptions &target) {
  std::string text;
  for (auto [name, chosen] : {std::pair("experts", target.experts), {"attn", target.attention}})
    if (chosen.bits)
      text +=
          fmt::format("{}{}=int{}g{}", text.empty() ? "" : ",", name, chosen.bits, chosen.group);
  return text;
}

std::string QuantisedKind::text() const {
  double mean = matrices ? errorSum / static_cast<double>(matrices) : 0;
  return fmt::format("{}: {} matrices, error {:.2f} % (worst {:.2f} %: {}), {} -> {}", name,
                     matrices, 100 * mean, 100 * worst, worstName, tool::humanBytes(bytesBefore),
                     tool::humanBytes(bytesAfter));
}

// --- the tensors ---------------------------------------------------------------------------------

namespace {

// A parameter that is quantised, and the one of its scales.
struct Matrix {
  nn::ParameterOp integers, scales;
  uint64_t columns = 0, rows = 0, group = 0;
  int bits = 8;
  std::vector<nn::PieceAttr> pieces;

  uint64_t integerBytes() const { return rows * columns * static_cast<uint64_t>(bits) / 8; }
  uint64_t scaleBytes() const { return rows * (columns / group) * 2; }
};

std::string keyOf(nn::ParameterOp parameter) {
  return llvm::cast<nn::PieceAttr>((*parameter.getPieces())[0]).getKey().str();
}

std::vector<uint64_t> shapeOf(nn::ParameterOp parameter) {
  auto shape = llvm::cast<mlir::ShapedType>(parameter.getType()).getShape();
  return {shape.begin(), shape.end()};
}

std::vector<Matrix> matricesOf(mlir::ModuleOp module) {
  std::vector<Matrix> matrices;
  mlir::SymbolTable symbols(module);
  for (auto parameter : module.getOps<nn::ParameterOp>()) {
    auto source = parameter->getAttrOfType<mlir::DictionaryAttr>("nn.source");
    if (!source)
      continue;
    Matrix matrix;
    matrix.integers = parameter;
    matrix.scales = symbols.lookup<nn::ParameterOp>((parameter.getSymName() + ".scales").str());
    auto type = llvm::cast<mlir::ShapedType>(source.getAs<mlir::TypeAttr>("type").getValue());
    matrix.columns = static_cast<uint64_t>(type.getShape().back());
    matrix.rows = static_cast<uint64_t>(type.getNumElements()) / matrix.columns;
    matrix.group = static_cast<uint64_t>(source.getAs<mlir::IntegerAttr>("group").getInt());
    auto stored = llvm::cast<mlir::ShapedType>(parameter.getType()).getElementType();
    matrix.bits = stored.isUnsignedInteger() ? 4 : 8;
    for (auto piece : source.getAs<mlir::ArrayAttr>("pieces").getAsRange<nn::PieceAttr>())
      matrix.pieces.push_back(piece);
    matrices.push_back(std::move(matrix));
  }
  return matrices;
}

float toFloat(DType type, const std::byte *at) {
  auto load = [&]<typename T>(T value) {
    std::memcpy(&value, at, sizeof value);
    return value;
  };
  switch (type) {
  case DType::BF16:
    return bf16ToFloat(load(uint16_t()));
  case DType::F16:
    return f16ToFloat(load(uint16_t()));
  case DType::F32:
    return load(float());
  default:
    return static_cast<float>(load(double()));
  }
}

// Quantises rows and measures what is lost.
class Quantiser {
public:
  Quantiser(const Matrix &matrix) : matrix(matrix) {}

  // False if a number is not finite.
  bool add(DType type, const std::vector<std::byte> &stored) {
    uint64_t element = byteSize(type), count = stored.size() / element;
    std::vector<float> numbers(matrix.group);
    for (uint64_t begin = 0; begin < count; begin += matrix.group) {
      float largest = 0;
      for (uint64_t i = 0; i < matrix.group; ++i) {
        numbers[i] = toFloat(type, stored.data() + (begin + i) * element);
        if (!std::isfinite(numbers[i]))
          return false;
        largest = std::max(largest, std::fabs(numbers[i]));
      }
      addGroup(numbers, largest);
    }
    return true;
  }

  std::vector<std::byte> integers;
  std::vector<uint16_t> scales;
  double error() const { return size == 0 ? 0 : std::sqrt(distance / size); }

private:
  void addGroup(const std::vector<float> &numbers, float largest) {
    float most = matrix.bits == 8 ? 127 : 7, least = matrix.bits == 8 ? -127 : -8;
    scales.push_back(floatToBf16(largest / most));
    float scale = bf16ToFloat(scales.back());
    for (uint64_t i = 0; i < numbers.size(); ++i) {
      // A scale that was rounded down would put the largest number beyond the last integer.
      float integer =
          scale > 0 ? std::clamp(std::nearbyint(numbers[i] / scale), least, most) : 0.0f;
      double lost = double(numbers[i]) - double(integer) * scale;
      distance += lost * lost;
      size += double(numbers[i]) * numbers[i];
      auto bits = static_cast<unsigned>(static_cast<int>(integer));
      if (matrix.bits == 8)
        integers.push_back(static_cast<std::byte>(bits & 0xff));
      else if (i % 2 == 0)
        integers.push_back(static_cast<std::byte>(bits & 0xf));
      else
        integers.back() |= static_cast<std::byte>((bits & 0xf) << 4);
    }
  }

  const Matrix &matrix;
  double distance = 0, size = 0;
};

// The checkpoint's files, each opened when it is first needed.
class Sources {
public:
  explicit Sources(const artifact::WeightIndex &index) : index(index) {}

  // The numbers of `piece`, as they are stored.
  Result<std::vector<std::byte>> read(nn::PieceAttr piece, DType &type) {
    auto known = index.tensors.find(piece.getKey().str());
    if (known == index.tensors.end())
      return makeError(ErrorCode::TensorsMissing, "tensor '{}' is missing", piece.getKey().str())
          .note("fix", "name the folder that holds the weights with --weights DIR");
    uint32_t number = known->second.file;
    auto file = files.find(number);
    if (file == files.end()) {
      LEVIN_ASSIGN_OR_RETURN(weights::Safetensors opened,
                             weights::Safetensors::open(index.pathOf(number)));
      file = files.emplace(number, std::move(opened)).first;
    }
    const TensorInfo *tensor = file->second.find(piece.getKey().str());
    if (!tensor)
      return makeError(ErrorCode::TensorsMissing, "tensor '{}' is missing", piece.getKey().str());
    type = tensor->dtype;
    if (type != DType::BF16 && type != DType::F16 && type != DType::F32 && type != DType::F64)
      return makeError(ErrorCode::TensorDType, "tensor '{}' cannot be quantised", tensor->name)
          .note("have", std::string(weights::nameOf(type)))
          .note("need", "a float type");
    weights::Box box{std::vector<uint64_t>(tensor->shape.size(), 0), tensor->shape};
    if (!piece.getSizes().empty()) {
      box.start.assign(piece.getStarts().begin(), piece.getStarts().end());
      box.size.assign(piece.getSizes().begin(), piece.getSizes().end());
    }
    uint64_t elements = 1;
    for (uint64_t extent : box.size)
      elements *= extent;
    std::vector<std::byte> bytes(elements * weights::byteSize(type));
    LEVIN_RETURN_IF_ERROR(file->second.readBox(*tensor, box, bytes));
    return bytes;
  }

private:
  const artifact::WeightIndex &index;
  std::map<uint32_t, weights::Safetensors> files;
};

// The header of a file that holds each matrix's integers and then its scales.
std::string headerOf(const std::vector<Matrix> &matrices) {
  Json header = Json::object();
  uint64_t position = 0;
  auto add = [&](nn::ParameterOp parameter, const char *dtype, uint64_t bytes) {
    header[keyOf(parameter)] = Json{{"dtype", dtype},
                                    {"shape", shapeOf(parameter)},
                                    {"data_offsets", {position, position + bytes}}};
    position += bytes;
  };
  for (const Matrix &matrix : matrices) {
    add(matrix.integers, matrix.bits == 8 ? "I8" : "U8", matrix.integerBytes());
    add(matrix.scales, "BF16", matrix.scaleBytes());
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

// Reads, quantises and writes one matrix, a piece at a time.
Status writeMatrix(const Matrix &matrix, Sources &sources, AtomicFile &file, QuantisedKind &kind) {
  Quantiser quantiser(matrix);
  nn::ParameterOp parameter = matrix.integers;
  uint64_t written = 0;
  for (nn::PieceAttr piece : matrix.pieces) {
    DType type = DType::F32;
    LEVIN_ASSIGN_OR_RETURN(std::vector<std::byte> stored, sources.read(piece, type));
    kind.bytesBefore += stored.size();
    if (stored.size() / weights::byteSize(type) % matrix.columns != 0)
      return makeError(ErrorCode::TensorShape, "tensor '{}' has no rows of {} columns",
                       piece.getKey().str(), matrix.columns);
    if (!quantiser.add(type, stored))
      return makeError(ErrorCode::PassFailed, "tensor '{}' cannot be quantised",
                       piece.getKey().str())
          .note("have", "a number that is infinite or none")
          .note("fix", "leave its kind out of --quant");
    LEVIN_RETURN_IF_ERROR(file.write(quantiser.integers.data(), quantiser.integers.size()));
    written += quantiser.integers.size();
    quantiser.integers.clear();
  }
  if (written != matrix.integerBytes() || quantiser.scales.size() * 2 != matrix.scaleBytes())
    return makeError(ErrorCode::TensorShape, "the pieces of parameter '{}' make another shape",
                     parameter.getSymName().str())
        .note("have", fmt::format("{} bytes", written))
        .note("need", fmt::format("{}", matrix.integerBytes()));
  LEVIN_RETURN_IF_ERROR(file.write(quantiser.scales.data(), matrix.scaleBytes()));
  kind.bytesAfter += matrix.integerBytes() + matrix.scaleBytes();
  kind.errorSum += quantiser.error();
  if (++kind.matrices == 1 || quantiser.error() > kind.worst) {
    kind.worst = quantiser.error();
    kind.worstName = parameter.getSymName().str();
  }
  return {};
}

void addToIndex(const std::vector<Matrix> &matrices, const std::string &path, uint64_t size,
                artifact::WeightIndex &index) {
  auto number = static_cast<uint32_t>(index.files.size());
  index.files.push_back(std::filesystem::path(path).filename().string());
  index.sizes.push_back(size);
  index.elsewhere[number] = path;
  for (const Matrix &matrix : matrices) {
    index.tensors[keyOf(matrix.integers)] = {
        number, matrix.bits == 8 ? artifact::DType::I8 : artifact::DType::U8,
        shapeOf(matrix.integers)};
    index.tensors[keyOf(matrix.scales)] = {number, artifact::DType::BF16, shapeOf(matrix.scales)};
  }
}

} // namespace

Result<std::vector<QuantisedKind>>
quantiseWeights(mlir::ModuleOp module, artifact::WeightIndex &index, const std::string &path,
                const std::function<void(uint64_t done, uint64_t total)> &progress) {
  std::vector<Matrix> matrices = matricesOf(module);
  std::vector<QuantisedKind> kinds;
  if (matrices.empty())
    return kinds;
  LEVIN_ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  std::string header = headerOf(matrices);
  uint64_t length = header.size(), done = 0;
  LEVIN_RETURN_IF_ERROR(file.write(&length, sizeof length));
  LEVIN_RETURN_IF_ERROR(file.write(header));
  Sources sources(index);
  for (const Matrix &matrix : matrices) {
    // Experts are stacked: one matrix for each.
    bool isExpert = shapeOf(matrix.integers).size() > 2;
    std::string name = fmt::format("{} int{}", isExpert ? "experts" : "attn", matrix.bits);
    auto known = std::ranges::find(kinds, name, &QuantisedKind::name);
    if (known == kinds.end()) {
      kinds.emplace_back();
      kinds.back().name = name;
      known = kinds.end() - 1;
    }
    LEVIN_RETURN_IF_ERROR(writeMatrix(matrix, sources, file, *known));
    progress(++done, matrices.size());
  }
  uint64_t size = file.position();
  LEVIN_RETURN_IF_ERROR(file.commit());
  addToIndex(matrices, path, size, index);
  return kinds;
}

} // namespace levin::compile
