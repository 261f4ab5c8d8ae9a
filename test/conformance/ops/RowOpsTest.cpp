#include "OpTest.h"

namespace levin::host {
namespace {

using Row = std::span<const float>;

struct Shape {
  int64_t rows, columns;
};
const Shape shapes[] = {{1, 1}, {1, 64}, {3, 17}, {31, 192}, {256, 96}, {257, 33}, {1000, 128}};

class Rows : public testing::TestWithParam<Shape> {
protected:
  std::mt19937 generator{11};
  int64_t rows = GetParam().rows, columns = GetParam().columns;
  std::string type = fmt::format("tensor<{}x{}xf32>", rows, columns);
  std::vector<float> x = randomFloats(generator, rows *columns, 3),
                     y = randomFloats(generator, rows *columns),
                     weight = randomFloats(generator, columns),
                     bias = randomFloats(generator, columns);

  /// The result of `body` (%x, %y: rows; %w, %b: columns) is `expected`.
  void expect(const std::string &body, const std::vector<double> &expected, double tolerance) {
    std::string ir = fmt::format("func.func @k(%x: {0}, %y: {0}, %w: tensor<{1}xf32>, "
                                 "%b: tensor<{1}xf32>) -> {0} {{\n{2}\n  return %z : {0}\n}}",
                                 type, columns, body);
    auto inputs = [&] {
      std::vector<Buffer> bindings;
      for (const auto *values : {&x, &y, &weight, &bias})
        bindings.push_back(Buffer::of(*values));
      return bindings;
    };
    runGeneric(ir, inputs, {x.size() * 4}, [&](std::span<Buffer> bindings) {
      EXPECT_LT(relativeError(bindings[4].as<float>(), expected), tolerance) << body;
    });
  }
  void expectElementwise(const std::string &op, const std::function<double(double)> &function,
                         double tolerance = 5e-7) {
    std::vector<double> expected;
    for (float value : x)
      expected.push_back(function(value));
    expect(fmt::format("  %z = {} %x : {}", op, type), expected, tolerance);
  }
};

TEST_P(Rows, Elementwise) {
  expectElementwise("nn.silu", [](double v) { return v / (1 + std::exp(-v)); });
  expectElementwise("nn.sigmoid", [](double v) { return 1 / (1 + std::exp(-v)); });
  expectElementwise(
      "nn.gelu", [](double v) { return v * std::erfc(-v / std::sqrt(2.0)) / 2; },
      1e-6); // relative, far into the tail
}

TEST_P(Rows, ElementwiseExtremes) {
  const float special[] = {0, -0.0f, 88, -88, 104, -104, 1e30f, -1e30f, 1e-30f};
  for (size_t i = 0; i < x.size(); ++i)
    x[i] = special[i % std::size(special)];
  std::vector<double> silu, sigmoid;
  for (float v : x) {
    silu.push_back(v < -1e4 ? 0 : v / (1 + std::exp(-double(v))));
    sigmoid.push_back(1 / (1 + std::exp(-double(v))));
  }
  expect(fmt::format("  %z = nn.silu %x : {}", type), silu, 5e-7);
  expect(fmt::format("  %z = nn.sigmoid %x : {}", type), sigmoid, 5e-7);
}

TEST_P(Rows, ResidualAndRmsNorm) {
  std::vector<double> expected(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < columns; ++c) {
      double v = 3.5 * double(x[r * columns + c]) + 0.5 * double(y[r * columns + c]);
      expected[r * columns + c] = v;
      squares += v * v;
    }
    double scale = 1 / std::sqrt(squares / double(columns) + 1e-5);
    for (int64_t c = 0; c < columns; ++c)
      expected[r * columns + c] *= scale * weight[c];
  }
  expect(fmt::format("  %r = nn.residual %x, %y {{alpha = 3.5 : f64, beta = 0.5 : f64}} : {0}\n"
                     "  %z = nn.rms_norm %r, %w {{eps = 1.0e-5 : f64}} : {0}, tensor<{1}xf32>",
                     type, columns),
         expected, 1e-6);
}

// A wrong eps hides unless the row is small: here it decides.
TEST_P(Rows, RmsNormOfSmallRows) {
  for (float &v : x)
    v *= 1e-3f;
  std::vector<double> expected(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    double squares = 0;
    for (int64_t c = 0; c < columns; ++c)
      squares += double(x[r * columns + c]) * x[r * columns + c];
    for (int64_t c = 0; c < columns; ++c)
      expected[r * columns + c] =
          weight[c] * double(x[r * columns + c]) / std::sqrt(squares / double(columns) + 1e-6);
  }
  expect(fmt::format("  %z = nn.rms_norm %x, %w {{eps = 1.0e-6 : f64}} : {}, tensor<{}xf32>", type,
                     columns),
         expected, 1e-6);
}

TEST_P(Rows, LayerNorm) {
  std::vector<double> expected(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    double mean = 0, variance = 0;
    for (int64_t c = 0; c < columns; ++c)
      mean += x[r * columns + c] / double(columns);
    for (int64_t c = 0; c < columns; ++c)
      variance += std::pow(x[r * columns + c] - mean, 2) / double(columns);
    for (int64_t c = 0; c < columns; ++c)
      expected[r * columns + c] =
          weight[c] * (x[r * columns + c] - mean) / std::sqrt(variance + 1e-5) + bias[c];
  }
  expect(fmt::format("  %z = nn.layer_norm %x, %w, %b {{eps = 1.0e-5 : f64}} : {0}, "
                     "tensor<{1}xf32>, tensor<{1}xf32>",
                     type, columns),
         expected, 2e-6);
}

TEST_P(Rows, MaskTail) {
  int64_t live = (columns + 1) / 2;
  std::vector<double> expected(x.begin(), x.end());
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = live; c < columns; ++c)
      expected[r * columns + c] = -INFINITY;
  expect(fmt::format("  %z = nn.mask_tail %x {{live = {} : i64}} : {}", live, type), expected,
         1e-9);
}

TEST_P(Rows, EmbedAndTakeRows) {
  std::vector<int32_t> ids;
  for (int i = 0; i < 37; ++i)
    ids.push_back(static_cast<int32_t>(generator() % (rows + 4)) - 2); // some outside: row 0
  std::vector<double> expected;
  for (int32_t id : ids)
    for (int64_t c = 0; c < columns; ++c)
      expected.push_back(x[(id < 0 || id >= rows ? 0 : id) * columns + c]);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(ids));
    bindings.push_back(Buffer::of(x));
    return bindings;
  };
  const std::string ops[] = {
      fmt::format("nn.embed %i, %t : tensor<37xi32>, {} -> tensor<37x{}xf32>", type, columns),
      fmt::format("nn.take_rows %t, %i : {}, tensor<37xi32>", type)};
  for (const std::string &op : ops) {
    std::string ir =
        fmt::format("func.func @k(%i: tensor<37xi32>, %t: {0}) -> tensor<37x{1}xf32> {{\n"
                    "  %z = {2}\n  return %z : tensor<37x{1}xf32>\n}}",
                    type, columns, op);
    runGeneric(ir, inputs, {expected.size() * 4}, [&](std::span<Buffer> bindings) {
      EXPECT_EQ(relativeError(bindings[2].as<float>(), expected), 0) << op;
    });
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Rows, testing::ValuesIn(shapes), [](const auto &info) {
  return fmt::format("r{}c{}", info.param.rows, info.param.columns);
});

/// Angles at far positions: float32 products, exact sine and cosine.
TEST(Rotary, FarPositions) {
  const int64_t size = 48, width = 32;
  const double theta = 1e7;
  for (int32_t past : {0, 5, 4095, 1'000'000, 10'000'000}) {
    std::mt19937 generator(5);
    auto x = randomFloats(generator, 4 * 2 * size);
    std::vector<int32_t> starts{0, 1, 1, 4}, pasts{past, 77, 3};
    std::vector<double> expected(x.begin(), x.end());
    for (int64_t t = 0; t < 4; ++t)
      for (int64_t h = 0; h < 2; ++h)
        for (int64_t j = 0; j < width / 2; ++j) {
          int64_t position = t == 0 ? past : 3 + t - 1;
          float exponent = float(2 * j) / float(width);
          float frequency = 1.0f / float(std::pow(theta, exponent));
          double angle = float(position) * frequency;
          const float *row = &x[(t * 2 + h) * size];
          double a = row[j], b = row[j + width / 2];
          expected[(t * 2 + h) * size + j] = a * std::cos(angle) - b * std::sin(angle);
          expected[(t * 2 + h) * size + j + width / 2] = b * std::cos(angle) + a * std::sin(angle);
        }
    std::string ir =
        "func.func @k(%x: tensor<4x2x48xf32>, %s: tensor<4xi32>, %p: tensor<3xi32>) -> "
        "tensor<4x2x48xf32> {\n  %z = nn.rotary %x batch(%s, %p) {theta = 1.0e7 : f64, "
        "width = 32 : i64} : tensor<4x2x48xf32>, tensor<4xi32>, tensor<3xi32>\n"
        "  return %z : tensor<4x2x48xf32>\n}";
    auto inputs = [&] {
      std::vector<Buffer> bindings;
      bindings.push_back(Buffer::of(x));
      bindings.push_back(Buffer::of(starts));
      bindings.push_back(Buffer::of(pasts));
      return bindings;
    };
    runGeneric(ir, inputs, {x.size() * 4}, [&](std::span<Buffer> bindings) {
      EXPECT_LT(relativeError(bindings[3].as<float>(), expected), 5e-7) << "past " << past;
    });
  }
}

} // namespace
} // namespace levin::host
