// The file of --config.  toml++ is compiled here, and here only, without exceptions.
#include "runtime/base/DidYouMean.h"
#include "runtime/base/File.h"
#include "tools/common/CommandLineParser.h"

#define TOML_EXCEPTIONS 0
#define TOML_HEADER_ONLY 1
#include <toml++/toml.h>

#include <algorithm>

namespace levin::tool {

static std::optional<std::string> scalarText(const toml::node &node) {
  if (auto text = node.value_exact<std::string>())
    return *text;
  if (auto flag = node.value_exact<bool>())
    return *flag ? "true" : "false";
  if (auto integer = node.value_exact<int64_t>())
    return fmt::format("{}", *integer);
  if (auto number = node.value_exact<double>())
    return fmt::format("{}", *number);
  return std::nullopt;
}

/// Adds the keys of `table`; a key that only another command knows is passed over if `shared`.
static Status readTable(const toml::table &table, const std::string &where, bool shared,
                        const std::vector<std::string> &known,
                        const std::vector<std::string> &anywhere, RawValues &values) {
  auto has = [](const std::vector<std::string> &names, const std::string &name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const auto &[key, node] : table) {
    if (node.is_table())
      continue;
    std::string option = "--" + std::string(key.str());
    if (!has(known, option) || option == "--config") {
      if (shared && has(anywhere, option))
        continue;
      Status status = makeError(ErrorCode::Usage, "{} sets '{}', which is no option", where,
                                std::string(key.str()));
      if (auto hint = didYouMean(option, known))
        status.note("fix", *hint);
      return status;
    }
    std::vector<std::string> texts;
    bool readable = true;
    auto take = [&](const toml::node &value) {
      auto text = scalarText(value);
      readable &= text.has_value();
      texts.push_back(text.value_or(""));
    };
    if (const toml::array *array = node.as_array())
      for (const toml::node &element : *array)
        take(element);
    else
      take(node);
    if (!readable || texts.empty())
      return makeError(ErrorCode::OptionValue, "{} sets '{}' to a value that cannot be used", where,
                       std::string(key.str()))
          .note("need", "a string, a number, true or false, or a list of these");
    values[option] = std::move(texts);
  }
  return {};
}

Result<RawValues> readConfigFile(const std::string &path, const std::string &name,
                                 const std::vector<std::string> &known,
                                 const std::vector<std::string> &anywhere) {
  LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(path, uint64_t(1) << 20));
  toml::parse_result parsed = toml::parse(text);
  if (!parsed)
    return makeError(ErrorCode::InputFile, "'{}' is no TOML: {}", path,
                     std::string(parsed.error().description()))
        .note("where", fmt::format("line {}", parsed.error().source().begin.line));
  RawValues values;
  LEVIN_RETURN_IF_ERROR(readTable(parsed.table(), path, true, known, anywhere, values));
  if (const toml::table *table = parsed.table()[name].as_table(); table && !name.empty())
    LEVIN_RETURN_IF_ERROR(
        readTable(*table, fmt::format("{} [{}]", path, name), false, known, anywhere, values));
  return values;
}

} // namespace levin::tool
