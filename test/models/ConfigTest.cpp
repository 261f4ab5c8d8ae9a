// Configurations that are read: both dialects, defaults, spellings, overrides.
#include "ModelFolders.h"

#include "models/ConfigReader.h"
#include "models/Family.h"
#include "models/minimax/Tensors.h"

#include <gtest/gtest.h>

using namespace levin;
using namespace levin::models::minimax;
using levin::test::read;
using levin::test::releasedConfig;
using levin::test::text01Config;
using levin::test::transformersConfig;

namespace {

Json changed(Json config, const std::string &key, const Json &value) {
  config[key] = value;
  return config;
}

Json without(Json config, const std::string &key) {
  config.erase(key);
  return config;
}

bool mentions(const std::vector<std::string> &lines, const std::string &word) {
  for (const std::string &line : lines)
    if (line.find(word) != line.npos)
      return true;
  return false;
}

TEST(Config, Released) {
  Config config = read(releasedConfig());
  EXPECT_EQ(config.dialect, Dialect::Text01);
  EXPECT_EQ(config.layers, 80u);
  EXPECT_EQ(config.lightningLayers(), 70u);
  EXPECT_EQ(config.mixers[7], Mixer::Softmax);
  EXPECT_EQ(config.mixers[8], Mixer::Lightning);
  EXPECT_EQ(config.width(), 8192u);
  EXPECT_EQ(config.rotaryWidth, 64u);
  EXPECT_EQ(config.theta, 1e7);
  EXPECT_EQ(config.lightning.alpha, 3.5565588200778455);
  EXPECT_EQ(config.mlp.beta, 1.0);
  EXPECT_TRUE(config.warnings.empty());
  EXPECT_TRUE(config.notes.empty());
  EXPECT_EQ(parameterCount(expectedTensors(config)), 456089655296u);
}

// MiniMax-M1 is the same architecture under other names.
TEST(Config, M1Names) {
  Json config = changed(releasedConfig(), "model_type", "minimax_m1");
  config["architectures"] = {"MiniMaxM1ForCausalLM"};
  EXPECT_EQ(read(config).dialect, Dialect::Text01);
  config["model_type"] = "MiniMaxText01";
  EXPECT_EQ(read(config).dialect, Dialect::Text01);
}

TEST(Config, Transformers) {
  Config config = read(transformersConfig());
  EXPECT_EQ(config.dialect, Dialect::Transformers);
  EXPECT_EQ(config.mixers, (std::vector{Mixer::Lightning, Mixer::Softmax}));
  EXPECT_EQ(config.rotaryWidth, 8u) << "this dialect rotates the full width";
  EXPECT_EQ(config.theta, 1e4);
  EXPECT_EQ(config.softmax.alpha, 1.0) << "absent factors are 1";
  EXPECT_FALSE(config.tied);
}

TEST(Config, AbsentLayerTypes) {
  Json json = without(transformersConfig(), "layer_types");
  json["num_hidden_layers"] = 5;
  Config config = read(json);
  EXPECT_EQ(config.mixers, (std::vector{Mixer::Softmax, Mixer::Lightning, Mixer::Softmax,
                                        Mixer::Lightning, Mixer::Softmax}));
  EXPECT_TRUE(mentions(config.notes, "layer_types"));
}

TEST(Config, AbsentHeadDim) {
  Json json = without(transformersConfig(), "head_dim");
  EXPECT_EQ(read(json).headDim, 6u);
}

// An explicit width wins in either dialect, under either name.
TEST(Config, RotaryWidth) {
  EXPECT_EQ(read(changed(transformersConfig(), "rotary_dim", 4)).rotaryWidth, 4u);
  EXPECT_EQ(read(changed(transformersConfig(), "rotary_dim", 4)).dialect, Dialect::Transformers);
  Json partial = transformersConfig();
  partial["rope_parameters"]["partial_rotary_factor"] = 0.5;
  EXPECT_EQ(read(partial).rotaryWidth, 4u);
  EXPECT_EQ(read(changed(transformersConfig(), "partial_rotary_factor", 0.25)).rotaryWidth, 2u);
  EXPECT_EQ(read(without(text01Config(), "rotary_dim")).rotaryWidth, 8u);
  partial["rotary_dim"] = 4;
  EXPECT_EQ(read(partial).rotaryWidth, 4u) << "two spellings that agree";
}

TEST(Config, RotaryTrap) {
  Config config = read(without(releasedConfig(), "rotary_dim"));
  EXPECT_EQ(config.rotaryWidth, 128u);
  EXPECT_TRUE(mentions(config.warnings, "rotary_dim=64"));
}

TEST(Config, LegacyKeyMarksTheDialect) {
  Json json = changed(transformersConfig(), "postnorm", true);
  Config config = read(json);
  EXPECT_EQ(config.dialect, Dialect::Text01);
  EXPECT_TRUE(mentions(config.notes, "postnorm"));
}

TEST(Config, BothSpellingsOfTheLayersAgree) {
  EXPECT_EQ(read(changed(text01Config(), "layer_types", {"linear_attention", "full_attention"}))
                .lightningLayers(),
            1u);
}

TEST(Config, SharedExpertsOfZero) {
  EXPECT_EQ(read(changed(text01Config(), "shared_intermediate_size", 0)).layers, 2u);
  EXPECT_EQ(read(changed(text01Config(), "shared_intermediate_size", {0})).layers, 2u);
}

TEST(Config, HarmlessUnknownKeysAreListed) {
  Json json = changed(transformersConfig(), "favourite_colour", "blue");
  json["max_position_embeddings"] = 10240000;
  json["unused_bias"] = false; // matters by its name, switches nothing on
  Config config = read(json);
  EXPECT_TRUE(mentions(config.notes, "favourite_colour, unused_bias"));
  EXPECT_FALSE(mentions(config.notes, "max_position_embeddings"));
}

TEST(Config, Tokens) {
  Json json = changed(transformersConfig(), "eos_token_id", 2);
  json["bos_token_id"] = 1;
  Config config = read(json);
  EXPECT_EQ(config.beginToken, 1);
  EXPECT_EQ(config.endTokens, (std::vector<int64_t>{2}));
  auto merged = readConfig(json, Json{{"eos_token_id", {3, 2, 3}}}, {});
  ASSERT_TRUE(merged.ok()) << merged.status().text();
  EXPECT_EQ(merged->endTokens, (std::vector<int64_t>{3, 2})) << "generation_config.json wins";
}

TEST(Config, Tied) {
  Config config = read(changed(transformersConfig(), "tie_word_embeddings", true));
  EXPECT_TRUE(config.tied);
  EXPECT_EQ(expectedTensors(config).back().name, "model.norm.weight");
  EXPECT_TRUE(isKnownAndUnused(config, "lm_head.weight"));
  EXPECT_FALSE(isKnownAndUnused(read(transformersConfig()), "lm_head.weight"));
}

TEST(Config, StoredBuffersAreKnown) {
  Config config = read(transformersConfig());
  EXPECT_TRUE(isKnownAndUnused(config, "model.layers.0.self_attn.slope_rate"));
  EXPECT_TRUE(isKnownAndUnused(config, "model.layers.1.self_attn.diagonal_decay"));
  EXPECT_FALSE(isKnownAndUnused(config, "model.layers.2.self_attn.slope_rate"));
  EXPECT_FALSE(isKnownAndUnused(config, "model.layers.0.self_attn.slope"));
  EXPECT_FALSE(isKnownAndUnused(config, "model.layers.x.self_attn.slope_rate"));
}

TEST(Override, SetsAndRemoves) {
  Json json = text01Config();
  EXPECT_TRUE(models::applyOverride(json, "rotary_dim=null").ok());
  EXPECT_TRUE(models::applyOverride(json, "rope_theta=null").ok());
  EXPECT_TRUE(models::applyOverride(json, "rope_parameters.rope_theta=5e5").ok());
  EXPECT_TRUE(models::applyOverride(json, "hidden_act=silu").ok());
  Config config = read(json);
  EXPECT_EQ(config.rotaryWidth, 8u);
  EXPECT_EQ(config.theta, 5e5);
}

TEST(Override, Errors) {
  Json json = text01Config();
  for (const char *text : {"rotary_dim", "=1", "a..b=1", "hidden_size.x=1"}) {
    Status status = models::applyOverride(json, text);
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_EQ(status.code(), ErrorCode::OptionValue) << text;
  }
  auto result = readConfig(json, Json(), {"rotray_dim=4"});
  ASSERT_FALSE(result.ok());
  EXPECT_EQ(result.status().code(), ErrorCode::OptionValue);
  EXPECT_NE(result.status().text().find("nearest: rotary_dim"), std::string::npos);
}

TEST(Family, ByArchitectureAndByKeys) {
  std::vector<std::string> notes;
  Json json = changed(text01Config(), "model_type", "renamed");
  auto family = models::identifyFamily(json, notes);
  ASSERT_TRUE(family.ok()) << family.status().text();
  EXPECT_EQ((*family)->name, "minimax");
  EXPECT_TRUE(mentions(notes, "renamed"));
  json.erase("model_type");
  json.erase("architectures");
  notes.clear();
  EXPECT_TRUE(models::identifyFamily(json, notes).ok());
  EXPECT_TRUE(mentions(notes, "its keys are those of minimax"));
}

} // namespace
