// Weight files and parameters.
#include "runtime/session/Convert.h"
#include "runtime/session/Model.h"
#include "runtime/session/ParameterLoader.h"

#include "runtime/artifact/WeightType.h"
#include "runtime/artifact/Write.h"
#include "runtime/base/Half.h"
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <random>

using namespace levin;
using artifact::DType;
using artifact::Parameter;
using artifact::Piece;

namespace {

class LoaderTest : public testing::Test {
protected:
  /// A tensor for the weight file; values are whole numbers, exact in every type used here.
  template <typename T>
  void tensor(std::string name, weights::DType type, std::vector<uint64_t> shape, T convert) {
    uint64_t count = 1;
    for (uint64_t extent : shape)
      count *= extent;
    std::string bytes;
    for (uint64_t i = 0; i < count; ++i) {
      auto value = convert(valueOf(name, i));
      bytes.append(reinterpret_cast<const char *>(&value), sizeof(value));
    }
    stored.push_back(std::move(bytes));
    tensors.push_back({std::move(name), type, std::move(shape), {}});
  }
  static float valueOf(std::string_view name, uint64_t index) {
    return static_cast<float>((index * 31 + name.size() * 7) % 251) - 125;
  }

  void SetUp() override {
    tensor("bf", weights::DType::BF16, {6, 10}, floatToBf16);
    tensor("half", weights::DType::F16, {6, 10}, floatToF16);
    tensor("float", weights::DType::F32, {6, 10}, [](float v) { return v; });
    tensor("double", weights::DType::F64, {6, 10}, [](float v) { return double(v); });
    tensor("cube", weights::DType::F32, {3, 5, 7}, [](float v) { return v; });
    tensor("bytes", weights::DType::I8, {6, 10}, [](float v) { return int8_t(v); });
    tensor("words", weights::DType::I64, {6, 10}, [](float v) { return int64_t(v) * 1000; });
    tensor("large", weights::DType::BF16, {1000, 700}, floatToBf16);
    for (size_t i = 0; i < tensors.size(); ++i)
      tensors[i].data = std::as_bytes(std::span(stored[i]));
    ASSERT_TRUE(weights::writeSafetensors(folder.path() + "/w.safetensors", tensors).ok());
    std::string bytes = *readFile(folder.path() + "/w.safetensors");
    manifest.weightFiles = {{"w.safetensors", bytes.size(), sha256(bytes)}};
  }

  Piece piece(std::string name, std::vector<uint64_t> starts = {},
              std::vector<uint64_t> sizes = {}) const {
    for (const auto &tensor : tensors)
      if (tensor.name == name)
        return {0, name, artifact::typeOf(tensor.dtype), tensor.shape, starts, sizes};
    return {0, name, DType::F32, {6, 10}, starts, sizes};
  }

  /// Adds a parameter after the others; its place in the arena has a gap before it.
  void parameter(DType type, std::vector<uint64_t> shape, std::vector<Piece> pieces,
                 uint32_t panelRows = 0, artifact::Join join = artifact::Join::Concat) {
    Parameter added{fmt::format("p{}", manifest.parameters.size()),
                    {type, shape},
                    artifact::Pieces{join, std::move(pieces)},
                    panelRows,
                    arenaBytes + 64,
                    0};
    if (panelRows != 0) {
      uint64_t &rows = shape[shape.size() - 2];
      rows = (rows + panelRows - 1) / panelRows * panelRows;
    }
    added.size = byteSize(artifact::TensorType{type, shape});
    arenaBytes = (added.offset + added.size + 63) / 64 * 64;
    manifest.parameters.push_back(std::move(added));
  }

  Status load(unsigned threads = 2, bool verify = true) {
    std::vector<std::string> folders = {folder.path()};
    auto files = WeightFiles::open(manifest.weightFiles, folders);
    if (!files.ok())
      return files.takeStatus();
    arena.assign(arenaBytes + 64, std::byte(0x5a));
    auto pool = std::move(*hal::ThreadPool::create(threads));
    LoadWork work;
    work.segment = [this](uint32_t) { return std::as_bytes(std::span(segment)); };
    work.verifyDigests = verify;
    work.progress = [this](uint64_t done, uint64_t total) { progress.emplace_back(done, total); };
    return loadParameters(manifest, *files, arena, *pool, work);
  }
  void expectLoads() {
    Status status = load();
    ASSERT_TRUE(status.ok()) << status.text();
  }

  /// Elements of parameter `index` as stored, as doubles.
  std::vector<double> values(size_t index) const {
    const Parameter &p = manifest.parameters[index];
    uint64_t size = artifact::byteSize(p.type.dtype), count = p.size / size;
    std::vector<double> result(count);
    std::vector<int64_t> integers(count);
    const std::byte *from = arena.data() + p.offset;
    if (canConvert(p.type.dtype, DType::F64)) {
      EXPECT_TRUE(convert(p.type.dtype, from, DType::F64,
                          reinterpret_cast<std::byte *>(result.data()), count));
      return result;
    }
    EXPECT_TRUE(convert(p.type.dtype, from, DType::I64,
                        reinterpret_cast<std::byte *>(integers.data()), count));
    return {integers.begin(), integers.end()};
  }

  toy::TemporaryFolder folder;
  std::vector<std::string> stored;
  std::vector<weights::TensorToWrite> tensors;
  artifact::Manifest manifest;
  std::string segment;
  uint64_t arenaBytes = 0;
  std::vector<std::byte> arena;
  std::vector<std::pair<uint64_t, uint64_t>> progress;
};

TEST_F(LoaderTest, CastsBetweenFloats) {
  const DType types[] = {DType::F16, DType::BF16, DType::F32, DType::F64};
  for (const char *name : {"bf", "half", "float", "double"})
    for (DType type : types)
      parameter(type, {6, 10}, {piece(name)});
  expectLoads();
  size_t index = 0;
  for (std::string_view name : {"bf", "half", "float", "double"})
    for (size_t type = 0; type < 4; ++type, ++index)
      for (size_t i = 0; i < 60; ++i)
        ASSERT_EQ(values(index)[i], valueOf(name, i)) << name << " " << type << " " << i;
  EXPECT_EQ(arena[0], std::byte(0x5a)); // gaps are left alone
}

TEST_F(LoaderTest, CastsIntegersExactly) {
  parameter(DType::I8, {6, 10}, {piece("bytes")});
  parameter(DType::I64, {6, 10}, {piece("bytes")});
  parameter(DType::I32, {6, 10}, {piece("words")});
  expectLoads();
  for (size_t i = 0; i < 60; ++i) {
    EXPECT_EQ(values(0)[i], valueOf("bytes", i));
    EXPECT_EQ(values(1)[i], valueOf("bytes", i));
    EXPECT_EQ(values(2)[i], valueOf("words", i) * 1000);
  }
  parameter(DType::I16, {6, 10}, {piece("words")}); // 125000 does not fit
  EXPECT_EQ(load().number(), 3021);
}

TEST_F(LoaderTest, BoxesAndJoins) {
  parameter(DType::F32, {2, 3}, {piece("float", {1, 4}, {2, 3})});
  parameter(DType::F32, {2, 2, 7}, {piece("cube", {1, 3, 0}, {2, 2, 7})});
  parameter(DType::F32, {3, 2, 4}, {piece("cube", {0, 2, 3}, {3, 2, 4})});
  parameter(DType::F32, {10, 10},
            {piece("bf", {4, 0}, {2, 10}), piece("float"), piece("half", {0, 0}, {2, 10})});
  parameter(DType::F32, {2, 6, 10}, {piece("bf"), piece("double")}, 0, artifact::Join::Stack);
  expectLoads();
  for (size_t r = 0; r < 2; ++r)
    for (size_t c = 0; c < 3; ++c)
      EXPECT_EQ(values(0)[r * 3 + c], valueOf("float", (r + 1) * 10 + c + 4));
  for (size_t a = 0; a < 2; ++a)
    for (size_t i = 0; i < 14; ++i)
      EXPECT_EQ(values(1)[a * 14 + i], valueOf("cube", (a + 1) * 35 + 21 + i));
  for (size_t a = 0; a < 3; ++a)
    for (size_t b = 0; b < 2; ++b)
      for (size_t c = 0; c < 4; ++c)
        EXPECT_EQ(values(2)[(a * 2 + b) * 4 + c], valueOf("cube", a * 35 + (b + 2) * 7 + c + 3));
  for (size_t i = 0; i < 100; ++i)
    EXPECT_EQ(values(3)[i], i < 20   ? valueOf("bf", 40 + i)
                            : i < 80 ? valueOf("float", i - 20)
                                     : valueOf("half", i - 80));
  for (size_t i = 0; i < 120; ++i)
    EXPECT_EQ(values(4)[i], i < 60 ? valueOf("bf", i) : valueOf("double", i - 60));
}

// [.., n, k] -> [.., ceil(n / P), k, P], zeros in rows from n on.
TEST_F(LoaderTest, Panels) {
  parameter(DType::F32, {6, 10}, {piece("float")}, 4);
  parameter(DType::BF16, {6, 10}, {piece("double")}, 32);
  parameter(DType::F32, {3, 5, 7}, {piece("cube")}, 4);
  parameter(DType::F32, {2, 6, 10}, {piece("bf"), piece("half")}, 4, artifact::Join::Stack);
  parameter(DType::F32, {1000, 700}, {piece("large")}, 32);
  parameter(DType::F32, {10, 70000}, {piece("large")}, 32); // too long for a row at once
  expectLoads();
  auto expectPanels = [&](size_t index, uint64_t lead, uint64_t n, uint64_t k, uint64_t height,
                          auto &&wanted) {
    std::vector<double> packed = values(index);
    uint64_t panels = (n + height - 1) / height;
    ASSERT_EQ(packed.size(), lead * panels * k * height);
    for (size_t i = 0; i < packed.size(); ++i) {
      uint64_t row = i / height / k % panels * height + i % height, column = i / height % k;
      uint64_t matrix = i / height / k / panels;
      ASSERT_EQ(packed[i], row < n ? wanted((matrix * n + row) * k + column) : 0) << i;
    }
  };
  expectPanels(0, 1, 6, 10, 4, [](uint64_t i) { return valueOf("float", i); });
  expectPanels(1, 1, 6, 10, 32, [](uint64_t i) { return valueOf("double", i); });
  expectPanels(2, 3, 5, 7, 4, [](uint64_t i) { return valueOf("cube", i); });
  expectPanels(3, 2, 6, 10, 4,
               [](uint64_t i) { return i < 60 ? valueOf("bf", i) : valueOf("half", i - 60); });
  expectPanels(4, 1, 1000, 700, 32, [](uint64_t i) { return valueOf("large", i); });
  expectPanels(5, 1, 10, 70000, 32, [](uint64_t i) { return valueOf("large", i); });
}

TEST_F(LoaderTest, LargeAndThreads) {
  parameter(DType::F32, {1000, 700}, {piece("large")});
  parameter(DType::BF16, {1000, 700}, {piece("large")});
  for (unsigned threads : {1, 2, 5}) {
    ASSERT_TRUE(load(threads).ok());
    std::vector<double> wide = values(0), narrow = values(1);
    for (size_t i = 0; i < 700000; ++i) {
      ASSERT_EQ(wide[i], valueOf("large", i));
      ASSERT_EQ(narrow[i], valueOf("large", i));
    }
  }
  ASSERT_FALSE(progress.empty());
  EXPECT_EQ(progress.back().first, progress.back().second);
  EXPECT_EQ(progress.back().second, manifest.weightFiles[0].size);
}

TEST_F(LoaderTest, SegmentBytes) {
  std::vector<float> constants = {1, 2, 3, 4, 5, 6};
  segment.assign(reinterpret_cast<const char *>(constants.data()), 24);
  manifest.parameters = {
      {"whole", {DType::F32, {2, 2}}, artifact::SegmentBytes{0, 8, 16}, 0, 0, 16},
      {"packed", {DType::F32, {3, 2}}, artifact::SegmentBytes{0, 0, 24}, 2, 64, 32}};
  arenaBytes = 128;
  expectLoads();
  EXPECT_EQ(values(0), (std::vector<double>{3, 4, 5, 6}));
  EXPECT_EQ(values(1), (std::vector<double>{1, 3, 2, 4, 5, 0, 6, 0}));
  manifest.parameters[0].source = artifact::SegmentBytes{0, 16, 16};
  EXPECT_EQ(load().number(), 3021);
}

TEST_F(LoaderTest, EmptyParameters) {
  parameter(DType::F32, {0, 10}, {piece("float", {0, 0}, {0, 10})});
  parameter(DType::F32, {0, 10}, {piece("float", {2, 0}, {0, 10})}, 4);
  parameter(DType::F32, {6, 10}, {piece("bf", {0, 0}, {0, 10}), piece("float")});
  expectLoads();
  EXPECT_EQ(values(2)[59], valueOf("float", 59));
}

// --- Refusals ------------------------------------------------------------------------------------

TEST_F(LoaderTest, TensorsDiffer) {
  auto refusal = [&](Piece changed) {
    manifest.parameters.clear();
    arenaBytes = 0;
    parameter(DType::F32, {6, 10}, {changed});
    Status status = load();
    return status.ok() ? 0 : status.number();
  };
  EXPECT_EQ(refusal(piece("absent")), 1012);
  Piece changed = piece("float");
  changed.dtype = DType::F16;
  EXPECT_EQ(refusal(changed), 1015);
  changed = piece("float");
  changed.shape = {10, 6};
  EXPECT_EQ(refusal(changed), 1014);
  EXPECT_EQ(refusal(piece("float", {1, 0}, {6, 10})), 3021); // leaves the tensor
  EXPECT_EQ(refusal(piece("float", {0, 0}, {5, 10})), 3021); // too few elements
  EXPECT_EQ(refusal(piece("bytes")), 3021);                  // integers to floats
  changed = piece("float");
  changed.file = 1;
  EXPECT_EQ(refusal(changed), 3021);
}

TEST_F(LoaderTest, OutsideTheArena) {
  parameter(DType::F32, {6, 10}, {piece("float")});
  arenaBytes = 0;
  manifest.parameters[0].offset = UINT64_MAX - 3;
  EXPECT_EQ(load().number(), 3021);
}

TEST_F(LoaderTest, DigestDiffers) {
  parameter(DType::F32, {6, 10}, {piece("float")});
  manifest.weightFiles[0].digest[5] ^= 1;
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.number(), 1017);
  EXPECT_NE(status.text().find("w.safetensors"), std::string::npos);
  EXPECT_NE(status.text().find("fix:"), std::string::npos);
  EXPECT_TRUE(load(2, false).ok());
}

TEST_F(LoaderTest, FilesAreLookedForInOrder) {
  toy::TemporaryFolder other;
  const auto &files = manifest.weightFiles;
  auto open = [&](std::vector<std::string> folders) {
    auto opened = WeightFiles::open(files, folders);
    return opened.ok() ? opened->file(0).path() : fmt::format("{}", opened.status().number());
  };
  std::string good = folder.path() + "/w.safetensors";
  EXPECT_EQ(open({folder.path()}), good);
  EXPECT_EQ(open({other.path(), folder.path()}), good);
  EXPECT_EQ(open({other.path()}), "1016");
  EXPECT_EQ(open({other.path() + "/nowhere"}), "1016");
  // One of the same name but another size is passed over, unless it is the only one.
  std::ofstream(other.path() + "/w.safetensors") << "another";
  EXPECT_EQ(open({other.path(), folder.path()}), good);
  EXPECT_EQ(open({other.path()}), "1017");
  // One of the same size is taken; what it holds is found out next.
  std::ofstream(other.path() + "/w.safetensors") << std::string(files[0].size, 'x');
  EXPECT_EQ(open({other.path(), folder.path()}), "1010");
  // A link is not followed, and the message says so.
  std::filesystem::remove(other.path() + "/w.safetensors");
  std::filesystem::create_symlink(good, other.path() + "/w.safetensors");
  std::vector<std::string> linked = {other.path()};
  Status status = WeightFiles::open(files, linked).takeStatus();
  EXPECT_EQ(status.number(), 1016);
  EXPECT_NE(status.text().find("symbolic link"), std::string::npos);
  std::vector<artifact::WeightFile> escaping = {{"../w.safetensors", 1, {}}};
  EXPECT_EQ(WeightFiles::open(escaping, std::vector<std::string>{"."}).status().number(), 1016);
}

TEST(WeightFolders, Defaults) {
  using Folders = std::vector<std::string>;
  EXPECT_EQ(defaultWeightFolders("m.lvn"), (Folders{".", "m.lvn.weights"}));
  EXPECT_EQ(defaultWeightFolders("a/b/m.lvn"), (Folders{"a/b", "a/b/m.lvn.weights"}));
  EXPECT_EQ(defaultWeightFolders("/m.lvn"), (Folders{"/", "/m.lvn.weights"}));
}

// --- Models --------------------------------------------------------------------------------------

const std::vector<Bucket> buckets = {{4, 2, 2}};

TEST(Model, LoadsFromTheSidecarFolder) {
  toy::TemporaryFolder folder, weights;
  std::string path = toy::write(folder.path(), buckets);
  std::filesystem::rename(folder.path() + "/toy.safetensors", weights.path() + "/toy.safetensors");
  auto missing = Model::load(path, {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().number(), 1016);
  EXPECT_NE(missing.status().text().find("toy.lvn.weights"), std::string::npos);
  std::filesystem::create_symlink(weights.path(), path + ".weights");
  EXPECT_TRUE(Model::load(path, {}).ok());
  ModelOptions elsewhere;
  elsewhere.weightFolders = {weights.path()};
  EXPECT_TRUE(Model::load(path, elsewhere).ok());
}

TEST(Model, Describes) {
  toy::TemporaryFolder folder;
  ModelOptions options;
  std::vector<std::string> lines;
  options.log = [&](const std::string &line) { lines.push_back(line); };
  auto model = *Model::load(toy::write(folder.path(), buckets), options);
  EXPECT_EQ(model->target(), "host-any"); // the first variant needs what no machine has
  EXPECT_EQ(lines.size(), 2u);
  EXPECT_EQ(*model->findEntry("affine"), 1u);
  EXPECT_EQ(model->findEntry("nothing_like_it").status().number(), 2007);
  auto asset = *model->asset("toy.json");
  EXPECT_EQ(std::string_view(reinterpret_cast<const char *>(asset.data()), asset.size()),
            "{\"toy\": true}");
  auto absent = model->asset("toy.jsn");
  EXPECT_EQ(absent.status().number(), 2010);
  EXPECT_NE(absent.status().text().find("did you mean 'toy.json'?"), std::string::npos);
  EXPECT_GE(model->times().total, model->times().weights);
}

TEST(Model, ArtifactOnly) {
  toy::TemporaryFolder folder;
  std::string path = toy::write(folder.path(), buckets);
  std::filesystem::remove(folder.path() + "/toy.safetensors");
  ModelOptions options;
  options.artifactOnly = true;
  auto model = Model::load(path, options);
  ASSERT_TRUE(model.ok());
  EXPECT_TRUE((*model)->asset("toy.json").ok());
  EXPECT_EQ(Session::create(*model, {}).status().number(), 2009);
}

TEST(Model, NoCodeForThisMachine) {
  toy::TemporaryFolder folder;
  artifact::Manifest manifest = toy::manifest(buckets);
  toy::writeWeights(folder.path(), manifest);
  manifest.executables[0].variants.pop_back();
  std::string path = folder.path() + "/toy.lvn";
  ASSERT_TRUE(artifact::writeArtifact(path, manifest, toy::segments()).ok());
  EXPECT_EQ(Model::load(path, {}).status().number(), 3004);
  ModelOptions options;
  options.artifactOnly = true;
  EXPECT_EQ((*Model::load(path, options))->target(), "");
}

// The n-th allocation fails, for each n: parameters here, state and workspace in SessionTest.
TEST(Model, MemoryLimit) {
  toy::TemporaryFolder folder;
  std::string path = toy::write(folder.path(), buckets);
  ModelOptions options;
  options.maxMemory = 100;
  EXPECT_EQ(Model::load(path, options).status().number(), 4103);
}

} // namespace
