// The attention template, with split and rotations, against softmax in float64.
#include "KernelHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fmt/format.h>

namespace levin::host {
namespace {

struct Case {
  int64_t heads, groups, size, width; // width 0: no rotation
  int64_t blocks, tokens;
  std::vector<int32_t> lengths, slots, past;

  std::vector<int32_t> starts() const {
    std::vector<int32_t> result{0};
    for (int32_t length : lengths)
      result.push_back(result.back() + length);
    return result;
  }
  int64_t columns() const { return (heads + 2 * groups) * size; }
};

constexpr int64_t slotCount = 3;
constexpr double theta = 1e4, scale = 0.3;

std::string kernelFor(const Case &c, std::string_view cache = "f32") {
  std::string rotations, q = "%q", k = "%k";
  for (auto [name, heads] : {std::pair("q", c.heads), std::pair("k", c.groups)})
    if (c.width > 0)
      rotations += fmt::format(
          "%r{0} = nn.rotary %{0} batch(%starts, %past) {{theta = 1.0e4 : f64, width = {1} : i64}}"
          " : tensor<{2}x{3}x{4}xf32>, tensor<{5}xi32>, tensor<{6}xi32>\n",
          name, c.width, c.tokens, heads, c.size, c.lengths.size() + 1, c.lengths.size());
  if (c.width > 0)
    q = "%rq", k = "%rk";
  std::string heads = fmt::format("tensor<{}x{}x{}xf32>", c.tokens, c.heads, c.size);
  std::string groups = fmt::format("tensor<{}x{}x{}xf32>", c.tokens, c.groups, c.size);
  std::string keys =
      fmt::format("tensor<{}x{}x{}x{}x16x{}>", slotCount, c.groups, c.blocks, c.size, cache);
  std::string values =
      fmt::format("tensor<{}x{}x{}x16x{}x{}>", slotCount, c.groups, c.blocks, c.size, cache);
  std::string output = fmt::format("tensor<{}x{}xf32>", c.tokens, c.heads * c.size);
  std::string starts = fmt::format("tensor<{}xi32>", c.lengths.size() + 1);
  std::string each = fmt::format("tensor<{}xi32>", c.lengths.size());
  return fmt::format(R"(
func.func @k(%x: tensor<{0}x{1}xf32>, %keys: {4}, %values: {5}, %starts: {7}, %slots: {8},
             %past: {8}) -> ({6}, {4}, {5}) {{
  %q, %k, %v = nn.split_heads %x : tensor<{0}x{1}xf32> -> {2}, {3}, {3}
  {9}
  %o, %nk, %nv = nn.attention {10}, {11}, %v cache(%keys, %values) batch(%starts, %slots, %past)
    {{scale = 0.3 : f64}} : ({2}, {3}, {3}, {4}, {5}, {7}, {8}, {8}) -> ({6}, {4}, {5})
  return %o, %nk, %nv : {6}, {4}, {5}
}})",
                     c.tokens, c.columns(), heads, groups, keys, values, output, starts, each,
                     rotations, q, k);
}

/// `size` channels at `x`, rotated for `position`; the angle is a float32.
std::vector<double> rotate(const Case &c, const float *x, int64_t position) {
  std::vector<double> y(x, x + c.size);
  for (int64_t j = 0; j < c.width / 2; ++j) {
    float exponent = float(2 * j) / float(c.width);
    float frequency = 1.0f / float(std::pow(theta, double(exponent)));
    double angle = float(position) * frequency;
    double low = x[j], high = x[j + c.width / 2];
    y[j] = low * std::cos(angle) - high * std::sin(angle);
    y[j + c.width / 2] = high * std::cos(angle) + low * std::sin(angle);
  }
  return y;
}

struct Caches {
  std::vector<double> keys, values;

  static size_t key(const Case &c, int64_t slot, int64_t g, int64_t p, int64_t i) {
    return (((slot * c.groups + g) * c.blocks + p / 16) * c.size + i) * 16 + p % 16;
  }
  static size_t value(const Case &c, int64_t slot, int64_t g, int64_t p, int64_t i) {
    return ((slot * c.groups + g) * c.blocks * 16 + p) * c.size + i;
  }
};

std::vector<double> reference(const Case &c, const std::vector<float> &x, Caches &caches) {
  std::vector<double> output(c.tokens * c.heads * c.size);
  std::vector<int32_t> starts = c.starts();
  for (size_t s = 0; s < c.lengths.size(); ++s)
    for (int64_t t = starts[s]; t < starts[s + 1]; ++t) {
      int64_t p = c.past[s] + t - starts[s], slot = c.slots[s];
      const float *row = x.data() + t * c.columns();
      for (int64_t g = 0; g < c.groups; ++g) {
        auto k = rotate(c, row + (c.heads + g) * c.size, p);
        for (int64_t i = 0; i < c.size; ++i) {
          caches.keys[Caches::key(c, slot, g, p, i)] = k[i];
          caches.values[Caches::value(c, slot, g, p, i)] =
              row[(c.heads + c.groups + g) * c.size + i];
        }
      }
      for (int64_t h = 0; h < c.heads; ++h) {
        int64_t g = h / (c.heads / c.groups);
        auto q = rotate(c, row + h * c.size, p);
        std::vector<double> weights(p + 1);
        double total = 0;
        for (int64_t j = 0; j <= p; ++j) {
          double score = 0;
          for (int64_t i = 0; i < c.size; ++i)
            score += q[i] * caches.keys[Caches::key(c, slot, g, j, i)];
          total += weights[j] = std::exp(scale * score);
        }
        for (int64_t j = 0; j <= p; ++j)
          for (int64_t i = 0; i < c.size; ++i)
            output[(t * c.heads + h) * c.size + i] +=
                weights[j] / total * caches.values[Caches::value(c, slot, g, j, i)];
      }
    }
  return output;
}

class Attention : public testing::TestWithParam<Case> {};

TEST_P(Attention, MatchesSoftmax) {
  const Case &c = GetParam();
  const int64_t rows = c.starts().back();
  std::mt19937 generator(6);
  auto x = randomFloats(generator, c.tokens * c.columns());
  std::fill(x.begin() + rows * c.columns(), x.end(), NAN);
  size_t cacheSize = slotCount * c.groups * c.blocks * 16 * c.size;
  std::vector<float> keys(cacheSize, NAN), values(cacheSize, NAN);
  auto earlier = randomFloats(generator, 2 * cacheSize);
  for (size_t s = 0; s < c.lengths.size(); ++s) // the positions that were fed before
    for (int64_t g = 0; g < c.groups; ++g)
      for (int64_t p = 0; p < c.past[s]; ++p)
        for (int64_t i = 0; i < c.size; ++i) {
          size_t key = Caches::key(c, c.slots[s], g, p, i),
                 value = Caches::value(c, c.slots[s], g, p, i);
          keys[key] = earlier[key];
          values[value] = earlier[cacheSize + value];
        }
  Caches caches{{keys.begin(), keys.end()}, {values.begin(), values.end()}};
  auto expected = reference(c, x, caches);
  expected.resize(rows * c.heads * c.size);

  auto makeBindings = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(keys));
    bindings.push_back(Buffer::of(values));
    bindings.push_back(Buffer::of(c.starts()));
    bindings.push_back(Buffer::of(c.slots));
    bindings.push_back(Buffer::of(c.past));
    bindings.push_back(Buffer::poisoned(c.tokens * c.heads * c.size));
    return bindings;
  };
  if (c.tokens <= 8) {
    auto meant = makeBindings();
    ASSERT_TRUE(runMeaning(kernelFor(c), meant));
    EXPECT_LT(relativeError(meant[6].as<float>().first(expected.size()), expected), 2e-6);
    EXPECT_LT(relativeError(meant[1].as<float>(), caches.keys), 1e-6);
    EXPECT_LT(relativeError(meant[2].as<float>(), caches.values), 1e-6);
  }
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(kernelFor(c), target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "attention");
    EXPECT_LT(kernel->info().stackBytes, 1u << 20);
    std::vector<Buffer> bindings = makeBindings();
    kernel->run(bindings, 2);
    EXPECT_LT(relativeError(bindings[6].as<float>().first(expected.size()), expected), 2e-6)
        << target.name;
    EXPECT_LT(relativeError(bindings[1].as<float>(), caches.keys), 1e-6) << target.name;
    EXPECT_LT(relativeError(bindings[2].as<float>(), caches.values), 1e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

const Case cases[] = {
    {4, 2, 64, 64, 8, 1, {1}, {1}, {0}},
    {4, 2, 64, 64, 8, 1, {1}, {2}, {77}},
    {4, 1, 16, 0, 7, 8, {1, 0, 5}, {0, 1, 2}, {40, 3, 0}},
    {8, 1, 32, 16, 20, 300, {257, 33}, {1, 0}, {0, 31}},
    {6, 3, 48, 16, 20, 310, {31, 256}, {2, 0}, {1, 64}},
    {4, 4, 128, 64, 16, 128, {100, 20}, {0, 1}, {0, 200}},
    {4, 2, 64, 64, 64, 1000, {1000}, {2}, {0}},
    {6, 2, 24, 8, 20, 310, {31, 256}, {2, 0}, {1, 60}},
    {2, 1, 40, 40, 12, 70, {1, 64}, {0, 1}, {9, 0}},
};

INSTANTIATE_TEST_SUITE_P(Cases, Attention, testing::ValuesIn(cases), [](const auto &info) {
  return fmt::format("h{}g{}d{}n{}_{}", info.param.heads, info.param.groups, info.param.size,
                     info.param.tokens, info.index);
});

// A cache of bfloat16 differs by its rounding only.
TEST(AttentionCache, BFloat16) {
  const Case c{4, 2, 64, 32, 6, 90, {60, 30}, {2, 0}, {0, 0}};
  std::mt19937 generator(9);
  auto x = randomFloats(generator, c.tokens * c.columns());
  size_t cacheSize = slotCount * c.groups * c.blocks * 16 * c.size;
  std::vector<float> keys(cacheSize, NAN), values(cacheSize, NAN);
  Caches caches{{keys.begin(), keys.end()}, {values.begin(), values.end()}};
  auto expected = reference(c, x, caches);
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(kernelFor(c, "bf16"), target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "attention");
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    for (int i = 0; i < 2; ++i)
      bindings.push_back(Buffer::of(std::vector<uint16_t>(cacheSize, 0xffff)));
    bindings.push_back(Buffer::of(c.starts()));
    bindings.push_back(Buffer::of(c.slots));
    bindings.push_back(Buffer::of(c.past));
    bindings.push_back(Buffer::poisoned(c.tokens * c.heads * c.size));
    kernel->run(bindings, 2);
    EXPECT_LT(relativeError(bindings[6].as<float>(), expected), 2e-2) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

// Callers check a batch before they run it; a kernel that is given a wrong one anyway stays inside
// its buffers.
TEST(HostileBatch, AttentionStaysInside) {
  Case c{4, 2, 32, 32, 8, 40, {0, 0}, {0, 0}, {0, 0}};
  const std::vector<int32_t> starts[] = {{-7, 1 << 30, 3}, {30, 10, 40}, {0, 40, 40}};
  const std::vector<int32_t> slots[] = {{-1, 99}, {2, 1}, {INT32_MIN, INT32_MAX}};
  const std::vector<int32_t> past[] = {{INT32_MAX, -5}, {120, INT32_MIN}, {100, 0}};
  auto kernel = LoadedKernel::compile(kernelFor(c), *nativeHostTarget());
  ASSERT_TRUE(kernel);
  size_t cacheSize = slotCount * c.groups * c.blocks * 16 * c.size;
  for (int i = 0; i < 3; ++i) {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(std::vector<float>(c.tokens * c.columns(), 1)));
    bindings.push_back(Buffer::of(std::vector<float>(cacheSize, 1)));
    bindings.push_back(Buffer::of(std::vector<float>(cacheSize, 1)));
    bindings.push_back(Buffer::of(starts[i]));
    bindings.push_back(Buffer::of(slots[i]));
    bindings.push_back(Buffer::of(past[i]));
    bindings.push_back(Buffer::poisoned(c.tokens * c.heads * c.size));
    kernel->run(bindings);
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact()) << i;
  }
}

} // namespace
} // namespace levin::host
