#include "runtime/session/StepPlan.h"

#include <gtest/gtest.h>

#include <random>

using namespace levin;

namespace {

/// The tokens of each bucket used, in order.
std::vector<uint64_t> plan(std::vector<Bucket> buckets, std::vector<StepWork> work) {
  auto runs = planStep(buckets, work);
  EXPECT_TRUE(runs.ok()) << runs.status().text();
  std::vector<uint64_t> sizes;
  for (const StepRun &run : *runs)
    sizes.push_back(buckets[run.bucket].tokens);
  return sizes;
}

using Sizes = std::vector<uint64_t>;

TEST(StepPlan, PrefersLittlePadding) {
  std::vector<Bucket> buckets = {{1, 1, 1}, {8, 8, 8}, {64, 8, 8}, {256, 8, 8}, {512, 8, 8}};
  EXPECT_EQ(plan(buckets, {{300}}), (Sizes{256, 64}));
  EXPECT_EQ(plan(buckets, {{1}}), (Sizes{1}));
  EXPECT_EQ(plan(buckets, {{2}}), (Sizes{8}));
  EXPECT_EQ(plan(buckets, {{500}}), (Sizes{512}));
  EXPECT_EQ(plan(buckets, {{512}}), (Sizes{512}));
  EXPECT_EQ(plan(buckets, {{60}}), (Sizes{64}));
  EXPECT_EQ(plan(buckets, {{5000}}).front(), 512u);
}

TEST(StepPlan, OneRunCanBeCheaperThanTheMostEfficient) {
  EXPECT_EQ(plan({{8, 1, 1}, {4, 1, 1}, {1, 1, 1}}, {{5}}), (Sizes{8}));
}

TEST(StepPlan, SequencesBound) {
  // 40 answers of one token: the bucket of 64 tokens holds only 8 of them.
  std::vector<Bucket> buckets = {{64, 8, 8}, {8, 8, 8}, {1, 1, 1}};
  EXPECT_EQ(plan(buckets, std::vector<StepWork>(40, {1})), (Sizes{8, 8, 8, 8, 8}));
}

TEST(StepPlan, RowsBound) {
  EXPECT_EQ(plan({{64, 8, 8}}, {{20, LogitsMode::All}}), (Sizes{64, 64, 64}));
  EXPECT_EQ(plan({{64, 8, 8}, {64, 8, 64}}, {{20, LogitsMode::All}}), (Sizes{64}));
  EXPECT_EQ(plan({{64, 8, 1}}, {{3}, {3}, {3}}).size(), 3u);
}

// Planning takes no longer than what it plans: 20,000 runs of one row each.
TEST(StepPlan, ManyRuns) {
  std::vector<Bucket> buckets = {{1, 1, 1}, {8, 8, 1}, {256, 8, 1}, {2048, 8, 1}};
  EXPECT_EQ(plan(buckets, {{20000, LogitsMode::All}}).size(), 20000u);
}

TEST(StepPlan, Impossible) {
  EXPECT_EQ(planStep({}, std::vector<StepWork>{{1}}).status().number(), 4003);
  EXPECT_TRUE(planStep({}, {})->empty());
  std::vector<Bucket> rowless = {{4, 1, 0}};
  EXPECT_EQ(planStep(rowless, std::vector<StepWork>{{1}}).status().number(), 4003);
  EXPECT_TRUE(planStep(rowless, std::vector<StepWork>{{9, LogitsMode::None}}).ok());
}

// Every token once and in order, every wanted row once, no bucket overfilled.
TEST(StepPlan, RandomWorkIsDone) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::vector<Bucket> buckets;
    for (size_t i = 1 + random() % 5; i > 0; --i) {
      uint64_t tokens = 1 + random() % 70;
      buckets.push_back({tokens, 1 + random() % 6, 1 + random() % tokens});
    }
    std::vector<StepWork> work;
    for (size_t i = random() % 8; i > 0; --i)
      work.push_back({1 + random() % 200, static_cast<LogitsMode>(random() % 3)});
    auto runs = planStep(buckets, work);
    ASSERT_TRUE(runs.ok()) << runs.status().text();
    std::vector<uint64_t> fed(work.size(), 0), rows(work.size(), 0);
    for (const StepRun &run : *runs) {
      uint64_t tokens = 0, wanted = 0;
      std::vector<bool> seen(work.size(), false);
      ASSERT_FALSE(run.parts.empty());
      for (const StepPart &part : run.parts) {
        ASSERT_FALSE(seen[part.sequence]);
        seen[part.sequence] = true;
        ASSERT_EQ(part.first, fed[part.sequence]);
        ASSERT_GE(part.count, 1u);
        ASSERT_LE(part.rows, part.count);
        fed[part.sequence] += part.count;
        rows[part.sequence] += part.rows;
        tokens += part.count;
        wanted += part.rows;
      }
      const Bucket &bucket = buckets[run.bucket];
      ASSERT_LE(tokens, bucket.tokens);
      ASSERT_LE(wanted, bucket.rows);
      ASSERT_LE(run.parts.size(), bucket.sequences);
    }
    for (size_t s = 0; s < work.size(); ++s) {
      ASSERT_EQ(fed[s], work[s].tokens);
      ASSERT_EQ(rows[s], work[s].logits == LogitsMode::All    ? work[s].tokens
                         : work[s].logits == LogitsMode::Last ? 1u
                                                              : 0u);
    }
  }
}

} // namespace
