// Configurations that are refused: each with its own code and a message that says why.
#include "ModelFolders.h"

#include "models/Family.h"

#include <gtest/gtest.h>

using namespace levin;
using levin::test::text01Config;
using levin::test::transformersConfig;

namespace {

struct BadConfig {
  const char *name;
  Json (*base)();
  Json patch; // merged into the base; null removes a key
  ErrorCode code;
  const char *message;
};

void PrintTo(const BadConfig &bad, std::ostream *out) { *out << bad.name; }

class ConfigErrors : public testing::TestWithParam<BadConfig> {};

TEST_P(ConfigErrors, Refused) {
  const BadConfig &bad = GetParam();
  Json config = bad.base();
  config.merge_patch(bad.patch);
  auto result = models::minimax::readConfig(config, Json(), {});
  ASSERT_FALSE(result.ok());
  std::string text = result.status().text();
  EXPECT_EQ(result.status().code(), bad.code) << text;
  EXPECT_NE(text.find(bad.message), std::string::npos) << text;
}

const BadConfig badConfigs[] = {
    {"MissingKey",
     transformersConfig,
     {{"hidden_size", nullptr}},
     ErrorCode::ConfigKey,
     "has no 'hidden_size'"},
    {"WrongType",
     transformersConfig,
     {{"hidden_size", "64"}},
     ErrorCode::ConfigKey,
     "need: an integer"},
    {"Fraction",
     transformersConfig,
     {{"hidden_size", 64.5}},
     ErrorCode::ConfigKey,
     "need: an integer"},
    {"Zero",
     transformersConfig,
     {{"num_attention_heads", 0}},
     ErrorCode::ConfigKey,
     "out of range"},
    {"Negative", transformersConfig, {{"vocab_size", -1}}, ErrorCode::ConfigKey, "out of range"},
    {"TooLarge",
     transformersConfig,
     {{"intermediate_size", 1ll << 62}},
     ErrorCode::ConfigKey,
     "need: 1 to 1048576"},
    {"ExpertsTooMany",
     transformersConfig,
     {{"num_local_experts", 4096}, {"num_hidden_layers", 4096}},
     ErrorCode::ConfigKey,
     "too many experts"},
    {"TopKAboveExperts",
     transformersConfig,
     {{"num_experts_per_tok", 4}},
     ErrorCode::ConfigKey,
     "need: 1 to 3"},
    {"KvHeads",
     transformersConfig,
     {{"num_key_value_heads", 3}},
     ErrorCode::ConfigKey,
     "does not divide"},
    {"HeadDimDefault",
     transformersConfig,
     {{"head_dim", nullptr}, {"hidden_size", 25}},
     ErrorCode::ConfigKey,
     "a whole number"},
    {"LayerListLength",
     text01Config,
     {{"attn_type_list", {0, 1, 0}}},
     ErrorCode::ConfigKey,
     "num_hidden_layers, 2"},
    {"LayerKind",
     text01Config,
     {{"attn_type_list", {0, 2}}},
     ErrorCode::ConfigKey,
     "'attn_type_list[1]' is no known kind of layer"},
    {"LayerName",
     transformersConfig,
     {{"layer_types", {"full_attention", "sliding_attention"}}},
     ErrorCode::ConfigKey,
     "\"sliding_attention\""},
    {"NoLayerList",
     text01Config,
     {{"attn_type_list", nullptr}},
     ErrorCode::ConfigKey,
     "has no 'attn_type_list'"},
    {"OneLightningLayer",
     text01Config,
     {{"attn_type_list", {0}}, {"num_hidden_layers", 1}},
     ErrorCode::ConfigKey,
     "at least 2 layers"},
    {"OddRotary", text01Config, {{"rotary_dim", 3}}, ErrorCode::ConfigKey, "the rotary width is 3"},
    {"WideRotary", text01Config, {{"rotary_dim", 10}}, ErrorCode::ConfigKey, "need: 1 to 8"},
    {"ZeroEps", transformersConfig, {{"rms_norm_eps", 0}}, ErrorCode::ConfigKey, "out of range"},
    {"NegativeTheta", text01Config, {{"rope_theta", -1}}, ErrorCode::ConfigKey, "out of range"},
    {"EndToken",
     transformersConfig,
     {{"eos_token_id", {2, 40}}},
     ErrorCode::ConfigKey,
     "'eos_token_id[1]' is no token"},
    {"StoredType", transformersConfig, {{"dtype", "int4"}}, ErrorCode::ConfigKey, "bfloat16"},
    {"TwoThetas",
     transformersConfig,
     {{"rope_theta", 1e6}},
     ErrorCode::ConfigConflict,
     "'rope_theta' and 'rope_parameters.rope_theta'"},
    {"TwoAlphas",
     text01Config,
     {{"layernorm_mlp_alpha", 2.0}, {"mlp_alpha_factor", 3.0}},
     ErrorCode::ConfigConflict,
     "2.0 and 3.0"},
    {"TwoLayerLists",
     text01Config,
     {{"layer_types", {"full_attention", "full_attention"}}},
     ErrorCode::ConfigConflict,
     "disagree on layer 0"},
    {"TwoRotaryWidths",
     text01Config,
     {{"partial_rotary_factor", 1.0}},
     ErrorCode::ConfigConflict,
     "'rotary_dim' and 'partial_rotary_factor'"},
    {"PostnormAbsent",
     text01Config,
     {{"postnorm", nullptr}},
     ErrorCode::ConfigUnsupported,
     "absent means false"},
    {"PostnormFalse",
     text01Config,
     {{"postnorm", false}},
     ErrorCode::ConfigUnsupported,
     "'postnorm' is false"},
    {"SharedExperts",
     text01Config,
     {{"shared_intermediate_size", 64}},
     ErrorCode::ConfigUnsupported,
     "shared experts"},
    {"SharedExpertsList",
     text01Config,
     {{"shared_intermediate_size", {0, 64}}},
     ErrorCode::ConfigUnsupported,
     "shared experts"},
    {"Activation",
     transformersConfig,
     {{"hidden_act", "gelu"}},
     ErrorCode::ConfigUnsupported,
     "use silu"},
    {"SlidingWindow",
     transformersConfig,
     {{"sliding_window", 4096}},
     ErrorCode::ConfigUnsupported,
     "over a window"},
    {"AttentionBias",
     transformersConfig,
     {{"attention_bias", true}},
     ErrorCode::ConfigUnsupported,
     "bias"},
    {"Quantised",
     transformersConfig,
     {{"quantization_config", {{"bits", 4}}}},
     ErrorCode::ConfigUnsupported,
     "quantised"},
    {"RopeScaling",
     transformersConfig,
     {{"rope_scaling", {{"rope_type", "yarn"}}}},
     ErrorCode::ConfigUnsupported,
     "'rope_scaling'"},
    {"RopeType",
     transformersConfig,
     {{"rope_parameters", {{"rope_type", "yarn"}}}},
     ErrorCode::ConfigUnsupported,
     "rope_parameters.rope_type"},
    {"MisspeltKey",
     text01Config,
     {{"rotray_dim", 4}},
     ErrorCode::ConfigUnsupported,
     "nearest: rotary_dim"},
    {"MeaningfulKey",
     transformersConfig,
     {{"logit_softcapping", 30.0}},
     ErrorCode::ConfigUnsupported,
     "may change what is computed"},
};

INSTANTIATE_TEST_SUITE_P(All, ConfigErrors, testing::ValuesIn(badConfigs),
                         [](const auto &info) { return std::string(info.param.name); });

Status identify(const Json &config) {
  std::vector<std::string> notes;
  auto family = models::identifyFamily(config, notes);
  return family.ok() ? Status() : family.takeStatus();
}

TEST(FamilyErrors, UnknownArchitecture) {
  Json config = {{"model_type", "mistral"},  {"architectures", {"MistralForCausalLM"}},
                 {"hidden_size", 64},        {"intermediate_size", 64},
                 {"num_hidden_layers", 2},   {"num_attention_heads", 2},
                 {"num_key_value_heads", 2}, {"vocab_size", 64}};
  Status status = identify(config);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::ConfigArchitecture);
  std::string text = status.text();
  EXPECT_NE(text.find("'MistralForCausalLM' (model_type 'mistral')"), std::string::npos) << text;
  EXPECT_NE(text.find("nearest: MiniMaxForCausalLM (family minimax)"), std::string::npos) << text;
  EXPECT_NE(text.find("6 of the 9 keys that tell minimax are there; absent: num_local_experts, "
                      "num_experts_per_tok, attn_type_list|layer_types"),
            std::string::npos)
      << text;
}

TEST(FamilyErrors, NoNamesAndNoKeys) {
  Status status = identify(Json::object());
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::ConfigArchitecture);
}

TEST(FamilyErrors, ArchitecturesOfAnotherType) {
  Status status = identify({{"architectures", "MiniMaxForCausalLM"}});
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::ConfigKey);
}

TEST(FamilyErrors, Vision) {
  for (const Json &config :
       {Json{{"model_type", "minimax_vl_01"},
             {"architectures", {"MiniMaxVL01ForConditionalGeneration"}}},
        Json{{"text_config", text01Config()}, {"vision_config", Json::object()}}}) {
    Status status = identify(config);
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.code(), ErrorCode::ConfigUnsupported);
    EXPECT_NE(status.text().find("only text models"), std::string::npos);
  }
}

} // namespace
