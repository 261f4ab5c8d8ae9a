#include "runtime/session/Program.h"

#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

using namespace levin;

namespace {

// The plain entry of the toy model: x -> affine -> middle -> copy -> y.
class ProgramTest : public testing::Test {
protected:
  void SetUp() override {
    std::string elf = toy::code();
    auto loaded = hal::HostExecutable::load(std::as_bytes(std::span(elf)),
                                            manifest.executables[0].exports, "toy");
    ASSERT_TRUE(loaded.ok()) << loaded.status().text();
    executables.push_back(std::move(*loaded));
    for (const artifact::Arena &arena : manifest.arenas) {
      memory.push_back(std::move(*hal::HostMemory::allocate(arena.size + 64, "test", budget)));
      arenas.push_back(memory.back().bytes().first(arena.size));
    }
  }

  artifact::RankProgram &rank() { return manifest.programs[0].ranks[0]; }
  artifact::Launch &launch() {
    return std::get<artifact::Launch>(rank().streams[0].items[0].command);
  }
  Result<BoundProgram> bind() {
    return BoundProgram::bind(manifest, manifest.programs[0], arenas, executables);
  }
  int refusal() {
    auto bound = bind();
    return bound.ok() ? 0 : bound.status().number();
  }

  artifact::Manifest manifest = toy::manifest({});
  hal::MemoryBudget budget;
  std::vector<hal::HostMemory> memory;
  Arenas arenas;
  std::vector<hal::HostExecutable> executables;
  std::unique_ptr<hal::ThreadPool> pool = std::move(*hal::ThreadPool::create(2));
};

TEST_F(ProgramTest, Runs) {
  auto program = bind();
  ASSERT_TRUE(program.ok()) << program.status().text();
  EXPECT_EQ(program->launches(), 1u);
  auto floats = [&](uint32_t slice) {
    return reinterpret_cast<float *>(program->slice(slice).data());
  };
  floats(0)[23] = 2;
  floats(3)[0] = 10; // the scale
  program->run(*pool);
  EXPECT_EQ(floats(1)[23], 43);
  EXPECT_EQ(floats(1)[5], 5);
  floats(0)[23] = 3;
  ASSERT_TRUE(program->runChecked(*pool).ok());
  EXPECT_EQ(floats(1)[23], 53);
}

TEST_F(ProgramTest, SeveralStreams) {
  rank().streams.push_back({{rank().streams[0].items[1]}});
  rank().streams[0].items.pop_back();
  auto program = bind();
  ASSERT_TRUE(program.ok());
  program->run(*pool);
  EXPECT_EQ(reinterpret_cast<float *>(program->slice(1).data())[7], 7);
}

TEST_F(ProgramTest, Ranks) {
  manifest.programs[0].ranks.push_back(rank());
  EXPECT_EQ(refusal(), 3010);
}

TEST_F(ProgramTest, SlicesStayInTheirArena) {
  artifact::Slice good = rank().slices[0];
  rank().slices[0].offset = arenas[2].size() - 8;
  EXPECT_EQ(refusal(), 3016);
  rank().slices[0].offset = UINT64_MAX - 3;
  EXPECT_EQ(refusal(), 3016);
  rank().slices[0] = good;
  rank().slices[0].arena = 3;
  EXPECT_EQ(refusal(), 3016);
}

TEST_F(ProgramTest, ReferencesStayInTheirSlice) {
  artifact::Ref good = launch().bindings[0];
  launch().bindings[0].offset = 4;
  EXPECT_EQ(refusal(), 3016);
  launch().bindings[0] = good;
  launch().bindings[0].slice = 99;
  EXPECT_EQ(refusal(), 3016);
  launch().bindings[0] = good;
  std::get<artifact::Copy>(rank().streams[0].items[1].command).source.size = 4;
  EXPECT_EQ(refusal(), 3016);
}

TEST_F(ProgramTest, KernelsExist) {
  launch().exportIndex = 4;
  EXPECT_EQ(refusal(), 3017);
  launch().exportIndex = 2;
  launch().executable = 1;
  EXPECT_EQ(refusal(), 3017);
}

TEST_F(ProgramTest, GridsAreBounded) {
  launch().grid = {1u << 20, 1u << 20, 1};
  EXPECT_EQ(refusal(), 3017);
  launch().grid = {UINT32_MAX, UINT32_MAX, UINT32_MAX};
  EXPECT_EQ(refusal(), 3017);
}

TEST_F(ProgramTest, AlignmentIsChecked) {
  for (artifact::Slice &slice : rank().slices)
    if (slice.arena == 2)
      slice.offset += 4;
  arenas[2] = memory[2].bytes();
  auto program = bind();
  ASSERT_TRUE(program.ok()) << program.status().text();
  EXPECT_EQ(program->runChecked(*pool).number(), 3017);
}

} // namespace
