#include "models/Family.h"

#include "models/Nearest.h"
#include "models/minimax/Import.h"

#include <algorithm>

namespace levin::models {

std::span<const Family> families() {
  static const Family rows[] = {
      {"minimax",
       {"minimax", "minimax_text_01", "MiniMaxText01", "minimax_m1"},
       {"MiniMaxForCausalLM", "MiniMaxText01ForCausalLM", "MiniMaxM1ForCausalLM"},
       {"hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
        "num_key_value_heads", "num_local_experts", "num_experts_per_tok", "vocab_size",
        "attn_type_list|layer_types"},
       minimax::importModel},
  };
  return rows;
}

namespace {

struct StatedNames {
  std::string modelType;
  std::vector<std::string> architectures;

  bool empty() const { return modelType.empty() && architectures.empty(); }
};

} // namespace

static Result<StatedNames> statedNames(const Json &config) {
  JsonValue root(config, "config.json", ErrorCode::ConfigKey);
  StatedNames names;
  LEVIN_ASSIGN_OR_RETURN(names.modelType, root.getString("model_type", ""));
  auto list = root.find("architectures");
  if (!list)
    return names;
  LEVIN_RETURN_IF_ERROR(list->expectArray());
  for (size_t i = 0; i < list->size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue entry, list->at(i));
    LEVIN_ASSIGN_OR_RETURN(std::string name, entry.asString());
    names.architectures.push_back(std::move(name));
  }
  return names;
}

// The family's keys that `config` lacks.
static std::vector<std::string_view> absentKeys(const Family &family, const Json &config) {
  std::vector<std::string_view> absent;
  for (std::string_view group : family.keys) {
    bool found = false;
    for (std::string_view rest = group; !rest.empty() && !found;) {
      size_t bar = rest.find('|');
      found = config.contains(std::string(rest.substr(0, bar)));
      rest.remove_prefix(bar == rest.npos ? rest.size() : bar + 1);
    }
    if (!found)
      absent.push_back(group);
  }
  return absent;
}

static bool contains(const std::vector<std::string_view> &names, std::string_view name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

static Status refuseVision(const Json &config, const StatedNames &names) {
  bool named = names.modelType.starts_with("minimax_vl") ||
               std::any_of(names.architectures.begin(), names.architectures.end(),
                           [](const std::string &name) { return name.starts_with("MiniMaxVL"); });
  if (!named && !(config.contains("text_config") && config.contains("vision_config")))
    return {};
  return makeError(ErrorCode::ConfigUnsupported,
                   "config.json describes a model of vision and language: only text models are "
                   "supported")
      .note("have", names.empty() ? "text_config and vision_config"
                                  : fmt::format("model_type '{}'", names.modelType))
      .note("fix", "use the text model of the same family, such as MiniMax-Text-01");
}

static std::string join(const std::vector<std::string_view> &names) {
  std::string text;
  for (std::string_view name : names)
    text += (text.empty() ? "" : ", ") + std::string(name);
  return text;
}

static Status unknownArchitecture(const Json &config, const StatedNames &names) {
  const Family *closest = nullptr;
  size_t fewest = 0;
  for (const Family &family : families())
    if (size_t lacking = absentKeys(family, config).size(); !closest || lacking < fewest) {
      closest = &family;
      fewest = lacking;
    }
  std::string stated = names.empty() ? "config.json names no architecture"
                       : names.architectures.empty()
                           ? fmt::format("model_type '{}' is not known", names.modelType)
                           : fmt::format("architecture '{}' (model_type '{}') is not known",
                                         names.architectures.front(), names.modelType);
  bool byType = names.architectures.empty();
  std::string_view near =
      nearest(byType ? std::string_view(names.modelType) : names.architectures.front(),
              byType ? closest->modelTypes : closest->architectures, 1000);
  std::vector<std::string_view> absent = absentKeys(*closest, config);
  return Status(ErrorCode::ConfigArchitecture, std::move(stated))
      .note("nearest", fmt::format("{} (family {})", near, closest->name))
      .note("keys", fmt::format("{} of the {} keys that tell {} are there{}{}",
                                closest->keys.size() - absent.size(), closest->keys.size(),
                                closest->name, absent.empty() ? "" : "; absent: ", join(absent)))
      .note("fix", fmt::format("if it is this family under another name: --override model_type={}",
                               closest->modelTypes.front()));
}

Result<const Family *> identifyFamily(const Json &config, std::vector<std::string> &notes) {
  LEVIN_ASSIGN_OR_RETURN(StatedNames names, statedNames(config));
  LEVIN_RETURN_IF_ERROR(refuseVision(config, names));
  for (const Family &family : families())
    if (contains(family.modelTypes, names.modelType))
      return &family;
  for (const Family &family : families())
    for (const std::string &name : names.architectures)
      if (contains(family.architectures, name)) {
        if (!names.modelType.empty())
          notes.push_back(fmt::format("model_type '{}' is not known; the architecture '{}' is",
                                      names.modelType, name));
        return &family;
      }
  if (names.empty())
    for (const Family &family : families())
      if (absentKeys(family, config).empty()) {
        notes.push_back(fmt::format("config.json names no architecture; its keys are those of {}",
                                    family.name));
        return &family;
      }
  return unknownArchitecture(config, names);
}

} // namespace levin::models
