// Products of matrices in float32 arithmetic (kernels/gemm_simt.cuh).
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;

namespace {
class GemmSimtTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemm_simt"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

static uint32_t divide(int64_t extent, int64_t by) {
  return static_cast<uint32_t>(llvm::divideCeil(extent, by));
}

std::optional<KernelPlan> GemmSimtTemplate::plan(mlir::func::FuncOp kernel,
                                                 const CudaTarget &target) const {
  auto group = analyseGemm(kernel);
  if (!group || group->tokenType == artifact::DType::F8E4M3 ||
      group->weightType == artifact::DType::F8E4M3)
    return std::nullopt;
  // Small tiles where large ones would leave processors idle.
  constexpr int64_t columns = 64;
  int64_t tileRows = 128;
  auto tilesOf = [&] {
    return group->rowsOfExpert() <= tileRows / 2
               ? 0
               : llvm::divideCeil(group->rows, tileRows) * llvm::divideCeil(group->n, columns);
  };
  if (static_cast<uint64_t>(tilesOf()) < target.processors)
    tileRows = 32;
  int64_t tiles = llvm::divideCeil(group->rows, tileRows) + (group->offsets ? group->experts : 0);
  if (tiles > 65535 || group->sourceRows > int64_t(1) << 30)
    return std::nullopt;

  KernelPlan plan;
  plan.header = "gemm_simt.cuh";
  std::string tokenType = storageName(group->tokenType).str(),
              weightType = storageName(group->weightType).str(),
              tokens = "b" + std::to_string(group->tokens);
  if (group->places) {
    plan.source = llvm::formatv(
        "\nextern \"C\" __global__ void __launch_bounds__(256)\n"
        "    NAME_dispatch({0}, void *scratch, int64_t choices, int64_t width, int64_t rows) {{\n"
        "  levin::kernels::simtDispatch(static_cast<const {1} *>({2}),\n"
        "      static_cast<const int *>(b{3}), static_cast<{1} *>(scratch),\n"
        "      static_cast<int>(choices), static_cast<int>(width), static_cast<int>(rows));\n"
        "}\n",
        bindingParameters(*group), tokenType, tokens, *group->places);
    DeviceLaunch dispatch;
    dispatch.grid[0] = static_cast<uint32_t>(group->sourceRows);
    dispatch.block[0] = 256;
    dispatch.scalars = {group->choices, group->k, group->rows};
    plan.launches.push_back(std::move(dispatch));
    plan.scratchBytes =
        static_cast<uint64_t>(group->rows * group->k) * artifact::byteSize(group->tokenType);
    tokens = "scratch";
  }
  plan.source += group->tail.source;
  plan.source += llvm::formatv("\nusing Shape = levin::kernels::SimtShape<{0}, {1}, {2}, {3}>;\n\n",
                               group->weights.size(), tileRows, columns,
                               group->n % 4 == 0 && group->k % 4 == 0);
  plan.source += llvm::formatv(
      "extern \"C\" __global__ void __launch_bounds__(Shape::threads, Shape::resident)\n"
      "    NAME({0}{1}, int64_t experts, int64_t rows, int64_t n, int64_t k) {{\n"
      "  const levin::kernels::SimtProblem problem{{{2}, static_cast<int>(experts),\n"
      "      static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k)};\n"
      "  const levin::kernels::Tail<Element> tail{3};\n"
      "  levin::kernels::simtProduct<Shape, {4}, {5}, Element>(\n"
      "      static_cast<const {4} *>({6}), static_cast<const {5} *>(b{7}),\n"
      "      static_cast<const {5} *>(b{8}), tail, problem);\n"
      "}\n",
      bindingParameters(*group), group->places ? ", void *scratch" : "",
      group->offsets ? llvm::formatv("static_cast<const int *>(b{0})", *group->offsets).str()
                     : std::string("nullptr"),
      group->tail.tail("b"), tokenType, weightType, tokens, group->weights.front(),
      group->weights.back());
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "gemm_simt");
  if (group->places)
    plan.launches[0].symbol = launch.symbol + "_dispatch";
  launch.grid = {divide(group->n, columns), static_cast<uint32_t>(tiles), 1};
  launch.block[0] = 256;
  launch.scalars = {group->experts, group->rows, group->n, group->k};
  plan.launches.push_back(std::move(launch));
  return plan;
}

const KernelTemplate &templates::gemmSimt() {
  static const GemmSimtTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
