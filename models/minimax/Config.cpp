#include "models/minimax/Config.h"

#include "models/ConfigReader.h"
#include "models/Nearest.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace levin::models::minimax {

// Far above every published model; low enough that no list of tensors grows without bound and that
// no sum or product of sizes comes near 2^63.
static constexpr uint64_t maxWidth = 1 << 20, maxLayers = 1 << 12, maxExperts = 1 << 12,
                          maxLayerExperts = 1 << 16, maxHeads = 1 << 14, maxHeadDim = 1 << 12,
                          maxVocabulary = 1 << 24;
static constexpr double largest = std::numeric_limits<double>::max();

// Keys that only the dialect of the released weights has.  `rotary_dim` is not among them: it also
// serves to correct a `minimax` configuration, which has no key of its own for the width.
static constexpr std::string_view text01Keys[] = {"attn_type_list",
                                                  "layernorm_linear_attention_alpha",
                                                  "layernorm_linear_attention_beta",
                                                  "layernorm_full_attention_alpha",
                                                  "layernorm_full_attention_beta",
                                                  "layernorm_mlp_alpha",
                                                  "layernorm_mlp_beta",
                                                  "postnorm",
                                                  "shared_intermediate_size",
                                                  "shared_moe_mode",
                                                  "block"};

// Keys that say nothing about the mathematics of inference.
static const std::vector<std::string_view> harmlessKeys = {"_name_or_path",
                                                           "attention_dropout",
                                                           "auto_map",
                                                           "initializer_range",
                                                           "max_position_embeddings",
                                                           "output_router_logits",
                                                           "pad_token_id",
                                                           "router_aux_loss_coef",
                                                           "router_jitter_noise",
                                                           "transformers_version",
                                                           "use_cache",
                                                           "shared_moe_mode",
                                                           "id2label",
                                                           "label2id",
                                                           "chunk_size_feed_forward",
                                                           "output_attentions",
                                                           "output_hidden_states",
                                                           "return_dict",
                                                           "torchscript",
                                                           "is_decoder",
                                                           "is_encoder_decoder",
                                                           "problem_type",
                                                           "architectures",
                                                           "model_type"};

// Parts of names of keys that change what a model computes.
static constexpr std::string_view meaningfulParts[] = {
    "bias", "shared", "scal",      "window", "rope",    "rotary",     "alpha",      "beta",
    "norm", "expert", "quant",     "router", "softcap", "decay",      "slope",      "layer",
    "head", "attn",   "attention", "moe",    "act_fn",  "activation", "multiplier", "gate"};

uint64_t Config::lightningLayers() const {
  return static_cast<uint64_t>(std::count(mixers.begin(), mixers.end(), Mixer::Lightning));
}

namespace {

/// Fills a Config from its keys, one group in each member function.
class Parser {
public:
  Parser(const Json &document, const Json &generation)
      : keys(document, "config.json"), generation(generation, "generation_config.json") {}

  Result<Config> parse(const std::vector<std::string> &overrides);

private:
  Status dialect();
  Status sizes();
  Status mixers();
  Status mixerOf(const JsonValue &entry, Mixer &mixer);
  Status scales();
  Status rotary();
  Result<std::optional<double>> rotaryWidth();
  Status refused();
  Status tokens();
  Status storedType();
  Status unknownKeys(const std::vector<std::string> &overrides);
  Status unsupported(std::string_view key, std::string_view why);

  ConfigReader keys, generation;
  Config config;
};

} // namespace

Status Parser::unsupported(std::string_view key, std::string_view why) {
  auto value = keys.find(key);
  return makeError(ErrorCode::ConfigUnsupported, "config.json: '{}' is {}: {}", key,
                   value ? shortJson(value->raw()) : "absent", why);
}

Status Parser::dialect() {
  static constexpr std::string_view text01Names[] = {"minimax_text_01", "MiniMaxText01",
                                                     "minimax_m1", "MiniMaxText01ForCausalLM",
                                                     "MiniMaxM1ForCausalLM"};
  auto isText01 = [](const Json &entry) {
    const auto *name = entry.get_ptr<const std::string *>();
    return name && std::find(std::begin(text01Names), std::end(text01Names), *name) !=
                       std::end(text01Names);
  };
  bool named = false;
  if (auto type = keys.find("model_type"))
    named |= isText01(type->raw());
  if (auto names = keys.find("architectures"); names && names->isArray())
    named |= std::any_of(names->raw().begin(), names->raw().end(), isText01);
  auto legacy = std::find_if(std::begin(text01Keys), std::end(text01Keys),
                             [&](std::string_view key) { return keys.has(key); });
  if (!named && legacy == std::end(text01Keys))
    return {};
  config.dialect = Dialect::Text01;
  if (!named)
    config.notes.push_back(fmt::format(
        "the key '{}' marks the dialect minimax_text_01, which is read as such", *legacy));
  return {};
}

Status Parser::sizes() {
  LEVIN_ASSIGN_OR_RETURN(config.hidden, keys.count("hidden_size", maxWidth));
  LEVIN_ASSIGN_OR_RETURN(config.intermediate, keys.count("intermediate_size", maxWidth));
  LEVIN_ASSIGN_OR_RETURN(config.layers, keys.count("num_hidden_layers", maxLayers));
  LEVIN_ASSIGN_OR_RETURN(config.heads, keys.count("num_attention_heads", maxHeads));
  LEVIN_ASSIGN_OR_RETURN(config.kvHeads, keys.count("num_key_value_heads", maxHeads));
  LEVIN_ASSIGN_OR_RETURN(config.experts, keys.count("num_local_experts", maxExperts));
  LEVIN_ASSIGN_OR_RETURN(config.choices, keys.count("num_experts_per_tok", config.experts));
  LEVIN_ASSIGN_OR_RETURN(config.vocabulary, keys.count("vocab_size", maxVocabulary));
  LEVIN_ASSIGN_OR_RETURN(config.eps, keys.real("rms_norm_eps", 1e-5, 1e-30, 1));
  if (keys.has("head_dim")) {
    LEVIN_ASSIGN_OR_RETURN(config.headDim, keys.count("head_dim", maxHeadDim));
  } else {
    keys.find("head_dim");
    config.headDim = config.hidden / config.heads;
    if (config.headDim * config.heads != config.hidden || config.headDim > maxHeadDim)
      return makeError(ErrorCode::ConfigKey,
                       "config.json has no 'head_dim', and its default is hidden_size divided by "
                       "num_attention_heads")
          .note("have", fmt::format("{} / {}", config.hidden, config.heads))
          .note("need", fmt::format("a whole number up to {}", maxHeadDim))
          .note("fix", "--override head_dim=VALUE");
  }
  if (config.heads % config.kvHeads != 0)
    return makeError(ErrorCode::ConfigKey,
                     "config.json: 'num_key_value_heads' does not divide 'num_attention_heads'")
        .note("have", fmt::format("{} and {}", config.kvHeads, config.heads))
        .note("need", "equally many query heads for each key-value head");
  if (config.layers * config.experts > maxLayerExperts)
    return makeError(ErrorCode::ConfigKey,
                     "config.json: there are too many experts in all layers together")
        .note("have", fmt::format("{} layers of {} experts", config.layers, config.experts))
        .note("need", fmt::format("at most {}", maxLayerExperts));
  return {};
}

Status Parser::mixerOf(const JsonValue &entry, Mixer &mixer) {
  const Json &kind = entry.raw();
  if (kind == 0 || kind == "linear_attention")
    mixer = Mixer::Lightning;
  else if (kind == 1 || kind == "full_attention")
    mixer = Mixer::Softmax;
  else
    return entry.error("is no known kind of layer")
        .note("have", shortJson(kind))
        .note("need", "0 or \"linear_attention\", 1 or \"full_attention\"");
  return {};
}

Status Parser::mixers() {
  auto list = [&](std::string_view key, std::vector<Mixer> &kinds) -> Status {
    auto value = keys.find(key);
    if (!value)
      return {};
    LEVIN_RETURN_IF_ERROR(value->expectArray());
    if (value->size() != config.layers)
      return value->error("has another length than there are layers")
          .note("have", fmt::format("{} entries", value->size()))
          .note("need", fmt::format("num_hidden_layers, {}", config.layers));
    kinds.resize(value->size());
    for (size_t i = 0; i < kinds.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue entry, value->at(i));
      LEVIN_RETURN_IF_ERROR(mixerOf(entry, kinds[i]));
    }
    return {};
  };
  std::vector<Mixer> numbers, names;
  LEVIN_RETURN_IF_ERROR(list("attn_type_list", numbers));
  LEVIN_RETURN_IF_ERROR(list("layer_types", names));
  if (!numbers.empty() && !names.empty() && numbers != names) {
    auto place = std::mismatch(numbers.begin(), numbers.end(), names.begin()).first;
    return makeError(ErrorCode::ConfigConflict,
                     "config.json: 'attn_type_list' and 'layer_types' disagree on layer {}",
                     place - numbers.begin())
        .note("fix", "take the wrong one away: --override layer_types=null");
  }
  config.mixers = numbers.empty() ? names : numbers;
  if (config.mixers.empty() && config.dialect == Dialect::Text01)
    return keys.missing("attn_type_list");
  if (config.mixers.empty()) { // the default of the transformers library
    for (uint64_t i = 0; i < config.layers; ++i)
      config.mixers.push_back(i % 2 == 0 ? Mixer::Softmax : Mixer::Lightning);
    config.notes.push_back("no 'layer_types': layers 0, 2, 4 and so on are softmax attention, as "
                           "the transformers library has it");
  }
  if (config.dialect == Dialect::Text01 && config.layers == 1 && config.lightningLayers() == 1)
    return makeError(ErrorCode::ConfigKey,
                     "config.json: 'num_hidden_layers' is 1, and the decay rates of a lightning "
                     "layer of this dialect divide by num_hidden_layers - 1")
        .note("need", "at least 2 layers");
  return {};
}

Status Parser::scales() {
  struct Row {
    std::string_view text01, transformers;
    double ResidualScale::*field;
    ResidualScale Config::*scale;
  };
  static constexpr Row rows[] = {
      {"layernorm_linear_attention_alpha", "linear_attn_alpha_factor", &ResidualScale::alpha,
       &Config::lightning},
      {"layernorm_linear_attention_beta", "linear_attn_beta_factor", &ResidualScale::beta,
       &Config::lightning},
      {"layernorm_full_attention_alpha", "full_attn_alpha_factor", &ResidualScale::alpha,
       &Config::softmax},
      {"layernorm_full_attention_beta", "full_attn_beta_factor", &ResidualScale::beta,
       &Config::softmax},
      {"layernorm_mlp_alpha", "mlp_alpha_factor", &ResidualScale::alpha, &Config::mlp},
      {"layernorm_mlp_beta", "mlp_beta_factor", &ResidualScale::beta, &Config::mlp},
  };
  for (const Row &row : rows) {
    LEVIN_ASSIGN_OR_RETURN(auto value, keys.either(row.text01, row.transformers));
    if (value) {
      LEVIN_ASSIGN_OR_RETURN(config.*row.scale.*row.field, ConfigReader::within(*value, -1e6, 1e6));
    }
  }
  return {};
}

// The width that the configuration states, before it is checked.
Result<std::optional<double>> Parser::rotaryWidth() {
  LEVIN_ASSIGN_OR_RETURN(
      auto factor, keys.either("partial_rotary_factor", "rope_parameters.partial_rotary_factor"));
  std::optional<double> width;
  if (factor) {
    LEVIN_ASSIGN_OR_RETURN(double share, ConfigReader::within(*factor, 0, 1));
    width = std::floor(static_cast<double>(config.headDim) * share);
  }
  if (!keys.has("rotary_dim")) {
    keys.find("rotary_dim");
    return width;
  }
  LEVIN_ASSIGN_OR_RETURN(uint64_t explicitWidth, keys.count("rotary_dim", config.headDim));
  if (width && *width != static_cast<double>(explicitWidth))
    return makeError(ErrorCode::ConfigConflict,
                     "config.json: 'rotary_dim' and 'partial_rotary_factor' disagree")
        .note("have", fmt::format("{}, and {} of 'head_dim' {}", explicitWidth,
                                  shortJson(factor->raw()), config.headDim))
        .note("fix", "take the wrong one away: --override rotary_dim=null");
  return std::optional<double>(static_cast<double>(explicitWidth));
}

Status Parser::rotary() {
  LEVIN_ASSIGN_OR_RETURN(auto theta, keys.either("rope_theta", "rope_parameters.rope_theta"));
  config.theta = 1e6; // the default of both dialects
  if (theta) {
    LEVIN_ASSIGN_OR_RETURN(config.theta, ConfigReader::within(*theta, 1e-3, 1e18));
  } else {
    config.warnings.push_back("config.json states no 'rope_theta': 1000000 is used");
  }
  LEVIN_ASSIGN_OR_RETURN(auto width, rotaryWidth());
  config.rotaryWidth = width ? static_cast<uint64_t>(*width) : config.headDim;
  bool hasSoftmax = config.lightningLayers() < config.layers;
  if (hasSoftmax && (config.rotaryWidth < 2 || config.rotaryWidth % 2 != 0))
    return makeError(ErrorCode::ConfigKey, "config.json: the rotary width is {}",
                     config.rotaryWidth)
        .note("need", fmt::format("an even number from 2 to 'head_dim', {}", config.headDim))
        .note("fix", "--override rotary_dim=VALUE");
  if (!width && config.hidden == 6144 && config.layers == 80 && config.heads == 64 &&
      config.headDim == 128)
    config.warnings.push_back(
        "config.json states no rotary width, so all 128 channels rotate; the released weights of "
        "this size were trained with 64 (--override rotary_dim=64)");
  if (auto parameters = keys.find("rope_parameters")) {
    LEVIN_RETURN_IF_ERROR(parameters->expectObject());
    for (const auto &[key, value] : parameters->raw().items()) {
      bool known = key == "rope_theta" || key == "partial_rotary_factor" ||
                   (key == "rope_type" && value == "default");
      if (!known && !value.is_null())
        return unsupported("rope_parameters." + key, "only plain rotary embeddings are supported");
    }
  }
  return {};
}

// Branches of the published code that no release uses, and what other families have.
Status Parser::refused() {
  if (config.dialect == Dialect::Text01) {
    LEVIN_ASSIGN_OR_RETURN(bool postnorm, keys.flag("postnorm", false));
    if (!postnorm)
      return unsupported("postnorm", "residuals of the raw input are not supported")
          .note("need", "true; absent means false in the published code of this dialect")
          .note("fix", "if the model was trained with it: --override postnorm=true");
  }
  if (auto shared = keys.find("shared_intermediate_size")) {
    const Json &size = shared->raw();
    bool none = isNeutral(size) ||
                (size.is_array() && std::all_of(size.begin(), size.end(),
                                                [](const Json &each) { return isNeutral(each); }));
    if (!none)
      return unsupported("shared_intermediate_size", "shared experts are not supported");
  }
  if (auto activation = keys.find("hidden_act");
      activation && activation->raw() != "silu" && activation->raw() != "swish")
    return unsupported("hidden_act", "the experts of this family use silu");
  if (auto scaling = keys.find("rope_scaling")) {
    const Json &value = scaling->raw();
    bool plain =
        isNeutral(value) || (value.is_object() && (value.value("rope_type", Json()) == "default" ||
                                                   value.value("type", Json()) == "default"));
    if (!plain)
      return unsupported("rope_scaling", "only plain rotary embeddings are supported");
  }
  if (keys.find("sliding_window"))
    return unsupported("sliding_window", "attention over a window is not supported");
  for (std::string_view key : {"quantization_config", "attention_bias", "mlp_bias", "qkv_bias"})
    if (auto value = keys.find(key); value && !isNeutral(value->raw()))
      return unsupported(key, key == "quantization_config" ? "quantised checkpoints are not read"
                                                           : "no layer of this family has a bias");
  LEVIN_ASSIGN_OR_RETURN(config.tied, keys.flag("tie_word_embeddings", false));
  LEVIN_ASSIGN_OR_RETURN(auto block, keys.either("block", "block_size")); // tiling only
  return block ? ConfigReader::within(*block, 1, largest).takeStatus() : Status();
}

static Status readTokens(ConfigReader &keys, std::string_view key, uint64_t vocabulary,
                         std::vector<int64_t> &ids) {
  auto value = keys.find(key);
  if (!value)
    return {};
  ids.clear();
  size_t entries = value->isArray() ? value->size() : 1;
  for (size_t i = 0; i < entries; ++i) {
    JsonValue entry = *value;
    if (value->isArray()) {
      LEVIN_ASSIGN_OR_RETURN(entry, value->at(i));
    }
    LEVIN_ASSIGN_OR_RETURN(int64_t id, entry.asInt());
    if (id < 0 || static_cast<uint64_t>(id) >= vocabulary)
      return entry.error("is no token of the vocabulary")
          .note("have", std::to_string(id))
          .note("need", fmt::format("0 to {}", vocabulary - 1));
    if (std::find(ids.begin(), ids.end(), id) == ids.end())
      ids.push_back(id);
  }
  return {};
}

Status Parser::tokens() {
  std::vector<int64_t> begin;
  for (ConfigReader *reader : {&keys, &generation}) { // the later one wins
    LEVIN_RETURN_IF_ERROR(readTokens(*reader, "bos_token_id", config.vocabulary, begin));
    LEVIN_RETURN_IF_ERROR(readTokens(*reader, "eos_token_id", config.vocabulary, config.endTokens));
  }
  if (!begin.empty())
    config.beginToken = begin.front();
  return {};
}

Status Parser::storedType() {
  LEVIN_ASSIGN_OR_RETURN(auto value, keys.either("dtype", "torch_dtype"));
  if (!value)
    return {};
  LEVIN_ASSIGN_OR_RETURN(std::string name, value->asString());
  if (name.starts_with("torch."))
    name.erase(0, 6);
  if (name == "bfloat16")
    config.dtype = weights::DType::BF16;
  else if (name == "float16")
    config.dtype = weights::DType::F16;
  else if (name == "float32" || name == "float64")
    config.dtype = weights::DType::F32;
  else if (name != "auto")
    return value->error("is no known type")
        .note("have", shortJson(value->raw()))
        .note("need", "bfloat16, float16, float32, float64 or auto");
  return {};
}

static bool mayMatter(std::string_view key, const Json &value, std::string_view near) {
  if (isNeutral(value))
    return false;
  return !near.empty() ||
         std::any_of(std::begin(meaningfulParts), std::end(meaningfulParts),
                     [&](std::string_view part) { return key.find(part) != key.npos; });
}

Status Parser::unknownKeys(const std::vector<std::string> &overrides) {
  std::vector<std::string_view> known = keys.known();
  known.insert(known.end(), harmlessKeys.begin(), harmlessKeys.end());
  for (std::string_view assignment : overrides) {
    std::string_view key = assignment.substr(0, assignment.find_first_of(".="));
    if (std::find(known.begin(), known.end(), key) != known.end())
      continue;
    Status failure = makeError(ErrorCode::OptionValue,
                               "override '{}' sets no key that this family reads", assignment);
    std::string_view near = nearest(key, known, 4);
    return near.empty() ? std::move(failure)
                        : std::move(failure).note("nearest", std::string(near));
  }
  std::string listed;
  for (const std::string &key : keys.unread(harmlessKeys)) {
    // Short names are near each other by chance.
    std::string_view near = nearest(key, known, std::min<unsigned>(2, key.size() / 4));
    if (!mayMatter(key, keys.document()[key], near)) {
      listed += (listed.empty() ? "" : ", ") + key;
      continue;
    }
    near = nearest(key, known, 8);
    return makeError(ErrorCode::ConfigUnsupported,
                     "config.json: the key '{}' is not known and may change what is computed", key)
        .note("have", shortJson(keys.document()[key]))
        .note("nearest", std::string(near.empty() ? "none" : near))
        .note("fix", fmt::format("if it changes nothing: --override {}=null", key));
  }
  if (!listed.empty())
    config.notes.push_back("keys of config.json that are not used: " + listed);
  return {};
}

Result<Config> Parser::parse(const std::vector<std::string> &overrides) {
  LEVIN_RETURN_IF_ERROR(dialect());
  LEVIN_RETURN_IF_ERROR(sizes());
  LEVIN_RETURN_IF_ERROR(mixers());
  LEVIN_RETURN_IF_ERROR(scales());
  LEVIN_RETURN_IF_ERROR(rotary());
  LEVIN_RETURN_IF_ERROR(refused());
  LEVIN_RETURN_IF_ERROR(tokens());
  LEVIN_RETURN_IF_ERROR(storedType());
  LEVIN_RETURN_IF_ERROR(unknownKeys(overrides));
  return std::move(config);
}

Result<Config> readConfig(const Json &config, const Json &generation,
                          const std::vector<std::string> &overrides) {
  return Parser(config, generation).parse(overrides);
}

} // namespace levin::models::minimax
