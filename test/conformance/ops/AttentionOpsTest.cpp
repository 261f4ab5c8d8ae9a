// Attention over pages against attention over a cache of each sequence, and what pages store.
#include "OpTest.h"

#include <algorithm>
#include <bit>
#include <numeric>

namespace levin::host {
namespace {

struct Case {
  int64_t heads, groups, size, block, blocks;
  std::vector<int32_t> lengths, past;

  size_t sequences() const { return lengths.size(); }
  int64_t pages() const { return static_cast<int64_t>(sequences()) * blocks + 3; }
  int64_t rows() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t(0)); }
  int64_t tokens() const { return rows() + 2; } // two of padding
};

/// A batch, its caches in both layouts, and who holds which page.
struct Batch {
  explicit Batch(const Case &c, unsigned seed) : c(c), generator(seed) {
    starts.push_back(0);
    for (int32_t length : c.lengths)
      starts.push_back(starts.back() + length);
    slots.resize(c.sequences());
    std::iota(slots.begin(), slots.end(), 0);
    std::shuffle(slots.begin(), slots.end(), generator);
    table.resize(static_cast<size_t>(c.pages()));
    std::iota(table.begin(), table.end(), 0);
    std::shuffle(table.begin(), table.end(), generator);
    table.resize(c.sequences() * static_cast<size_t>(c.blocks));
    for (auto *heads : {&q, &k, &v}) {
      int64_t count = heads == &q ? c.heads : c.groups;
      *heads = randomFloats(generator, static_cast<size_t>(c.tokens() * count * c.size));
      std::fill(heads->begin() + c.rows() * count * c.size, heads->end(), NAN);
    }
    size_t pool = static_cast<size_t>(c.pages() * c.groups * c.block * c.size);
    size_t own = c.sequences() * static_cast<size_t>(c.blocks * c.groups * c.block * c.size);
    keyPool.assign(pool, NAN);
    valuePool = keyPool;
    keys.assign(own, NAN);
    values = keys;
    forEach([&](size_t s, int64_t p, size_t paged, size_t key, size_t value) {
      if (p >= c.past[s])
        return;
      auto pair = randomFloats(generator, 2);
      keyPool[paged] = keys[key] = pair[0];
      valuePool[paged] = values[value] = pair[1];
    });
  }

  /// Visits every number of every sequence's caches: its place in a pool, and among the keys and
  /// values of its slot.
  void forEach(const std::function<void(size_t, int64_t, size_t, size_t, size_t)> &visit) const {
    for (size_t s = 0; s < c.sequences(); ++s)
      for (int64_t p = 0; p < c.blocks * c.block; ++p)
        for (int64_t g = 0; g < c.groups; ++g)
          for (int64_t d = 0; d < c.size; ++d) {
            int64_t b = p / c.block, r = p % c.block, slot = slots[s];
            int64_t page = table[s * static_cast<size_t>(c.blocks) + static_cast<size_t>(b)];
            int64_t head = (slot * c.groups + g) * c.blocks + b;
            visit(s, p, static_cast<size_t>(((page * c.groups + g) * c.block + r) * c.size + d),
                  static_cast<size_t>((head * c.size + d) * c.block + r),
                  static_cast<size_t>((head * c.block + r) * c.size + d));
          }
  }

  const Case &c;
  std::mt19937 generator;
  std::vector<float> q, k, v, keys, values, keyPool, valuePool;
  std::vector<int32_t> starts, slots, table;
};

std::string heads(const Case &c, int64_t count) {
  return fmt::format("tensor<{}x{}x{}xf32>", c.tokens(), count, c.size);
}

std::string pagedKernel(const Case &c, std::string_view element = "f32") {
  std::string pool =
      fmt::format("tensor<{}x{}x{}x{}x{}>", c.pages(), c.groups, c.block, c.size, element);
  return fmt::format(
      R"(func.func @k(%q: {0}, %k: {1}, %v: {1}, %keys: {2}, %values: {2}, %starts: tensor<{3}xi32>,
      %pages: tensor<{4}x{5}xi32>, %past: tensor<{4}xi32>) -> (tensor<{6}x{7}xf32>, {2}, {2}) {{
  %o, %nk, %nv = nn.paged_attention %q, %k, %v cache(%keys, %values) batch(%starts, %pages, %past)
    {{scale = 0.3 : f64}}
    : ({0}, {1}, {1}, {2}, {2}, tensor<{3}xi32>, tensor<{4}x{5}xi32>, tensor<{4}xi32>)
    -> (tensor<{6}x{7}xf32>, {2}, {2})
  return %o, %nk, %nv : tensor<{6}x{7}xf32>, {2}, {2}
}})",
      heads(c, c.heads), heads(c, c.groups), pool, c.sequences() + 1, c.sequences(), c.blocks,
      c.tokens(), c.heads * c.size);
}

std::string plainKernel(const Case &c) {
  std::string keys =
      fmt::format("tensor<{}x{}x{}x{}x{}xf32>", c.sequences(), c.groups, c.blocks, c.size, c.block);
  std::string values =
      fmt::format("tensor<{}x{}x{}x{}x{}xf32>", c.sequences(), c.groups, c.blocks, c.block, c.size);
  return fmt::format(
      R"(func.func @k(%q: {0}, %k: {1}, %v: {1}, %keys: {2}, %values: {3}, %starts: tensor<{4}xi32>,
      %slots: tensor<{5}xi32>, %past: tensor<{5}xi32>) -> (tensor<{6}x{7}xf32>, {2}, {3}) {{
  %o, %nk, %nv = nn.attention %q, %k, %v cache(%keys, %values) batch(%starts, %slots, %past)
    {{scale = 0.3 : f64}}
    : ({0}, {1}, {1}, {2}, {3}, tensor<{4}xi32>, tensor<{5}xi32>, tensor<{5}xi32>)
    -> (tensor<{6}x{7}xf32>, {2}, {3})
  return %o, %nk, %nv : tensor<{6}x{7}xf32>, {2}, {3}
}})",
      heads(c, c.heads), heads(c, c.groups), keys, values, c.sequences() + 1, c.sequences(),
      c.tokens(), c.heads * c.size);
}

/// The bindings of both kernels: `table` is of slots or of pages.
template <typename Cache>
std::vector<Buffer> bindingsOf(const Batch &batch, const std::vector<Cache> &keys,
                               const std::vector<Cache> &values,
                               const std::vector<int32_t> &table) {
  std::vector<Buffer> bindings;
  for (const auto *heads : {&batch.q, &batch.k, &batch.v})
    bindings.push_back(Buffer::of(*heads));
  bindings.push_back(Buffer::of(keys));
  bindings.push_back(Buffer::of(values));
  for (const auto *numbers : {&batch.starts, &table, &batch.c.past})
    bindings.push_back(Buffer::of(*numbers));
  return bindings;
}

uint32_t bitsOf(float x) { return std::bit_cast<uint32_t>(x); }

/// The number that an f8E4M3FN of these bits stands for.
double fromFloat8(uint8_t bits) {
  int magnitude = bits & 0x7f;
  double value = magnitude == 0x7f ? NAN
                 : magnitude < 8   ? std::ldexp(magnitude, -9)
                                   : std::ldexp(8 + magnitude % 8, magnitude / 8 - 10);
  return bits & 0x80 ? -value : value;
}

/// The nearest f8E4M3FN, the even one of two; NaN beyond 448 or, if `saturates`, 448.
uint8_t toFloat8(float x, bool saturates) {
  uint8_t sign = std::signbit(x) ? 0x80 : 0;
  double size = std::fabs(double(x));
  if (std::isnan(x))
    return sign | 0x7f;
  if (size >= 464 && !saturates) // halfway to what would come after 448
    return sign | (size == 464 ? 0x7e : 0x7f);
  uint8_t best = 0;
  for (uint8_t i = 1; i < 0x7f; ++i) {
    double here = std::fabs(fromFloat8(i) - size), there = std::fabs(fromFloat8(best) - size);
    if (here < there || (here == there && i % 2 == 0))
      best = i;
  }
  return sign | best;
}

class PagedAttention : public testing::TestWithParam<Case> {};

// In float32 pages change where numbers lie, and nothing else.
TEST_P(PagedAttention, EqualsAttentionBitForBit) {
  const Case &c = GetParam();
  Batch batch(c, 5);
  for (const HostTarget &target : runnableTargets()) {
    SCOPED_TRACE(target.name);
    auto want = bindingsOf(batch, batch.keys, batch.values, batch.slots);
    auto have = bindingsOf(batch, batch.keyPool, batch.valuePool, batch.table);
    for (auto *bindings : {&want, &have}) { // one after the other: both kernels have one name
      bindings->push_back(Buffer::poisoned(static_cast<size_t>(c.tokens() * c.heads * c.size)));
      auto kernel = LoadedKernel::compile(bindings == &want ? plainKernel(c) : pagedKernel(c),
                                          target, /*templates=*/false);
      ASSERT_TRUE(kernel);
      kernel->run(*bindings);
    }
    auto expected = want[8].as<float>(), output = have[8].as<float>();
    for (size_t i = 0; i < static_cast<size_t>(c.rows() * c.heads * c.size); ++i)
      ASSERT_EQ(bitsOf(expected[i]), bitsOf(output[i])) << i;
    batch.forEach([&](size_t s, int64_t p, size_t at, size_t key, size_t value) {
      bool written = p < c.past[s] + c.lengths[s];
      EXPECT_EQ(std::isnan(have[3].as<float>()[at]), !written);
      if (written) {
        EXPECT_EQ(bitsOf(have[3].as<float>()[at]), bitsOf(want[3].as<float>()[key]));
        EXPECT_EQ(bitsOf(have[4].as<float>()[at]), bitsOf(want[4].as<float>()[value]));
      }
    });
    for (Buffer &buffer : have)
      EXPECT_TRUE(buffer.intact());
  }
}

// Numbers that are no page store nothing and read nothing outside of the pools.
TEST_P(PagedAttention, LeavesOtherPagesAlone) {
  const Case &c = GetParam();
  Batch batch(c, 6);
  std::vector<int32_t> none(batch.table.size());
  for (size_t i = 0; i < none.size(); ++i)
    none[i] = i % 3 == 0 ? -1 : i % 3 == 1 ? static_cast<int32_t>(c.pages()) : INT32_MIN;
  auto inputs = [&] { return bindingsOf(batch, batch.keyPool, batch.valuePool, none); };
  size_t output = static_cast<size_t>(c.tokens() * c.heads * c.size) * sizeof(float);
  runGeneric(pagedKernel(c), inputs, {output}, [&](std::span<Buffer> b) {
    for (size_t i = 0; i < batch.keyPool.size(); ++i) {
      ASSERT_EQ(bitsOf(b[3].as<float>()[i]), bitsOf(batch.keyPool[i]));
      ASSERT_EQ(bitsOf(b[4].as<float>()[i]), bitsOf(batch.valuePool[i]));
    }
  });
}

// Softmax in float64 over what the pages hold.
template <typename Cache>
std::vector<double> reference(const Batch &batch, std::span<const Cache> keys,
                              std::span<const Cache> values,
                              const std::function<double(Cache)> &read) {
  const Case &c = batch.c;
  std::vector<double> output(static_cast<size_t>(c.tokens() * c.heads * c.size));
  for (size_t s = 0; s < c.sequences(); ++s)
    for (int64_t t = batch.starts[s]; t < batch.starts[s + 1]; ++t)
      for (int64_t h = 0; h < c.heads; ++h) {
        int64_t end = c.past[s] + t - batch.starts[s] + 1, g = h / (c.heads / c.groups);
        auto place = [&](int64_t p, int64_t d) {
          int64_t page =
              batch.table[s * static_cast<size_t>(c.blocks) + static_cast<size_t>(p / c.block)];
          return static_cast<size_t>(((page * c.groups + g) * c.block + p % c.block) * c.size + d);
        };
        double total = 0, top = -INFINITY;
        std::vector<double> weights(static_cast<size_t>(end));
        for (int64_t p = 0; p < end; ++p) {
          double score = 0;
          for (int64_t d = 0; d < c.size; ++d)
            score += batch.q[static_cast<size_t>((t * c.heads + h) * c.size + d)] *
                     read(keys[place(p, d)]);
          top = std::max(top, weights[static_cast<size_t>(p)] = 0.3 * score);
        }
        for (double &weight : weights)
          total += weight = std::exp(weight - top);
        for (int64_t p = 0; p < end; ++p)
          for (int64_t d = 0; d < c.size; ++d)
            output[static_cast<size_t>((t * c.heads + h) * c.size + d)] +=
                weights[static_cast<size_t>(p)] / total * read(values[place(p, d)]);
      }
  return output;
}

template <typename Cache>
void checkNarrow(const Case &c, std::string_view element, const std::function<Cache(float)> &store,
                 const std::function<double(Cache)> &read) {
  Batch batch(c, 7);
  batch.k[0] = 600; // beyond what f8E4M3FN holds
  batch.v[1] = -1000;
  auto narrow = [&](const std::vector<float> &from) {
    std::vector<Cache> to;
    std::ranges::transform(from, std::back_inserter(to), store);
    return to;
  };
  std::vector<Cache> keys = narrow(batch.keyPool), values = narrow(batch.valuePool);
  auto inputs = [&] { return bindingsOf(batch, keys, values, batch.table); };
  size_t output = static_cast<size_t>(c.tokens() * c.heads * c.size);
  runGeneric(pagedKernel(c, element), inputs, {output * sizeof(float)}, [&](std::span<Buffer> b) {
    auto newKeys = b[3].as<Cache>(), newValues = b[4].as<Cache>();
    size_t index = 0;
    batch.forEach([&](size_t s, int64_t p, size_t at, size_t, size_t) {
      size_t number = index++ % static_cast<size_t>(c.groups * c.size);
      if (p < c.past[s] || p >= c.past[s] + c.lengths[s])
        return;
      size_t row = static_cast<size_t>(batch.starts[s] + p - c.past[s]);
      size_t from = row * static_cast<size_t>(c.groups * c.size) + number;
      ASSERT_EQ(newKeys[at], store(batch.k[from]));
      ASSERT_EQ(newValues[at], store(batch.v[from]));
    });
    auto want = reference<Cache>(batch, newKeys, newValues, read);
    size_t live = static_cast<size_t>(c.rows() * c.heads * c.size);
    want.resize(live);
    EXPECT_LT(relativeError(b[8].as<float>().first(live), want), 2e-5);
  });
}

TEST_P(PagedAttention, ComputesOnWhatNarrowPagesHold) {
  checkNarrow<uint16_t>(GetParam(), "bf16", toBFloat16,
                        [](uint16_t bits) { return double(fromBFloat16(bits)); });
  checkNarrow<uint8_t>(
      GetParam(), "f8E4M3FN", [](float x) { return toFloat8(x, true); }, fromFloat8);
}

INSTANTIATE_TEST_SUITE_P(Cases, PagedAttention,
                         testing::Values(Case{1, 1, 4, 4, 2, {1}, {0}},
                                         Case{4, 2, 8, 16, 3, {3, 0, 1, 9}, {0, 5, 17, 30}},
                                         Case{8, 1, 16, 64, 2, {70, 1, 1}, {0, 63, 127}},
                                         Case{2, 2, 6, 5, 4, {7, 4}, {13, 0}},
                                         Case{8, 2, 64, 64, 3, {1, 65, 2}, {190, 60, 64}}),
                         [](const auto &info) {
                           const Case &c = info.param;
                           return fmt::format("h{}g{}d{}b{}", c.heads, c.groups, c.size, c.block);
                         });

// arith.extf and arith.truncf of f8E4M3FN, which attention saturates before.
TEST(Float8, Widens) {
  std::vector<uint8_t> bytes(256);
  std::iota(bytes.begin(), bytes.end(), 0);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(bytes));
    return bindings;
  };
  runGeneric("func.func @k(%x: tensor<256xf8E4M3FN>) -> tensor<256xf32> {\n"
             "  %y = arith.extf %x : tensor<256xf8E4M3FN> to tensor<256xf32>\n"
             "  return %y : tensor<256xf32>\n}",
             inputs, {1024}, [&](std::span<Buffer> b) {
               for (size_t i = 0; i < 256; ++i) {
                 double want = fromFloat8(static_cast<uint8_t>(i));
                 float have = b[1].as<float>()[i];
                 EXPECT_TRUE(have == want || (std::isnan(have) && std::isnan(want))) << i;
                 EXPECT_EQ(std::signbit(have), i >= 128) << i;
               }
             });
}

TEST(Float8, Narrows) {
  std::mt19937 generator(8);
  auto x = randomFloats(generator, 4096, 3);
  for (size_t i = 0; i < 1024; ++i) // halves between neighbours, and beside them
    for (float beside : {0.0f, 1e30f, -1e30f})
      if (size_t at = 3 * (i % 254) + (beside > 0) + 2 * (beside < 0); i < 254)
        x[at] = std::nextafter(
            float(fromFloat8(i % 127) + fromFloat8((i % 127 + 1) % 127)) * (i < 127 ? 0.5f : -0.5f),
            beside == 0 ? float(fromFloat8(i % 127) + fromFloat8((i % 127 + 1) % 127)) *
                              (i < 127 ? 0.5f : -0.5f)
                        : beside);
  const float special[] = {0.0f,     -0.0f,      448,      449,      463.9f,    464,
                           464.1f,   -464.1f,    1e30f,    INFINITY, -INFINITY, NAN,
                           0x1p-10f, 0x1.8p-10f, 0x1p-11f, 1e-30f,   -0x1p-9f,  1e-42f};
  std::ranges::copy(special, x.begin() + 1000);
  auto inputs = [&] {
    std::vector<Buffer> bindings;
    bindings.push_back(Buffer::of(x));
    return bindings;
  };
  runGeneric("func.func @k(%x: tensor<4096xf32>) -> tensor<4096xf8E4M3FN> {\n"
             "  %y = arith.truncf %x : tensor<4096xf32> to tensor<4096xf8E4M3FN>\n"
             "  return %y : tensor<4096xf8E4M3FN>\n}",
             inputs, {4096}, [&](std::span<Buffer> b) {
               for (size_t i = 0; i < x.size(); ++i)
                 EXPECT_EQ(int(b[1].as<uint8_t>()[i]), int(toFloat8(x[i], false))) << x[i];
             });
}

} // namespace
} // namespace levin::host
