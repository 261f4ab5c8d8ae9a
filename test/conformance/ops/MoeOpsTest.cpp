#include "OpTest.h"

#include <algorithm>
#include <numeric>

namespace levin::host {
namespace {

struct Routing {
  std::vector<double> weights;
  std::vector<int32_t> rows, offsets;
};

/// What moe.route says, in plain C++.
Routing routeReference(const std::vector<float> &scores, int64_t tokens, int64_t experts,
                       int64_t choices, int64_t real, bool normalize) {
  Routing routing{std::vector<double>(tokens * choices, 0),
                  std::vector<int32_t>(tokens * choices, -1), std::vector<int32_t>(experts + 1, 0)};
  std::vector<int32_t> chosen(tokens * choices);
  for (int64_t t = 0; t < real; ++t) {
    const float *row = &scores[t * experts];
    std::vector<int32_t> order(experts);
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return row[a] > row[b]; });
    double sum = 0, kept = 0, top = row[order[0]];
    for (int64_t e = 0; e < experts; ++e)
      sum += std::exp(row[e] - top);
    for (int64_t c = 0; c < choices; ++c)
      kept += std::exp(row[order[c]] - top) / sum;
    for (int64_t c = 0; c < choices; ++c) {
      chosen[t * choices + c] = order[c];
      routing.weights[t * choices + c] =
          std::exp(row[order[c]] - top) / sum / (normalize ? kept : 1);
      ++routing.offsets[order[c] + 1];
    }
  }
  std::partial_sum(routing.offsets.begin(), routing.offsets.end(), routing.offsets.begin());
  std::vector<int32_t> next(routing.offsets.begin(), routing.offsets.end() - 1);
  for (int64_t i = 0; i < real * choices; ++i)
    routing.rows[i] = next[chosen[i]]++;
  return routing;
}

struct Case {
  int64_t tokens, experts, choices, real;
};

class Moe : public testing::TestWithParam<Case> {};

TEST_P(Moe, RouteDispatchCombine) {
  auto [tokens, experts, choices, real] = GetParam();
  const int64_t columns = 24;
  std::mt19937 generator(7);
  auto scores = randomFloats(generator, tokens * experts);
  if (real > 1) // an exact tie goes to the lowest index
    std::fill_n(scores.begin(), experts, 0.25f);
  for (int64_t i = real * experts; i < tokens * experts; ++i)
    scores[i] = NAN; // padding
  std::vector<int32_t> starts{0, static_cast<int32_t>(real / 2), static_cast<int32_t>(real)};
  for (bool normalize : {true, false}) {
    Routing want = routeReference(scores, tokens, experts, choices, real, normalize);
    std::string ir = fmt::format(
        "func.func @k(%x: tensor<{0}x{1}xf32>, %s: tensor<3xi32>) -> (tensor<{0}x{2}xf32>, "
        "tensor<{0}x{2}xi32>, tensor<{3}xi32>) {{\n"
        "  %w, %r, %o = moe.route %x batch(%s) {{choices = {2} : i64{4}}} : tensor<{0}x{1}xf32>, "
        "tensor<3xi32>\n"
        "  return %w, %r, %o : tensor<{0}x{2}xf32>, tensor<{0}x{2}xi32>, tensor<{3}xi32>\n}}",
        tokens, experts, choices, experts + 1, normalize ? ", normalize" : "");
    auto inputs = [&] {
      std::vector<Buffer> bindings;
      bindings.push_back(Buffer::of(scores));
      bindings.push_back(Buffer::of(starts));
      return bindings;
    };
    size_t pairs = size_t(tokens * choices) * 4;
    runGeneric(ir, inputs, {pairs, pairs, size_t(experts + 1) * 4}, [&](std::span<Buffer> b) {
      EXPECT_LT(relativeError(b[2].as<float>(), want.weights), 5e-7);
      EXPECT_TRUE(std::ranges::equal(b[3].as<int32_t>(), want.rows));
      EXPECT_TRUE(std::ranges::equal(b[4].as<int32_t>(), want.offsets));
    });
  }

  // Rows travel to their experts and back.
  Routing routing = routeReference(scores, tokens, experts, choices, real, true);
  std::vector<float> weights(routing.weights.begin(), routing.weights.end());
  auto x = randomFloats(generator, tokens * columns);
  std::vector<double> back(tokens * columns, 0);
  for (int64_t t = 0; t < real; ++t)
    for (int64_t c = 0; c < choices; ++c)
      for (int64_t i = 0; i < columns; ++i)
        back[t * columns + i] += double(weights[t * choices + c]) * x[t * columns + i];
  std::string ir = fmt::format(
      "func.func @k(%x: tensor<{0}x24xf32>, %r: tensor<{0}x{1}xi32>, %w: tensor<{0}x{1}xf32>) -> "
      "tensor<{0}x24xf32> {{\n"
      "  %d = moe.dispatch %x by %r : tensor<{0}x24xf32>, tensor<{0}x{1}xi32>\n"
      "  %z = moe.combine %d by %r weighted %w : tensor<{2}x24xf32>, tensor<{0}x{1}xi32>, "
      "tensor<{0}x{1}xf32>\n  return %z : tensor<{0}x24xf32>\n}}",
      tokens, choices, tokens * choices);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(routing.rows));
    bindings.push_back(Buffer::of(weights));
    return bindings;
  };
  runGeneric(ir, inputs, {x.size() * 4},
             [&](std::span<Buffer> b) { EXPECT_LT(relativeError(b[3].as<float>(), back), 5e-7); });
}

INSTANTIATE_TEST_SUITE_P(Cases, Moe,
                         testing::Values(Case{1, 2, 1, 1}, Case{5, 4, 2, 5}, Case{16, 8, 4, 11},
                                         Case{33, 32, 2, 33}, Case{64, 32, 4, 1},
                                         Case{257, 16, 3, 200}, Case{8, 4, 2, 0}),
                         [](const auto &info) {
                           const Case &c = info.param;
                           return fmt::format("t{}e{}c{}r{}", c.tokens, c.experts, c.choices,
                                              c.real);
                         });

} // namespace
} // namespace levin::host
