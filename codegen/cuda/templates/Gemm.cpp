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
  int64_t parts;
  int64_t tileTokens; // of one tile, at most maxTokens

  int64_t weightRows() const { return splitK ? 64 : 128; }
  int64_t columns() const { return weightRows() / products; }
  uint32_t weightBox() const { return static_cast<uint32_t>(columns()); }
  uint32_t tokenBox() const { return static_cast<uint32_t>(std::min<int64_t>(maxTokens, 64)); }
  int64_t stageBytes() const { return 128 * 128 + (splitK ? 2 : parts) * maxTokens * 128; }
  int64_t stages(int64_t limit) const {
    return std::min<int64_t>((limit - restBytes()) / stageBytes(), 12);
  }
  int64_t restBytes() const { return 4 * std::min<int64_t>(maxTokens, 32) * 68 * 4 + 512; }
  uint32_t sharedBytes(int64_t limit) const {
    return static_cast<uint32_t>(stages(limit) * stageBytes() + restBytes());
  }
};

class GemmTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "gemm"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};

} // namespace

/// Microseconds of a tile's step along k (64 elements; 128 with splitK).
static double stepTime(const Shape &shape, int64_t tokens, int64_t tiles, int64_t running) {
  // The tensor cores multiply 128 rows of weights with 64 columns of k by 256 tokens in 0.62 us.
  double multiply = static_cast<double>(tokens * shape.parts) * 0.62 / 256;
  // From L2 to one processor, 68 KB a microsecond.
  double shared = shape.splitK ? 2 : static_cast<double>(shape.parts);
  double bytes =
      16.0 + shared * static_cast<double>(tokens) / static_cast<double>(shape.cluster) / 8;
  double load = bytes * 0.0148 + (shape.cluster == 2 ? 0.08 : 0.03);
  // From memory to all, 4000 KB a microsecond.  Tiles of one block of weights share what is read,
  // but two that run at the same time do not, and more do so in part.
  double shares = std::max(1.0, static_cast<double>(tiles) / 2);
  double memory = 16.0 / shares * static_cast<double>(running) / 4000;
  return std::max({multiply, load, memory});
}

/// Microseconds of a product; nothing if the shape is none for it.
static std::optional<double> timeOf(const GemmGroup &group, const Shape &shape,
                                    const CudaTarget &target) {
  if (shape.stages(target.sharedBytes) < 3 || (shape.cluster == 2 && shape.maxTokens < 128) ||
      (shape.splitK && (shape.products == 2 || shape.maxTokens > 64 || shape.parts > 1)))
    return std::nullopt;
  const int64_t rows = group.rowsOfExpert();
  // Experts differ: many have a quarter more rows than the mean.
  int64_t tiles = llvm::divideCeil(group.offsets ? rows + rows / 4 : rows, shape.tileTokens);
  auto tokens = static_cast<int64_t>(llvm::alignTo(llvm::divideCeil(rows, tiles), 16));
  int64_t blocks = llvm::divideCeil(group.n, shape.columns() * shape.cluster);
  int64_t lanes = target.processors / shape.cluster, all = tiles * blocks * group.experts;
  auto waves = static_cast<double>(llvm::divideCeil(all, lanes));
  auto steps = static_cast<double>(llvm::divideCeil(group.k, shape.splitK ? 128 : 64));
  return waves * steps * stepTime(shape, tokens, tiles, std::min(all, lanes) * shape.cluster);
}

/// The shape with the least expected time.
static Shape chooseShape(const GemmGroup &group, const CudaTarget &target, int64_t parts) {
  const auto products = static_cast<int64_t>(group.weights.size());
  std::optional<Shape> best;
  double least = 0;
  for (int64_t maxTokens : {16, 32, 64, 128, 256})
    for (int64_t tileTokens = maxTokens; tileTokens > maxTokens / 2; tileTokens -= 16)
      for (int64_t cluster : {1, 2})
        for (bool splitK : {false, true}) {
          Shape shape{products, maxTokens, cluster, splitK, parts, tileTokens};
          auto time = timeOf(group, shape, target);
          if (time && (!best || *time < 0.98 * least)) { // small ones have more stages
            least = *time;
            best = shape;
          }
        }
  return *best;
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
  source +=
      llvm::formatv("\nusing Shape = levin::kernels::GemmShape<{0}, {1}, {2}, {3}, {4}>;\n\n",
                    shape.products, shape.maxTokens, shape.cluster, shape.splitK, shape.parts);
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
      group.places || shape.parts > 1 ? ", void *scratch" : "",
      group.offsets ? llvm::formatv("static_cast<const int *>(b{0})", *group.offsets).str()
                    : std::string("nullptr"),
      group.tail.tail("b"), isPair ? "second" : "first");
  return source;
}

/// The launch that writes the rows which the product reads to the scratch bytes: the copies of
/// tokens that experts get lie together there, because the copy engine cannot collect rows, and
/// float32 tokens are taken apart.
static DeviceLaunch prepare(const GemmGroup &group, int64_t parts, KernelPlan &plan) {
  std::string places = group.places
                           ? llvm::formatv("static_cast<const int *>(b{0})", *group.places).str()
                           : "nullptr";
  plan.source += llvm::formatv(
      "extern \"C\" __global__ void __launch_bounds__(256)\n"
      "    NAME_rows({0}, void *scratch, int64_t choices, int64_t k, int64_t rows) {{\n"
      "  levin::kernels::{1}(static_cast<const {2} *>(b{3}), {4}, static_cast<__nv_bfloat16 "
      "*>(scratch),\n"
      "      static_cast<int>(choices), static_cast<int>(k), static_cast<int>(rows));\n"
      "}\n\n",
      bindingParameters(group), parts > 1 ? "gemmSplit" : "gemmDispatch",
      storageName(group.tokenType), group.tokens, places);
  plan.scratchBytes = static_cast<uint64_t>(parts * group.rows * group.k * 2);
  DeviceLaunch launch;
  launch.grid[0] = static_cast<uint32_t>(group.sourceRows);
  launch.block[0] = 256;
  launch.scalars = {group.choices, group.k, group.rows};
  launch.programmatic = true;
  return launch;
}

/// How many bf16 numbers make an element of the tokens; 0 if the tensor cores are no use.
static int64_t partsOf(const GemmGroup &group) {
  if (group.weightType != DType::BF16 || group.n % 8 != 0 || group.k % 8 != 0)
    return 0;
  if (group.tokenType == DType::BF16)
    return 1;
  // Three products instead of one, after a pass over the tokens.
  constexpr double worthwhile = 1e9;
  double multiplications =
      static_cast<double>(group.rows) * static_cast<double>(group.n) * static_cast<double>(group.k);
  return group.tokenType == DType::F32 && multiplications >= worthwhile ? 3 : 0;
}

std::optional<KernelPlan> GemmTemplate::plan(mlir::func::FuncOp kernel,
                                             const CudaTarget &target) const {
  auto group = analyseGemm(kernel);
  int64_t parts = group ? partsOf(*group) : 0;
  if (parts == 0)
    return std::nullopt;
  Shape shape = chooseShape(*group, target, parts);
  KernelPlan plan;
  plan.header = "gemm.cuh";
  unsigned tokens = group->tokens;
  if (group->places || parts > 1) {
    plan.launches.push_back(prepare(*group, parts, plan));
    tokens = group->bindings;
  }
  plan.source += sourceOf(*group, shape);
  DeviceLaunch launch;
  launch.symbol = nameByContent(plan.source, "gemm");
  if (!plan.launches.empty())
    plan.launches[0].symbol = launch.symbol + "_rows";
  launch.blocksPerProcessor = 1;
  launch.block[0] = 384;
  launch.cluster[0] = static_cast<uint32_t>(shape.cluster);
  launch.sharedBytes = shape.sharedBytes(target.sharedBytes);
  launch.scalars = {group->experts, group->rows, group->n, group->k, shape.tileTokens};
  launch.programmatic = true;
  for (unsigned weight : group->weights)
    launch.tensorMaps.push_back(
        matrixMap(weight, {group->k, group->n, group->experts}, {64, shape.weightBox(), 1}));
  launch.tensorMaps.push_back(
      matrixMap(tokens, {group->k, parts * group->rows}, {64, shape.tokenBox()}));
  plan.launches.push_back(std::move(launch));
  return plan;
}

const KernelTemplate &templates::gemm() {
  static const GemmTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
