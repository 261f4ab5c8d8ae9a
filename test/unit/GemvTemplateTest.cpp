// Kernels of few rows: which template takes them, and how they are launched.
#include "codegen/cuda/KernelTemplate.h"

#include "dialects/moe/Moe.h"
#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include "llvm/Support/FormatVariadic.h"

#include <gtest/gtest.h>

namespace levin::cuda {
namespace {

struct Planned {
  std::string name;
  KernelPlan plan;
  const artifact::DeviceLaunch &launch() const { return plan.launches.front(); }
};

/// What the first template that takes the kernel makes of it.
Planned planOf(const std::string &text) {
  mlir::MLIRContext context;
  context.loadDialect<mlir::func::FuncDialect, mlir::arith::ArithDialect, mlir::math::MathDialect,
                      nn::NNDialect, moe::MoeDialect>();
  auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
  if (!module)
    return {};
  CudaTarget target;
  target.processors = 132;
  target.sharedBytes = 227 * 1024;
  for (const KernelTemplate *kernel : cudaKernelTemplates())
    if (auto plan = kernel->plan(*module->getOps<mlir::func::FuncOp>().begin(), target))
      return {kernel->name().str(), std::move(*plan)};
  return {};
}

/// nn.linear of `type` rows.
std::string linear(int64_t tokens, int64_t n, int64_t k, llvm::StringRef type) {
  std::string x = llvm::formatv("tensor<{0}x{1}x{2}>", tokens, k, type);
  std::string wide = llvm::formatv("tensor<{0}x{1}xf32>", tokens, k);
  bool isNarrow = type != "f32";
  return llvm::formatv(R"(
func.func @f(%x: {0}, %w: tensor<{1}x{2}xbf16>) -> tensor<{3}x{1}xf32> {{
  {4}
  %y = nn.linear {5}, %w : {6}, tensor<{1}x{2}xbf16>
  return %y : tensor<{3}x{1}xf32>
})",
                       x, n, k, tokens,
                       isNarrow ? llvm::formatv("%xf = arith.extf %x : {0} to {1}", x, wide).str()
                                : std::string(),
                       isNarrow ? "%xf" : "%x", wide);
}

TEST(GemvTemplate, TakesFewRows) {
  Planned one = planOf(linear(1, 24576, 6144, "bf16"));
  ASSERT_EQ(one.name, "gemv");
  EXPECT_EQ(one.plan.header, "gemv.cuh");
  ASSERT_EQ(one.plan.launches.size(), 1u);
  EXPECT_EQ(one.launch().grid[0], 24576u / 16);
  EXPECT_EQ(one.launch().cluster[0], 1u);
  EXPECT_EQ(one.launch().scalars, (std::vector<int64_t>{1, 24576, 6144}));
  EXPECT_TRUE(one.launch().programmatic);
  EXPECT_NE(one.plan.source.find(one.launch().symbol + "(void *b0, void *b1, void *b2,"),
            std::string::npos)
      << one.plan.source;

  // Extents are arguments: kernels of as many tiles of rows share their code.
  Planned eight = planOf(linear(8, 24576, 6144, "bf16"));
  EXPECT_EQ(eight.plan.source, one.plan.source);
  EXPECT_EQ(eight.launch().symbol, one.launch().symbol);
  EXPECT_NE(planOf(linear(9, 24576, 6144, "bf16")).launch().symbol, one.launch().symbol);
  EXPECT_NE(planOf(linear(1, 24576, 6144, "f32")).launch().symbol, one.launch().symbol);
}

TEST(GemvTemplate, DividesTheDepthOfNarrowMatrices) {
  Planned router = planOf(linear(1, 32, 6144, "bf16"));
  ASSERT_EQ(router.name, "gemv");
  EXPECT_EQ(router.launch().cluster[0], 8u);
  EXPECT_EQ(router.launch().grid[0], 2u * 8);
  EXPECT_EQ(planOf(linear(1, 7, 64, "bf16")).launch().cluster[0], 1u);
}

TEST(GemvTemplate, LeavesOthersTheirKernels) {
  EXPECT_NE(planOf(linear(17, 4096, 4096, "bf16")).name, "gemv");
  EXPECT_EQ(planOf(linear(32, 4096, 4096, "f32")).name, "gemv");
  EXPECT_NE(planOf(linear(33, 4096, 4096, "f32")).name, "gemv");
  EXPECT_NE(planOf(linear(1, 4096, 4092, "bf16")).name, "gemv");
}

/// nn.linear of bf16 tokens with a weight of int8 or int4.
std::string quantised(int64_t tokens, bool isInt8, int64_t group) {
  constexpr int64_t n = 512, k = 1920;
  std::string q =
      llvm::formatv("tensor<{0}x{1}x{2}>", n, isInt8 ? k : k / 2, isInt8 ? "i8" : "ui8");
  return llvm::formatv(R"(
func.func @f(%x: tensor<{0}x{1}xbf16>, %q: {2}, %s: tensor<{3}x{4}xbf16>) -> tensor<{0}x{3}xf32> {{
  %w = nn.dequantize %q, %s {{group = {5} : i64} : {2}, tensor<{3}x{4}xbf16> -> tensor<{3}x{1}xf32>
  %xf = arith.extf %x : tensor<{0}x{1}xbf16> to tensor<{0}x{1}xf32>
  %y = nn.linear %xf, %w : tensor<{0}x{1}xf32>, tensor<{3}x{1}xf32>
  return %y : tensor<{0}x{3}xf32>
})",
                       tokens, k, q, n, k / group, group);
}

TEST(GemvTemplate, StreamsQuantisedMatrices) {
  Planned bytes = planOf(quantised(1, true, 64));
  ASSERT_EQ(bytes.name, "gemv");
  EXPECT_NE(bytes.plan.source.find("levin::kernels::Int8Matrix<64, __nv_bfloat16>"),
            std::string::npos)
      << bytes.plan.source;
  EXPECT_NE(bytes.plan.source.find("{{b1, static_cast<const __nv_bfloat16 *>(b2)}}"),
            std::string::npos)
      << bytes.plan.source;
  Planned nibbles = planOf(quantised(8, false, 64));
  ASSERT_EQ(nibbles.name, "gemv");
  EXPECT_NE(nibbles.plan.source.find("levin::kernels::Int4Matrix<64, __nv_bfloat16>"),
            std::string::npos);
  // A block of a warp must lie in one group; more rows go to the tensor cores as tiles, if groups
  // are large enough for those.
  EXPECT_NE(planOf(quantised(1, true, 16)).name, "gemv");
  EXPECT_NE(planOf(quantised(1, false, 32)).name, "gemv");
  EXPECT_NE(planOf(quantised(9, true, 64)).name, "gemv");
  EXPECT_EQ(planOf(quantised(9, true, 32)).name, "gemv");
}

TEST(ExpertGemvTemplate, TakesAnExpertForEachCta) {
  Planned up = planOf(R"(
func.func @f(%x: tensor<4x64xf32>, %rows: tensor<4x2xi32>, %o: tensor<33xi32>,
             %w1: tensor<32x96x64xbf16>, %w3: tensor<32x96x64xbf16>) -> tensor<8x96xf32> {
  %d = moe.dispatch %x by %rows : tensor<4x64xf32>, tensor<4x2xi32>
  %a = moe.grouped_linear %d, %w1 by %o : tensor<8x64xf32>, tensor<32x96x64xbf16>, tensor<33xi32>
  %b = moe.grouped_linear %d, %w3 by %o : tensor<8x64xf32>, tensor<32x96x64xbf16>, tensor<33xi32>
  %c = nn.silu %a : tensor<8x96xf32>
  %e = arith.mulf %c, %b : tensor<8x96xf32>
  return %e : tensor<8x96xf32>
})");
  ASSERT_EQ(up.name, "expert_gemv");
  EXPECT_EQ(up.launch().grid, (std::array<uint32_t, 3>{96 / 16, 8, 1}));
  EXPECT_EQ(up.launch().scalars, (std::vector<int64_t>{8, 96, 64, 32}));
  Planned down = planOf(R"(
func.func @f(%x: tensor<48x64xbf16>, %o: tensor<5xi32>, %w: tensor<4x32x64xbf16>)
    -> tensor<48x32xf32> {
  %xf = arith.extf %x : tensor<48x64xbf16> to tensor<48x64xf32>
  %a = moe.grouped_linear %xf, %w by %o : tensor<48x64xf32>, tensor<4x32x64xbf16>, tensor<5xi32>
  return %a : tensor<48x32xf32>
})");
  ASSERT_EQ(down.name, "expert_gemv");
  EXPECT_EQ(down.launch().grid[1], 4u); // no more experts than there are
  EXPECT_GT(down.launch().grid[2], 1u); // one of them may have all 48 rows
}

TEST(RouteTemplate, TakesOneOrTwoKernels) {
  auto route = [](int64_t tokens) {
    return llvm::formatv(R"(
func.func @f(%s: tensor<{0}x32xf32>, %starts: tensor<3xi32>)
    -> (tensor<33xi32>, tensor<{0}x2xf32>, tensor<{0}x2xi32>) {{
  %w, %r, %o = moe.route %s batch(%starts) {{choices = 2 : i64, normalize}
    : tensor<{0}x32xf32>, tensor<3xi32>
  return %o, %w, %r : tensor<33xi32>, tensor<{0}x2xf32>, tensor<{0}x2xi32>
})",
                         tokens)
        .str();
  };
  Planned few = planOf(route(16));
  ASSERT_EQ(few.name, "route");
  ASSERT_EQ(few.plan.launches.size(), 1u);
  EXPECT_EQ(few.launch().scalars, (std::vector<int64_t>{16, 2}));
  EXPECT_NE(few.plan.source.find("static_cast<float *>(b3), static_cast<int32_t *>(b4), "
                                 "static_cast<int32_t *>(b2)"),
            std::string::npos)
      << few.plan.source;
  Planned many = planOf(route(1000));
  ASSERT_EQ(many.plan.launches.size(), 2u);
  EXPECT_EQ(many.launch().grid[0], 16u);
  EXPECT_EQ(many.plan.scratchBytes, 4u * (1000 * 2 + 16 * 32));
}

} // namespace
} // namespace levin::cuda
