// Memory, processor features, machine code.
#include "runtime/base/File.h"
#include "runtime/hal/CpuFeatures.h"
#include "runtime/hal/HostExecutable.h"
#include "runtime/hal/HostMemory.h"

#include <gtest/gtest.h>

#include <algorithm>

using namespace levin;
using namespace levin::hal;

namespace {

// --- Memory --------------------------------------------------------------------------------------

TEST(HostMemory, ZeroedAndAligned) {
  MemoryBudget budget;
  for (bool prefault : {false, true}) {
    auto memory = HostMemory::allocate(100'000, "test", budget, prefault);
    ASSERT_TRUE(memory.ok());
    EXPECT_EQ(memory->size(), 100'000u);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(memory->data()) % 4096, 0u);
    EXPECT_TRUE(
        std::ranges::all_of(memory->bytes(), [](std::byte b) { return b == std::byte(0); }));
  }
  EXPECT_EQ(HostMemory::allocate(0, "test", budget)->data(), nullptr);
}

TEST(HostMemory, Moves) {
  MemoryBudget budget;
  HostMemory first = std::move(*HostMemory::allocate(10, "test", budget)), second;
  std::byte *place = first.data();
  second = std::move(first);
  EXPECT_EQ(second.data(), place);
  EXPECT_EQ(first.data(), nullptr);
}

TEST(HostMemory, BudgetIsShared) {
  MemoryBudget budget(1000);
  ASSERT_TRUE(HostMemory::allocate(600, "first", budget).ok());
  auto second = HostMemory::allocate(401, "second part", budget);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.status().number(), 4103);
  EXPECT_NE(second.status().text().find("second part"), std::string::npos);
  EXPECT_TRUE(HostMemory::allocate(400, "third", budget).ok());
  EXPECT_EQ(budget.left(), 0u);
  EXPECT_GT(machineMemory(), uint64_t(1) << 20);
}

TEST(HostMemory, SystemRefuses) {
  MemoryBudget budget(UINT64_MAX);
  auto memory = HostMemory::allocate(uint64_t(1) << 60, "test", budget);
  ASSERT_FALSE(memory.ok());
  EXPECT_EQ(memory.status().number(), 4001);
}

// --- Features ------------------------------------------------------------------------------------

TEST(CpuFeatures, Words) {
  CpuFeatures features(" fpu sse2\tavx2  fma\n");
  EXPECT_TRUE(features.has("fpu"));
  EXPECT_TRUE(features.has("fma"));
  EXPECT_FALSE(features.has("avx"));
  EXPECT_FALSE(features.has(""));
  EXPECT_EQ(features.missing(std::vector<std::string>{"avx2", "avx512f", "amx_tile"}),
            "avx512f amx_tile");
  EXPECT_TRUE(CpuFeatures::ofThisMachine().ok());
}

artifact::Executable twoVariants() {
  artifact::Executable executable;
  executable.variants = {{"host-x86_64-v4", artifact::CodeKind::HostElf, 0, {"avx512f", "avx2"}},
                         {"host-x86_64-v3", artifact::CodeKind::HostElf, 1, {"avx2"}}};
  return executable;
}

TEST(ChooseVariant, FirstThatRuns) {
  EXPECT_EQ(*chooseVariant(twoVariants(), CpuFeatures("avx2 avx512f")), 0u);
  EXPECT_EQ(*chooseVariant(twoVariants(), CpuFeatures("avx2")), 1u);
}

TEST(ChooseVariant, NoneRuns) {
  auto none = chooseVariant(twoVariants(), CpuFeatures("sse2"));
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().number(), 3004);
  std::string text = none.status().text();
  for (const char *part :
       {"have: host-x86_64-v4, host-x86_64-v3", "need: code without avx2", "fix: levin-compile"})
    EXPECT_NE(text.find(part), std::string::npos) << text;
  EXPECT_EQ(chooseVariant({}, CpuFeatures("avx2")).status().number(), 3004);
}

// --- Code ----------------------------------------------------------------------------------------

const std::vector<artifact::Export> toyExports = {
    {"toy_affine", {false, false, true}, 64, 0},
    {"toy_project", {false, false, false, true}, 64, 0}};

std::span<const std::byte> bytesOf(const std::string &text) {
  return std::as_bytes(std::span(text));
}

TEST(HostExecutable, LoadsAndRuns) {
  std::string code = *readFile(LEVIN_TOY_KERNELS);
  // Several at once, and again after some are gone: each must be a copy of its own.
  std::vector<HostExecutable> loaded;
  for (int i = 0; i < 5; ++i) {
    auto one = HostExecutable::load(bytesOf(code), toyExports, "toy");
    ASSERT_TRUE(one.ok()) << one.status().text();
    if (i == 2)
      loaded.erase(loaded.begin());
    loaded.push_back(std::move(*one));
  }
  for (size_t i = 1; i < loaded.size(); ++i)
    EXPECT_NE(loaded[i].kernel(0), loaded[0].kernel(0));
  alignas(64) float x[24] = {2}, scale[1] = {3}, y[24] = {};
  void *bindings[] = {x, scale, y};
  loaded[3].kernel(0)(bindings, 0, 0, 0);
  EXPECT_EQ(y[0], 6);
}

TEST(HostExecutable, Refusals) {
  std::string code = *readFile(LEVIN_TOY_KERNELS);
  auto broken = HostExecutable::load(bytesOf(std::string("no code")), toyExports, "broken");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(broken.status().number(), 3019);
  EXPECT_NE(broken.status().text().find("broken"), std::string::npos);
  std::vector<artifact::Export> absent = {{"toy_absent", {}, 64, 0}};
  auto without = HostExecutable::load(bytesOf(code), absent, "toy");
  ASSERT_FALSE(without.ok());
  EXPECT_EQ(without.status().number(), 3019);
  EXPECT_NE(without.status().text().find("toy_absent"), std::string::npos);
}

} // namespace
