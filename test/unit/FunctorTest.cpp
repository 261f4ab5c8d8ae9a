// Elementwise tails of kernels as CUDA source: what is written, and what is refused.
#include "codegen/cuda/templates/Functor.h"

#include "dialects/nn/NN.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Parser/Parser.h"

#include <gtest/gtest.h>

namespace levin::cuda {
namespace {

struct Kernel {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  mlir::func::FuncOp function;
  llvm::SmallVector<mlir::Value> sums;

  explicit Kernel(llvm::StringRef text) {
    context.loadDialect<mlir::func::FuncDialect, mlir::arith::ArithDialect, mlir::math::MathDialect,
                        nn::NNDialect>();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    if (!module)
      return;
    function = *module->getOps<mlir::func::FuncOp>().begin();
    for (auto linear : function.getOps<nn::LinearOp>())
      sums.push_back(linear.getOutput());
  }
  std::optional<ElementFunctor> functor(llvm::StringRef name = "F") {
    return makeFunctor(function, sums, name);
  }
};

constexpr const char *gated = R"(
func.func @f(%x: tensor<4x8xbf16>, %w: tensor<16x8xbf16>, %b: tensor<16xf32>, %h: tensor<4x16xbf16>)
    -> (tensor<4x16xbf16>, tensor<4x16xf32>) {
  %xf = arith.extf %x : tensor<4x8xbf16> to tensor<4x8xf32>
  %0 = nn.linear %xf, %w bias %b : tensor<4x8xf32>, tensor<16x8xbf16>, tensor<16xf32>
  %1 = nn.silu %0 : tensor<4x16xf32>
  %hf = arith.extf %h : tensor<4x16xbf16> to tensor<4x16xf32>
  %2 = arith.mulf %1, %hf : tensor<4x16xf32>
  %3 = arith.truncf %2 : tensor<4x16xf32> to tensor<4x16xbf16>
  %4 = arith.extf %3 : tensor<4x16xbf16> to tensor<4x16xf32>
  %5 = nn.residual %hf, %4 {alpha = 0.1 : f64, beta = 1.0 : f64} : tensor<4x16xf32>
  %6 = nn.mask_tail %5 {live = 11 : i64} : tensor<4x16xf32>
  return %3, %6 : tensor<4x16xbf16>, tensor<4x16xf32>
})";

TEST(Functor, WritesTheOpsOfAKernel) {
  Kernel kernel(gated);
  auto functor = kernel.functor();
  ASSERT_TRUE(functor);
  EXPECT_EQ(functor->source, R"(struct F {
  using Scalar = levin::kernels::Scalar;
  static constexpr int sumCount = 1, operandCount = 2, resultCount = 2;
  static constexpr Scalar operandTypes[] = {Scalar::F32, Scalar::BF16};
  static constexpr bool operandIsColumn[] = {true, false};
  static constexpr Scalar resultTypes[] = {Scalar::BF16, Scalar::F32};
  static __device__ __forceinline__ void apply(const float *sums, const float *operands,
                                               float *results, int column) {
    const float v0 = sums[0] + operands[0];
    const float v1 = -v0;
    const float v2 = expf(v1);
    const float v3 = v2 + (0x1p0f);
    const float v4 = v0 / v3;
    const float v5 = v4 * operands[1];
    results[0] = v5;
    const float v6 = levin::kernels::roundTo<levin::kernels::Scalar::BF16>(v5);
    const float v7 = operands[1] * (0x1.99999ap-4f);
    const float v8 = v7 + v6;
    const float v9 = column < 11 ? v8 : __uint_as_float(0xff800000u);
    results[1] = v9;
  }
};
)");
  ASSERT_EQ(functor->operands.size(), 2u);
  EXPECT_EQ(functor->operands[0].argument, 2u);
  EXPECT_EQ(functor->operands[0].shape, ElementFunctor::Shape::Column);
  EXPECT_EQ(functor->operands[1].argument, 3u);
  EXPECT_EQ(functor->operands[1].dtype, artifact::DType::BF16);
  ASSERT_EQ(functor->results.size(), 2u);
  EXPECT_EQ(functor->results[0].binding, 4u);
  EXPECT_EQ(functor->results[0].dtype, artifact::DType::BF16);
  EXPECT_EQ(functor->results[1].dtype, artifact::DType::F32);
  EXPECT_EQ(functor->tail("b"), "{{b2, b3}, {b4, b5}}");
}

TEST(Functor, DigestKnowsTheCodeAlone) {
  std::string renamed = gated;
  for (size_t at; (at = renamed.find("%hf")) != std::string::npos;)
    renamed.replace(at, 3, "%gate");
  std::string other = gated;
  other.replace(other.find("11 : i64"), 8, "12 : i64");
  auto digest = [](llvm::StringRef text, llvm::StringRef name) {
    return Kernel(text).functor(name)->digest;
  };
  EXPECT_EQ(digest(gated, "F"), digest(renamed, "G"));
  EXPECT_NE(digest(gated, "F"), digest(other, "F"));
}

TEST(Functor, PassesSumsThrough) {
  Kernel kernel(R"(
func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xbf16>) -> tensor<4x16xf32> {
  %0 = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
  return %0 : tensor<4x16xf32>
})");
  auto functor = kernel.functor();
  ASSERT_TRUE(functor);
  EXPECT_NE(functor->source.find("    results[0] = sums[0];\n"), std::string::npos);
  EXPECT_TRUE(functor->operands.empty());
  EXPECT_EQ(functor->tail("b"), "{{}, {b2}}");
}

TEST(Functor, KnowsEveryOperation) {
  Kernel kernel(R"(
func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xbf16>, %y: tensor<4x16xf16>) -> tensor<4x16xf32> {
  %0 = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
  %c = arith.constant dense<0xFF800000> : tensor<4x16xf32>
  %1 = arith.cmpf ugt, %0, %c : tensor<4x16xf32>
  %2 = nn.gelu %0 : tensor<4x16xf32>
  %3 = nn.sigmoid %2 : tensor<4x16xf32>
  %4 = arith.select %1, %2, %3 : tensor<4x16xi1>, tensor<4x16xf32>
  %5 = arith.maximumf %4, %0 : tensor<4x16xf32>
  %6 = math.tanh %5 : tensor<4x16xf32>
  %7 = arith.extf %y : tensor<4x16xf16> to tensor<4x16xf32>
  %8 = arith.subf %6, %7 : tensor<4x16xf32>
  return %8 : tensor<4x16xf32>
})");
  auto functor = kernel.functor();
  ASSERT_TRUE(functor);
  for (llvm::StringRef text :
       {"!(sums[0] <= __uint_as_float(4286578688u))", "erfcf(", "levin::kernels::maximum(",
        "tanhf(", "const bool", " - operands[0]", "Scalar::F16"})
    EXPECT_NE(functor->source.find(text), std::string::npos) << text.str() << functor->source;
}

TEST(Functor, RefusesWhatIsNotElementwise) {
  EXPECT_FALSE(Kernel(R"(
func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xbf16>, %g: tensor<16xf32>) -> tensor<4x16xf32> {
  %0 = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
  %1 = nn.rms_norm %0, %g {eps = 1.0e-5 : f64} : tensor<4x16xf32>, tensor<16xf32>
  return %1 : tensor<4x16xf32>
})")
                   .functor());
  EXPECT_FALSE(Kernel(R"(
func.func @f(%x: tensor<4x8xf32>, %w: tensor<16x8xbf16>) -> (tensor<4x16xf32>, tensor<4x8xf32>) {
  %0 = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
  %1 = nn.silu %x : tensor<4x8xf32>
  return %0, %1 : tensor<4x16xf32>, tensor<4x8xf32>
})")
                   .functor());
  EXPECT_FALSE(Kernel(R"(
func.func @f(%x: tensor<4x16xf64>) -> tensor<4x16xf64> {
  return %x : tensor<4x16xf64>
})")
                   .functor());
}

} // namespace
} // namespace levin::cuda
