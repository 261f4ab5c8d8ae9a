// nn.dequantize, alone and as the weight of products, against plain C++.
#include "OpTest.h"

namespace levin::host {
namespace {

struct Case {
  int64_t experts, rows, columns, group; // experts 0: a matrix
  bool packed;

  size_t numbers() const { return size_t(std::max<int64_t>(experts, 1) * rows * columns); }
  std::string shape(int64_t last, std::string_view element) const {
    std::string outer = experts ? fmt::format("{}x", experts) : "";
    return fmt::format("tensor<{}{}x{}x{}>", outer, rows, last, element);
  }
  std::string types() const {
    return fmt::format("{}, {}", shape(packed ? columns / 2 : columns, packed ? "ui8" : "i8"),
                       shape(columns / group, "bf16"));
  }
};

/// Integers, scales, and the matrix that they stand for.
struct Matrix {
  Matrix(const Case &c, std::mt19937 &generator) : numbers(c.numbers()) {
    auto random = randomFloats(generator, c.numbers() / size_t(c.group), 0.1f);
    for (float scale : random)
      scales.push_back(toBFloat16(scale));
    for (size_t i = 0; i < numbers.size(); ++i) {
      int low = c.packed ? -8 : -128;
      int integer = low + int(generator() % unsigned(-2 * low));
      numbers[i] = double(integer) * fromBFloat16(scales[i / size_t(c.group)]);
      auto bits = unsigned(integer);
      if (!c.packed)
        bytes.push_back(uint8_t(bits));
      else if (i % 2 == 0)
        bytes.push_back(uint8_t(bits & 15));
      else
        bytes.back() |= uint8_t((bits & 15) << 4);
    }
  }
  std::vector<uint8_t> bytes;
  std::vector<uint16_t> scales;
  std::vector<double> numbers;
};

class Dequantize : public testing::TestWithParam<Case> {};

TEST_P(Dequantize, Widens) {
  const Case &c = GetParam();
  std::mt19937 generator(3);
  Matrix matrix(c, generator);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(matrix.bytes));
    bindings.push_back(Buffer::of(matrix.scales));
    return bindings;
  };
  std::string types = c.types(), output = c.shape(c.columns, "f32");
  size_t comma = types.find(">,") + 1;
  std::string ir = fmt::format("func.func @k(%q: {}, %s: {}) -> {} {{\n"
                               "  %w = nn.dequantize %q, %s {{group = {} : i64}} : {} -> {}\n"
                               "  return %w : {}\n}}",
                               types.substr(0, comma), types.substr(comma + 2), output, c.group,
                               types, output, output);
  runGeneric(ir, inputs, {c.numbers() * 4}, [&](std::span<Buffer> b) {
    for (size_t i = 0; i < c.numbers(); ++i)
      ASSERT_EQ(b[2].as<float>()[i], float(matrix.numbers[i])) << i;
  });
}

TEST_P(Dequantize, IsTheWeightOfAProduct) {
  const Case &c = GetParam();
  std::mt19937 generator(4);
  Matrix matrix(c, generator);
  const int64_t tokens = 5;
  auto x = randomFloats(generator, size_t(tokens * c.columns));
  std::vector<int32_t> offsets{0};
  for (int64_t e = 1; e <= c.experts; ++e)
    offsets.push_back(int32_t(tokens * e / c.experts));
  std::vector<double> want(size_t(tokens * c.rows));
  for (int64_t t = 0; t < tokens; ++t) {
    int64_t expert = 0;
    while (c.experts && t >= offsets[size_t(expert) + 1])
      ++expert;
    for (int64_t n = 0; n < c.rows; ++n)
      for (int64_t k = 0; k < c.columns; ++k)
        want[size_t(t * c.rows + n)] +=
            x[size_t(t * c.columns + k)] *
            matrix.numbers[size_t((expert * c.rows + n) * c.columns + k)];
  }
  std::string types = c.types(), full = c.shape(c.columns, "f32");
  size_t comma = types.find(">,") + 1;
  std::string input = fmt::format("tensor<{}x{}xf32>", tokens, c.columns),
              output = fmt::format("tensor<{}x{}xf32>", tokens, c.rows);
  std::string starts = fmt::format("tensor<{}xi32>", c.experts + 1);
  std::string product =
      c.experts ? fmt::format("moe.grouped_linear %x, %w by %o : {}, {}, {}", input, full, starts)
                : fmt::format("nn.linear %x, %w : {}, {}", input, full);
  std::string ir = fmt::format("func.func @k(%x: {}, %q: {}, %s: {}{}) -> {} {{\n"
                               "  %w = nn.dequantize %q, %s {{group = {} : i64}} : {} -> {}\n"
                               "  %y = {}\n  return %y : {}\n}}",
                               input, types.substr(0, comma), types.substr(comma + 2),
                               c.experts ? ", %o: " + starts : "", output, c.group, types, full,
                               product, output);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    bindings.push_back(Buffer::of(matrix.bytes));
    bindings.push_back(Buffer::of(matrix.scales));
    if (c.experts)
      bindings.push_back(Buffer::of(offsets));
    return bindings;
  };
  runGeneric(ir, inputs, {want.size() * 4}, [&](std::span<Buffer> b) {
    EXPECT_LT(relativeError(b.back().as<float>(), want), 1e-6);
  });
}

INSTANTIATE_TEST_SUITE_P(Cases, Dequantize,
                         testing::Values(Case{0, 3, 8, 4, false}, Case{0, 5, 32, 32, false},
                                         Case{0, 7, 96, 16, true}, Case{0, 33, 256, 128, true},
                                         Case{3, 6, 64, 16, false}, Case{2, 40, 128, 64, true},
                                         Case{0, 4, 6, 3, true}),
                         [](const auto &info) {
                           const Case &c = info.param;
                           return fmt::format("e{}n{}k{}g{}{}", c.experts, c.rows, c.columns,
                                              c.group, c.packed ? "int4" : "int8");
                         });

} // namespace
} // namespace levin::host
