// Kernels of upstream ops: what hand-written models are made of.
#include "OpTest.h"

namespace levin::host {
namespace {

std::vector<float> ramp(size_t count) {
  std::vector<float> values(count);
  for (size_t i = 0; i < count; ++i)
    values[i] = 0.25f * float(i) - 3;
  return values;
}

/// `ir` maps one f32 tensor to one f32 tensor.
void expectMap(const std::string &ir, const std::vector<float> &input,
               const std::vector<double> &expected, double tolerance) {
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(input));
    return bindings;
  };
  runGeneric(ir, inputs, {expected.size() * 4}, [&](std::span<Buffer> bindings) {
    EXPECT_LT(relativeError(bindings[1].as<float>(), expected), tolerance) << ir;
  });
}

TEST(Upstream, Mathematics) {
  struct Function {
    const char *op;
    double (*reference)(double);
    bool positive;
    double tolerance = 5e-7;
    float scale = 0.4f; // inputs lie between -3 and 13 times this
  };
  const Function functions[] = {
      {"exp", std::exp, false},     {"log", std::log, true},
      {"tanh", std::tanh, false},   {"erf", std::erf, false},
      {"sqrt", std::sqrt, true},    {"sin", std::sin, false},
      {"cos", std::cos, false},     {"log1p", std::log1p, true},
      {"expm1", std::expm1, false}, {"atan", std::atan, false, 1e-6},
      {"floor", std::floor, false}, {"absf", std::fabs, false},
      {"log10", std::log10, true},  {"tan", std::tan, false, 5e-7, 0.1f /* off its poles */},
      {"sinh", std::sinh, false},   {"cosh", std::cosh, false},
      {"asinh", std::asinh, false}};
  for (const Function &function : functions) {
    std::vector<float> input = ramp(64);
    std::vector<double> expected;
    for (float &value : input) {
      value = function.positive ? std::fabs(value) + 0.1f : value * function.scale;
      expected.push_back(function.reference(value));
    }
    expectMap(fmt::format("func.func @k(%x: tensor<64xf32>) -> tensor<64xf32> {{\n"
                          "  %y = math.{} %x : tensor<64xf32>\n  return %y : tensor<64xf32>\n}}",
                          function.op),
              input, expected, function.tolerance);
  }
}

TEST(Upstream, LayoutChanges) {
  auto input = ramp(24);
  std::vector<double> same(input.begin(), input.end()), transposed(24), padded(5 * 9, 0);
  for (int i = 0; i < 4; ++i)
    for (int j = 0; j < 6; ++j)
      transposed[j * 4 + i] = input[i * 6 + j];
  expectMap("func.func @k(%x: tensor<24xf32>) -> tensor<24xf32> { return %x : tensor<24xf32> }",
            input, same, 1e-9);
  expectMap("func.func @k(%x: tensor<4x6xf32>) -> tensor<24xf32> {\n"
            "  %y = tensor.collapse_shape %x [[0, 1]] : tensor<4x6xf32> into tensor<24xf32>\n"
            "  return %y : tensor<24xf32>\n}",
            input, same, 1e-9);
  expectMap("func.func @k(%x: tensor<4x6xf32>) -> tensor<6x4xf32> {\n"
            "  %e = tensor.empty() : tensor<6x4xf32>\n"
            "  %y = linalg.transpose ins(%x : tensor<4x6xf32>) outs(%e : tensor<6x4xf32>) "
            "permutation = [1, 0]\n  return %y : tensor<6x4xf32>\n}",
            input, transposed, 1e-9);
  std::vector<float> small(input.begin(), input.begin() + 15);
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 5; ++j)
      padded[(i + 1) * 9 + j + 2] = small[i * 5 + j];
  expectMap("func.func @k(%x: tensor<3x5xf32>) -> tensor<5x9xf32> {\n"
            "  %zero = arith.constant 0.0 : f32\n"
            "  %y = tensor.pad %x low[1, 2] high[1, 2] {\n  ^bb0(%i: index, %j: index):\n"
            "    tensor.yield %zero : f32\n  } : tensor<3x5xf32> to tensor<5x9xf32>\n"
            "  return %y : tensor<5x9xf32>\n}",
            small, padded, 1e-9);
}

TEST(Upstream, ReductionsAreTiled) {
  const int64_t rows = 512, columns = 100;
  std::mt19937 generator(3);
  auto input = randomFloats(generator, rows * columns);
  std::vector<double> expected(rows * columns);
  for (int64_t r = 0; r < rows; ++r) {
    double top = -INFINITY, sum = 0;
    for (int64_t c = 0; c < columns; ++c)
      top = std::max<double>(top, input[r * columns + c]);
    for (int64_t c = 0; c < columns; ++c)
      sum += std::exp(input[r * columns + c] - top);
    for (int64_t c = 0; c < columns; ++c)
      expected[r * columns + c] = std::exp(input[r * columns + c] - top) / sum;
  }
  expectMap("func.func @k(%x: tensor<512x100xf32>) -> tensor<512x100xf32> {\n"
            "  %e = tensor.empty() : tensor<512x100xf32>\n"
            "  %y = linalg.softmax dimension(1) ins(%x : tensor<512x100xf32>) "
            "outs(%e : tensor<512x100xf32>) -> tensor<512x100xf32>\n"
            "  return %y : tensor<512x100xf32>\n}",
            input, expected, 1e-6);
}

} // namespace
} // namespace levin::host
