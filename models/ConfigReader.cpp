#include "models/ConfigReader.h"

#include "runtime/base/File.h"

#include <algorithm>
#include <cmath>

namespace levin::models {

static constexpr uint64_t longestConfig = 16'000'000;

Status applyOverride(Json &config, std::string_view assignment) {
  size_t equals = assignment.find('=');
  if (equals == assignment.npos || equals == 0)
    return makeError(ErrorCode::OptionValue, "override '{}' is no assignment", assignment)
        .note("need", "--override KEY=VALUE, such as --override rope_theta=10000000");
  std::string_view key = assignment.substr(0, equals);
  std::string text(assignment.substr(equals + 1));
  auto parsed = parseJson(text, "the value", ErrorCode::OptionValue);
  Json *place = &config;
  while (true) {
    size_t dot = key.find('.');
    std::string part(key.substr(0, dot));
    if (part.empty())
      return makeError(ErrorCode::OptionValue, "override '{}' has an empty part in its key",
                       assignment);
    if (place->is_null())
      *place = Json::object();
    if (!place->is_object())
      return makeError(ErrorCode::OptionValue,
                       "override '{}': what is before '{}' is no object of config.json", assignment,
                       part)
          .note("have", shortJson(*place));
    place = &(*place)[part];
    if (dot == key.npos)
      break;
    key.remove_prefix(dot + 1);
  }
  *place = parsed.ok() ? std::move(*parsed) : Json(std::move(text));
  return {};
}

Result<Json> readConfig(const std::string &folder, std::string_view name) {
  std::string path = fmt::format("{}/{}", folder, name);
  LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(path, longestConfig, ErrorCode::ModelFolder));
  LEVIN_ASSIGN_OR_RETURN(Json config,
                         parseJson(text, fmt::format("'{}'", path), ErrorCode::ConfigSyntax));
  if (!config.is_object())
    return makeError(ErrorCode::ConfigSyntax, "'{}' is not a JSON object", path)
        .note("have", shortJson(config));
  return config;
}

ConfigReader::ConfigReader(const Json &document, std::string file)
    : root(document, file, ErrorCode::ConfigKey), name(std::move(file)) {}

std::optional<JsonValue> ConfigReader::walk(std::string_view key) const {
  JsonValue value = root;
  while (true) {
    size_t dot = key.find('.');
    auto member = value.find(key.substr(0, dot));
    if (!member || dot == key.npos)
      return member;
    value = *member;
    key.remove_prefix(dot + 1);
  }
}

std::optional<JsonValue> ConfigReader::find(std::string_view key) {
  read.insert(std::string(key.substr(0, key.find('.'))));
  return walk(key);
}

bool ConfigReader::has(std::string_view key) const { return walk(key).has_value(); }

Status ConfigReader::missing(std::string_view key) const {
  return makeError(ErrorCode::ConfigKey, "{} has no '{}'", name, key)
      .note("fix", fmt::format("--override {}=VALUE", key));
}

Result<uint64_t> ConfigReader::count(std::string_view key, uint64_t limit) {
  auto value = find(key);
  if (!value)
    return missing(key);
  LEVIN_ASSIGN_OR_RETURN(int64_t number, value->asInt());
  if (number < 1 || static_cast<uint64_t>(number) > limit)
    return value->error("is out of range")
        .note("have", std::to_string(number))
        .note("need", fmt::format("1 to {}", limit));
  return static_cast<uint64_t>(number);
}

Result<double> ConfigReader::within(const JsonValue &value, double least, double most) {
  LEVIN_ASSIGN_OR_RETURN(double number, value.asDouble());
  if (!(number >= least && number <= most)) // also refuses what is no number
    return value.error("is out of range")
        .note("have", shortJson(value.raw()))
        .note("need", fmt::format("{} to {}", least, most));
  return number;
}

Result<double> ConfigReader::real(std::string_view key, double otherwise, double least,
                                  double most) {
  auto value = find(key);
  return value ? within(*value, least, most) : Result<double>(otherwise);
}

Result<bool> ConfigReader::flag(std::string_view key, bool otherwise) {
  auto value = find(key);
  return value ? value->asBool() : Result<bool>(otherwise);
}

Result<std::optional<JsonValue>> ConfigReader::either(std::string_view first,
                                                      std::string_view second) {
  auto a = find(first), b = find(second);
  if (a && b && a->raw() != b->raw())
    return makeError(ErrorCode::ConfigConflict, "{}: '{}' and '{}' say the same thing differently",
                     name, first, second)
        .note("have", fmt::format("{} and {}", shortJson(a->raw()), shortJson(b->raw())))
        .note("fix", fmt::format("take the wrong one away: --override {}=null, or --override "
                                 "{}=null",
                                 first, second));
  return a ? a : b;
}

std::vector<std::string> ConfigReader::unread(const std::vector<std::string_view> &harmless) const {
  std::vector<std::string> keys;
  for (const auto &[key, value] : root.raw().items())
    if (!value.is_null() && !read.contains(key) &&
        std::find(harmless.begin(), harmless.end(), key) == harmless.end())
      keys.push_back(key);
  return keys;
}

std::vector<std::string_view> ConfigReader::known() const { return {read.begin(), read.end()}; }

bool isNeutral(const Json &value) {
  if (value.is_structured() || value.is_string())
    return value.empty() || value == "";
  return value.is_null() || value == false || value == 0;
}

} // namespace levin::models
