// Lightning attention: kernels/lightning.cuh for one fused group.
//
// Sequences of one row and longer ones take different kernels, which run beside each other.  A
// bucket of no more tokens than sequences is for steps of one row each, and has the first alone.
#include "codegen/cuda/templates/Functor.h"
#include "codegen/cuda/templates/HeadView.h"
#include "codegen/cuda/templates/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>

namespace levin::cuda::templates {

using artifact::DeviceLaunch;
using artifact::DType;
using mlir::Value;

static constexpr int64_t anyLength = int64_t(1) << 40;
// Shared memory lists the sequences.
static constexpr int64_t mostSequences = 1024;
// A CTA of prefill that takes as long for a chunk as memory does for this many of them at once
// leaves nothing to gain from cutting a sequence.
static constexpr int64_t enoughBlocks = 44;
static constexpr int64_t mostSegments = 8;
static constexpr int64_t chunkRows = 64, segmentChunks = 8; // as in lightning_work.cuh
// Decode on fewer CTAs than this takes as long as it does on half as many columns each.
static constexpr int64_t busyBlocks = 120;

namespace {
struct LightningGroup {
  HeadView q, k, v;
  unsigned slopes = 0, state = 0, starts = 0, slots = 0, past = 0, output = 0;
  int64_t bindings = 0;
  int64_t tokens = 0, heads = 0, size = 0, slotCount = 0, sequences = 0;
  DType input = DType::Invalid, result = DType::Invalid;

  bool decodes() const { return size % 32 == 0; }
  /// Of the state, that a CTA of decode has: wide ones are read fastest.  Beside prefill it must do
  /// with a quarter of the registers.
  int64_t decodeColumns(bool concurrent) const {
    int64_t columns = 128;
    auto tooWide = [&] {
      return size % columns != 0 || size * columns > (concurrent ? 8192 : 16384) ||
             sequences * heads * (size / columns) < busyBlocks;
    };
    while (columns > 32 && tooWide())
      columns /= 2;
    return columns;
  }
  int64_t halves() const { return size / 64; }
  /// Tensor cores and the copy engine.
  bool prefills() const {
    return input == DType::BF16 && result == DType::BF16 && (size == 64 || size == 128) &&
           sequences <= mostSequences && tokens < (int64_t(1) << 31);
  }
  int64_t segments(const CudaTarget &target) const {
    int64_t blocks = sequences * heads * halves();
    if (blocks > enoughBlocks)
      return 1;
    return std::clamp<int64_t>(
        std::min(target.processors / blocks, tokens / (chunkRows * segmentChunks)), 1,
        mostSegments);
  }
};

class LightningTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "lightning_attention"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

static std::optional<LightningGroup> analyse(mlir::func::FuncOp kernel) {
  LightningGroup group;
  nn::LightningAttentionOp op;
  mlir::Block &body = kernel.getBody().front();
  for (mlir::Operation &other : body.without_terminator()) {
    if (auto attention = llvm::dyn_cast<nn::LightningAttentionOp>(other)) {
      if (op)
        return std::nullopt;
      op = attention;
    } else if (!llvm::isa<nn::SplitHeadsOp, mlir::arith::ExtFOp, mlir::arith::TruncFOp>(other)) {
      return std::nullopt;
    }
  }
  auto results = body.getTerminator()->getOperands();
  if (!op || results.size() != 2 || results[1] != op.getNewState())
    return std::nullopt;
  Value output = results[0];
  if (auto rounding = output.getDefiningOp<mlir::arith::TruncFOp>())
    output = rounding.getIn();
  if (output != op.getOutput())
    return std::nullopt;

  auto views = {std::pair(&group.q, op.getQ()), {&group.k, op.getK()}, {&group.v, op.getV()}};
  for (auto [view, value] : views) {
    auto type = llvm::cast<mlir::RankedTensorType>(value.getType());
    auto traced = traceHeads(value);
    if (!type.hasStaticShape() || !traced)
      return std::nullopt;
    *view = *traced;
    DType stored =
        floatDType(llvm::cast<mlir::RankedTensorType>(kernel.getArgument(view->argument).getType())
                       .getElementType());
    if (group.input != DType::Invalid && stored != group.input)
      return std::nullopt;
    group.input = stored;
  }
  auto arguments = {std::pair<unsigned *, Value>(&group.slopes, op.getSlopes()),
                    {&group.state, op.getState()},
                    {&group.starts, op.getStarts()},
                    {&group.slots, op.getSlots()},
                    {&group.past, op.getPast()}};
  for (auto [number, value] : arguments) {
    auto argument = argumentNumber(value);
    if (!argument)
      return std::nullopt;
    *number = *argument;
  }
  auto type = llvm::cast<mlir::RankedTensorType>(op.getQ().getType());
  group.tokens = type.getDimSize(0);
  group.heads = type.getDimSize(1);
  group.size = type.getDimSize(2);
  group.slotCount = llvm::cast<mlir::RankedTensorType>(op.getState().getType()).getDimSize(0);
  group.sequences = llvm::cast<mlir::RankedTensorType>(op.getSlots().getType()).getDimSize(0);
  group.result =
      floatDType(llvm::cast<mlir::RankedTensorType>(results[0].getType()).getElementType());
  group.output = kernel.getNumArguments();
  group.bindings = group.output + 1;
  auto runs = [](DType dtype) { return dtype == DType::BF16 || dtype == DType::F32; };
  if (!runs(group.input) || !runs(group.result) || group.tokens == 0 || group.sequences == 0 ||
      group.slotCount == 0 || group.size == 0 || group.size > 256 || group.heads > 65535 ||
      group.sequences > 65535)
    return std::nullopt;
  return group;
}

namespace {
/// The source of a group's kernels, and the launches of them.
class PlanBuilder {
public:
  PlanBuilder(const LightningGroup &group, const CudaTarget &target)
      : g(group), target(target), segments(g.prefills() ? g.segments(target) : 1) {}

  KernelPlan build();

private:
  const LightningGroup &g;
  const CudaTarget &target;
  const int64_t segments;
  KernelPlan plan;

  /// `const void *b0, .., const void *scratch, `
  std::string pointers() const;
  std::string heads(const HeadView &view) const;
  std::string columns(const HeadView &view) const;
  std::string arguments() const;
  std::string prefillArguments() const;
  DeviceLaunch &add(llvm::StringRef kind, const std::string &bounds,
                    llvm::ArrayRef<const char *> maps, const std::string &scalars,
                    const std::string &body);
  artifact::TensorMap map(unsigned binding, int64_t columns) const;
  void addDecode(int64_t longest, bool concurrent);
  void addPlain(int64_t shortest);
  void addPrefill(int64_t shortest);
  void persist(DeviceLaunch &launch) const;
};
} // namespace

std::string PlanBuilder::pointers() const {
  std::string text;
  for (int64_t i = 0; i < g.bindings; ++i)
    text += llvm::formatv("void *b{0}, ", i).str();
  return segments > 1 ? text + "void *scratch, " : text;
}
std::string PlanBuilder::heads(const HeadView &view) const {
  return llvm::formatv("{{static_cast<const {0} *>(b{1}) + {2}, {3}, {4}}", storageName(g.input),
                       view.argument, view.offset, view.row, view.head)
      .str();
}
std::string PlanBuilder::columns(const HeadView &view) const {
  return llvm::formatv("{{{0}, {1}}", view.head, view.offset).str();
}
std::string PlanBuilder::arguments() const {
  constexpr const char *format = R"(
  const levin::kernels::LightningArguments<{0}, {1}> arguments{{
      {2},
      {3},
      {4},
      static_cast<const float *>(b{5}), static_cast<float *>(b{6}),
      static_cast<const int32_t *>(b{7}), static_cast<const int32_t *>(b{8}),
      static_cast<const int32_t *>(b{9}), static_cast<{1} *>(b{10}), {11}, tokens, slotCount};
)";
  return llvm::formatv(format, storageName(g.input), storageName(g.result), heads(g.q), heads(g.k),
                       heads(g.v), g.slopes, g.state, g.starts, g.slots, g.past, g.output, g.heads)
      .str();
}
std::string PlanBuilder::prefillArguments() const {
  constexpr const char *format = R"(
  const levin::kernels::LightningPrefillArguments arguments{{
      {0}, {1}, {2},
      static_cast<const float *>(b{3}), static_cast<float *>(b{4}),
      static_cast<const int32_t *>(b{5}), static_cast<const int32_t *>(b{6}),
      static_cast<const int32_t *>(b{7}), static_cast<__nv_bfloat16 *>(b{8}),
      static_cast<float *>({9}), {10}, static_cast<int>(tokens), static_cast<int>(slotCount),
      static_cast<int>(sequences), static_cast<int>(shortest), {11}};
)";
  return llvm::formatv(format, columns(g.q), columns(g.k), columns(g.v), g.slopes, g.state,
                       g.starts, g.slots, g.past, g.output, segments > 1 ? "scratch" : "nullptr",
                       g.heads, segments)
      .str();
}

/// A kernel whose symbol depends on its text alone.
DeviceLaunch &PlanBuilder::add(llvm::StringRef kind, const std::string &bounds,
                               llvm::ArrayRef<const char *> maps, const std::string &scalars,
                               const std::string &body) {
  std::string parameters;
  for (const char *map : maps)
    parameters += llvm::formatv("const __grid_constant__ CUtensorMap {0}, ", map).str();
  parameters += pointers() + scalars;
  std::string symbol = llvm::formatv("lightning_{0}_d{1}_h{2}_{3}", kind, g.size, g.heads,
                                     digestOf(bounds + parameters + body))
                           .str();
  plan.moreSources.push_back(
      llvm::formatv("extern \"C\" __global__ void __launch_bounds__({0})\n{1}({2}) {{{3}}"
                    "\n\n",
                    bounds, symbol, parameters, body)
          .str());
  DeviceLaunch &launch = plan.launches.emplace_back();
  launch.symbol = symbol;
  return launch;
}

artifact::TensorMap PlanBuilder::map(unsigned binding, int64_t columns) const {
  artifact::TensorMap map;
  map.binding = binding;
  map.dtype = DType::BF16;
  map.swizzle = 128;
  map.extents = {uint64_t(columns), uint64_t(g.tokens)};
  map.strides = {uint64_t(2 * columns)};
  map.box = {64, 64};
  return map;
}

void PlanBuilder::addDecode(int64_t longest, bool concurrent) {
  int64_t columns = g.decodeColumns(concurrent);
  uint32_t threads = static_cast<uint32_t>(g.size * columns / 32);
  // Rows of float32 take a few registers more than 1024 threads have.
  uint32_t together = g.input == DType::F32 ? 896 : 1024;
  DeviceLaunch &launch = add("decode", llvm::formatv("{0}, {1}", threads, together / threads).str(),
                             {}, "int64_t tokens, int64_t slotCount, int64_t longest",
                             arguments() + llvm::formatv("  levin::kernels::lightningDecode<{0}, "
                                                         "{1}>(arguments, longest);\n",
                                                         g.size, columns)
                                               .str());
  launch.grid = {uint32_t(g.size / columns), uint32_t(g.heads), uint32_t(g.sequences)};
  launch.block = {threads, 1, 1};
  launch.scalars = {g.tokens, g.slotCount, longest};
  launch.concurrent = concurrent;
  launch.programmatic = !concurrent;
}
void PlanBuilder::addPlain(int64_t shortest) {
  int64_t warps = g.size <= 8 ? 1 : g.size <= 16 ? 2 : 4; // as LightningPlainShape
  DeviceLaunch &launch =
      add("plain", std::to_string(32 * warps) + ", 1", {},
          "int64_t tokens, int64_t slotCount, int64_t shortest",
          arguments() +
              llvm::formatv("  levin::kernels::lightningPlain<{0}>(arguments, shortest);\n", g.size)
                  .str());
  launch.grid = {uint32_t(llvm::divideCeil(g.size, 8 * warps)), uint32_t(g.heads),
                 uint32_t(g.sequences)};
  launch.block = {uint32_t(32 * warps), 1, 1};
  launch.scalars = {g.tokens, g.slotCount, shortest};
}

/// CTAs that go through a list of work: as many as the card holds, or as there may be work for.
void PlanBuilder::persist(DeviceLaunch &launch) const {
  int64_t blocks = g.sequences * g.heads * segments * g.halves();
  if (blocks < target.processors)
    launch.grid = {uint32_t(blocks), 1, 1};
  else
    launch.blocksPerProcessor = 1;
  launch.scalars = {g.tokens, g.slotCount, g.sequences};
}
void PlanBuilder::addPrefill(int64_t shortest) {
  std::string scalars = "int64_t tokens, int64_t slotCount, int64_t sequences, int64_t shortest";
  auto mapOf = [&](const HeadView &view) { return map(view.argument, view.row); };
  // As the shapes of the kernels, which are held to it: 1024 bytes of alignment, tiles of 8 KiB, a
  // table, barriers, lists.
  const uint32_t tile = chunkRows * 128, lists = static_cast<uint32_t>(8 * g.sequences);
  const uint32_t halves = static_cast<uint32_t>(g.halves()), stages = g.size == 128 ? 3 : 4;
  auto body = [&](llvm::StringRef shape, uint32_t sharedBytes, llvm::StringRef call) {
    constexpr const char *format = R"(
  static_assert(levin::kernels::{0}<{1}>::fixedBytes == {2});{3}  levin::kernels::{4};
)";
    return llvm::formatv(format, shape, g.size, sharedBytes, prefillArguments(), call).str();
  };
  auto call = [&](llvm::StringRef name, llvm::StringRef maps) {
    return llvm::formatv("{0}<{1}>({2}, arguments)", name, g.size, maps).str();
  };
  if (segments > 1) {
    const uint32_t bytes = 1024 + 6 * (halves + 1) * tile + chunkRows * 4 + 2 * 6 * 8 + 16;
    DeviceLaunch &launch =
        add("segments", "256, 1", {"k", "v"}, scalars,
            body("LightningSegmentsShape", bytes, call("lightningSegments", "&k, &v")));
    launch.tensorMaps = {mapOf(g.k), mapOf(g.v)};
    launch.block = {256, 1, 1};
    persist(launch);
    launch.scalars.push_back(shortest);
    launch.sharedBytes = bytes + lists;
    plan.scratchBytes =
        static_cast<uint64_t>(g.sequences * g.heads * segments * g.size * g.size) * 4;
  }
  const uint32_t bytes =
      1024 + (stages * (2 * halves + 1) + 6) * tile + (2 * stages + 4) * 8 + 16 + 16;
  DeviceLaunch &launch =
      add("prefill", "512, 1", {"q", "k", "v", "output"}, scalars,
          body("LightningPrefillShape", bytes, call("lightningPrefill", "&q, &k, &v, &output")));
  launch.tensorMaps = {mapOf(g.q), mapOf(g.k), mapOf(g.v), map(g.output, g.heads * g.size)};
  launch.cluster = {halves, 1, 1}; // they share q and k
  launch.block = {384, 1, 1};
  persist(launch);
  launch.scalars.push_back(shortest);
  launch.sharedBytes = bytes + lists;
}

KernelPlan PlanBuilder::build() {
  plan.header = "lightning.cuh";
  if (g.tokens <= g.sequences && g.decodes()) {
    addDecode(anyLength, false); // longer ones are right, if slow
  } else if (g.prefills() && g.sequences == 1) {
    addPrefill(1);
  } else if (g.decodes()) {
    if (g.prefills())
      addPrefill(2);
    else
      addPlain(2);
    addDecode(1, true);
  } else {
    addPlain(1);
  }
  return std::move(plan);
}

std::optional<KernelPlan> LightningTemplate::plan(mlir::func::FuncOp kernel,
                                                  const CudaTarget &target) const {
  auto group = analyse(kernel);
  if (!group)
    return std::nullopt;
  return PlanBuilder(*group, target).build();
}

const KernelTemplate &lightning() {
  static const LightningTemplate instance;
  return instance;
}

} // namespace levin::cuda::templates
