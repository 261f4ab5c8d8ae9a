#include "codegen/artifact/ParameterBuilder.h"

#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"
#include "runtime/base/Checked.h"

#include <algorithm>
#include <set>

namespace levin::artifact {

DType dtypeOf(mlir::Type element) {
  if (llvm::isa<mlir::Float8E4M3FNType>(element))
    return DType::F8E4M3;
  if (element.isBF16())
    return DType::BF16;
  if (element.isF16())
    return DType::F16;
  if (element.isF32())
    return DType::F32;
  if (element.isF64())
    return DType::F64;
  auto integer = llvm::dyn_cast<mlir::IntegerType>(element);
  if (!integer)
    return DType::Invalid;
  bool isUnsigned = integer.isUnsigned();
  switch (integer.getWidth()) {
  case 1:
    return DType::I1;
  case 8:
    return isUnsigned ? DType::U8 : DType::I8;
  case 16:
    return isUnsigned ? DType::Invalid : DType::I16;
  case 32:
    return isUnsigned ? DType::Invalid : DType::I32;
  case 64:
    return isUnsigned ? DType::U64 : DType::I64;
  default:
    return DType::Invalid;
  }
}

TensorType tensorTypeOf(mlir::Type type) {
  auto shaped = llvm::cast<mlir::ShapedType>(type);
  TensorType result{dtypeOf(shaped.getElementType()), {}};
  for (int64_t extent : shaped.getShape())
    result.shape.push_back(static_cast<uint64_t>(extent));
  return result;
}

static bool isFloat(DType type) { return type >= DType::F16; }

static std::vector<uint64_t> unsignedOf(llvm::ArrayRef<int64_t> values) {
  return {values.begin(), values.end()};
}

// The parameter that `weight` lays out.
static nn::ParameterOp parameterOf(mlir::SymbolTable &symbols, exec::WeightOp weight) {
  return symbols.lookup<nn::ParameterOp>(weight.getParameter());
}

Status ParameterBuilder::findUsedFiles() {
  if (weights.random)
    return {};
  std::set<uint32_t> used;
  mlir::SymbolTable symbols(module);
  for (auto weight : module.getOps<exec::WeightOp>()) {
    nn::ParameterOp parameter = parameterOf(symbols, weight);
    if (!parameter || !parameter.getPieces())
      continue;
    for (nn::PieceAttr piece : parameter.getPieces()->getAsRange<nn::PieceAttr>()) {
      auto tensor = weights.tensors.find(piece.getKey().str());
      if (tensor == weights.tensors.end())
        return makeError(ErrorCode::TensorsMissing, "tensor '{}' of parameter '{}' is missing",
                         piece.getKey().str(), parameter.getSymName().str())
            .note("have", weights.files.empty()
                              ? "no weight file"
                              : fmt::format("{} tensors in {} files", weights.tensors.size(),
                                            weights.files.size()))
            .note("fix", "name the folder that holds the weights with --weights DIR");
      used.insert(tensor->second.file);
    }
  }
  usedFiles.assign(used.begin(), used.end());
  return {};
}

// "8x9".
static std::string shapeText(const std::vector<uint64_t> &shape) {
  return shape.empty() ? "a scalar" : fmt::format("{}", fmt::join(shape, "x"));
}

// Whether the box of `piece`, if it has one, lies within its tensor.
static bool boxFits(const Piece &piece) {
  if (piece.sizes.empty())
    return true;
  if (piece.sizes.size() != piece.shape.size() || piece.starts.size() != piece.shape.size())
    return false;
  for (size_t d = 0; d < piece.shape.size(); ++d)
    if (!fitsWithin(piece.starts[d], piece.sizes[d], piece.shape[d]))
      return false;
  return true;
}

// The shape that pieces make together; nothing if they do not fit together.
static std::optional<std::vector<uint64_t>> joinedShape(const Pieces &source) {
  std::vector<uint64_t> joined;
  bool stack = source.join == Join::Stack;
  for (const Piece &piece : source.pieces) {
    const std::vector<uint64_t> &shape = piece.sizes.empty() ? piece.shape : piece.sizes;
    if (&piece == &source.pieces.front()) {
      joined = shape;
      continue;
    }
    size_t free = stack ? 0 : 1; // dimensions in which pieces may differ
    if (shape.size() != joined.size() || shape.size() < free ||
        !std::equal(shape.begin() + free, shape.end(), joined.begin() + free))
      return std::nullopt;
    if (!stack)
      joined[0] += shape[0];
  }
  if (stack)
    joined.insert(joined.begin(), source.pieces.size());
  return joined;
}

static Status checkShapes(const Pieces &source, const std::string &name, const TensorType &type) {
  for (const Piece &piece : source.pieces) {
    if (llvm::is_contained(piece.shape, 0) || llvm::is_contained(piece.sizes, 0))
      return makeError(ErrorCode::TensorShape, "a piece of parameter '{}' is empty", name)
          .note("have", fmt::format("'{}' is {}", piece.key, shapeText(piece.shape)))
          .note("need", "extents of at least 1");
    if (!boxFits(piece))
      return makeError(ErrorCode::TensorShape, "a piece of parameter '{}' leaves tensor '{}'", name,
                       piece.key)
          .note("have", shapeText(piece.shape))
          .note("need", fmt::format("[{}] from [{}]", fmt::join(piece.sizes, ", "),
                                    fmt::join(piece.starts, ", ")));
  }
  auto joined = joinedShape(source);
  if (joined == type.shape)
    return {};
  return makeError(ErrorCode::TensorShape, "the pieces of parameter '{}' make another shape", name)
      .note("have", joined ? shapeText(*joined) : "pieces that do not fit together")
      .note("need", shapeText(type.shape));
}

Result<Pieces> ParameterBuilder::piecesOf(mlir::Operation *op) {
  auto parameter = llvm::cast<nn::ParameterOp>(op);
  DType target = tensorTypeOf(parameter.getType()).dtype;
  Pieces source;
  source.join = parameter.getJoin() == nn::Join::Stack ? Join::Stack : Join::Concat;
  if (weights.random)
    return source;
  for (nn::PieceAttr piece : parameter.getPieces()->getAsRange<nn::PieceAttr>()) {
    const WeightTensor &tensor = weights.tensors.at(piece.getKey().str());
    DType stored = tensor.dtype;
    if (isFloat(stored) != isFloat(target) || (!isFloat(stored) && stored != target))
      return makeError(ErrorCode::TensorDType, "tensor '{}' cannot become parameter '{}'",
                       piece.getKey().str(), parameter.getSymName().str())
          .note("have", nameOf(stored))
          .note("need", isFloat(target) ? "a float type" : nameOf(target));
    auto place = std::find(usedFiles.begin(), usedFiles.end(), tensor.file);
    source.pieces.push_back({static_cast<uint32_t>(place - usedFiles.begin()), piece.getKey().str(),
                             stored, tensor.shape, unsignedOf(piece.getStarts()),
                             unsignedOf(piece.getSizes())});
  }
  LEVIN_RETURN_IF_ERROR(
      checkShapes(source, parameter.getSymName().str(), tensorTypeOf(parameter.getType())));
  return source;
}

// The elements of `value`, little endian and row-major, as they lie in memory.
static std::string denseBytes(mlir::DenseElementsAttr value) {
  std::string bytes;
  auto append = [&](const llvm::APInt &element) {
    for (unsigned bit = 0; bit < std::max(element.getBitWidth(), 8u); bit += 8)
      bytes += static_cast<char>(
          element.extractBitsAsZExtValue(std::min(8u, element.getBitWidth() - bit), bit));
  };
  if (llvm::isa<mlir::FloatType>(value.getElementType()))
    for (const llvm::APFloat &element : value.getValues<llvm::APFloat>())
      append(element.bitcastToAPInt());
  else
    for (const llvm::APInt &element : value.getValues<llvm::APInt>())
      append(element);
  return bytes;
}

Result<SegmentBytes> ParameterBuilder::bytesOf(mlir::Operation *op) {
  auto parameter = llvm::cast<nn::ParameterOp>(op);
  auto value = llvm::dyn_cast_if_present<mlir::DenseElementsAttr>(
      parameter.getValue().value_or(mlir::ElementsAttr()));
  if (!value)
    return makeError(ErrorCode::IrInput, "parameter '{}' has a value that is not dense",
                     parameter.getSymName().str())
        .note("fix", "write it as dense<..>");
  constants.resize((constants.size() + 63) / 64 * 64, '\0');
  std::string bytes = denseBytes(value);
  SegmentBytes source{0, constants.size(), bytes.size()};
  constants += bytes;
  return source;
}

Status ParameterBuilder::run() {
  LEVIN_RETURN_IF_ERROR(findUsedFiles());
  mlir::SymbolTable symbols(module);
  for (auto weight : module.getOps<exec::WeightOp>()) {
    nn::ParameterOp parameter = parameterOf(symbols, weight);
    if (!parameter)
      return makeError(ErrorCode::Internal, "weight '{}' has no parameter",
                       weight.getSymName().str());
    Parameter result;
    result.panelRows = static_cast<uint32_t>(weight.getPanelRows());
    result.name = (result.panelRows ? weight.getSymName() : parameter.getSymName()).str();
    result.type = tensorTypeOf(parameter.getType());
    result.offset = static_cast<uint64_t>(weight.getPlace()[0]);
    result.size = static_cast<uint64_t>(weight.getPlace()[1]);
    if (parameter.getPieces()) {
      LEVIN_ASSIGN_OR_RETURN(result.source, piecesOf(parameter));
    } else {
      LEVIN_ASSIGN_OR_RETURN(result.source, bytesOf(parameter));
    }
    parameters.push_back(std::move(result));
  }
  return {};
}

} // namespace levin::artifact
