// Products of bf16 matrices on the tensor cores (kernels/gemm.cuh).
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;
using artifact::TensorMap;

namespace {

/// Constants of a kernels::GemmShape, computed as it does.
struct Shape {
  int64_t products, maxTokens, cluster;
  bool splitK;
  int64_t tileTokens; // of one tile, at most maxTokens

  int64_t weightRows() const { return splitK ? 64 : 128; }
  int64_t columns() const { return weightRows() / products; }
  uint32_t weightBox() const { return products == 2 ? 32 : static_cast<uint32_t>(weightRows()); }
  uint32_t tokenBox() const { return static_cast<uint32_t>(std::min<int64_t>(maxTokens, 32)); }
  uint32_t sharedBytes(uint32_t limit) const {
    int64_t stage = 128 * 128 + (splitK ? 2 : 1) * maxTokens * 128;
    int64_t rest = 4 * tokenBox() * 68 * 4 + 512;
    return static_cast<uint32_t>(std::min<int64_t>((limit - rest) / stage, 12) * stage + rest);
  }
};

class GemmTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemm"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};

} // namespace

/// The shape with the least expected time.  Compared are multiples of the time in which one
/// processor multiplies 64 rows of weights with one token: a wave of tiles takes as long as the
/// longer of its products and its share of the weights' way from memory.
static Shape chooseShape(const GemmGroup &group, const CudaTarget &target) {
  const auto products = static_cast<int64_t>(group.weights.size());
  const int64_t rows = group.rowsOfExpert();
  Shape best{products, 256, 2, false, 256};
  double least = 0;
  for (int64_t maxTokens : {16, 32, 64, 128, 256})
    for (int64_t tileTokens = maxTokens; tileTokens > maxTokens / 2; tileTokens -= 16)
      for (bool splitK : {false, true}) {
        if (splitK && (products == 2 || maxTokens > 64 || group.offsets))
          continue;
        Shape shape{products, maxTokens, maxTokens >= 128 ? 2 : 1, splitK, tileTokens};
        // Experts differ; most have less than a quarter more rows than the mean.
        int64_t likely = group.offsets ? rows + rows / 4 : rows;
        int64_t tiles = llvm::divideCeil(likely, tileTokens);
        int64_t tokens = llvm::alignTo(llvm::divideCeil(rows, tiles), 16);
        int64_t blocks = llvm::divideCeil(group.n, shape.columns() * shape.cluster);
        int64_t lanes = target.processors / shape.cluster;
        double waves = static_cast<double>(tiles * blocks * group.experts) / lanes;
        if (!group.offsets || waves < 4)
          waves = std::ceil(waves);
        // 64 rows by one token are as long as half a row of weights on its way from memory, when
        // all processors read.
        double multiply = static_cast<double>(shape.weightRows() * std::max<int64_t>(tokens, 24));
        double load = static_cast<double>(shape.weightRows()) * 190 / static_cast<double>(tiles);
        double l2 = (shape.weightRows() + tokens / shape.cluster) * 64.0;
        double time = waves * std::max({multiply, load, l2});
        if (least == 0 || time < least) {
          least = time;
          best = shape;
        }
      }
  return best;
}

static TensorMap matrixMap(unsigned binding, llvm::ArrayRef<int64_t> extents,
                           llvm::ArrayRef<uint32_t> box) {
  TensorMap map;
  map.binding = binding;
  map.dtype = DType::BF16;
  map.swizzle = 128;
  uint64_t stride = 2;
  for (int64_t extent : extents) {
    map.extents.push_back(static_cast<uint64_t>(extent));
    map.strides.push_back(stride *= static_cast<uint64_t>(extent));
  }
  map.strides.pop_back();
  map.box.assign(box.begin(), box.end());
  return map;
}

static std::string sourceOf(const GemmGroup &group, const Shape &shape) {
  bool isPair = shape.products == 2;
  std::string source = group.tail.source;
  source += llvm::formatv("\nusing Shape = levin::kernels::GemmShape<{0}, {1}, {2}, {3}>;\n\n",
                          shape.products, shape.maxTokens, shape.cluster, shape.splitK);
  source += llvm::formatv(
      "extern \"C\" __global__ void __launch_bounds__(Shape::threads, 1)\n"
      "    NAME(const __grid_constant__ CUtensorMap first, {0}\n"
      "         const __grid_constant__ CUtensorMap tokens, {1}{2},\n"
      "         int64_t experts, int64_t rows, int64_t n, int64_t k, int64_t tileTokens) {{\n"
      "  const levin::kernels::GemmProblem problem{{{3}, static_cast<int>(experts),\n"
      "      static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),\n"
      "      static_cast<int>(tileTokens)};\n"
      "  const levin::kernels::Tail<Element> tail{4};\n"
      "  levin::kernels::gemm<Shape, Element>(&first, &{5}, &tokens, tail, problem);\n"
      "}\n",
      isPair ? "const __grid_constant__ CUtensorMap second," : "", bindingParameters(group),
      group.places ? ", void *scratch" : "",
      group.offsets ? llvm::formatv("static_cast<const int *>(b{0})", *group.offsets).str()
                    : std::string("nullptr"),
      group.tail.tail("b"), isPair ? "second" : "first");
  return source;
}

std::optional<KernelPlan> GemmTemplate::plan(mlir::func::FuncOp kernel,
                                             const CudaTarget &target) const {
  auto group = analyseGemm(kernel);
  if (!group || group->tokenType != DType::BF16 || group->weightType != DType::BF16 ||
      group->n % 8 != 0 || group->k % 8 != 0)
    return std::nullopt;
  Shape shape = chooseShape(*group, target);
  KernelPlan plan;
  plan.header = "gemm.cuh";
  unsigned tokens = group->tokens;
  if (group->places) {
    // The rows of an expert are copied together first: the copy engine cannot collect them.
    plan.source = llvm::formatv(
        "\nextern \"C\" __global__ void __launch_bounds__(256)\n"
        "    NAME_dispatch({0}, void *scratch, int64_t choices, int64_t width, int64_t rows) {{\n"
        "  levin::kernels::gemmDispatch(b{1}, static_cast<const int *>(b{2}), scratch,\n"
        "      static_cast<int>(choices), static_cast<int>(width), static_cast<int>(rows));\n"
        "}\n",
        bindingParameters(*group), tokens, *group->places);
    DeviceLaunch dispatch;
    dispatch.grid[0] = static_cast<uint32_t>(group->sourceRows);
    dispatch.block[0] = 256;
    dispatch.scalars = {group->choices, group->k / 8, group->rows};
    dispatch.programmatic = true;
    plan.launches.push_back(std::move(dispatch));
    plan.scratchBytes = static_cast<uint64_t>(group->rows * group->k * 2);
    tokens = group->bindings;
  }
  plan.source += sourceOf(*group, shape);
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "gemm");
  if (group->places)
    plan.launches[0].symbol = launch.symbol + "_dispatch";
  launch.blocksPerProcessor = 1;
  launch.block[0] = 384;
  launch.cluster[0] = static_cast<uint32_t>(shape.cluster);
  launch.sharedBytes = shape.sharedBytes(target.sharedBytes);
  launch.scalars = {group->experts, group->rows, group->n, group->k, shape.tileTokens};
  launch.programmatic = true;
  for (unsigned weight : group->weights)
    launch.tensorMaps.push_back(
        matrixMap(weight, {group->k, group->n, group->experts}, {64, shape.weightBox(), 1}));
  launch.tensorMaps.push_back(matrixMap(tokens, {group->k, group->rows}, {64, shape.tokenBox()}));
  plan.launches.push_back(std::move(launch));
  return plan;
}

const KernelTemplate &templates::gemm() {
  static const GemmTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
