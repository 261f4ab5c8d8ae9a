// moe.route (kernels/route.cuh).
#include "codegen/cuda/templates/Functor.h"
#include "codegen/cuda/templates/Templates.h"

#include "dialects/moe/Moe.h"

#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/MathExtras.h"

namespace levin::cuda {

using artifact::DeviceLaunch;

namespace {
class RouteTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "route"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};

/// A kernel that is one moe.route, and where its operands and results are bound.
struct Routing {
  moe::RouteOp op;
  unsigned scores, starts, weights, rows, offsets;
  int64_t tokens, experts, choices, sequences;
};
} // namespace

static std::optional<Routing> analyse(mlir::func::FuncOp kernel) {
  mlir::Block &block = kernel.getBody().front();
  if (block.getOperations().size() != 2 || kernel.getNumResults() != 3)
    return std::nullopt;
  auto op = llvm::dyn_cast<moe::RouteOp>(block.front());
  if (!op)
    return std::nullopt;
  auto scores = llvm::dyn_cast<mlir::BlockArgument>(op.getScores());
  auto starts = llvm::dyn_cast<mlir::BlockArgument>(op.getStarts());
  auto type = llvm::cast<mlir::RankedTensorType>(op.getScores().getType());
  auto startsType = llvm::cast<mlir::RankedTensorType>(op.getStarts().getType());
  if (!scores || !starts || !type.hasStaticShape() || !startsType.hasStaticShape() ||
      !type.getElementType().isF32())
    return std::nullopt;
  auto bindingOf = [&](mlir::Value result) {
    auto returned = block.getTerminator()->getOperands();
    return kernel.getNumArguments() +
           static_cast<unsigned>(std::distance(returned.begin(), llvm::find(returned, result)));
  };
  Routing routing{op,
                  scores.getArgNumber(),
                  starts.getArgNumber(),
                  bindingOf(op.getWeights()),
                  bindingOf(op.getRows()),
                  bindingOf(op.getOffsets()),
                  type.getDimSize(0),
                  type.getDimSize(1),
                  static_cast<int64_t>(op.getChoices()),
                  startsType.getDimSize(0) - 1};
  unsigned end = kernel.getNumArguments() + 3;
  if (routing.weights == end || routing.rows == end || routing.offsets == end)
    return std::nullopt;
  return routing;
}

/// Bytes of a kernels::RouteShared.
static int64_t sharedBytes(const Routing &routing, int64_t tokens, int64_t warps) {
  return tokens * routing.choices * 4 + (warps + 2) * routing.experts * 4 + 4;
}

std::optional<KernelPlan> RouteTemplate::plan(mlir::func::FuncOp kernel,
                                              const CudaTarget &target) const {
  auto routing = analyse(kernel);
  if (!routing || routing->tokens < 1 || routing->tokens > int64_t(1) << 24 ||
      routing->experts > 256 || routing->choices > 32 || routing->sequences < 1)
    return std::nullopt;
  // A CTA for all tokens (fewer warps for few tokens, who meet sooner), or many of them.
  constexpr int64_t manyTokens = 64, limit = 48 * 1024;
  int64_t oneTokens = routing->tokens <= 8 ? 8 : 128, oneThreads = oneTokens == 8 ? 256 : 1024;
  bool one =
      routing->tokens <= oneTokens && sharedBytes(*routing, oneTokens, oneThreads / 32) <= limit;

  KernelPlan plan;
  plan.header = "route.cuh";
  std::string parameters;
  for (unsigned i = 0; i < kernel.getNumArguments() + 3; ++i)
    parameters += llvm::formatv("{0}void *b{1}", i ? ", " : "", i);
  std::string shape = llvm::formatv(
      "using Shape = levin::kernels::RouteShape<{0}, {1}, {2}, {3}, {4}>;\n", routing->experts,
      routing->choices, routing->op.getNormalize() ? "true" : "false", one ? oneTokens : manyTokens,
      one ? oneThreads : 256);
  std::string inputs =
      llvm::formatv("static_cast<const float *>(b{0}), static_cast<const int32_t *>(b{1})",
                    routing->scores, routing->starts);
  std::string places = llvm::formatv("static_cast<int32_t *>(b{0}), static_cast<int32_t *>(b{1})",
                                     routing->rows, routing->offsets);
  std::string weights = llvm::formatv("static_cast<float *>(b{0})", routing->weights);
  std::string stem = "route_" + digestOf(shape + inputs + weights + places);
  const char *head = "extern \"C\" __global__ void __launch_bounds__(Shape::Threads)\n"
                     "    {0}({1}{2}, int64_t tokens, int64_t sequences) {{\n";
  DeviceLaunch launch;
  launch.block[0] = one ? static_cast<uint32_t>(oneThreads) : 256;
  launch.scalars = {routing->tokens, routing->sequences};
  launch.programmatic = true;
  if (one) {
    plan.source = shape + llvm::formatv(/*Validate=*/false, head, stem, parameters, "").str() +
                  llvm::formatv("  levin::kernels::route<Shape>({0}, {1}, {2}, tokens, "
                                "sequences);\n}\n",
                                inputs, weights, places)
                      .str();
    launch.symbol = stem;
    plan.launches = {launch};
    return plan;
  }
  // Scratch: the entries, then what each CTA counted.
  int64_t blocks = llvm::divideCeil(routing->tokens, manyTokens);
  int64_t entries = routing->tokens * routing->choices;
  std::string scratch = "  auto *entries = static_cast<int32_t *>(scratch);\n"
                        "  int32_t *counts = entries + tokens * Shape::Choices;\n";
  plan.source =
      shape +
      llvm::formatv(/*Validate=*/false, head, stem + "_choose", parameters, ", void *scratch")
          .str() +
      scratch +
      llvm::formatv("  levin::kernels::choose<Shape>({0}, {1}, entries, counts, tokens, "
                    "sequences);\n}\n",
                    inputs, weights)
          .str() +
      llvm::formatv(/*Validate=*/false, head, stem + "_place", parameters, ", void *scratch")
          .str() +
      scratch +
      llvm::formatv("  levin::kernels::place<Shape>(entries, counts, {0}, tokens);\n}\n", places)
          .str();
  plan.scratchBytes = static_cast<uint64_t>(entries + blocks * routing->experts) * 4;
  launch.grid[0] = static_cast<uint32_t>(blocks);
  for (const char *part : {"_choose", "_place"}) {
    launch.symbol = stem + part;
    plan.launches.push_back(launch);
  }
  return plan;
}

const KernelTemplate &templates::route() {
  static const RouteTemplate kernel;
  return kernel;
}

} // namespace levin::cuda
