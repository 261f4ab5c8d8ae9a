// What levin-bench measures with: the host's meter, and a GPU's with a driver of the test's own.
#include "tools/levin-bench/Meter.h"
#include "tools/levin-bench/Cases.h"
#include "tools/levin-bench/Measure.h"

#include "test/unit/cuda/FakeDriver.h"
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <dlfcn.h>

#include <cstdlib>

using namespace levin;

namespace {

const std::vector<Bucket> toyBuckets = {{1, 1, 1}, {16, 4, 4}};

class MeterTest : public testing::TestWithParam<bool> {
protected:
  void SetUp() override {
    if (GetParam()) {
      library = ::dlopen(LEVIN_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
      ASSERT_NE(library, nullptr) << ::dlerror();
      reinterpret_cast<void (*)()>(::dlsym(library, "fakeReset"))();
      control = reinterpret_cast<fake::ControlFunction>(::dlsym(library, "fakeControl"))();
      ::setenv("LEVIN_CUDA_DRIVER", LEVIN_FAKE_DRIVER, 1);
    }
    auto loaded = Model::load(toy::write(folder.path(), toyBuckets, {GetParam(), 0}), {});
    ASSERT_TRUE(loaded.ok()) << loaded.status().text();
    model = *loaded;
    auto made = bench::makeMeter(model, 1);
    ASSERT_TRUE(made.ok()) << made.status().text();
    meter = std::move(*made);
  }
  void TearDown() override {
    meter.reset();
    model.reset();
    if (!library)
      return;
    EXPECT_EQ(control->liveBytes, 0u);
    EXPECT_EQ(control->liveObjects, 0);
    ::unsetenv("LEVIN_CUDA_DRIVER");
    ::dlclose(library);
  }

  /// The run of the large bucket by a step of two sequences, and its inputs.
  bench::PlannedRun planned() const {
    auto runs = bench::planRuns(model->manifest(), {"mix", {5, 3}, 1, 7}, 7);
    EXPECT_TRUE(runs.ok() && runs->size() == 1);
    return (*runs)[0];
  }

  void *library = nullptr;
  fake::Control *control = nullptr;
  toy::TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  std::unique_ptr<bench::Meter> meter;
};

TEST_P(MeterTest, InputsAreThoseOfASession) {
  bench::PlannedRun run = planned();
  EXPECT_EQ(*run.entry->tokens, 16u);
  bench::StepInputs inputs = bench::makeInputs(model->manifest(), *run.entry, run.shape, 3);
  EXPECT_EQ(inputs.starts, (std::vector<int32_t>{0, 5, 8, 8, 8}));
  EXPECT_EQ(inputs.past, (std::vector<int32_t>{7, 7, 0, 0}));
  EXPECT_EQ(inputs.rows, (std::vector<int32_t>{4, 7, 0, 0}));
  EXPECT_EQ(inputs.ids.size(), 16u);
  for (int32_t id : inputs.ids)
    EXPECT_LT(id, static_cast<int32_t>(toy::vocabulary));
}

TEST_P(MeterTest, TimesEveryLaunchInOrder) {
  bench::PlannedRun run = planned();
  bench::StepInputs inputs = bench::makeInputs(model->manifest(), *run.entry, run.shape, 3);
  auto times = meter->timeLaunches(*run.entry, inputs, 3);
  ASSERT_TRUE(times.ok()) << times.status().text();
  auto spans = meter->trace(*run.entry, inputs);
  ASSERT_TRUE(spans.ok()) << spans.status().text();
  ASSERT_EQ(times->size(), spans->size());
  ASSERT_FALSE(times->empty());
  double at = 0;
  for (size_t i = 0; i < times->size(); ++i) {
    EXPECT_EQ((*times)[i].launch, (*spans)[i].launch);
    EXPECT_GT((*times)[i].seconds.median, 0);
    EXPECT_LE((*times)[i].seconds.low, (*times)[i].seconds.median);
    EXPECT_LE(at, (*spans)[i].begin);
    EXPECT_LE((*spans)[i].begin, (*spans)[i].end);
    at = (*spans)[i].end;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, MeterTest, testing::Bool(), [](const auto &info) {
  return info.param ? std::string("Gpu") : std::string("Host");
});

TEST(Cases, AreEveryCombination) {
  auto cases = bench::listCases({"512,1K", "128", "0,4096", "1,16", {"2x50+18x1"}});
  ASSERT_TRUE(cases.ok());
  std::vector<std::string> titles;
  for (const bench::Case &one : *cases)
    titles.push_back(one.title());
  EXPECT_EQ(titles.size(), 14u);
  EXPECT_EQ(titles[0], "pp512");
  EXPECT_EQ(titles[3], "pp1024 b16");
  EXPECT_EQ(titles[5], "tg128 b16");
  EXPECT_EQ(titles[13], "mix 2x50+18x1 @ d4096");
  EXPECT_EQ(cases->back().tokensPerStep(), 118u);
}

TEST(Cases, RefuseWhatCannotBeRead) {
  for (bench::CaseOptions options : {bench::CaseOptions{"", "1", "0", "1", {}},
                                     {"1,,2", "1", "0", "1", {}},
                                     {"-1", "1", "0", "1", {}},
                                     {"1", "1", "0", "0", {}},
                                     {"1", "1", "0", "1", {"2"}},
                                     {"1", "1", "0", "1", {"2x"}},
                                     {"1", "1", "0", "1", {"0x3"}},
                                     {"1", "1", "0", "1", {"1x1+"}},
                                     {"0", "0", "0", "1", {}},
                                     {"1", "1", "0", "99999999", {}},
                                     {"99999999999999999999", "1", "0", "1", {}}}) {
    auto cases = bench::listCases(options);
    ASSERT_FALSE(cases.ok());
    EXPECT_EQ(cases.status().code(), ErrorCode::OptionValue);
  }
}

TEST(Spread, IsOfSortedValues) {
  bench::Spread spread = bench::Spread::of({5, 1, 2, 4, 3});
  EXPECT_EQ(spread.median, 3);
  EXPECT_EQ(spread.low, 1);
  EXPECT_EQ(spread.high, 5);
  EXPECT_EQ(bench::Spread::of({1, 2}).median, 1.5);
  EXPECT_EQ(bench::Spread::of({}).median, 0);
}

TEST(KernelName, ComesApart) {
  auto check = [](const char *text, std::string_view ops, std::vector<uint64_t> extents) {
    bench::KernelName name = bench::KernelName::parse(text);
    EXPECT_EQ(name.ops, ops) << text;
    EXPECT_EQ(name.extents, extents) << text;
  };
  check("linear_silu_64x768x192", "linear_silu", {64, 768, 192});
  check("grouped_linear_128x4x192x192_1", "grouped_linear", {128, 4, 192, 192});
  check("fill_random", "fill_random", {});
  check("embed_7", "embed", {7});
  check("x_", "x_", {});
}

} // namespace
