// Products of experts of few tokens, as a stream of their matrices (kernels/expert_gemv.cuh).
#include "codegen/cuda/templates/StreamGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

#include <algorithm>

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;

namespace {
class ExpertGemvTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "expert_gemv"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

/// How many rows an expert may get: one for each token.  Without a gather nobody says how many
/// choices a token has; two are assumed, and more rows cost another pass.
static int64_t mostRows(const GemmGroup &group) {
  return group.places ? group.sourceRows : llvm::divideCeil(group.rows, 2);
}

std::optional<KernelPlan> ExpertGemvTemplate::plan(mlir::func::FuncOp kernel,
                                                   const CudaTarget &) const {
  auto group = analyseStream(kernel);
  if (!group || !group->offsets || mostRows(*group) > mostStreamed(*group, 32, 16))
    return std::nullopt;
  // An expert of up to 16 tokens seldom gets more than 8 rows, and costs another pass where it
  // does.
  int64_t rows = mostRows(*group);
  StreamShape shape = streamShape(*group, group->quantised && rows <= 16 ? 8 : rows);
  if (group->tokenType == artifact::DType::F32 && !group->quantised)
    shape.resident = std::min<int64_t>(shape.resident, 2); // the rows' places take registers, too
  KernelPlan plan;
  plan.header = "expert_gemv.cuh";
  plan.source = group->tail.source;
  plan.source +=
      llvm::formatv("\nusing Shape = levin::kernels::ExpertShape<{0}, {1}, {2}, {3}, {4}, {5},\n"
                    "                                          {6}>;\n\n"
                    "extern \"C\" __global__ void __launch_bounds__(Shape::threads, {7})\n"
                    "    NAME({8}, int64_t rows, int64_t n, int64_t k, int64_t experts) {{\n"
                    "  const levin::kernels::Tail<Element> tail{9};\n",
                    shape.matrices, shape.tiles, shape.rowTiles, shape.depthWarps, shape.depth,
                    scalarName(group->tokenType), matrixFormat(*group), shape.resident,
                    bindingParameters(*group), group->tail.tail("b"));
  plan.source += llvm::formatv(
      "  levin::kernels::expertGemv<Shape, {0}, Element>(\n"
      "      static_cast<const {1} *>(b{2}), {3}, static_cast<const int32_t *>(b{4}),\n"
      "      {{{5}}, tail, static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),\n"
      "      static_cast<int>(experts));\n"
      "}\n",
      group->places ? group->choices : 0, storageName(group->tokenType), group->tokens,
      group->places ? llvm::formatv("static_cast<const int32_t *>(b{0})", *group->places).str()
                    : std::string("nullptr"),
      *group->offsets, matrixArguments(*group));
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "expert_gemv");
  launch.grid = {static_cast<uint32_t>(llvm::divideCeil(group->n, shape.rows())),
                 static_cast<uint32_t>(std::min(group->experts, group->rows)),
                 static_cast<uint32_t>(llvm::divideCeil(group->rows, 8 * shape.tiles))};
  if (group->places)
    launch.grid[2] = static_cast<uint32_t>(llvm::divideCeil(group->sourceRows, 8 * shape.tiles));
  launch.block[0] = shape.threads();
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
