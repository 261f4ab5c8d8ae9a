#include "runtime/session/Sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <set>

using namespace levin;

namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();

Sampler make(const Sampling &sampling, uint64_t vocabulary) {
  auto made = Sampler::create(sampling, vocabulary);
  EXPECT_TRUE(made.ok()) << made.status().text();
  return std::move(*made);
}

int32_t once(const Sampling &sampling, const std::vector<float> &logits) {
  Sampler sampler = make(sampling, logits.size());
  return sampler.sample(logits)->token;
}

/// How often each token comes in `draws` draws from the same logits.  Penalties see the tokens
/// before, as in an answer.
std::vector<int> histogram(const Sampling &sampling, const std::vector<float> &logits, int draws) {
  Sampler sampler = make(sampling, logits.size());
  std::vector<int> counts(logits.size(), 0);
  for (int i = 0; i < draws; ++i)
    ++counts[static_cast<size_t>(sampler.sample(logits)->token)];
  return counts;
}

TEST(Sampler, GreedyTakesTheLowestOfEqual) {
  EXPECT_EQ(once({}, {1, 3, 3, 2}), 1);
  EXPECT_EQ(once({}, {-infinity, -5, -infinity}), 1);
  EXPECT_EQ(once({}, {0, 0, 0}), 0);
}

// Chi-square against the exact probabilities: 9 degrees of freedom, 0.1 % quantile 27.88.
TEST(Sampler, DrawsByProbability) {
  std::vector<float> logits;
  for (int i = 0; i < 10; ++i)
    logits.push_back(0.3f * static_cast<float>(i));
  for (float temperature : {0.5f, 1.0f, 2.0f}) {
    constexpr int draws = 20000;
    auto counts = histogram({.temperature = temperature, .seed = 5}, logits, draws);
    double total = 0, chi = 0;
    for (float logit : logits)
      total += std::exp(static_cast<double>(logit) / temperature);
    for (size_t i = 0; i < logits.size(); ++i) {
      double expected = draws * std::exp(static_cast<double>(logits[i]) / temperature) / total;
      chi += (counts[i] - expected) * (counts[i] - expected) / expected;
    }
    EXPECT_LT(chi, 27.88) << temperature;
  }
}

TEST(Sampler, UniformNumbers) {
  constexpr size_t bins = 64, draws = 64000;
  for (uint64_t seed : {0, 1, 12345}) {
    std::vector<int> counts(bins, 0);
    for (size_t i = 0; i < draws; ++i) {
      double value = uniformAt(seed, i);
      ASSERT_GE(value, 0);
      ASSERT_LT(value, 1);
      ++counts[static_cast<size_t>(value * bins)];
    }
    double chi = 0, expected = double(draws) / bins;
    for (int count : counts)
      chi += (count - expected) * (count - expected) / expected;
    EXPECT_LT(chi, 103.4); // 63 degrees of freedom, 0.1 %
  }
  // Neighbouring seeds are not shifted copies of each other.
  std::set<double> values;
  for (uint64_t seed = 0; seed < 30; ++seed)
    for (uint64_t i = 0; i < 30; ++i)
      values.insert(uniformAt(seed, i));
  EXPECT_EQ(values.size(), 900u);
}

TEST(Sampler, SameSeedSameTokens) {
  std::vector<float> logits = {0.1f, 0.2f, 0.3f, 0.4f, 0.5f};
  auto tokens = [&](uint64_t seed) {
    Sampler sampler = make({.temperature = 1, .seed = seed}, logits.size());
    std::vector<int32_t> result;
    for (int i = 0; i < 50; ++i)
      result.push_back(sampler.sample(logits)->token);
    return result;
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
}

TEST(Sampler, TopK) {
  auto counts = histogram({.temperature = 1, .topK = 2}, {1, 2, 0, 2.5f, -infinity}, 2000);
  EXPECT_GT(counts[1], 0);
  EXPECT_GT(counts[3], counts[1]);
  EXPECT_EQ(counts[0] + counts[2] + counts[4], 0);
  EXPECT_EQ(once({.temperature = 5, .topK = 1}, {1, 2, 2, 0}), 1);
  EXPECT_GT(histogram({.temperature = 1, .topK = 99}, {0, 0, 0}, 200)[2], 0);
}

TEST(Sampler, TopP) {
  // Probabilities 0.5, 0.25, 0.125, 0.125.
  std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  auto counts = histogram({.temperature = 1, .topP = 0.7f}, logits, 3000);
  EXPECT_NEAR(counts[0], 2000, 120);
  EXPECT_EQ(counts[0] + counts[1], 3000);
  EXPECT_EQ(histogram({.temperature = 1, .topP = 1e-6f}, logits, 100)[0], 100);
  EXPECT_GT(histogram({.temperature = 1, .topP = 1}, logits, 1000)[3], 0);
  // More candidates than are ordered at first.
  std::vector<float> flat(5000, 0);
  std::set<int32_t> seen;
  Sampler sampler = make({.temperature = 1, .topP = 0.5f}, flat.size());
  for (int i = 0; i < 2000; ++i)
    seen.insert(sampler.sample(flat)->token);
  EXPECT_GT(seen.size(), 800u);
  EXPECT_LT(*seen.rbegin(), 2501);
}

TEST(Sampler, MinP) {
  std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  auto counts = histogram({.temperature = 1, .minP = 0.4f}, logits, 3000);
  EXPECT_NEAR(counts[0], 2000, 120);
  EXPECT_EQ(counts[2] + counts[3], 0);
  EXPECT_EQ(histogram({.temperature = 1, .minP = 1}, logits, 100)[0], 100);
}

TEST(Sampler, RepetitionPenalty) {
  Sampler sampler = make({.repetitionPenalty = 2}, 4);
  std::vector<int32_t> prompt = {0, 3};
  ASSERT_TRUE(sampler.addPrompt(prompt).ok());
  EXPECT_EQ(sampler.sample(std::vector<float>{3, 1.6f, 1, -1})->token, 1); // 1.5 1.6 1 -2
  EXPECT_EQ(sampler.sample(std::vector<float>{3, 1.6f, 1, -1})->token, 0); // 1.5 0.8 1 -2
}

TEST(Sampler, PresenceAndFrequencyPenalty) {
  Sampler presence = make({.presencePenalty = 0.5f}, 2);
  std::vector<float> logits = {1, 0.6f};
  std::vector<int32_t> got, want = {0, 1, 0, 0};
  for (int i = 0; i < 4; ++i)
    got.push_back(presence.sample(logits)->token); // 1 .6, .5 .6, .5 .1, .5 .1
  EXPECT_EQ(got, want);
  Sampler frequency = make({.frequencyPenalty = 0.3f}, 2);
  got.clear();
  want = {0, 0, 1, 0};
  for (int i = 0; i < 4; ++i)
    got.push_back(frequency.sample(logits)->token); // 1 .6, .7 .6, .4 .6, .4 .3
  EXPECT_EQ(got, want);
  // The prompt does not count for these.
  Sampler prompted = make({.presencePenalty = 0.5f}, 2);
  std::vector<int32_t> prompt = {0};
  ASSERT_TRUE(prompted.addPrompt(prompt).ok());
  EXPECT_EQ(prompted.sample(logits)->token, 0);
}

TEST(Sampler, PenaltiesNeitherExcludeNorAdmit) {
  constexpr float huge = 3e38f;
  for (float temperature : {0.0f, 1.0f}) {
    Sampler sampler =
        make({.temperature = temperature, .repetitionPenalty = 100, .presencePenalty = 1e6f}, 2);
    std::vector<int32_t> prompt = {0, 1};
    ASSERT_TRUE(sampler.addPrompt(prompt).ok());
    for (int i = 0; i < 5; ++i)
      EXPECT_EQ(sampler.sample(std::vector<float>{-infinity, -huge})->token, 1);
  }
}

TEST(Sampler, Logprobs) {
  Sampler sampler = make({.temperature = 3, .topK = 1, .logprobs = 3}, 4);
  std::vector<float> logits = {std::log(4.0f), std::log(2.0f), 0, 0};
  Choice choice = *sampler.sample(logits);
  EXPECT_NEAR(choice.logprob, std::log(0.5), 1e-6); // by the model, whatever the temperature
  ASSERT_EQ(choice.alternatives.size(), 3u);
  EXPECT_EQ(choice.alternatives[1].token, 1);
  EXPECT_NEAR(choice.alternatives[1].logprob, std::log(0.25), 1e-6);
  EXPECT_EQ(choice.alternatives[2].token, 2);
  EXPECT_TRUE(make({}, 4).sample(logits)->alternatives.empty());
  EXPECT_EQ(make({.logprobs = 64}, 4).sample(logits)->alternatives.size(), 4u);
}

TEST(Sampler, UnusableLogits) {
  Sampler sampler = make({.temperature = 1}, 2);
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (std::vector<float> logits :
       {std::vector<float>{0, nan}, {infinity, 0}, {-infinity, -infinity}}) {
    auto choice = sampler.sample(logits);
    ASSERT_FALSE(choice.ok());
    EXPECT_EQ(choice.status().number(), 9001);
  }
  EXPECT_NE(sampler.sample(std::vector<float>{0, nan}).status().text().find("token 1"),
            std::string::npos);
  EXPECT_EQ(sampler.sample(std::vector<float>{0}).status().number(), 2009);
}

TEST(Sampler, UnusableOptions) {
  float nan = std::numeric_limits<float>::quiet_NaN();
  for (const Sampling &bad : std::initializer_list<Sampling>{{.temperature = -1},
                                                             {.temperature = nan},
                                                             {.temperature = infinity},
                                                             {.topP = 1.5f},
                                                             {.topP = nan},
                                                             {.minP = -0.1f},
                                                             {.repetitionPenalty = -1},
                                                             {.repetitionPenalty = 1e-3f},
                                                             {.presencePenalty = infinity},
                                                             {.frequencyPenalty = nan},
                                                             {.logprobs = 65}}) {
    auto made = Sampler::create(bad, 10);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.status().number(), 2002);
  }
  EXPECT_EQ(Sampler::create({}, 0).status().number(), 2009);
  std::vector<int32_t> prompt = {10};
  EXPECT_EQ(make({}, 10).addPrompt(prompt).number(), 2008);
}

} // namespace
