// Plans of dense and grouped products on a GPU.
#include "codegen/cuda/templates/GemmGroup.h"
#include "codegen/cuda/templates/Templates.h"

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

using artifact::DeviceLaunch;
using artifact::TensorMap;
using testing::Test;

struct GemmTemplate : Test {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  CudaTarget target;

  void SetUp() override {
    context.loadDialect<mlir::func::FuncDialect, mlir::arith::ArithDialect, mlir::math::MathDialect,
                        nn::NNDialect, moe::MoeDialect>();
    target.processors = 132;
    target.sharedBytes = 232448;
  }
  mlir::func::FuncOp parse(llvm::StringRef text) {
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    return module ? *module->getOps<mlir::func::FuncOp>().begin() : nullptr;
  }
  std::optional<KernelPlan> plan(const KernelTemplate &kernel, llvm::StringRef text) {
    mlir::func::FuncOp function = parse(text);
    EXPECT_TRUE(function);
    return function ? kernel.plan(function, target) : std::nullopt;
  }
};

std::string linear(int64_t rows, int64_t n, int64_t k) {
  return llvm::formatv("func.func @f(%x: tensor<{0}x{2}xbf16>, %w: tensor<{1}x{2}xbf16>) -> "
                       "tensor<{0}x{1}xbf16> {{\n"
                       "  %xf = arith.extf %x : tensor<{0}x{2}xbf16> to tensor<{0}x{2}xf32>\n"
                       "  %1 = nn.linear %xf, %w : tensor<{0}x{2}xf32>, tensor<{1}x{2}xbf16>\n"
                       "  %2 = nn.silu %1 : tensor<{0}x{1}xf32>\n"
                       "  %3 = arith.truncf %2 : tensor<{0}x{1}xf32> to tensor<{0}x{1}xbf16>\n"
                       "  return %3 : tensor<{0}x{1}xbf16>\n"
                       "}\n",
                       rows, n, k);
}

std::string experts(int64_t tokens, int64_t count, int64_t n, int64_t k) {
  return llvm::formatv(
      "func.func @f(%w1: tensor<{1}x{2}x{3}xbf16>, %x: tensor<{0}x{3}xbf16>,\n"
      "    %p: tensor<{0}x2xi32>, %o: tensor<{4}xi32>, %w3: tensor<{1}x{2}x{3}xbf16>)\n"
      "    -> tensor<{5}x{2}xbf16> {{\n"
      "  %xf = arith.extf %x : tensor<{0}x{3}xbf16> to tensor<{0}x{3}xf32>\n"
      "  %d = moe.dispatch %xf by %p : tensor<{0}x{3}xf32>, tensor<{0}x2xi32>\n"
      "  %1 = moe.grouped_linear %d, %w1 by %o : tensor<{5}x{3}xf32>, tensor<{1}x{2}x{3}xbf16>, "
      "tensor<{4}xi32>\n"
      "  %2 = moe.grouped_linear %d, %w3 by %o : tensor<{5}x{3}xf32>, tensor<{1}x{2}x{3}xbf16>, "
      "tensor<{4}xi32>\n"
      "  %3 = nn.silu %1 : tensor<{5}x{2}xf32>\n"
      "  %4 = arith.mulf %3, %2 : tensor<{5}x{2}xf32>\n"
      "  %5 = arith.truncf %4 : tensor<{5}x{2}xf32> to tensor<{5}x{2}xbf16>\n"
      "  return %5 : tensor<{5}x{2}xbf16>\n"
      "}\n",
      tokens, count, n, k, count + 1, 2 * tokens);
}

TEST_F(GemmTemplate, PlansADenseProduct) {
  auto made = plan(templates::gemm(), linear(64, 768, 192));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->header, "gemm.cuh");
  EXPECT_EQ(made->scratchBytes, 0u);
  ASSERT_EQ(made->launches.size(), 1u);
  const DeviceLaunch &launch = made->launches[0];
  EXPECT_EQ(launch.block[0], 384u);
  EXPECT_EQ(launch.blocksPerProcessor, 1u);
  EXPECT_LE(launch.sharedBytes, target.sharedBytes);
  ASSERT_EQ(launch.tensorMaps.size(), 2u);
  const TensorMap &weights = launch.tensorMaps[0], &tokens = launch.tensorMaps[1];
  EXPECT_EQ(weights.binding, 1u);
  EXPECT_EQ(weights.extents, (std::vector<uint64_t>{192, 768, 1}));
  EXPECT_EQ(weights.strides, (std::vector<uint64_t>{384, 384 * 768}));
  EXPECT_EQ(tokens.binding, 0u);
  EXPECT_EQ(tokens.extents, (std::vector<uint64_t>{192, 64}));
  EXPECT_EQ(tokens.strides, (std::vector<uint64_t>{384}));
  ASSERT_EQ(launch.scalars.size(), 5u);
  EXPECT_EQ(launch.scalars[1], 64);
  EXPECT_EQ(launch.scalars[2], 768);
  EXPECT_EQ(launch.scalars[3], 192);
  EXPECT_NE(made->source.find(launch.symbol + "("), std::string::npos);
}

// Extents are arguments: buckets and layers share code.
TEST_F(GemmTemplate, SharesCode) {
  auto one = plan(templates::gemm(), linear(8192, 6144, 8192));
  auto other = plan(templates::gemm(), linear(8192, 24576, 6144));
  ASSERT_TRUE(one && other);
  EXPECT_EQ(one->source, other->source);
  EXPECT_EQ(one->launches[0].symbol, other->launches[0].symbol);
}

TEST_F(GemmTemplate, CollectsTheRowsOfExpertsFirst) {
  auto made = plan(templates::gemm(), experts(8192, 32, 9216, 6144));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->scratchBytes, 16384u * 6144 * 2);
  ASSERT_EQ(made->launches.size(), 2u);
  const DeviceLaunch &dispatch = made->launches[0], &launch = made->launches[1];
  EXPECT_EQ(dispatch.symbol, launch.symbol + "_rows");
  EXPECT_EQ(dispatch.grid[0], 8192u);
  EXPECT_EQ(dispatch.scalars, (std::vector<int64_t>{2, 6144, 16384}));
  ASSERT_EQ(launch.tensorMaps.size(), 3u);
  EXPECT_EQ(launch.tensorMaps[0].binding, 0u);
  EXPECT_EQ(launch.tensorMaps[0].extents, (std::vector<uint64_t>{6144, 9216, 32}));
  EXPECT_EQ(launch.tensorMaps[1].binding, 4u);
  EXPECT_EQ(launch.tensorMaps[2].binding, 6u); // scratch
  EXPECT_EQ(launch.tensorMaps[2].extents, (std::vector<uint64_t>{6144, 16384}));
  EXPECT_EQ(launch.scalars[0], 32);
}

// Small tiles where experts get few rows.
TEST_F(GemmTemplate, FitsTilesToTheRows) {
  for (int64_t tokens : {64, 256, 1024, 8192}) {
    auto made = plan(templates::gemm(), experts(tokens, 32, 9216, 6144));
    ASSERT_TRUE(made);
    EXPECT_GE(made->launches[1].scalars[4], std::min<int64_t>(tokens / 16, 160));
  }
  auto few = plan(templates::gemm(), experts(64, 32, 9216, 6144));
  EXPECT_LE(few->launches[1].scalars[4], 32);
}

TEST_F(GemmTemplate, LeavesOtherTypesAndExtentsToPlainArithmetic) {
  std::string odd = linear(7, 12, 20);
  EXPECT_FALSE(plan(templates::gemm(), odd));
  auto made = plan(templates::gemmSimt(), odd);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->header, "gemm_simt.cuh");
  ASSERT_EQ(made->launches.size(), 1u);
  EXPECT_EQ(made->launches[0].scalars, (std::vector<int64_t>{1, 7, 12, 20}));

  constexpr const char *wide = R"(
func.func @f(%x: tensor<9x8xf32>, %w: tensor<16x8xbf16>, %h: tensor<9x16xf32>) -> tensor<9x16xf32> {
  %0 = nn.linear %x, %w : tensor<9x8xf32>, tensor<16x8xbf16>
  %1 = arith.mulf %0, %h : tensor<9x16xf32>
  return %1 : tensor<9x16xf32>
})";
  EXPECT_FALSE(plan(templates::gemm(), wide));
  made = plan(templates::gemmSimt(), wide);
  ASSERT_TRUE(made);
  EXPECT_NE(made->source.find("const float *>(b0)"), std::string::npos);
  EXPECT_NE(made->source.find("const __nv_bfloat16 *>(b1)"), std::string::npos);
}

// Float32 tokens by bf16 weights are three products of bf16 where there is much to multiply.
TEST_F(GemmTemplate, TakesFloat32TokensApart) {
  constexpr const char *head = R"(
func.func @f(%x: tensor<32x6144xf32>, %w: tensor<200064x6144xbf16>) -> tensor<32x200064xf32> {
  %0 = nn.linear %x, %w : tensor<32x6144xf32>, tensor<200064x6144xbf16>
  return %0 : tensor<32x200064xf32>
})";
  auto made = plan(templates::gemm(), head);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->scratchBytes, 3u * 32 * 6144 * 2);
  ASSERT_EQ(made->launches.size(), 2u);
  const TensorMap &tokens = made->launches[1].tensorMaps.back();
  EXPECT_EQ(tokens.binding, 3u);
  EXPECT_EQ(tokens.extents, (std::vector<uint64_t>{6144, 96}));
}

std::string quantised(int64_t rows, int64_t n, int64_t k, llvm::StringRef type, int64_t stored) {
  return llvm::formatv(
      "func.func @f(%x: tensor<{0}x{2}xbf16>, %q: tensor<{1}x{4}x{3}>, %s: tensor<{1}x{5}xbf16>)\n"
      "    -> tensor<{0}x{1}xf32> {{\n"
      "  %w = nn.dequantize %q, %s {{group = 128 : i64} : tensor<{1}x{4}x{3}>, "
      "tensor<{1}x{5}xbf16> -> tensor<{1}x{2}xf32>\n"
      "  %xf = arith.extf %x : tensor<{0}x{2}xbf16> to tensor<{0}x{2}xf32>\n"
      "  %1 = nn.linear %xf, %w : tensor<{0}x{2}xf32>, tensor<{1}x{2}xf32>\n"
      "  return %1 : tensor<{0}x{1}xf32>\n"
      "}\n",
      rows, n, k, type, stored, k / 128);
}

TEST_F(GemmTemplate, MultipliesQuantisedWeights) {
  std::string bytes = quantised(64, 768, 256, "i8", 256);
  EXPECT_FALSE(plan(templates::gemm(), bytes));
  EXPECT_FALSE(plan(templates::gemmSimt(), bytes));
  auto made = plan(templates::gemmQuantised(), bytes);
  ASSERT_TRUE(made);
  EXPECT_EQ(made->header, "gemm_quantised.cuh");
  EXPECT_EQ(made->scratchBytes, 64u * 256 * 2);
  ASSERT_EQ(made->launches.size(), 2u);
  const TensorMap &weights = made->launches[1].tensorMaps[0];
  EXPECT_EQ(weights.binding, 1u);
  EXPECT_EQ(weights.swizzle, 64u);
  EXPECT_EQ(weights.extents, (std::vector<uint64_t>{256, 768, 1}));
  EXPECT_EQ(made->launches[1].tensorMaps[1].binding, 4u); // scratch

  made = plan(templates::gemmQuantised(), quantised(64, 768, 256, "ui8", 128));
  ASSERT_TRUE(made);
  EXPECT_EQ(made->launches[1].tensorMaps[0].swizzle, 32u);
  EXPECT_EQ(made->launches[1].tensorMaps[0].extents, (std::vector<uint64_t>{128, 768, 1}));
  EXPECT_EQ(made->launches[1].scalars.back(), 128);
  EXPECT_FALSE(plan(templates::gemmQuantised(), linear(64, 768, 256)));
}

TEST_F(GemmTemplate, RefusesWhatIsNoProduct) {
  for (const char *text :
       {// No product.
        R"(func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
             %0 = nn.silu %x : tensor<4x8xf32>
             return %0 : tensor<4x8xf32>
           })",
        // The input is computed here.
        R"(func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
             %0 = nn.silu %x : tensor<4x8xf32>
             %1 = nn.linear %0, %w : tensor<4x8xf32>, tensor<8x8xf32>
             return %1 : tensor<4x8xf32>
           })",
        // Two inputs.
        R"(func.func @f(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %w: tensor<8x8xf32>)
               -> tensor<4x8xf32> {
             %0 = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
             %1 = nn.linear %y, %w : tensor<4x8xf32>, tensor<8x8xf32>
             %2 = arith.addf %0, %1 : tensor<4x8xf32>
             return %2 : tensor<4x8xf32>
           })"}) {
    EXPECT_FALSE(plan(templates::gemm(), text));
    EXPECT_FALSE(plan(templates::gemmSimt(), text));
  }
}

TEST_F(GemmTemplate, LibraryTakesProductsThatNothingFollows) {
  auto made = plan(templates::library(), R"(
func.func @f(%x: tensor<64x32xbf16>, %w: tensor<48x32xbf16>) -> tensor<64x48xbf16> {
  %xf = arith.extf %x : tensor<64x32xbf16> to tensor<64x32xf32>
  %1 = nn.linear %xf, %w : tensor<64x32xf32>, tensor<48x32xbf16>
  %2 = arith.truncf %1 : tensor<64x48xf32> to tensor<64x48xbf16>
  return %2 : tensor<64x48xbf16>
})");
  ASSERT_TRUE(made && made->product);
  artifact::LibraryProduct expected{
      64, 48, 32, 0, 1, 2, artifact::DType::BF16, artifact::DType::BF16, artifact::DType::BF16};
  EXPECT_EQ(*made->product, expected);
  EXPECT_TRUE(made->launches.empty() && made->source.empty());
  EXPECT_FALSE(plan(templates::library(), linear(64, 48, 32))); // silu follows
  EXPECT_FALSE(plan(templates::library(), R"(
func.func @f(%x: tensor<64x32xf32>, %w: tensor<48x32xbf16>) -> tensor<64x48xf32> {
  %1 = nn.linear %x, %w : tensor<64x32xf32>, tensor<48x32xbf16>
  return %1 : tensor<64x48xf32>
})"));                                                          // two types
}

} // namespace
} // namespace levin::cuda
