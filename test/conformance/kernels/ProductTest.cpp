// The matmul and grouped_linear templates against products in float64.
#include "KernelHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fmt/format.h>

namespace levin::host {
namespace {

/// [.., n, k] in panels of 32 rows; rows past n are 0.
template <typename T>
std::vector<T> pack(const std::vector<T> &matrix, int64_t experts, int64_t n, int64_t k) {
  int64_t panels = (n + 31) / 32;
  std::vector<T> packed(experts * panels * k * 32);
  for (int64_t e = 0; e < experts; ++e)
    for (int64_t row = 0; row < n; ++row)
      for (int64_t i = 0; i < k; ++i)
        packed[((e * panels + row / 32) * k + i) * 32 + row % 32] = matrix[(e * n + row) * k + i];
  return packed;
}

std::vector<double> product(std::span<const float> a, std::span<const float> w, int64_t m,
                            int64_t n, int64_t k) {
  std::vector<double> c(m * n);
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double sum = 0;
      for (int64_t l = 0; l < k; ++l)
        sum += double(a[i * k + l]) * w[j * k + l];
      c[i * n + j] = sum;
    }
  return c;
}

double silu(double x) { return x / (1 + std::exp(-x)); }

struct Shape {
  int64_t m, n, k;
};

const Shape shapes[] = {{1, 96, 192},  {2, 70, 64}, {3, 33, 17},    {4, 256, 300},  {7, 1024, 192},
                        {13, 40, 520}, {32, 48, 7}, {97, 100, 257}, {200, 320, 768}};

class Products : public testing::TestWithParam<Shape> {};

TEST_P(Products, PackedLinear) {
  auto [m, n, k] = GetParam();
  std::string ir = fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %p: tensor<{3}x{2}x32xf32>, %b: tensor<{1}xf32>)
    -> tensor<{0}x{1}xf32> {{
  %w = exec.unpack %p : tensor<{3}x{2}x32xf32> -> tensor<{1}x{2}xf32>
  %y = nn.linear %x, %w bias %b : tensor<{0}x{2}xf32>, tensor<{1}x{2}xf32>, tensor<{1}xf32>
  return %y : tensor<{0}x{1}xf32>
}})",
                               m, n, k, (n + 31) / 32);
  std::mt19937 generator(1);
  auto x = randomFloats(generator, m * k), w = randomFloats(generator, n * k),
       b = randomFloats(generator, n);
  auto expected = product(x, w, m, n, k);
  for (int64_t i = 0; i < m * n; ++i)
    expected[i] += b[i % n];
  auto makeBindings = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(pack(w, 1, n, k)));
    bindings.push_back(Buffer::of(b));
    bindings.push_back(Buffer::poisoned(m * n));
    return bindings;
  };
  if (m * n * k < 1 << 20) {
    auto meant = makeBindings();
    ASSERT_TRUE(runMeaning(ir, meant));
    EXPECT_LT(relativeError(meant[3].as<float>(), expected), 2e-6);
  }
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "matmul");
    EXPECT_LT(kernel->info().stackBytes, 1u << 20);
    std::vector<Buffer> bindings = makeBindings();
    kernel->run(bindings);
    EXPECT_LT(relativeError(bindings[3].as<float>(), expected), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

TEST_P(Products, UnpackedGatedBFloat16) {
  auto [m, n, k] = GetParam();
  std::string ir = fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %p: tensor<{3}x{2}x32xbf16>, %u: tensor<{1}x{2}xbf16>,
             %r: tensor<{0}x{1}xf32>) -> (tensor<{0}x{1}xf32>, tensor<{0}x{1}xf32>) {{
  %half = arith.constant dense<0.5> : tensor<{0}x{1}xf32>
  %w = exec.unpack %p : tensor<{3}x{2}x32xbf16> -> tensor<{1}x{2}xbf16>
  %a = nn.linear %x, %w : tensor<{0}x{2}xf32>, tensor<{1}x{2}xbf16>
  %b = nn.linear %x, %u : tensor<{0}x{2}xf32>, tensor<{1}x{2}xbf16>
  %s = nn.silu %a : tensor<{0}x{1}xf32>
  %y = arith.mulf %s, %b : tensor<{0}x{1}xf32>
  %h = arith.mulf %r, %half : tensor<{0}x{1}xf32>
  %z = arith.addf %y, %h : tensor<{0}x{1}xf32>
  %t = nn.mask_tail %b {{live = {4} : i64}} : tensor<{0}x{1}xf32>
  return %z, %t : tensor<{0}x{1}xf32>, tensor<{0}x{1}xf32>
}})",
                               m, n, k, (n + 31) / 32, n - 3);
  std::mt19937 generator(2);
  float scale = 1 / std::sqrt(float(k));
  auto x = randomFloats(generator, m * k), w = randomFloats(generator, n * k, scale),
       u = randomFloats(generator, n * k, scale), r = randomFloats(generator, m * n);
  std::vector<uint16_t> w16, u16;
  for (float &value : w)
    value = fromBFloat16(w16.emplace_back(toBFloat16(value)));
  for (float &value : u)
    value = fromBFloat16(u16.emplace_back(toBFloat16(value)));
  auto a = product(x, w, m, n, k), b = product(x, u, m, n, k);
  std::vector<double> z(m * n), t(m * n);
  for (int64_t i = 0; i < m * n; ++i) {
    z[i] = silu(a[i]) * b[i] + 0.5 * r[i];
    t[i] = i % n < n - 3 ? b[i] : -INFINITY;
  }
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "matmul");
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(pack(w16, 1, n, k)));
    bindings.push_back(Buffer::of(u16));
    bindings.push_back(Buffer::of(r));
    bindings.push_back(Buffer::poisoned(m * n));
    bindings.push_back(Buffer::poisoned(m * n));
    kernel->run(bindings, 2);
    EXPECT_LT(relativeError(bindings[4].as<float>(), z), 1e-6) << target.name;
    EXPECT_LT(relativeError(bindings[5].as<float>(), t), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

TEST_P(Products, Matmul) {
  auto [m, n, k] = GetParam();
  std::string ir = fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %w: tensor<{2}x{1}xf32>) -> tensor<{0}x{1}xf32> {{
  %zero = arith.constant 0.0 : f32
  %e = tensor.empty() : tensor<{0}x{1}xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<{0}x{1}xf32>) -> tensor<{0}x{1}xf32>
  %y = linalg.matmul ins(%x, %w : tensor<{0}x{2}xf32>, tensor<{2}x{1}xf32>)
         outs(%f : tensor<{0}x{1}xf32>) -> tensor<{0}x{1}xf32>
  return %y : tensor<{0}x{1}xf32>
}})",
                               m, n, k);
  std::mt19937 generator(3);
  auto x = randomFloats(generator, m * k), w = randomFloats(generator, n * k);
  std::vector<float> transposed(n * k);
  for (int64_t i = 0; i < n * k; ++i)
    transposed[i % k * n + i / k] = w[i];
  auto expected = product(x, w, m, n, k);
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(ir, target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "matmul");
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(transposed));
    bindings.push_back(Buffer::poisoned(m * n));
    kernel->run(bindings);
    EXPECT_LT(relativeError(bindings[2].as<float>(), expected), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Products, testing::ValuesIn(shapes), [](const auto &info) {
  return fmt::format("m{}n{}k{}", info.param.m, info.param.n, info.param.k);
});

/// Offsets of 4 experts over the rows of the input.
struct Ragged {
  int64_t rows;
  std::vector<int32_t> offsets;
};

TEST(GroupedLinear, RaggedExperts) {
  const Ragged cases[] = {{2, {0, 1, 1, 2, 2}},
                          {10, {0, 0, 10, 10, 10}},
                          {64, {0, 13, 13, 40, 60}},
                          {600, {0, 450, 451, 470, 599}}};
  const int64_t n = 72, k = 60, experts = 4, panels = 3;
  for (const Ragged &ragged : cases) {
    int64_t m = ragged.rows;
    std::string ir = fmt::format(R"(
func.func @k(%x: tensor<{0}x{2}xf32>, %o: tensor<5xi32>, %p: tensor<4x{3}x{2}x32xf32>,
             %q: tensor<4x{3}x{2}x32xf32>) -> tensor<{0}x{1}xf32> {{
  %w = exec.unpack %p : tensor<4x{3}x{2}x32xf32> -> tensor<4x{1}x{2}xf32>
  %v = exec.unpack %q : tensor<4x{3}x{2}x32xf32> -> tensor<4x{1}x{2}xf32>
  %a = moe.grouped_linear %x, %w by %o : tensor<{0}x{2}xf32>, tensor<4x{1}x{2}xf32>, tensor<5xi32>
  %b = moe.grouped_linear %x, %v by %o : tensor<{0}x{2}xf32>, tensor<4x{1}x{2}xf32>, tensor<5xi32>
  %s = nn.silu %a : tensor<{0}x{1}xf32>
  %y = arith.mulf %s, %b : tensor<{0}x{1}xf32>
  return %y : tensor<{0}x{1}xf32>
}})",
                                 m, n, k, panels);
    std::mt19937 generator(4);
    auto x = randomFloats(generator, m * k), w = randomFloats(generator, experts * n * k, 0.1f),
         v = randomFloats(generator, experts * n * k, 0.1f);
    for (int64_t i = ragged.offsets[experts] * k; i < m * k; ++i)
      x[i] = NAN; // rows of no expert
    std::vector<double> expected(ragged.offsets[experts] * n);
    for (int64_t e = 0; e < experts; ++e) {
      int64_t begin = ragged.offsets[e], rows = ragged.offsets[e + 1] - begin;
      std::span<const float> part(x.data() + begin * k, rows * k);
      auto a = product(part, std::span<const float>(w).subspan(e * n * k, n * k), rows, n, k);
      auto b = product(part, std::span<const float>(v).subspan(e * n * k, n * k), rows, n, k);
      for (int64_t i = 0; i < rows * n; ++i)
        expected[begin * n + i] = silu(a[i]) * b[i];
    }
    auto makeBindings = [&] {
      std::vector<Buffer> bindings;
      bindings.push_back(Buffer::of(x));
      bindings.push_back(Buffer::of(ragged.offsets));
      bindings.push_back(Buffer::of(pack(w, experts, n, k)));
      bindings.push_back(Buffer::of(pack(v, experts, n, k)));
      bindings.push_back(Buffer::poisoned(m * n));
      return bindings;
    };
    if (m <= 10) {
      auto meant = makeBindings();
      ASSERT_TRUE(runMeaning(ir, meant));
      EXPECT_LT(relativeError(meant[4].as<float>().first(expected.size()), expected), 2e-6);
    }
    for (const HostTarget &target : runnableTargets()) {
      auto kernel = LoadedKernel::compile(ir, target);
      ASSERT_TRUE(kernel);
      EXPECT_EQ(kernel->info().method, "grouped_linear");
      EXPECT_LT(kernel->info().stackBytes, 1u << 20);
      std::vector<Buffer> bindings = makeBindings();
      kernel->run(bindings, 2);
      EXPECT_LT(relativeError(bindings[4].as<float>().first(expected.size()), expected), 1e-6)
          << target.name << ", " << m << " rows";
      for (Buffer &buffer : bindings)
        EXPECT_TRUE(buffer.intact());
    }
  }
}

TEST(HostileBatch, GroupedLinearStaysInside) {
  const std::string ir = R"(
func.func @k(%x: tensor<20x24xf32>, %o: tensor<4xi32>, %w: tensor<3x40x24xf32>)
    -> tensor<20x40xf32> {
  %y = moe.grouped_linear %x, %w by %o
    : tensor<20x24xf32>, tensor<3x40x24xf32>, tensor<4xi32>
  return %y : tensor<20x40xf32>
})";
  auto kernel = LoadedKernel::compile(ir, *nativeHostTarget());
  ASSERT_TRUE(kernel);
  for (const std::vector<int32_t> &offsets :
       {std::vector<int32_t>{-9, 1 << 30, 4, 60}, {INT32_MAX, INT32_MIN, 20, 21}}) {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(std::vector<float>(20 * 24, 1)));
    bindings.push_back(Buffer::of(offsets));
    bindings.push_back(Buffer::of(std::vector<float>(3 * 40 * 24, 1)));
    bindings.push_back(Buffer::poisoned(20 * 40));
    kernel->run(bindings);
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

} // namespace
} // namespace levin::host
