#include "ModelFolders.h"

#include "models/minimax/Tensors.h"
#include "runtime/base/File.h"

#include "mlir/IR/MLIRContext.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

namespace levin::test {

static Json sizes() {
  return {{"hidden_size", 24},        {"intermediate_size", 20},  {"num_hidden_layers", 2},
          {"num_attention_heads", 4}, {"num_key_value_heads", 2}, {"head_dim", 8},
          {"num_local_experts", 3},   {"num_experts_per_tok", 2}, {"rms_norm_eps", 1e-5},
          {"vocab_size", 40},         {"hidden_act", "silu"}};
}

Json transformersConfig() {
  Json config = sizes();
  config.update({{"model_type", "minimax"},
                 {"architectures", {"MiniMaxForCausalLM"}},
                 {"layer_types", {"linear_attention", "full_attention"}},
                 {"rope_parameters", {{"rope_theta", 1e4}, {"rope_type", "default"}}}});
  return config;
}

Json text01Config() {
  Json config = sizes();
  config.update({{"model_type", "minimax_text_01"},
                 {"architectures", {"MiniMaxText01ForCausalLM"}},
                 {"attn_type_list", {0, 1}},
                 {"postnorm", true},
                 {"rope_theta", 1e7},
                 {"rotary_dim", 4}});
  return config;
}

Json releasedConfig() {
  Json types = Json::array();
  for (int i = 0; i < 80; ++i)
    types.push_back((i + 1) % 8 == 0 ? 1 : 0);
  Json config = {
      {"architectures", {"MiniMaxText01ForCausalLM"}},
      {"attention_dropout", 0.0},
      {"attn_type_list", types},
      {"auto_map", {{"AutoConfig", "configuration_minimax_text_01.MiniMaxText01Config"}}},
      {"bos_token_id", nullptr},
      {"eos_token_id", nullptr},
      {"head_dim", 128},
      {"hidden_act", "silu"},
      {"hidden_size", 6144},
      {"initializer_range", 0.02},
      {"intermediate_size", 9216},
      {"max_position_embeddings", 10240000},
      {"model_type", "minimax_text_01"},
      {"num_attention_heads", 64},
      {"num_experts_per_tok", 2},
      {"num_hidden_layers", 80},
      {"num_key_value_heads", 8},
      {"num_local_experts", 32},
      {"output_router_logits", false},
      {"postnorm", true},
      {"rms_norm_eps", 1e-05},
      {"rope_theta", 10000000},
      {"rotary_dim", 64},
      {"router_aux_loss_coef", 0.001},
      {"router_jitter_noise", 0.0},
      {"shared_intermediate_size", 0},
      {"shared_moe_mode", "sigmoid"},
      {"sliding_window", nullptr},
      {"tie_word_embeddings", false},
      {"transformers_version", "4.45.2"},
      {"use_cache", true},
      {"vocab_size", 200064}};
  for (const char *part : {"full_attention", "linear_attention", "mlp"}) {
    config[fmt::format("layernorm_{}_alpha", part)] = 3.5565588200778455;
    config[fmt::format("layernorm_{}_beta", part)] = 1.0;
  }
  return config;
}

models::minimax::Config read(const Json &config) {
  auto result = models::minimax::readConfig(config, Json(), {});
  EXPECT_TRUE(result.ok()) << result.status().text();
  return result.ok() ? *result : models::minimax::Config();
}

Folder::Folder() {
  std::string pattern = testing::TempDir() + "levin-model-XXXXXX";
  root = mkdtemp(pattern.data());
}

Folder::~Folder() {
  std::error_code ignored;
  std::filesystem::remove_all(root, ignored);
}

void Folder::write(const std::string &name, const std::string &text) const {
  Status status = writeFile(root + "/" + name, text);
  EXPECT_TRUE(status.ok()) << status.text();
}

void Folder::remove(const std::string &name) const {
  EXPECT_TRUE(std::filesystem::remove(root + "/" + name));
}

std::vector<FakeTensor> tensorsOf(const Json &config, weights::DType dtype) {
  std::vector<FakeTensor> tensors;
  for (const models::ExpectedTensor &tensor : models::minimax::expectedTensors(read(config)))
    tensors.push_back({tensor.name, tensor.shape, dtype});
  return tensors;
}

void writeWeights(const Folder &folder, const std::string &name,
                  const std::vector<FakeTensor> &tensors) {
  std::vector<std::vector<std::byte>> zeros;
  std::vector<weights::TensorToWrite> rows;
  for (const FakeTensor &tensor : tensors) {
    uint64_t bytes = weights::byteSize(tensor.dtype);
    for (uint64_t extent : tensor.shape)
      bytes *= extent;
    zeros.emplace_back(bytes);
    rows.push_back({tensor.name, tensor.dtype, tensor.shape, zeros.back()});
  }
  Status status = weights::writeSafetensors(folder.path() + "/" + name, rows);
  ASSERT_TRUE(status.ok()) << status.text();
}

std::string indexText(const std::vector<FakeTensor> &tensors, const std::string &file) {
  Json map = Json::object();
  for (const FakeTensor &tensor : tensors)
    map[tensor.name] = file;
  return Json{{"metadata", {{"total_size", 0}}}, {"weight_map", map}}.dump();
}

Status importStatus(const Folder &folder, models::ImportOptions options) {
  mlir::MLIRContext context;
  auto model = models::importFolder(folder.path(), options, context);
  return model.ok() ? Status() : model.takeStatus();
}

} // namespace levin::test
