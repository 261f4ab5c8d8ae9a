// Products of experts of few tokens, as a stream of their matrices (kernels/expert_gemv.cuh).
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;

namespace {
/// Constants of a kernels::ExpertShape.
struct Shape {
  int64_t matrices, tiles, rowTiles = 1, depthWarps = 8, depth = 4;

  int64_t rows() const { return 16 * rowTiles; }
  uint32_t sharedBytes() const {
    return static_cast<uint32_t>(4 * depthWarps * matrices * 8 * tiles * (rows() + 4));
  }
};

class ExpertGemvTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "expert_gemv"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

/// More tokens are faster as tiles of a large product.
constexpr int64_t mostTokens = 32;

/// How many rows an expert may get: one for each token.  Without a gather nobody says how many
/// choices a token has; two are assumed, and more rows cost another pass.
static int64_t mostRows(const GemmGroup &group) {
  return group.places ? group.sourceRows : llvm::divideCeil(group.rows, 2);
}

static Shape chooseShape(const GemmGroup &group) {
  Shape shape{static_cast<int64_t>(group.weights.size()), 1};
  while (shape.tiles < 4 && shape.tiles * 8 < mostRows(group))
    shape.tiles *= 2;
  // Warps read their share of the input again for each of their rows' tiles: with more input rows
  // they take more matrix rows, as far as there are registers.
  bool isWide = group.tokenType == DType::F32;
  if (shape.tiles > 1 && shape.matrices == 1)
    shape.rowTiles = 2;
  if (shape.tiles == 4 && !isWide) {
    shape.rowTiles = 2;
    shape.depthWarps = 4;
    shape.depth = 4 / shape.matrices;
  }
  return shape;
}

std::optional<KernelPlan> ExpertGemvTemplate::plan(mlir::func::FuncOp kernel,
                                                   const CudaTarget &) const {
  auto group = analyseGemm(kernel);
  if (!group || !group->offsets || group->weightType != DType::BF16 ||
      (group->tokenType != DType::BF16 && group->tokenType != DType::F32) ||
      mostRows(*group) > mostTokens || group->k % 8 != 0)
    return std::nullopt;
  Shape shape = chooseShape(*group);
  KernelPlan plan;
  plan.header = "expert_gemv.cuh";
  std::string matrices;
  for (unsigned weight : group->weights)
    matrices += llvm::formatv("{0}{{b{1}, nullptr}", matrices.empty() ? "" : ", ", weight);
  plan.source = group->tail.source;
  plan.source +=
      llvm::formatv("\nusing Shape = levin::kernels::ExpertShape<{0}, {1}, {2}, {3}, {4}, {5}>;\n\n"
                    "extern \"C\" __global__ void __launch_bounds__(Shape::threads)\n"
                    "    NAME({6}, int64_t rows, int64_t n, int64_t k, int64_t experts) {{\n"
                    "  const levin::kernels::Tail<Element> tail{7};\n",
                    shape.matrices, shape.tiles, shape.rowTiles, shape.depthWarps, shape.depth,
                    scalarName(group->tokenType), bindingParameters(*group), group->tail.tail("b"));
  plan.source += llvm::formatv(
      "  levin::kernels::expertGemv<Shape, {0}, Element>(\n"
      "      static_cast<const {1} *>(b{2}), {3}, static_cast<const int32_t *>(b{4}),\n"
      "      {{{5}}, tail, static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),\n"
      "      static_cast<int>(experts));\n"
      "}\n",
      group->places ? group->choices : 0, storageName(group->tokenType), group->tokens,
      group->places ? llvm::formatv("static_cast<const int32_t *>(b{0})", *group->places).str()
                    : std::string("nullptr"),
      *group->offsets, matrices);
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "expert_gemv");
  launch.grid = {static_cast<uint32_t>(llvm::divideCeil(group->n, shape.rows())),
                 static_cast<uint32_t>(std::min(group->experts, group->rows)),
                 static_cast<uint32_t>(llvm::divideCeil(group->rows, 8 * shape.tiles))};
  if (group->places)
    launch.grid[2] = static_cast<uint32_t>(llvm::divideCeil(group->sourceRows, 8 * shape.tiles));
  launch.block[0] = static_cast<uint32_t>(32 * shape.depthWarps);
  launch.sharedBytes = shape.sharedBytes();
  launch.scalars = {group->rows, group->n, group->k, group->experts};
  launch.programmatic = true;
  plan.launches.push_back(std::move(launch));
  return plan;
}

const KernelTemplate &templates::expertGemv() {
  static const ExpertGemvTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
