#include "models/minimax/Tensors.h"

#include <algorithm>
#include <charconv>

namespace levin::models::minimax {

static std::string layerPrefix(uint64_t layer) { return fmt::format("model.layers.{}.", layer); }

std::string attentionPrefix(uint64_t layer) { return layerPrefix(layer) + "self_attn."; }
std::string expertsPrefix(uint64_t layer) { return layerPrefix(layer) + "block_sparse_moe."; }

std::vector<std::string> expertKeys(const Config &config, uint64_t layer, std::string_view weight) {
  std::vector<std::string> keys;
  for (uint64_t e = 0; e < config.experts; ++e)
    keys.push_back(fmt::format("{}experts.{}.{}.weight", expertsPrefix(layer), e, weight));
  return keys;
}

static void addMixer(const Config &config, uint64_t layer, std::vector<ExpectedTensor> &tensors) {
  std::string prefix = attentionPrefix(layer);
  uint64_t d = config.hidden, width = config.width(), kvWidth = config.kvHeads * config.headDim;
  if (config.mixers[layer] == Mixer::Lightning) {
    tensors.push_back({prefix + "qkv_proj.weight", {3 * width, d}});
    tensors.push_back({prefix + "output_gate.weight", {width, d}});
    tensors.push_back({prefix + "norm.weight", {width}});
    tensors.push_back({prefix + "out_proj.weight", {d, width}});
    return;
  }
  tensors.push_back({prefix + "q_proj.weight", {width, d}});
  tensors.push_back({prefix + "k_proj.weight", {kvWidth, d}});
  tensors.push_back({prefix + "v_proj.weight", {kvWidth, d}});
  tensors.push_back({prefix + "o_proj.weight", {d, width}});
}

std::vector<ExpectedTensor> expectedTensors(const Config &config) {
  uint64_t d = config.hidden, f = config.intermediate;
  std::vector<ExpectedTensor> tensors;
  tensors.push_back({"model.embed_tokens.weight", {config.vocabulary, d}});
  for (uint64_t layer = 0; layer < config.layers; ++layer) {
    tensors.push_back({layerPrefix(layer) + "input_layernorm.weight", {d}});
    tensors.push_back({layerPrefix(layer) + "post_attention_layernorm.weight", {d}});
    addMixer(config, layer, tensors);
    tensors.push_back({expertsPrefix(layer) + "gate.weight", {config.experts, d}});
    for (std::string &key : expertKeys(config, layer, "w1"))
      tensors.push_back({std::move(key), {f, d}});
    for (std::string &key : expertKeys(config, layer, "w2"))
      tensors.push_back({std::move(key), {d, f}});
    for (std::string &key : expertKeys(config, layer, "w3"))
      tensors.push_back({std::move(key), {f, d}});
  }
  tensors.push_back({"model.norm.weight", {d}});
  if (!config.tied)
    tensors.push_back({"lm_head.weight", {config.vocabulary, d}});
  return tensors;
}

uint64_t parameterCount(const std::vector<ExpectedTensor> &tensors) {
  uint64_t total = 0;
  for (const ExpectedTensor &tensor : tensors) {
    uint64_t elements = 1;
    for (uint64_t extent : tensor.shape)
      elements *= extent; // the configuration bounds the total
    total += elements;
  }
  return total;
}

bool isKnownAndUnused(const Config &config, std::string_view name) {
  if (config.tied && name == "lm_head.weight")
    return true;
  constexpr std::string_view prefix = "model.layers.";
  if (!name.starts_with(prefix))
    return false;
  name.remove_prefix(prefix.size());
  uint64_t layer = 0;
  auto [end, failure] = std::from_chars(name.data(), name.data() + name.size(), layer);
  if (failure != std::errc() || layer >= config.layers)
    return false;
  name.remove_prefix(static_cast<size_t>(end - name.data()));
  static constexpr std::string_view buffers[] = {".self_attn.slope_rate", ".self_attn.query_decay",
                                                 ".self_attn.key_decay",
                                                 ".self_attn.diagonal_decay"};
  return std::find(std::begin(buffers), std::end(buffers), name) != std::end(buffers);
}

} // namespace levin::models::minimax
