// The rows template against float64.
#include "KernelHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fmt/format.h>

namespace levin::host {
namespace {

struct Shape {
  int64_t rows, columns;
};

class Rows : public testing::TestWithParam<Shape> {};

/// Divides by the root mean square and scales.
std::vector<double> norm(const std::vector<double> &x, const std::vector<float> &w, int64_t rows,
                         int64_t columns, double eps) {
  std::vector<double> y(x.size());
  for (int64_t r = 0; r < rows; ++r) {
    double sum = 0;
    for (int64_t c = 0; c < columns; ++c)
      sum += x[r * columns + c] * x[r * columns + c];
    for (int64_t c = 0; c < columns; ++c)
      y[r * columns + c] = w[c] * x[r * columns + c] / std::sqrt(sum / columns + eps);
  }
  return y;
}

// What a decoder makes between its experts and its next projection, twice over.
TEST_P(Rows, CombineResidualNorm) {
  auto [rows, columns] = GetParam();
  std::string ir = fmt::format(R"(
func.func @k(%y: tensor<{2}x{1}xf32>, %rows: tensor<{0}x2xi32>, %w: tensor<{0}x2xf32>,
             %h: tensor<{0}x{1}xf32>, %a: tensor<{1}xf32>, %b: tensor<{1}xbf16>)
    -> (tensor<{0}x{1}xf32>, tensor<{0}x{1}xf32>) {{
  %m = moe.combine %y by %rows weighted %w
    : tensor<{2}x{1}xf32>, tensor<{0}x2xi32>, tensor<{0}x2xf32>
  %x = nn.residual %h, %m {{alpha = 2.0 : f64, beta = 0.5 : f64}} : tensor<{0}x{1}xf32>
  %n = nn.rms_norm %x, %a {{eps = 1.0e-2 : f64}} : tensor<{0}x{1}xf32>, tensor<{1}xf32>
  %g = nn.sigmoid %h : tensor<{0}x{1}xf32>
  %p = arith.mulf %n, %g : tensor<{0}x{1}xf32>
  %q = arith.addf %p, %x : tensor<{0}x{1}xf32>
  %z = nn.rms_norm %q, %b {{eps = 1.0e-6 : f64}} : tensor<{0}x{1}xf32>, tensor<{1}xbf16>
  return %n, %z : tensor<{0}x{1}xf32>, tensor<{0}x{1}xf32>
}})",
                               rows, columns, 2 * rows);
  std::mt19937 generator(7);
  auto y = randomFloats(generator, 2 * rows * columns), w = randomFloats(generator, 2 * rows),
       h = randomFloats(generator, rows * columns), a = randomFloats(generator, columns),
       b = randomFloats(generator, columns);
  std::vector<uint16_t> b16;
  for (float &value : b)
    value = fromBFloat16(b16.emplace_back(toBFloat16(value)));
  std::vector<int32_t> places(2 * rows);
  for (int64_t i = 0; i < 2 * rows; ++i)
    places[i] = static_cast<int32_t>(2 * rows - 1 - i);
  for (int64_t r = 0; r < rows; r += 3) { // a choice without a row
    std::fill_n(y.begin() + places[2 * r + 1] * columns, columns, NAN);
    places[2 * r + 1] = -1;
  }
  std::vector<double> x(rows * columns), q(rows * columns);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      double sum = 0;
      for (int64_t i = 2 * r; i < 2 * r + 2; ++i)
        if (places[i] >= 0)
          sum += double(w[i]) * y[places[i] * columns + c];
      x[r * columns + c] = 2.0 * h[r * columns + c] + 0.5 * sum;
    }
  auto n = norm(x, a, rows, columns, 1e-2);
  for (int64_t i = 0; i < rows * columns; ++i)
    q[i] = n[i] / (1 + std::exp(-double(h[i]))) + x[i];
  auto z = norm(q, b, rows, columns, 1e-6);
  auto makeBindings = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(y));
    bindings.push_back(Buffer::of(places));
    bindings.push_back(Buffer::of(w));
    bindings.push_back(Buffer::of(h));
    bindings.push_back(Buffer::of(a));
    bindings.push_back(Buffer::of(b16));
    bindings.push_back(Buffer::poisoned(rows * columns));
    bindings.push_back(Buffer::poisoned(rows * columns));
    return bindings;
  };
  if (rows <= 5) {
    auto meant = makeBindings();
    ASSERT_TRUE(runMeaning(ir, meant));
    EXPECT_LT(relativeError(meant[6].as<float>(), n), 2e-6);
    EXPECT_LT(relativeError(meant[7].as<float>(), z), 2e-6);
  }
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "rows");
    std::vector<Buffer> bindings = makeBindings();
    kernel->run(bindings, 2);
    EXPECT_LT(relativeError(bindings[6].as<float>(), n), 1e-6) << target.name;
    EXPECT_LT(relativeError(bindings[7].as<float>(), z), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

TEST_P(Rows, EmbedAndTake) {
  auto [rows, columns] = GetParam();
  std::string ir = fmt::format(R"(
func.func @k(%ids: tensor<{0}xi32>, %t: tensor<9x{1}xbf16>, %x: tensor<7x{1}xf32>,
             %a: tensor<{1}xf32>) -> tensor<{0}x{1}xf32> {{
  %e = nn.embed %ids, %t : tensor<{0}xi32>, tensor<9x{1}xbf16> -> tensor<{0}x{1}xf32>
  %r = nn.take_rows %x, %ids : tensor<7x{1}xf32>, tensor<{0}xi32>
  %s = arith.addf %e, %r : tensor<{0}x{1}xf32>
  %n = nn.rms_norm %s, %a {{eps = 1.0e-5 : f64}} : tensor<{0}x{1}xf32>, tensor<{1}xf32>
  return %n : tensor<{0}x{1}xf32>
}})",
                               rows, columns);
  std::mt19937 generator(8);
  auto t = randomFloats(generator, 9 * columns), x = randomFloats(generator, 7 * columns),
       a = randomFloats(generator, columns);
  std::vector<uint16_t> t16;
  for (float &value : t)
    value = fromBFloat16(t16.emplace_back(toBFloat16(value)));
  std::vector<int32_t> ids(rows);
  for (int64_t r = 0; r < rows; ++r)
    ids[r] = static_cast<int32_t>(r * 5 % 12 - 1); // some outside both tables
  std::vector<double> s(rows * columns);
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < columns; ++c) {
      int64_t row = ids[r] < 0 || ids[r] >= 9 ? 0 : ids[r], other = ids[r] >= 7 ? 0 : row;
      s[r * columns + c] = double(t[row * columns + c]) + x[other * columns + c];
    }
  auto expected = norm(s, a, rows, columns, 1e-5);
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "rows");
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(ids));
    bindings.push_back(Buffer::of(t16));
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(a));
    bindings.push_back(Buffer::poisoned(rows * columns));
    kernel->run(bindings);
    EXPECT_LT(relativeError(bindings[4].as<float>(), expected), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

const Shape shapes[] = {{1, 192}, {3, 256}, {5, 40}, {17, 7}, {100, 100}, {64, 512}};

INSTANTIATE_TEST_SUITE_P(Shapes, Rows, testing::ValuesIn(shapes), [](const auto &info) {
  return fmt::format("r{}c{}", info.param.rows, info.param.columns);
});

} // namespace
} // namespace levin::host
