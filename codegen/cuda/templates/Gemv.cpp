// Products of few rows with matrices, as a stream of the matrices (kernels/gemv.cuh).
#include "codegen/cuda/templates/StreamGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;

namespace {
/// Constants of a kernels::GemvShape.
struct Shape : StreamShape {
  int64_t cluster = 1;
};

class GemvTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemv"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

static Shape chooseShape(const GemmGroup &group, const CudaTarget &target) {
  Shape shape{streamShape(group, group.rows)};
  // All processors should end at once: more, smaller CTAs where those fill their last round better.
  if (shape.resident == 3 && !group.quantised && group.tokenType == DType::BF16) {
    auto filled = [&](int64_t resident) {
      int64_t ctas = llvm::divideCeil(group.n, shape.rows()), places = resident * target.processors;
      return static_cast<double>(ctas) / static_cast<double>(llvm::alignTo(ctas, places));
    };
    if (filled(4) > filled(3) + 0.05) {
      shape.resident = 4;
      shape.depth = 2;
    }
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
  auto group = analyseStream(kernel);
  if (!group || group->offsets || group->places || group->rows > mostStreamed(*group, 16, 8))
    return std::nullopt;
  Shape shape = chooseShape(*group, target);
  KernelPlan plan;
  plan.header = "gemv.cuh";
  plan.source = group->tail.source;
  plan.source += llvm::formatv(
      "\nusing Shape = levin::kernels::GemvShape<{0}, {1}, {2}, 1, {3}, {4}, {5}, {6},\n"
      "                                        {7}>;\n\n"
      "extern \"C\" __global__ void __launch_bounds__(Shape::threads, {8})\n"
      "    NAME({9}, int64_t tokens, int64_t n, int64_t k) {{\n"
      "  const levin::kernels::Tail<Element> tail{10};\n",
      shape.matrices, shape.tiles, shape.rowTiles, shape.depthWarps, shape.cluster, shape.depth,
      scalarName(group->tokenType), matrixFormat(*group), shape.resident, bindingParameters(*group),
      group->tail.tail("b"));
  plan.source +=
      llvm::formatv("  levin::kernels::gemv<Shape, Element>(\n"
                    "      static_cast<const {0} *>(b{1}), {{{2}}, tail,\n"
                    "      static_cast<int>(tokens), static_cast<int>(n), "
                    "static_cast<int>(k));\n"
                    "}\n",
                    storageName(group->tokenType), group->tokens, matrixArguments(*group));
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "gemv");
  launch.grid[0] = static_cast<uint32_t>(llvm::divideCeil(group->n, shape.rows()) * shape.cluster);
  launch.block[0] = shape.threads();
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
