// The planner's placements: never an overlap, never beyond what is needed by much.
#include "passes/plan/ArenaPlanner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace levin::plan {
namespace {

constexpr uint64_t alignment = 64;

// What any placement must keep, checked byte by byte pair by pair.
void expectSound(const std::vector<Lifetime> &buffers, const Placement &placement) {
  ASSERT_EQ(placement.offsets.size(), buffers.size());
  EXPECT_GE(placement.size, lowerBound(buffers, alignment));
  EXPECT_EQ(placement.size % alignment, 0u);
  for (size_t i = 0; i < buffers.size(); ++i) {
    EXPECT_EQ(placement.offsets[i] % alignment, 0u);
    EXPECT_LE(placement.offsets[i] + buffers[i].size, placement.size);
    for (size_t j = 0; j < i; ++j) {
      bool together = buffers[i].first <= buffers[j].last && buffers[j].first <= buffers[i].last;
      bool apart = placement.offsets[i] + buffers[i].size <= placement.offsets[j] ||
                   placement.offsets[j] + buffers[j].size <= placement.offsets[i];
      EXPECT_TRUE(!together || apart || !buffers[i].size || !buffers[j].size)
          << "buffers " << i << " and " << j;
    }
  }
}

TEST(ArenaPlanner, PlacesNothing) {
  auto placement = placeBuffers({}, alignment);
  ASSERT_TRUE(placement);
  EXPECT_EQ(placement->size, 0u);
  EXPECT_EQ(lowerBound({}, alignment), 0u);
}

TEST(ArenaPlanner, ReusesBytes) {
  // A chain needs two places, whatever its length.
  std::vector<Lifetime> chain;
  for (uint32_t i = 0; i < 100; ++i)
    chain.push_back({1000, i, i + 1});
  auto placement = placeBuffers(chain, alignment);
  ASSERT_TRUE(placement);
  expectSound(chain, *placement);
  EXPECT_EQ(placement->size, 2048u);
}

TEST(ArenaPlanner, FillsTheSmallestGap) {
  // The small buffer fits between the two that live throughout, where the middle one was.
  std::vector<Lifetime> buffers = {{256, 0, 9}, {128, 0, 3}, {256, 0, 9}, {64, 5, 9}, {64, 5, 9}};
  auto placement = placeBuffers(buffers, alignment);
  ASSERT_TRUE(placement);
  expectSound(buffers, *placement);
  EXPECT_EQ(placement->size, 640u);
}

TEST(ArenaPlanner, TakesEmptyAndUnusedBuffers) {
  std::vector<Lifetime> buffers = {{0, 0, 4}, {64, 2, 2}, {0, 2, 2}, {1, 2, 2}};
  auto placement = placeBuffers(buffers, alignment);
  ASSERT_TRUE(placement);
  expectSound(buffers, *placement);
  EXPECT_EQ(placement->size, 128u);
}

TEST(ArenaPlanner, RefusesSizesThatOverflow) {
  std::vector<Lifetime> huge = {{UINT64_MAX, 0, 1}};
  EXPECT_FALSE(placeBuffers(huge, alignment));
  std::vector<Lifetime> two = {{uint64_t(1) << 62, 0, 1}, {uint64_t(1) << 62, 0, 1}};
  EXPECT_FALSE(placeBuffers(two, alignment));
  EXPECT_EQ(lowerBound(huge, alignment), UINT64_MAX);
}

TEST(ArenaPlanner, TakesTheLastCommandThereIs) {
  std::vector<Lifetime> buffers = {{64, 0, UINT32_MAX}, {64, UINT32_MAX, UINT32_MAX}};
  auto placement = placeBuffers(buffers, alignment);
  ASSERT_TRUE(placement);
  expectSound(buffers, *placement);
  EXPECT_EQ(placement->size, 128u);
}

TEST(ArenaPlanner, IsDeterministic) {
  std::mt19937 random(7);
  std::vector<Lifetime> buffers;
  for (int i = 0; i < 200; ++i) {
    uint32_t first = random() % 100;
    buffers.push_back({random() % 5000, first, first + static_cast<uint32_t>(random() % 20)});
  }
  auto a = placeBuffers(buffers, alignment), b = placeBuffers(buffers, alignment);
  ASSERT_TRUE(a && b);
  EXPECT_EQ(a->offsets, b->offsets);
}

// Random problems of many shapes: always sound, and near the bound on average.
TEST(ArenaPlanner, StaysNearTheLowerBound) {
  std::mt19937 random(42);
  double excess = 0;
  constexpr int problems = 300;
  for (int problem = 0; problem < problems; ++problem) {
    uint32_t commands = 1 + random() % 200, longest = 1 + random() % 40;
    size_t count = 1 + random() % 150;
    std::vector<Lifetime> buffers;
    for (size_t i = 0; i < count; ++i) {
      uint32_t first = static_cast<uint32_t>(random() % commands);
      uint32_t last = std::min(first + static_cast<uint32_t>(random() % longest), commands - 1);
      uint64_t size = random() % 3 ? random() % 4096 : random() % 100000;
      buffers.push_back({size, first, last});
    }
    auto placement = placeBuffers(buffers, alignment);
    ASSERT_TRUE(placement);
    expectSound(buffers, *placement);
    double bound = static_cast<double>(std::max<uint64_t>(lowerBound(buffers, alignment), 1));
    double ratio = static_cast<double>(placement->size) / bound;
    EXPECT_LE(ratio, 1.5) << "problem " << problem;
    excess += ratio - 1;
  }
  EXPECT_LE(excess / problems, 0.05);
}

} // namespace
} // namespace levin::plan
