// Plans of softmax attention over pages on a GPU.
#include "codegen/cuda/templates/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

namespace levin::cuda {
namespace {

using artifact::DeviceLaunch;
using artifact::TensorMap;

/// A step of attention on a joint projection, over 40 pages and 8 blocks a sequence.
struct Step {
  int64_t tokens, heads, groups, size, sequences;
  const char *stored = "bf16", *page = "bf16";
  int64_t width = 64, keyWidth = 64, pageRows = 64;
};

struct AttentionTemplate : testing::Test {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CudaTarget target;

  void SetUp() override {
    context.loadDialect<mlir::func::FuncDialect, mlir::arith::ArithDialect, nn::NNDialect>();
    target.processors = 132;
    target.sharedBytes = 232448;
  }
  static std::string tensor(std::initializer_list<int64_t> shape, llvm::StringRef type) {
    std::string text = "tensor<";
    for (int64_t extent : shape)
      text += std::to_string(extent) + "x";
    return text + type.str() + ">";
  }
  std::optional<KernelPlan> plan(const Step &step) {
    int64_t columns = (step.heads + 2 * step.groups) * step.size;
    std::string joint = tensor({step.tokens, columns}, step.stored);
    std::string wide = tensor({step.tokens, columns}, "f32");
    std::string q = tensor({step.tokens, step.heads, step.size}, "f32");
    std::string k = tensor({step.tokens, step.groups, step.size}, "f32");
    std::string pool = tensor({40, step.groups, step.pageRows, step.size}, step.page);
    std::string starts = tensor({step.sequences + 1}, "i32"),
                past = tensor({step.sequences}, "i32");
    std::string pages = tensor({step.sequences, 8}, "i32");
    std::string output = tensor({step.tokens, step.heads * step.size}, "f32");
    std::string result = tensor({step.tokens, step.heads * step.size}, step.stored);
    std::string text = "func.func @f(%x: " + joint + ", %starts: " + starts + ", %past: " + past +
                       ", %keys: " + pool + ", %values: " + pool + ", %pages: " + pages + ") -> (" +
                       result + ", " + pool + ", " + pool + ") {\n";
    bool isWide = joint == wide;
    if (!isWide)
      text += "%xf = arith.extf %x : " + joint + " to " + wide + "\n";
    text += std::string("%q, %k, %v = nn.split_heads ") + (isWide ? "%x" : "%xf") + " : " + wide +
            " -> " + q + ", " + k + ", " + k + "\n";
    auto turn = [&](const char *name, const std::string &type, int64_t width) {
      return std::string("%") + name + "t = nn.rotary %" + name +
             " batch(%starts, %past) {theta = 1.0e4 : f64, width = " + std::to_string(width) +
             " : i64} : " + type + ", " + starts + ", " + past + "\n";
    };
    text += turn("q", q, step.width) + turn("k", k, step.keyWidth);
    text += "%o, %nk, %nv = nn.paged_attention %qt, %kt, %v cache(%keys, %values) "
            "batch(%starts, %pages, %past) {scale = 0.125 : f64} : (" +
            q + ", " + k + ", " + k + ", " + pool + ", " + pool + ", " + starts + ", " + pages +
            ", " + past + ") -> (" + output + ", " + pool + ", " + pool + ")\n";
    if (!isWide)
      text += "%r = arith.truncf %o : " + output + " to " + result + "\n";
    text += std::string("return ") + (isWide ? "%o" : "%r") + ", %nk, %nv : " + result + ", " +
            pool + ", " + pool + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    if (!module)
      return std::nullopt;
    return templates::attention().plan(*module->getOps<mlir::func::FuncOp>().begin(), target);
  }
  static std::vector<std::string> kinds(const KernelPlan &plan) {
    std::vector<std::string> kinds;
    for (const DeviceLaunch &launch : plan.launches)
      kinds.push_back(llvm::StringRef(launch.symbol).split('_').second.split('_').first.str() +
                      (launch.concurrent ? " beside" : ""));
    return kinds;
  }
};

using Kinds = std::vector<std::string>;

TEST_F(AttentionTemplate, RunsShortAndLongSequencesBesideOneAnother) {
  auto made = plan({8192, 64, 8, 128, 16});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"store", "prefill", "decode beside", "combine beside"}));
  EXPECT_EQ(made->moreSources.size(), 3u);
  const DeviceLaunch &prefill = made->launches[1], &decode = made->launches[2];
  EXPECT_EQ(prefill.blocksPerProcessor, 1u);
  EXPECT_EQ(decode.blocksPerProcessor, 0u); // processors are left to prefill
  EXPECT_EQ(decode.grid[0], 66u);
  EXPECT_EQ(prefill.scalars, (std::vector<int64_t>{8192, 16, 8, 40}));
  EXPECT_LE(prefill.sharedBytes, target.sharedBytes);
  ASSERT_EQ(prefill.tensorMaps.size(), 2u);
  EXPECT_EQ(prefill.tensorMaps, decode.tensorMaps);
  const TensorMap &keys = prefill.tensorMaps[0];
  EXPECT_EQ(keys.binding, 3u);
  EXPECT_EQ(keys.swizzle, 128u);
  EXPECT_EQ(keys.extents, (std::vector<uint64_t>{128, 40 * 8 * 64}));
  EXPECT_EQ(keys.strides, (std::vector<uint64_t>{256}));
  EXPECT_EQ(keys.box, (std::vector<uint32_t>{64, 64}));
  EXPECT_EQ(prefill.tensorMaps[1].binding, 4u);
  // The table of turns is behind what decode keeps.
  EXPECT_GE(made->scratchBytes, 8192u * 32 * 8);
  EXPECT_NE(made->source.find("static constexpr int heads = 64, groups = 8, size = 128"),
            std::string::npos)
      << made->source;
}

TEST_F(AttentionTemplate, LeavesRareLongSequencesOfSmallStepsToASimpleKernel) {
  auto one = plan({1, 64, 8, 128, 1}), many = plan({16, 64, 8, 128, 16});
  ASSERT_TRUE(one && many);
  EXPECT_EQ(kinds(*one), (Kinds{"decode", "combine"}));
  EXPECT_EQ(one->launches[0].blocksPerProcessor, 2u);
  EXPECT_EQ(kinds(*many), (Kinds{"decode", "combine", "few beside"}));
  // Code is shared between buckets: extents are scalars.
  EXPECT_EQ(one->source, many->source);
  EXPECT_EQ(one->launches[0].symbol, many->launches[0].symbol);
  EXPECT_NE(one->launches[0].scalars, many->launches[0].scalars);
}

TEST_F(AttentionTemplate, TakesPagesOfFp8) {
  auto made = plan({512, 8, 2, 64, 4, "bf16", "f8E4M3FN"});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"store", "prefill", "decode beside", "combine beside"}));
  EXPECT_EQ(made->launches[1].sharedBytes, 1024u + 6 * 128 * 128 + 2 * 128 * 64 + 256);
  EXPECT_EQ(made->launches[1].tensorMaps[0].swizzle, 64u);
  EXPECT_EQ(made->launches[1].tensorMaps[0].box, (std::vector<uint32_t>{64, 64}));
}

TEST_F(AttentionTemplate, ComputesInFloat32WhatIsStoredSo) {
  auto made = plan({64, 6, 3, 40, 4, "f32", "f32", 20, 20});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"store", "plain"}));
  EXPECT_EQ(made->scratchBytes, 0u);
  auto wide = plan({64, 34, 2, 128, 4}); // 17 query heads for each KV head
  ASSERT_TRUE(wide);
  EXPECT_EQ(kinds(*wide), (Kinds{"store", "plain"}));
}

TEST_F(AttentionTemplate, RefusesWhatItCannotDo) {
  EXPECT_FALSE(plan({64, 4, 2, 64, 4, "bf16", "bf16", 64, 32}));     // keys turned otherwise
  EXPECT_FALSE(plan({64, 4, 2, 64, 4, "bf16", "bf16", 64, 64, 16})); // other pages
  EXPECT_FALSE(plan({64, 4, 2, 320, 4, "f32", "f32"}));              // large heads
}

} // namespace
} // namespace levin::cuda
