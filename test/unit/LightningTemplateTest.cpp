// Plans of lightning attention on a GPU.
#include "codegen/cuda/templates/Templates.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

namespace levin::cuda {
namespace {

using artifact::DeviceLaunch;
using artifact::TensorMap;

/// A step of lightning attention on a joint projection.
struct Step {
  int64_t tokens, heads, size, sequences;
  bool interleaved = true;
  const char *stored = "bf16", *result = "bf16";
};

struct LightningTemplate : testing::Test {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CudaTarget target;

  void SetUp() override {
    context.loadDialect<mlir::func::FuncDialect, mlir::arith::ArithDialect, nn::NNDialect>();
    target.processors = 132;
    target.sharedBytes = 232448;
  }
  std::optional<KernelPlan> plan(const Step &step) {
    auto tensor = [](const llvm::Twine &shape, llvm::StringRef type) {
      return ("tensor<" + shape + "x" + type + ">").str();
    };
    std::string tokens = std::to_string(step.tokens), heads = std::to_string(step.heads);
    std::string size = std::to_string(step.size), sequences = std::to_string(step.sequences);
    std::string columns = std::to_string(3 * step.heads * step.size);
    std::string outputs = std::to_string(step.heads * step.size);
    std::string joint = tensor(tokens + "x" + columns, step.stored);
    std::string jointF32 = tensor(tokens + "x" + columns, "f32");
    std::string head = tensor(tokens + "x" + heads + "x" + size, "f32");
    std::string state = tensor("32x" + heads + "x" + size + "x" + size, "f32");
    std::string slopes = tensor(heads, "f32"), numbers = tensor(sequences, "i32");
    std::string starts = tensor(std::to_string(step.sequences + 1), "i32");
    std::string output = tensor(tokens + "x" + outputs, "f32");
    std::string result = tensor(tokens + "x" + outputs, step.result);
    std::string text = "func.func @f(%x: " + joint + ", %s: " + slopes + ", %state: " + state +
                       ", %starts: " + starts + ", %slots: " + numbers + ", %past: " + numbers +
                       ") -> (" + result + ", " + state + ") {\n";
    std::string input = "%x", stored = "%o";
    if (joint != jointF32) {
      text += "%xf = arith.extf %x : " + joint + " to " + jointF32 + "\n";
      input = "%xf";
    }
    text += "%q, %k, %v = nn.split_heads " + input + (step.interleaved ? " interleaved" : "") +
            " : " + jointF32 + " -> " + head + ", " + head + ", " + head + "\n";
    text += "%o, %new = nn.lightning_attention %q, %k, %v, %s state %state "
            "batch(%starts, %slots, %past) : (" +
            head + ", " + head + ", " + head + ", " + slopes + ", " + state + ", " + starts + ", " +
            numbers + ", " + numbers + ") -> (" + output + ", " + state + ")\n";
    if (output != result) {
      text += "%r = arith.truncf %o : " + output + " to " + result + "\n";
      stored = "%r";
    }
    text += "return " + stored + ", %new : " + result + ", " + state + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module) << text;
    if (!module)
      return std::nullopt;
    return templates::lightning().plan(*module->getOps<mlir::func::FuncOp>().begin(), target);
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

TEST_F(LightningTemplate, RunsShortAndLongSequencesBesideOneAnother) {
  auto made = plan({8192, 64, 128, 16});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"prefill", "decode beside"}));
  EXPECT_EQ(made->scratchBytes, 0u);
  const DeviceLaunch &prefill = made->launches[0], &decode = made->launches[1];
  EXPECT_EQ(prefill.blocksPerProcessor, 1u);
  EXPECT_EQ(prefill.scalars, (std::vector<int64_t>{8192, 32, 16, 2}));
  EXPECT_EQ(decode.scalars, (std::vector<int64_t>{8192, 32, 1}));
  EXPECT_LE(prefill.sharedBytes, target.sharedBytes);
  ASSERT_EQ(prefill.tensorMaps.size(), 4u);
  EXPECT_EQ(prefill.tensorMaps[0], prefill.tensorMaps[2]);
  EXPECT_EQ(prefill.tensorMaps[0].extents, (std::vector<uint64_t>{24576, 8192}));
  EXPECT_EQ(prefill.tensorMaps[3].binding, 6u);
  EXPECT_EQ(prefill.tensorMaps[3].extents, (std::vector<uint64_t>{8192, 8192}));
  for (const DeviceLaunch &launch : made->launches) {
    auto has = [&](const std::string &source) {
      return source.find(launch.symbol + "(") != std::string::npos;
    };
    EXPECT_TRUE(has(made->source) ||
                std::any_of(made->moreSources.begin(), made->moreSources.end(), has));
  }
}

// A bucket of one token each may still be given longer sequences.
TEST_F(LightningTemplate, DecodesAloneWhereTokensAreSequences) {
  auto made = plan({16, 64, 128, 16});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), Kinds{"decode"});
  EXPECT_GE(made->launches[0].scalars[2], 16);
}

TEST_F(LightningTemplate, TakesAnyLengthOfOneSequenceAsPrefill) {
  auto made = plan({8192, 64, 128, 1});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), Kinds{"prefill"});
  EXPECT_EQ(made->launches[0].scalars[3], 1);
  EXPECT_EQ(made->launches[0].grid[0], 128u);
}

TEST_F(LightningTemplate, CutsSequencesOfFewHeads) {
  auto made = plan({8192, 8, 128, 1});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"segments", "prefill"}));
  EXPECT_EQ(made->scratchBytes, 8u * 8 * 128 * 128 * 4);
  auto brief = plan({512, 8, 128, 1});
  ASSERT_TRUE(brief);
  EXPECT_EQ(kinds(*brief), Kinds{"prefill"});
}

TEST_F(LightningTemplate, StaysInFloat32WhereTheModelDoes) {
  auto made = plan({64, 4, 64, 4, true, "f32", "f32"});
  ASSERT_TRUE(made);
  EXPECT_EQ(kinds(*made), (Kinds{"plain", "decode beside"}));
  auto odd = plan({64, 4, 24, 4, false, "f32", "f32"});
  ASSERT_TRUE(odd);
  EXPECT_EQ(kinds(*odd), Kinds{"plain"});
  EXPECT_EQ(odd->launches[0].scalars[2], 1);
}

TEST_F(LightningTemplate, SharesCodeAmongBuckets) {
  auto one = plan({8192, 64, 128, 16}), other = plan({1024, 64, 128, 8});
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->launches[0].symbol, other->launches[0].symbol);
  EXPECT_EQ(one->launches[1].symbol, other->launches[1].symbol);
  EXPECT_NE(one->launches[0].symbol, plan({1024, 64, 128, 8, false})->launches[0].symbol);
}

TEST_F(LightningTemplate, DeclinesWhatItCannot) {
  EXPECT_FALSE(plan({64, 4, 512, 4}));
  EXPECT_FALSE(plan({64, 4, 64, 4, true, "f16", "f16"}));
}

} // namespace
} // namespace levin::cuda
