#include "codegen/cuda/templates/StreamGroup.h"

#include "llvm/Support/FormatVariadic.h"

namespace levin::cuda {

using artifact::DType;

/// Whether a block of a warp (four loads of 8 bytes) lies in one group.
static bool isGroupLarge(const GemmGroup::Quantised &quantised) {
  return quantised.group % (quantised.bits == 8 ? 32 : 64) == 0;
}

std::optional<GemmGroup> analyseStream(mlir::func::FuncOp kernel) {
  auto group = analyseGemm(kernel);
  if (group && group->weightType != DType::BF16)
    return std::nullopt;
  if (!group)
    group = analyseQuantisedGemm(kernel);
  if (!group || (group->quantised && !isGroupLarge(*group->quantised)) || group->k % 8 != 0 ||
      (group->tokenType != DType::BF16 && group->tokenType != DType::F32))
    return std::nullopt;
  return group;
}

int64_t mostStreamed(const GemmGroup &group, int64_t narrow, int64_t quantised) {
  if (group.tokenType == DType::F32 || (group.quantised && group.quantised->group % 64 != 0))
    return 32;
  return group.quantised ? quantised : narrow;
}

StreamShape streamShape(const GemmGroup &group, int64_t rows) {
  StreamShape shape;
  shape.matrices = static_cast<int64_t>(group.weights.size());
  shape.tiles = rows <= 8 ? 1 : rows <= 16 ? 2 : 4;
  bool isPair = shape.matrices == 2, isWide = group.tokenType == DType::F32;
  // Loads in flight cost registers, as do float32 inputs and scales.  Warps read their share of the
  // input again for each of their rows' tiles: with more input rows they take more matrix rows.
  if (group.quantised) {
    bool isNibbles = group.quantised->bits == 4;
    bool isShort = group.quantised->group % (isNibbles ? 128 : 64) != 0; // loads of 8 bytes
    shape.rowTiles = shape.tiles > 1 && !isPair ? 2 : 1;
    shape.depthWarps = 4;
    shape.depth = (shape.tiles > 1 || isPair ? 2 : 4) * (isShort ? 2 : 1);
    shape.resident = shape.tiles > 1 || (isPair && isWide) ? 1 : 3;
  } else if (isWide && shape.tiles == 1 && !isPair) {
    shape.depth = 3;
    shape.resident = 3;
  } else if (isWide) {
    shape.rowTiles = isPair ? 1 : shape.tiles == 2 ? 4 : 2;
    shape.depth = 2;
    shape.resident = 1;
  } else if (shape.tiles == 1) {
    shape.resident = isPair ? 2 : 3;
  } else if (shape.tiles == 2) {
    shape.rowTiles = isPair ? 1 : 2;
    shape.depth = 2;
  } else {
    shape.rowTiles = 2;
    shape.depthWarps = 4;
    shape.depth = 2;
    shape.resident = 2;
  }
  return shape;
}

std::string matrixFormat(const GemmGroup &group) {
  if (!group.quantised)
    return "levin::kernels::Bf16Matrix";
  return llvm::formatv("levin::kernels::Int{0}Matrix<{1}, {2}>", group.quantised->bits,
                       group.quantised->group, storageName(group.quantised->scaleType));
}

std::string matrixArguments(const GemmGroup &group) {
  std::string text;
  for (auto [i, weight] : llvm::enumerate(group.weights)) {
    std::string scales = "nullptr";
    if (group.quantised)
      scales = llvm::formatv("static_cast<const {0} *>(b{1})",
                             storageName(group.quantised->scaleType), group.quantised->scales[i]);
    text += llvm::formatv("{0}{{b{1}, {2}}", i ? ", " : "", weight, scales);
  }
  return text;
}

} // namespace levin::cuda
