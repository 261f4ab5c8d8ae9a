// Products of few rows with matrices, as a stream of the matrices (kernels/gemv.cuh).
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;

namespace {
/// Constants of a kernels::GemvShape.
struct Shape {
  int64_t matrices, tiles, rowTiles = 1, rowWarps = 1, depthWarps = 8, cluster = 1, depth = 4;

  int64_t rows() const { return 16 * rowTiles * rowWarps; }
  uint32_t sharedBytes() const {
    return static_cast<uint32_t>(4 * depthWarps * matrices * 8 * tiles * (rows() + 4));
  }
};

class GemvTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemv"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

/// How many rows a kernel may have.  More bf16 rows are faster as tiles of a large product; float32
/// ones have no such kernel.
static int64_t mostRows(const GemmGroup &group) { return group.tokenType == DType::F32 ? 32 : 16; }

static Shape chooseShape(const GemmGroup &group, const CudaTarget &target) {
  Shape shape{static_cast<int64_t>(group.weights.size()), 1};
  while (shape.tiles * 8 < group.rows)
    shape.tiles *= 2;
  // Warps read their share of the input again for each of their rows' tiles: with more input rows
  // they take more matrix rows.
  if (shape.tiles > 1 && shape.matrices == 1) {
    shape.rowTiles = group.tokenType == DType::F32 ? 4 : 2;
    shape.depth = 8 / shape.rowTiles;
  }
  // Few CTAs: divide k among a cluster until all processors work, with at least a round of blocks
  // for each warp.
  int64_t blocks = llvm::divideCeil(group.k, 32);
  auto ctas = [&] { return llvm::divideCeil(group.n, shape.rows()) * shape.cluster; };
  while (shape.cluster < 8 && ctas() < static_cast<int64_t>(target.processors) &&
         blocks >= 2 * shape.cluster * shape.depthWarps)
    shape.cluster *= 2;
  return shape;
}

std::optional<KernelPlan> GemvTemplate::plan(mlir::func::FuncOp kernel,
                                             const CudaTarget &target) const {
  auto group = analyseGemm(kernel);
  if (!group || group->offsets || group->places || group->weightType != DType::BF16 ||
      (group->tokenType != DType::BF16 && group->tokenType != DType::F32) ||
      group->rows > mostRows(*group) || group->k % 8 != 0)
    return std::nullopt;
  Shape shape = chooseShape(*group, target);
  KernelPlan plan;
  plan.header = "gemv.cuh";
  std::string matrices;
  for (unsigned weight : group->weights)
    matrices += llvm::formatv("{0}{{b{1}, nullptr}", matrices.empty() ? "" : ", ", weight);
  plan.source = group->tail.source;
  plan.source += llvm::formatv(
      "\nusing Shape = levin::kernels::GemvShape<{0}, {1}, {2}, {3}, {4}, {5}, {6}, {7}>;\n\n"
      "extern \"C\" __global__ void __launch_bounds__(Shape::threads)\n"
      "    NAME({8}, int64_t tokens, int64_t n, int64_t k) {{\n"
      "  const levin::kernels::Tail<Element> tail{9};\n",
      shape.matrices, shape.tiles, shape.rowTiles, shape.rowWarps, shape.depthWarps, shape.cluster,
      shape.depth, scalarName(group->tokenType), bindingParameters(*group), group->tail.tail("b"));
  plan.source += llvm::formatv("  levin::kernels::gemv<Shape, Element>(\n"
                               "      static_cast<const {0} *>(b{1}), {{{2}}, tail,\n"
                               "      static_cast<int>(tokens), static_cast<int>(n), "
                               "static_cast<int>(k));\n"
                               "}\n",
                               storageName(group->tokenType), group->tokens, matrices);
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "gemv");
  launch.grid[0] = static_cast<uint32_t>(llvm::divideCeil(group->n, shape.rows()) * shape.cluster);
  launch.block[0] = static_cast<uint32_t>(32 * shape.rowWarps * shape.depthWarps);
  launch.cluster[0] = static_cast<uint32_t>(shape.cluster);
  launch.sharedBytes = shape.sharedBytes();
  launch.scalars = {group->rows, group->n, group->k};
  launch.programmatic = true;
  plan.launches.push_back(std::move(launch));
  return plan;
}

const KernelTemplate &templates::gemv() {
  static const GemvTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
