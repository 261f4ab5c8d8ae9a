// Weight folders: what is read, and what is refused.
#include "ModelFolders.h"

#include "models/minimax/Tensors.h"
#include "runtime/base/Digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

using namespace levin;
using namespace levin::test;
using weights::DType;

namespace {

class Checkpoint : public testing::Test {
protected:
  void SetUp() override { folder.writeConfig(config); }

  void write(const std::string &name = "model.safetensors") { writeWeights(folder, name, tensors); }

  FakeTensor &named(const std::string &name) {
    auto place = std::find_if(tensors.begin(), tensors.end(),
                              [&](const FakeTensor &tensor) { return tensor.name == name; });
    EXPECT_NE(place, tensors.end()) << name;
    return *place;
  }

  void drop(const std::string &name) {
    tensors.erase(tensors.begin() + (&named(name) - &tensors[0]));
  }

  void expectFailure(ErrorCode code, const std::string &message, bool requireWeights = true) {
    models::ImportOptions options;
    options.checkOnly = true;
    options.requireWeights = requireWeights;
    Status status = importStatus(folder, options);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.code(), code) << status.text();
    EXPECT_NE(status.text().find(message), std::string::npos) << status.text();
  }

  Folder folder;
  Json config = transformersConfig();
  std::vector<FakeTensor> tensors = tensorsOf(config);
};

TEST_F(Checkpoint, SingleFile) {
  write();
  Status status = importStatus(folder);
  EXPECT_TRUE(status.ok()) << status.text();
}

TEST_F(Checkpoint, SeveralFilesWithoutAnIndex) {
  std::vector<FakeTensor> half(tensors.begin(), tensors.begin() + 5);
  writeWeights(folder, "a.safetensors", half);
  half.assign(tensors.begin() + 5, tensors.end());
  writeWeights(folder, "b.safetensors", half);
  writeWeights(folder, "golden.safetensors", {{"ids", {1}}}); // golden data is no weights
  Status status = importStatus(folder);
  EXPECT_TRUE(status.ok()) << status.text();
}

TEST_F(Checkpoint, TensorInTwoFiles) {
  writeWeights(folder, "a.safetensors", tensors);
  writeWeights(folder, "b.safetensors", {tensors[0]});
  expectFailure(ErrorCode::TensorsUnexpected, "is in 'a.safetensors' and in 'b.safetensors'");
}

TEST_F(Checkpoint, NoFolder) {
  models::ImportOptions options;
  mlir::MLIRContext context;
  auto model = models::importFolder(folder.path() + "/absent", options, context);
  ASSERT_FALSE(model.ok());
  EXPECT_EQ(model.status().code(), ErrorCode::ModelFolder);
}

TEST_F(Checkpoint, NoConfig) {
  folder.remove("config.json");
  expectFailure(ErrorCode::ModelFolder, "holds no config.json");
}

TEST_F(Checkpoint, ConfigIsNoJson) {
  folder.write("config.json", "{\"hidden_size\": 24,}");
  expectFailure(ErrorCode::ConfigSyntax, "syntax error at byte");
  folder.write("config.json", "[1]");
  expectFailure(ErrorCode::ConfigSyntax, "not a JSON object");
  folder.write("config.json", "{\"a\": 1, \"a\": 2}");
  expectFailure(ErrorCode::ConfigSyntax, "'a' appears twice");
}

TEST_F(Checkpoint, NoWeights) { expectFailure(ErrorCode::ModelFolder, "no weight file at all"); }

TEST_F(Checkpoint, OtherFormat) {
  folder.write("pytorch_model.bin", "x");
  expectFailure(ErrorCode::ModelFolder, "weights in another format");
}

TEST_F(Checkpoint, BrokenFile) {
  folder.write("model.safetensors", "short");
  expectFailure(ErrorCode::SafetensorsFormat, "model.safetensors");
}

TEST_F(Checkpoint, SymbolicLink) {
  writeWeights(folder, "blob", tensors);
  std::filesystem::create_symlink("blob", folder.path() + "/model.safetensors");
  expectFailure(ErrorCode::ModelFolder, "cp -rL");
}

TEST_F(Checkpoint, Missing) {
  drop("model.layers.0.self_attn.out_proj.weight");
  drop("model.norm.weight");
  write();
  expectFailure(ErrorCode::TensorsMissing,
                "missing: model.layers.0.self_attn.out_proj.weight, model.norm.weight");
}

TEST_F(Checkpoint, MissingHead) {
  drop("lm_head.weight");
  write();
  expectFailure(ErrorCode::TensorsMissing, "tie_word_embeddings=true");
}

TEST_F(Checkpoint, TenMissingAreNamedAndTheRestCounted) {
  tensors.resize(tensors.size() - 15);
  write();
  expectFailure(ErrorCode::TensorsMissing, ", and 5 more");
}

TEST_F(Checkpoint, Unexpected) {
  tensors.push_back({"model.layers.0.self_attn.qkv_proj.bias", {96}});
  write();
  expectFailure(ErrorCode::TensorsUnexpected, "model.layers.0.self_attn.qkv_proj.bias");
}

TEST_F(Checkpoint, HostileName) {
  tensors.push_back({"a\x1b[2J\n" + std::string(1000, 'x'), {1}});
  write();
  expectFailure(ErrorCode::TensorsUnexpected, "a?[2J?xxx");
}

TEST_F(Checkpoint, StoredBuffersAreIgnored) {
  tensors.push_back({"model.layers.0.self_attn.slope_rate", {4, 1, 1}});
  write();
  mlir::MLIRContext context;
  auto model = models::importFolder(folder.path(), {}, context);
  ASSERT_TRUE(model.ok()) << model.status().text();
  ASSERT_EQ(model->notes.size(), 1u);
  EXPECT_NE(model->notes[0].find("slope_rate"), std::string::npos);
}

TEST_F(Checkpoint, Shape) {
  named("model.layers.1.self_attn.k_proj.weight").shape = {32, 24};
  write();
  expectFailure(ErrorCode::TensorShape, "k_proj.weight is [32, 24], not [16, 24]");
}

TEST_F(Checkpoint, ElementType) {
  named("model.norm.weight").dtype = DType::I32;
  write();
  expectFailure(ErrorCode::TensorDType, "model.norm.weight is I32");
}

class Index : public Checkpoint {
protected:
  void index(const std::string &text) { folder.write(std::string(models::indexName), text); }
};

TEST_F(Index, Good) {
  write("part.safetensors");
  index(indexText(tensors, "part.safetensors"));
  Status status = importStatus(folder);
  EXPECT_TRUE(status.ok()) << status.text();
}

TEST_F(Index, IsNoJson) {
  index("{");
  expectFailure(ErrorCode::SafetensorsIndex, "syntax error");
}

TEST_F(Index, HasNoMap) {
  index("{\"metadata\": {}}");
  expectFailure(ErrorCode::SafetensorsIndex, "has no key 'weight_map'");
}

TEST_F(Index, FileNames) {
  for (const char *name :
       {"../model.safetensors", "/etc/passwd", "a/b.safetensors", "", "..", "model.bin"}) {
    index(indexText(tensors, name));
    expectFailure(ErrorCode::SafetensorsIndex, "a .safetensors file in the same folder");
  }
  index("{\"weight_map\": {\"a\": 3}}");
  expectFailure(ErrorCode::SafetensorsIndex, "the file of tensor 'a' is 3");
}

TEST_F(Index, AbsentFile) {
  index(indexText(tensors, "part.safetensors"));
  expectFailure(ErrorCode::SafetensorsIndex, "names 'part.safetensors', which is not in");
}

// One of two files is there: an interrupted download, also for a check.
TEST_F(Index, AbsentFileOfTwo) {
  Json map = Json::parse(indexText(tensors, "a.safetensors"));
  map["weight_map"]["model.norm.weight"] = "b.safetensors";
  index(map.dump());
  write("a.safetensors");
  expectFailure(ErrorCode::SafetensorsIndex, "have: 1 of 2 weight files", false);
}

TEST_F(Index, FileWithoutTheTensor) {
  index(indexText(tensors, "part.safetensors"));
  drop("model.norm.weight");
  write("part.safetensors");
  expectFailure(ErrorCode::SafetensorsIndex, "'model.norm.weight' is not in 'part.safetensors'");
}

TEST_F(Index, TensorInAnotherFile) {
  Json map = Json::parse(indexText(tensors, "a.safetensors"));
  map["weight_map"]["model.norm.weight"] = "b.safetensors";
  index(map.dump());
  write("a.safetensors");
  writeWeights(folder, "b.safetensors", {named("model.norm.weight")});
  expectFailure(ErrorCode::SafetensorsIndex, "'model.norm.weight' lies in 'a.safetensors'");
}

TEST_F(Index, AloneIsEnoughForACheck) {
  index(indexText(tensors, "part.safetensors"));
  models::ImportOptions options;
  options.requireWeights = false;
  Status status = importStatus(folder, options);
  EXPECT_TRUE(status.ok()) << status.text();
  drop("model.norm.weight");
  index(indexText(tensors, "part.safetensors"));
  expectFailure(ErrorCode::TensorsMissing, "model.norm.weight", false);
}

// The released model from its configuration and index alone.
TEST_F(Index, ReleasedGeometry) {
  config = releasedConfig();
  tensors = tensorsOf(config);
  ASSERT_EQ(tensors.size(), 8243u);
  std::vector<std::string> names;
  for (const FakeTensor &tensor : tensors)
    names.push_back(tensor.name);
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const std::string &name : names)
    joined += (joined.empty() ? "" : "\n") + name;
  EXPECT_EQ(toHex(sha256(joined)),
            "bf57bd0e64fa6e9bb2412c73dad77effdfd91aa645578e2b5928f0499c579a8c");

  folder.writeConfig(config);
  index(indexText(tensors, "model-00001-of-00413.safetensors"));
  auto start = std::chrono::steady_clock::now();
  models::ImportOptions options;
  options.requireWeights = false;
  mlir::MLIRContext context;
  auto model = models::importFolder(folder.path(), options, context);
  ASSERT_TRUE(model.ok()) << model.status().text();
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(10));
  EXPECT_EQ(model->summary, "80 layers (70 lightning + 10 softmax), 32 experts top-2");
  EXPECT_FALSE(model->checkpoint.headersRead);
  EXPECT_TRUE(std::any_of(model->notes.begin(), model->notes.end(), [](const std::string &note) {
    return note.find("types were not checked") != note.npos;
  }));
}

} // namespace
