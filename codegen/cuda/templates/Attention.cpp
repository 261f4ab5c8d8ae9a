// Softmax attention over pages: kernels/attention.cuh for one fused group.
//
// Sequences of one row and longer ones take different kernels, which run beside each other.  Where
// a bucket has no more tokens than sequences, longer ones are rare and short: a simple kernel takes
// them.
#include "codegen/cuda/templates/Functor.h"
#include "codegen/cuda/templates/HeadView.h"
#include "codegen/cuda/templates/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace levin::cuda::templates {

using artifact::DeviceLaunch;
using artifact::DType;
using mlir::Value;

static constexpr int64_t pageRows = 64; // as in kernels/attention_batch.cuh
// Runs that decode may be cut into, for each CTA of a multiprocessor: for cards that have more of
// them than the one planned for.
static constexpr int64_t spareProcessors = 160;

namespace {
struct AttentionGroup {
  HeadView q, k, v;
  unsigned keys = 0, values = 0, starts = 0, pages = 0, past = 0, output = 0;
  int64_t bindings = 0;
  int64_t tokens = 0, heads = 0, groups = 0, size = 0;
  int64_t sequences = 0, blocks = 0, poolPages = 0;
  double scale = 1, theta = 1;
  int64_t width = 0; // 0: no rotation
  DType input = DType::Invalid, page = DType::Invalid, result = DType::Invalid;

  int64_t perGroup() const { return heads / groups; }
  /// Tensor cores and the copy engine.
  bool isFast() const {
    auto aligned = [](const HeadView &view) {
      return view.row % 8 == 0 && view.head % 8 == 0 && view.offset % 8 == 0;
    };
    return input == DType::BF16 && result == DType::BF16 &&
           (page == DType::BF16 || page == DType::F8E4M3) && (size == 64 || size == 128) &&
           width % 16 == 0 && perGroup() <= 16 && aligned(q) && aligned(k) && aligned(v);
  }
};

class AttentionTemplate : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "paged_attention"; }
  std::optional<KernelPlan> plan(mlir::func::FuncOp kernel,
                                 const CudaTarget &target) const override;
};
} // namespace

static int64_t extent(Value tensor, unsigned dimension) {
  return llvm::cast<mlir::RankedTensorType>(tensor.getType()).getDimSize(dimension);
}
static DType elementOf(Value tensor) {
  return floatDType(llvm::cast<mlir::RankedTensorType>(tensor.getType()).getElementType());
}

/// `heads` behind its rotation, if that is by the batch and the constants of the group.
static bool traceRotated(AttentionGroup &group, nn::PagedAttentionOp op, bool isQuery, Value heads,
                         HeadView &view) {
  auto rotary = heads.getDefiningOp<nn::RotaryOp>();
  int64_t width = rotary ? static_cast<int64_t>(rotary.getWidth()) : 0;
  double theta = rotary ? rotary.getTheta().convertToDouble() : 1;
  if (rotary) {
    if (rotary.getStarts() != op.getStarts() || rotary.getPast() != op.getPast())
      return false;
    heads = rotary.getInput();
  }
  if (isQuery) {
    group.width = width;
    group.theta = theta;
  } else if (group.width != width || group.theta != theta) {
    return false;
  }
  auto traced = traceHeads(heads);
  if (traced)
    view = *traced;
  return traced.has_value();
}

static std::optional<AttentionGroup> analyse(mlir::func::FuncOp kernel) {
  AttentionGroup group;
  nn::PagedAttentionOp op;
  mlir::Block &body = kernel.getBody().front();
  for (mlir::Operation &other : body.without_terminator()) {
    if (auto attention = llvm::dyn_cast<nn::PagedAttentionOp>(other)) {
      if (op)
        return std::nullopt;
      op = attention;
    } else if (!llvm::isa<nn::SplitHeadsOp, nn::RotaryOp, mlir::arith::ExtFOp,
                          mlir::arith::TruncFOp>(other)) {
      return std::nullopt;
    }
  }
  auto results = body.getTerminator()->getOperands();
  if (!op || results.size() != 3 || results[1] != op.getNewKeys() ||
      results[2] != op.getNewValues())
    return std::nullopt;
  Value output = results[0];
  if (auto rounding = output.getDefiningOp<mlir::arith::TruncFOp>())
    output = rounding.getIn();
  if (output != op.getOutput() || !traceRotated(group, op, true, op.getQ(), group.q) ||
      !traceRotated(group, op, false, op.getK(), group.k))
    return std::nullopt;
  auto v = traceHeads(op.getV());
  if (!v)
    return std::nullopt;
  group.v = *v;
  group.input = elementOf(kernel.getArgument(group.q.argument));
  if (elementOf(kernel.getArgument(group.k.argument)) != group.input ||
      elementOf(kernel.getArgument(group.v.argument)) != group.input)
    return std::nullopt;
  auto arguments = {std::pair<unsigned *, Value>(&group.keys, op.getKeys()),
                    {&group.values, op.getValues()},
                    {&group.starts, op.getStarts()},
                    {&group.pages, op.getPages()},
                    {&group.past, op.getPast()}};
  for (auto [number, value] : arguments) {
    auto argument = argumentNumber(value);
    if (!argument)
      return std::nullopt;
    *number = *argument;
  }
  group.output = kernel.getNumArguments();
  group.bindings = group.output + 1;
  group.scale = op.getScale().convertToDouble();
  group.tokens = extent(op.getQ(), 0);
  group.heads = extent(op.getQ(), 1);
  group.size = extent(op.getQ(), 2);
  group.groups = extent(op.getK(), 1);
  group.sequences = extent(op.getPages(), 0);
  group.blocks = extent(op.getPages(), 1);
  group.poolPages = extent(op.getKeys(), 0);
  group.page = elementOf(op.getKeys());
  group.result = elementOf(results[0]);
  auto runs = [](DType dtype) { return dtype == DType::BF16 || dtype == DType::F32; };
  constexpr int64_t most = int64_t(1) << 31; // of what kernels count in int32
  if (!runs(group.input) || !runs(group.result) || group.page == DType::Invalid ||
      elementOf(op.getValues()) != group.page || extent(op.getKeys(), 2) != pageRows ||
      group.tokens == 0 || group.sequences == 0 || group.blocks == 0 || group.poolPages == 0 ||
      group.size == 0 || group.size > 256 || group.groups > 65535 || group.sequences > 65535 ||
      group.heads > 65535 || group.tokens * group.heads >= most ||
      group.blocks * pageRows >= most || group.sequences * group.blocks * group.groups >= most ||
      group.poolPages * group.groups * pageRows >= most)
    return std::nullopt;
  return group;
}

namespace {
/// The source of a group's kernels, and the launches of them.
class PlanBuilder {
public:
  PlanBuilder(const AttentionGroup &group, const CudaTarget &target) : g(group), target(target) {}

  KernelPlan build();

private:
  const AttentionGroup &g;
  const CudaTarget &target;
  KernelPlan plan;
  std::string shape, constants; // name and text of the struct of constants
  uint64_t turnOffset = 0;

  void makeShape();
  int64_t channelsAtOnce() const;
  std::string view(const HeadView &view) const;
  std::string pages(unsigned binding, bool isConst) const;
  DeviceLaunch &add(llvm::StringRef kind, const std::string &bounds, bool mapped,
                    llvm::ArrayRef<std::pair<const char *, int64_t>> scalars,
                    const std::string &body);
  void addStore(int64_t least);
  void addPrefill();
  void addDecode(bool concurrent);
  void addPlain(int64_t least);
  void addFew();
  uint32_t plainShared() const;
  int64_t partialCount() const {
    return g.perGroup() * g.size + static_cast<int64_t>(llvm::alignTo(2 * g.perGroup(), 4));
  }
};
} // namespace

/// A float as C++ that means every bit of it.
static std::string exact(float value) {
  return llvm::formatv("__builtin_bit_cast(float, {0}u)", std::bit_cast<uint32_t>(value)).str();
}

void PlanBuilder::makeShape() {
  std::string table;
  for (float frequency : nn::rotaryFrequencies(g.theta, g.width))
    table += exact(frequency) + ", ";
  constexpr const char *format = R"({
  using Input = {0};
  using Page = {1};
  using Output = {2};
  static constexpr int heads = {3}, groups = {4}, size = {5}, width = {6};
  static constexpr int qRow = {7}, qHead = {8}, kRow = {9}, kHead = {10}, vRow = {11}, vHead = {12};
  static constexpr float scale = {13};
  static __device__ __forceinline__ float frequency(int j) {
    static constexpr float table[] = {{{14}};
    return table[j];
  }
};

)";
  std::string text = llvm::formatv(format, storageName(g.input), storageName(g.page),
                                   storageName(g.result), g.heads, g.groups, g.size, g.width,
                                   g.q.row, g.q.head, g.k.row, g.k.head, g.v.row, g.v.head,
                                   exact(static_cast<float>(g.scale)), table.empty() ? "0" : table)
                         .str();
  shape = "AttentionShape_" + digestOf(text);
  constants = "struct " + shape + " " + text;
}

/// Channels that a thread of the store takes at once.
int64_t PlanBuilder::channelsAtOnce() const {
  int64_t divisor = std::gcd(std::gcd(g.size, g.width / 2), int64_t(8));
  for (const HeadView *view : {&g.k, &g.v})
    divisor = std::gcd(std::gcd(divisor, view->row), std::gcd(view->head, view->offset));
  return divisor;
}

std::string PlanBuilder::view(const HeadView &view) const {
  return llvm::formatv("static_cast<const {0} *>(b{1}) + {2}", storageName(g.input), view.argument,
                       view.offset)
      .str();
}
std::string PlanBuilder::pages(unsigned binding, bool isConst) const {
  return llvm::formatv("static_cast<{0}{1} *>(b{2})", isConst ? "const " : "", storageName(g.page),
                       binding)
      .str();
}

/// A kernel whose symbol depends on its text alone.  `body` calls a function of the kernel headers
/// with `batch` and the scalars.
DeviceLaunch &PlanBuilder::add(llvm::StringRef kind, const std::string &bounds, bool mapped,
                               llvm::ArrayRef<std::pair<const char *, int64_t>> scalars,
                               const std::string &body) {
  std::string parameters;
  if (mapped)
    parameters += "const __grid_constant__ CUtensorMap keyMap, "
                  "const __grid_constant__ CUtensorMap valueMap, ";
  for (int64_t i = 0; i < g.bindings; ++i)
    parameters += llvm::formatv("void *b{0}, ", i).str();
  if (plan.scratchBytes != 0)
    parameters += "void *scratch, ";
  parameters += "int64_t tokens, int64_t sequences, int64_t blocks, int64_t poolPages";
  for (auto [name, value] : scalars)
    parameters += llvm::formatv(", int64_t {0}", name).str();
  constexpr const char *format = R"(
  using namespace levin::kernels::attention;
  const Batch batch{{static_cast<const int32_t *>(b{0}), static_cast<const int32_t *>(b{1}),
                    static_cast<const int32_t *>(b{2}), static_cast<int>(tokens),
                    static_cast<int>(sequences), static_cast<int>(blocks),
                    static_cast<int>(poolPages)};
  {3}
)";
  std::string text = llvm::formatv(format, g.starts, g.past, g.pages, body).str();
  std::string symbol = llvm::formatv("attention_{0}_d{1}_h{2}x{3}_{4}", kind, g.size, g.groups,
                                     g.perGroup(), digestOf(shape + bounds + parameters + text))
                           .str();
  // Kernels are compiled apart: buckets have different sets of them.
  std::string source = llvm::formatv("{0}extern \"C\" __global__ void __launch_bounds__({1})\n"
                                     "{2}({3}) {{{4}}\n",
                                     constants, bounds, symbol, parameters, text)
                           .str();
  if (plan.source.empty())
    plan.source = std::move(source);
  else
    plan.moreSources.push_back(std::move(source));
  DeviceLaunch &launch = plan.launches.emplace_back();
  launch.symbol = symbol;
  launch.scalars = {g.tokens, g.sequences, g.blocks, g.poolPages};
  for (auto [name, value] : scalars)
    launch.scalars.push_back(value);
  if (mapped) {
    for (unsigned binding : {g.keys, g.values}) {
      int64_t bytes = static_cast<int64_t>(artifact::byteSize(g.page));
      int64_t row = g.size * bytes;
      artifact::TensorMap map;
      map.binding = binding;
      map.dtype = g.page;
      map.swizzle = static_cast<uint32_t>(std::min<int64_t>(row, 128));
      map.extents = {uint64_t(g.size), uint64_t(g.poolPages * g.groups * pageRows)};
      map.strides = {uint64_t(row)};
      map.box = {uint32_t(map.swizzle / bytes), uint32_t(pageRows)};
      launch.tensorMaps.push_back(map);
    }
  }
  return launch;
}

void PlanBuilder::addStore(int64_t least) {
  std::string table =
      g.isFast() && g.width > 0
          ? llvm::formatv("reinterpret_cast<Turn *>(static_cast<uint8_t *>(scratch) + {0})",
                          turnOffset)
                .str()
          : "nullptr";
  DeviceLaunch &launch =
      add("store", "256", false, {{"least", least}},
          llvm::formatv("attentionStore<{0}, {1}>(batch, static_cast<int>(least), {2}, {3}, {4}, "
                        "{5}, {6});",
                        shape, channelsAtOnce(), view(g.k), view(g.v), pages(g.keys, false),
                        pages(g.values, false), table)
              .str());
  launch.grid = {uint32_t(llvm::divideCeil(g.tokens, 8)), 1, 1}; // as storeRows
  launch.block = {256, 1, 1};
  launch.programmatic = true;
}

void PlanBuilder::addPrefill() {
  // Six tiles of 128 rows, for fp8 two more as they are stored, what describes them, barriers; 1024
  // bytes of alignment.
  int64_t raw = g.page == DType::BF16 ? 0 : 2 * 128 * g.size;
  int64_t shared = 6 * 128 * 2 * g.size + raw + 128 + 128 + 1024;
  DeviceLaunch &launch =
      add("prefill", "384, 1", true, {},
          llvm::formatv("static_assert(PrefillLayout<{0}>::sharedBytes == {5});\n  "
                        "attentionPrefill<{0}>(&keyMap, &valueMap, batch, {1}, static_cast<{2} *>"
                        "(b{3}), reinterpret_cast<const Turn *>(static_cast<uint8_t *>(scratch) + "
                        "{4}));",
                        shape, view(g.q), storageName(g.result), g.output, turnOffset, shared)
              .str());
  launch.block = {384, 1, 1};
  int64_t tiles = (g.tokens * g.perGroup() / 128 + g.sequences) * g.groups;
  if (tiles < target.processors)
    launch.grid = {uint32_t(tiles), 1, 1};
  else
    launch.blocksPerProcessor = 1;
  launch.sharedBytes = static_cast<uint32_t>(shared);
  launch.programmatic = true;
}

void PlanBuilder::addDecode(bool concurrent) {
  // As DecodeLayout.
  int64_t tiles = llvm::divideCeil(g.perGroup(), 8), queries = 8 * tiles;
  int64_t perProcessor = tiles == 1 ? 2 : 1;
  int64_t rowBytes = g.size * static_cast<int64_t>(artifact::byteSize(g.page));
  int64_t stageBytes = 2 * pageRows * rowBytes;
  int64_t stages = std::min<int64_t>(196608 / perProcessor / stageBytes, 8);
  int64_t shared = stages * stageBytes + queries * g.size * 2 + queries * (g.size + 4) * 4 +
                   2 * rowBytes + 2 * 4 * queries * 4 + queries * 4 + g.width / 2 * 8;
  shared = llvm::alignTo(shared, 8) + stages * 16 + 1024;
  int64_t mostRuns = perProcessor * std::max<int64_t>(target.processors, spareProcessors);
  DeviceLaunch &decode = add(
      "decode", "160, " + std::to_string(perProcessor), true,
      {{"leastUnits", 1}, {"mostRuns", mostRuns}},
      llvm::formatv("static_assert(DecodeLayout<{0}>::sharedBytes == {8});\n  "
                    "static_assert(DecodeLayout<{0}>::partialCount == {9});\n  "
                    "pagedDecode<{0}>(&keyMap, &valueMap, batch, {1}, {2}, {3}, {4}, {5}, "
                    "static_cast<{6} *>(b{7}), scratch, static_cast<int>(leastUnits), "
                    "static_cast<int>(mostRuns));",
                    shape, view(g.q), view(g.k), view(g.v), pages(g.keys, false),
                    pages(g.values, false), storageName(g.result), g.output, shared, partialCount())
          .str());
  // A CTA each on half of the processors still reads at nearly full speed, and leaves the others to
  // prefill, whose CTAs need all registers.
  if (concurrent)
    decode.grid = {std::max(target.processors / 2, 1u), 1, 1};
  else
    decode.blocksPerProcessor = static_cast<uint32_t>(perProcessor);
  decode.block = {160, 1, 1};
  decode.sharedBytes = static_cast<uint32_t>(shared);
  decode.concurrent = concurrent;
  decode.programmatic = true;
  DeviceLaunch &combine = add("combine", std::to_string(g.size), false, {},
                              llvm::formatv("pagedCombine<{0}>(batch, static_cast<{1} *>(b{2}), "
                                            "scratch);",
                                            shape, storageName(g.result), g.output)
                                  .str());
  combine.grid = {uint32_t(g.heads), uint32_t(g.sequences), 1};
  combine.block = {uint32_t(g.size), 1, 1};
  combine.concurrent = concurrent;
  combine.programmatic = true;
}

/// As PlainLayout.
uint32_t PlanBuilder::plainShared() const {
  int64_t stride = llvm::alignTo(g.size, 4) + 4;
  return static_cast<uint32_t>(((16 + 2 * 32) * stride + 32 * 16 + 2 * 16) * 4);
}

void PlanBuilder::addPlain(int64_t least) {
  DeviceLaunch &launch =
      add("plain", "128", false, {{"least", least}},
          llvm::formatv("static_assert(PlainLayout<{0}>::sharedBytes == {6});\n  "
                        "attentionPlain<{0}>(batch, static_cast<int>(least), {1}, {2}, {3}, "
                        "static_cast<{4} *>(b{5}));",
                        shape, view(g.q), pages(g.keys, true), pages(g.values, true),
                        storageName(g.result), g.output, plainShared())
              .str());
  launch.grid = {uint32_t(g.tokens * g.perGroup() / 16 + g.sequences), uint32_t(g.groups), 1};
  launch.block = {128, 1, 1};
  launch.sharedBytes = plainShared();
  launch.programmatic = true;
}

void PlanBuilder::addFew() {
  DeviceLaunch &launch = add("few", "128", false, {},
                             llvm::formatv("attentionFew<{0}, {1}>(batch, {2}, {3}, {4}, {5}, {6}, "
                                           "static_cast<{7} *>(b{8}));",
                                           shape, channelsAtOnce(), view(g.q), view(g.k), view(g.v),
                                           pages(g.keys, false), pages(g.values, false),
                                           storageName(g.result), g.output)
                                 .str());
  launch.grid = {uint32_t(g.groups), uint32_t(g.sequences), 1};
  launch.block = {128, 1, 1};
  launch.sharedBytes = plainShared();
  launch.concurrent = true;
}

KernelPlan PlanBuilder::build() {
  plan.header = "attention.cuh";
  makeShape();
  if (!g.isFast()) {
    addStore(1);
    addPlain(1);
    return std::move(plan);
  }
  // As DecodeScratch; then a turn for each token and pair of channels.
  int64_t runs = (llvm::divideCeil(g.perGroup(), 8) == 1 ? 2 : 1) *
                 std::max<int64_t>(target.processors, spareProcessors);
  turnOffset = llvm::alignTo(static_cast<uint64_t>(256 + 2 * runs * partialCount() * 4), 256);
  plan.scratchBytes = turnOffset;
  if (g.tokens <= g.sequences) {
    addDecode(false);
    if (g.tokens > 1)
      addFew();
    return std::move(plan);
  }
  plan.scratchBytes += static_cast<uint64_t>(g.tokens * (g.width / 2)) * 8;
  addStore(2);
  addPrefill();
  addDecode(true);
  return std::move(plan);
}

std::optional<KernelPlan> AttentionTemplate::plan(mlir::func::FuncOp kernel,
                                                  const CudaTarget &target) const {
  auto group = analyse(kernel);
  if (!group)
    return std::nullopt;
  return PlanBuilder(*group, target).build();
}

const KernelTemplate &attention() {
  static const AttentionTemplate instance;
  return instance;
}

} // namespace levin::cuda::templates
