// Products of bf16 tokens with int8 and int4 weights (kernels/gemm_quantised.cuh).
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;
using artifact::DType;
using artifact::TensorMap;

namespace {

/// Constants of a kernels::QuantisedShape, computed as it does.
struct Shape {
  int64_t products, maxTokens, bits;

  int64_t columns() const { return 128 / products; }
  int64_t rowBytes() const { return 8 * bits; }
  uint32_t tokenBox() const { return static_cast<uint32_t>(std::min<int64_t>(maxTokens, 32)); }
  uint32_t sharedBytes(int64_t limit) const {
    int64_t stage = 128 * rowBytes() + maxTokens * 128;
    int64_t rest = 4 * tokenBox() * 68 * 4 + 512;
    return static_cast<uint32_t>(std::min<int64_t>((limit - rest) / stage, 16) * stage + rest);
  }
};

class GemmQuantisedTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemm_quantised"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};

} // namespace

/// Tiles that hold the rows of most experts: weights are what has to be read.
static Shape chooseShape(const GemmGroup &group) {
  int64_t rows = group.rowsOfExpert();
  if (group.offsets)
    rows += rows / 2;
  Shape shape{static_cast<int64_t>(group.weights.size()), 16, group.quantised->bits};
  while (shape.maxTokens < 128 && shape.maxTokens < rows)
    shape.maxTokens *= 2;
  return shape;
}

static TensorMap matrixMap(unsigned binding, DType dtype, uint32_t swizzle,
                           llvm::ArrayRef<int64_t> extents, llvm::ArrayRef<uint32_t> box) {
  TensorMap map;
  map.binding = binding;
  map.dtype = dtype;
  map.swizzle = swizzle;
  uint64_t stride = artifact::byteSize(dtype);
  for (int64_t extent : extents) {
    map.extents.push_back(static_cast<uint64_t>(extent));
    map.strides.push_back(stride *= static_cast<uint64_t>(extent));
  }
  map.strides.pop_back();
  map.box.assign(box.begin(), box.end());
  return map;
}

static std::string pointer(llvm::StringRef type, unsigned binding) {
  return llvm::formatv("static_cast<const {0} *>(b{1})", type, binding);
}

static std::string sourceOf(const GemmGroup &group, const Shape &shape) {
  const GemmGroup::Quantised &quantised = *group.quantised;
  bool isPair = shape.products == 2;
  std::string scaleType = storageName(quantised.scaleType).str();
  std::string source = llvm::formatv(
      "extern \"C\" __global__ void __launch_bounds__(128)\n"
      "    NAME_rows({0}, void *scratch, int64_t choices, int64_t k, int64_t rows) {{\n"
      "  levin::kernels::gemmArrange<{1}>({2}, {3}, static_cast<__nv_bfloat16 *>(scratch),\n"
      "      static_cast<int>(choices), static_cast<int>(k), static_cast<int>(rows));\n"
      "}\n\n",
      bindingParameters(group), shape.bits, pointer("__nv_bfloat16", group.tokens),
      group.places ? pointer("int", *group.places) : "nullptr");
  source += group.tail.source;
  source += llvm::formatv("\nusing Shape = levin::kernels::QuantisedShape<{0}, {1}, {2}>;\n\n",
                          shape.products, shape.maxTokens, shape.bits);
  source += llvm::formatv(
      "extern \"C\" __global__ void __launch_bounds__(Shape::threads, 1)\n"
      "    NAME(const __grid_constant__ CUtensorMap first,{0}\n"
      "         const __grid_constant__ CUtensorMap tokens, {1}, void *scratch,\n"
      "         int64_t experts, int64_t rows, int64_t n, int64_t k, int64_t tileTokens,\n"
      "         int64_t group) {{\n"
      "  const levin::kernels::GemmProblem problem{{{2}, static_cast<int>(experts),\n"
      "      static_cast<int>(rows), static_cast<int>(n), static_cast<int>(k),\n"
      "      static_cast<int>(tileTokens)};\n"
      "  const levin::kernels::GemmScales<{3}> scales{{{4}, {5}, static_cast<int>(group)};\n"
      "  const levin::kernels::Tail<Element> tail{6};\n"
      "  levin::kernels::gemmQuantised<Shape, Element>(&first, &{7}, &tokens, scales, tail, "
      "problem);\n"
      "}\n",
      isPair ? " const __grid_constant__ CUtensorMap second," : "", bindingParameters(group),
      group.offsets ? pointer("int", *group.offsets) : "nullptr", scaleType,
      pointer(scaleType, quantised.scales.front()), pointer(scaleType, quantised.scales.back()),
      group.tail.tail("b"), isPair ? "second" : "first");
  return source;
}

std::optional<KernelPlan> GemmQuantisedTemplate::plan(mlir::func::FuncOp kernel,
                                                      const CudaTarget &target) const {
  auto group = analyseQuantisedGemm(kernel);
  if (!group || group->tokenType != DType::BF16 || group->n % 8 != 0 || group->k % 64 != 0 ||
      group->quantised->group % 64 != 0)
    return std::nullopt;
  Shape shape = chooseShape(*group);
  KernelPlan plan;
  plan.header = "gemm_quantised.cuh";
  plan.source = sourceOf(*group, shape);
  plan.scratchBytes = static_cast<uint64_t>(group->rows * group->k * 2);
  DeviceLaunch arrange, launch;
  launch.symbol = nameByContent(plan.source, "gemm_quantised");
  launch.blocksPerProcessor = 1;
  launch.block[0] = 384;
  launch.sharedBytes = shape.sharedBytes(target.sharedBytes);
  launch.scalars = {group->experts, group->rows,     group->n,
                    group->k,       shape.maxTokens, group->quantised->group};
  launch.programmatic = true;
  auto rowBytes = static_cast<uint32_t>(shape.rowBytes());
  for (unsigned weight : group->weights)
    launch.tensorMaps.push_back(matrixMap(weight, DType::U8, rowBytes,
                                          {group->k * shape.bits / 8, group->n, group->experts},
                                          {rowBytes, static_cast<uint32_t>(shape.columns()), 1}));
  launch.tensorMaps.push_back(matrixMap(group->bindings, DType::BF16, 128, {group->k, group->rows},
                                        {64, shape.tokenBox()}));
  arrange.symbol = launch.symbol + "_rows";
  arrange.grid[0] = static_cast<uint32_t>(group->sourceRows);
  arrange.block[0] = 128;
  arrange.scalars = {group->choices, group->k, group->rows};
  arrange.programmatic = true;
  plan.launches = {std::move(arrange), std::move(launch)};
  return plan;
}

const KernelTemplate &templates::gemmQuantised() {
  static const GemmQuantisedTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
