// The lightning_attention template against the recurrence in float64.
#include "KernelHarness.h"

#include <gtest/gtest.h>

#include <cmath>
#include <fmt/format.h>

namespace levin::host {
namespace {

/// A ragged batch: `lengths` of sequences, then padding up to `tokens`.
struct Batch {
  int64_t tokens;
  std::vector<int32_t> lengths, slots, past;

  std::vector<int32_t> starts() const {
    std::vector<int32_t> result{0};
    for (int32_t length : lengths)
      result.push_back(result.back() + length);
    return result;
  }
};

struct Case {
  int64_t heads, size;
  bool interleaved;
  Batch batch;
};

std::string kernelFor(const Case &c, int64_t slots) {
  return fmt::format(R"(
func.func @k(%x: tensor<{0}x{4}xf32>, %s: tensor<{1}xf32>, %state: tensor<{3}x{1}x{2}x{2}xf32>,
             %starts: tensor<{5}xi32>, %slots: tensor<{6}xi32>, %past: tensor<{6}xi32>)
    -> (tensor<{0}x{7}xf32>, tensor<{3}x{1}x{2}x{2}xf32>) {{
  %q, %k, %v = nn.split_heads %x {8} : tensor<{0}x{4}xf32>
    -> tensor<{0}x{1}x{2}xf32>, tensor<{0}x{1}x{2}xf32>, tensor<{0}x{1}x{2}xf32>
  %o, %n = nn.lightning_attention %q, %k, %v, %s state %state batch(%starts, %slots, %past)
    : (tensor<{0}x{1}x{2}xf32>, tensor<{0}x{1}x{2}xf32>, tensor<{0}x{1}x{2}xf32>, tensor<{1}xf32>,
       tensor<{3}x{1}x{2}x{2}xf32>, tensor<{5}xi32>, tensor<{6}xi32>, tensor<{6}xi32>)
    -> (tensor<{0}x{7}xf32>, tensor<{3}x{1}x{2}x{2}xf32>)
  return %o, %n : tensor<{0}x{7}xf32>, tensor<{3}x{1}x{2}x{2}xf32>
}})",
                     c.batch.tokens, c.heads, c.size, slots, 3 * c.heads * c.size,
                     c.batch.lengths.size() + 1, c.batch.lengths.size(), c.heads * c.size,
                     c.interleaved ? "interleaved" : "");
}

/// Updates `state`, and returns the output of all rows (0 for padding).
std::vector<double> reference(const Case &c, const std::vector<float> &x,
                              const std::vector<float> &slopes, std::vector<double> &state) {
  int64_t width = 3 * c.heads * c.size, size = c.size;
  std::vector<double> output(c.batch.tokens * c.heads * size);
  std::vector<int32_t> starts = c.batch.starts();
  for (size_t s = 0; s < c.batch.lengths.size(); ++s)
    for (int64_t h = 0; h < c.heads; ++h) {
      double *S = state.data() + (c.batch.slots[s] * c.heads + h) * size * size;
      if (starts[s] < starts[s + 1] && c.batch.past[s] == 0)
        std::fill(S, S + size * size, 0);
      for (int64_t t = starts[s]; t < starts[s + 1]; ++t) {
        auto part = [&](int64_t p) {
          int64_t column = c.interleaved ? (h * 3 + p) * size : (p * c.heads + h) * size;
          return x.data() + t * width + column;
        };
        const float *q = part(0), *k = part(1), *v = part(2);
        for (int64_t i = 0; i < size; ++i)
          for (int64_t j = 0; j < size; ++j)
            S[i * size + j] = std::exp(-double(slopes[h])) * S[i * size + j] + double(k[i]) * v[j];
        for (int64_t j = 0; j < size; ++j) {
          double sum = 0;
          for (int64_t i = 0; i < size; ++i)
            sum += q[i] * S[i * size + j];
          output[(t * c.heads + h) * size + j] = sum;
        }
      }
    }
  return output;
}

class Lightning : public testing::TestWithParam<Case> {};

TEST_P(Lightning, MatchesTheRecurrence) {
  const Case &c = GetParam();
  const int64_t slots = 4, rows = c.batch.starts().back(), width = 3 * c.heads * c.size;
  std::mt19937 generator(5);
  auto x = randomFloats(generator, c.batch.tokens * width, 0.5f);
  std::fill(x.begin() + rows * width, x.end(), NAN);
  std::vector<float> slopes;
  for (int64_t h = 0; h < c.heads; ++h)
    slopes.push_back(static_cast<float>(std::exp2(-8.0 * (h + 1) / c.heads)));
  auto state = randomFloats(generator, slots * c.heads * c.size * c.size, 0.5f);
  for (size_t s = 0; s < c.batch.slots.size(); ++s)
    if (c.batch.past[s] == 0 && c.batch.lengths[s] > 0) // what a slot held before is not read
      std::fill_n(state.begin() + c.batch.slots[s] * c.heads * c.size * c.size,
                  c.heads * c.size * c.size, NAN);
  std::vector<double> expectedState(state.begin(), state.end());
  auto expected = reference(c, x, slopes, expectedState);
  expected.resize(rows * c.heads * c.size);

  auto makeBindings = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(slopes));
    bindings.push_back(Buffer::of(state));
    bindings.push_back(Buffer::of(c.batch.starts()));
    bindings.push_back(Buffer::of(c.batch.slots));
    bindings.push_back(Buffer::of(c.batch.past));
    bindings.push_back(Buffer::poisoned(c.batch.tokens * c.heads * c.size));
    return bindings;
  };
  if (c.batch.tokens <= 40) {
    auto meant = makeBindings();
    ASSERT_TRUE(runMeaning(kernelFor(c, slots), meant));
    EXPECT_LT(relativeError(meant[6].as<float>().first(expected.size()), expected), 2e-6);
    EXPECT_LT(relativeError(meant[2].as<float>(), expectedState), 2e-6);
  }
  for (const HostTarget &target : runnableTargets()) {
    auto kernel = LoadedKernel::compile(kernelFor(c, slots), target);
    ASSERT_TRUE(kernel);
    EXPECT_EQ(kernel->info().method, "lightning_attention");
    EXPECT_LT(kernel->info().stackBytes, 1u << 20);
    std::vector<Buffer> bindings = makeBindings();
    kernel->run(bindings, 2);
    EXPECT_LT(relativeError(bindings[6].as<float>().first(expected.size()), expected), 2e-6)
        << target.name;
    EXPECT_LT(relativeError(bindings[2].as<float>(), expectedState), 2e-6) << target.name;
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact());
  }
}

const Case cases[] = {
    {1, 16, true, {1, {1}, {2}, {0}}},
    {4, 64, true, {1, {1}, {3}, {7}}},
    {4, 64, true, {8, {1, 0, 3}, {1, 0, 3}, {0, 5, 5}}},
    {2, 32, false, {40, {9, 31}, {0, 1}, {0, 3}}},
    {4, 64, true, {320, {33, 1, 257, 8}, {2, 1, 0, 3}, {0, 9, 100, 0}}},
    {3, 48, true, {300, {256, 41}, {3, 0}, {1, 0}}},
    {2, 80, false, {70, {64}, {1}, {0}}},
    {2, 128, true, {520, {500, 1, 12}, {0, 2, 3}, {0, 0, 64}}},
    {8, 16, true, {1000, {1000}, {1}, {0}}},
    {2, 24, true, {320, {33, 1, 257, 8}, {2, 1, 0, 3}, {0, 9, 100, 0}}},
    {1, 120, false, {130, {2, 128}, {2, 1}, {5, 0}}},
};

INSTANTIATE_TEST_SUITE_P(Cases, Lightning, testing::ValuesIn(cases), [](const auto &info) {
  return fmt::format("h{}d{}n{}", info.param.heads, info.param.size, info.param.batch.tokens);
});

TEST(HostileBatch, LightningStaysInside) {
  Case c{2, 32, true, {50, {0, 0}, {0, 0}, {0, 0}}};
  const std::vector<int32_t> starts[] = {{-7, 1 << 30, 3}, {30, 10, 50}};
  const std::vector<int32_t> slots[] = {{-1, 99}, {INT32_MIN, INT32_MAX}};
  auto kernel = LoadedKernel::compile(kernelFor(c, 3), *nativeHostTarget());
  ASSERT_TRUE(kernel);
  for (int i = 0; i < 2; ++i) {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(std::vector<float>(c.batch.tokens * 3 * c.heads * c.size, 1)));
    bindings.push_back(Buffer::of(std::vector<float>(c.heads, 0.5f)));
    bindings.push_back(Buffer::of(std::vector<float>(3 * c.heads * c.size * c.size, 1)));
    bindings.push_back(Buffer::of(starts[i]));
    bindings.push_back(Buffer::of(slots[i]));
    bindings.push_back(Buffer::of(std::vector<int32_t>{INT32_MIN, INT32_MAX}));
    bindings.push_back(Buffer::poisoned(c.batch.tokens * c.heads * c.size));
    kernel->run(bindings);
    for (Buffer &buffer : bindings)
      EXPECT_TRUE(buffer.intact()) << i;
  }
}

} // namespace
} // namespace levin::host
