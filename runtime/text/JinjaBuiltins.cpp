// Filters, tests and methods of templates.
#include "runtime/text/JinjaSyntax.h"
#include "runtime/text/JinjaValues.h"

#include <algorithm>
#include <charconv>

namespace levin::text::jinja {

static constexpr std::string_view spaces = " \t\n\r\f\v";

static char upperOf(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
static char lowerOf(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

// Letters beyond ASCII stay as they are.
static std::string mapped(std::string text, char (*map)(char)) {
  std::transform(text.begin(), text.end(), text.begin(), map);
  return text;
}

static std::string titled(std::string text, bool everyWord) {
  bool start = true;
  for (char &c : text) {
    bool letter = (lowerOf(c) >= 'a' && lowerOf(c) <= 'z') || static_cast<signed char>(c) < 0;
    c = start ? upperOf(c) : lowerOf(c);
    start = everyWord && !letter;
  }
  return text;
}

static std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  if (from.empty())
    return std::string(text);
  std::string out;
  while (true) {
    size_t place = text.find(from);
    out += text.substr(0, place);
    if (place == text.npos)
      return out;
    out += to;
    text.remove_prefix(place + from.size());
  }
}

static Value splitText(std::string_view text, std::string_view separator) {
  Value parts = Value::array();
  if (separator.empty()) {
    while (true) {
      text.remove_prefix(std::min(text.find_first_not_of(spaces), text.size()));
      if (text.empty())
        return parts;
      size_t end = std::min(text.find_first_of(spaces), text.size());
      parts.push_back(std::string(text.substr(0, end)));
      text.remove_prefix(end);
    }
  }
  while (true) {
    size_t place = text.find(separator);
    parts.push_back(std::string(text.substr(0, place)));
    if (place == text.npos)
      return parts;
    text.remove_prefix(place + separator.size());
  }
}

/// A mapping as a list of [key, value]; `what` picks keys or values alone.
static Value itemsOf(const Value &mapping, std::string_view what) {
  Value list = Value::array();
  for (const auto &[key, member] : mapping.items()) {
    if (what == "keys")
      list.push_back(key);
    else if (what == "values")
      list.push_back(member);
    else
      list.push_back(Value::array({key, member}));
  }
  return list;
}

namespace {
/// The arguments of a call, read by place.
class Arguments {
public:
  explicit Arguments(std::span<const Value> values) : values(values) {}
  bool has(size_t i) const { return i < values.size() && !values[i].is_discarded(); }
  const Value &at(size_t i) const { return values[i]; }
  std::string text(size_t i, std::string_view otherwise) const {
    return has(i) && values[i].is_string() ? values[i].get<std::string>() : std::string(otherwise);
  }

private:
  std::span<const Value> values;
};
} // namespace

static Outcome joined(const Value &list, const std::string &separator) {
  if (!list.is_array())
    return {undefined(), fmt::format("'join' needs a list, not {}", kindOf(list))};
  std::string out;
  for (size_t i = 0; i < list.size(); ++i)
    out += (i == 0 ? "" : separator) + printed(list[i]);
  return {std::move(out), {}};
}

static Outcome firstOrLast(const Value &value, bool last) {
  if (const auto *text = value.get_ptr<const std::string *>()) {
    size_t length = lengthOf(*text);
    size_t place = last && length > 0 ? length - 1 : 0;
    return {std::string(codePoints(*text, place, place + 1)), {}};
  }
  if (!value.is_array())
    return {undefined(), fmt::format("{} has no elements", kindOf(value))};
  return {value.empty() ? undefined() : last ? value.back() : value.front(), {}};
}

static Outcome toInteger(const Value &value) {
  if (value.is_number())
    return {value.is_number_float()
                ? Value(static_cast<int64_t>(std::clamp(value.get<double>(), -9e18, 9e18)))
                : value,
            {}};
  std::string text = trimmed(printed(value), spaces, true, true);
  int64_t integer = 0;
  std::from_chars(text.data(), text.data() + text.size(), integer);
  return {integer, {}};
}

Outcome applyFilter(std::string_view name, const Value &value, std::span<const Value> given) {
  Arguments arguments(given);
  if (name == "trim")
    return {trimmed(printed(value), arguments.text(0, spaces), true, true), {}};
  if (name == "length" || name == "count") {
    if (value.is_string())
      return {lengthOf(value.get_ref<const std::string &>()), {}};
    if (value.is_structured())
      return {value.size(), {}};
    return {undefined(), fmt::format("{} has no length", kindOf(value))};
  }
  if (name == "tojson")
    return {toJson(value, arguments.has(0) && arguments.at(0).is_number_integer()
                              ? static_cast<int>(
                                    std::clamp<int64_t>(arguments.at(0).get<int64_t>(), 0, 16))
                              : -1),
            {}};
  if (name == "upper")
    return {mapped(printed(value), upperOf), {}};
  if (name == "lower")
    return {mapped(printed(value), lowerOf), {}};
  if (name == "capitalize" || name == "title")
    return {titled(printed(value), name == "title"), {}};
  if (name == "string")
    return {printed(value), {}};
  if (name == "safe")
    return {value, {}};
  if (name == "int")
    return toInteger(value);
  if (name == "default" || name == "d") {
    bool absent =
        value.is_discarded() || (arguments.has(1) && isTrue(arguments.at(1)) && !isTrue(value));
    return {!absent ? value : arguments.has(0) ? arguments.at(0) : Value(""), {}};
  }
  if (name == "join")
    return joined(value, arguments.text(0, ""));
  if (name == "first" || name == "last")
    return firstOrLast(value, name == "last");
  if (name == "replace")
    return {replaced(printed(value), arguments.text(0, ""), arguments.text(1, "")), {}};
  if (name == "list" && value.is_array())
    return {value, {}};
  if (name == "items" && value.is_object())
    return {itemsOf(value, "items"), {}};
  return {undefined(), fmt::format("the filter '{}' is not supported for {}", name, kindOf(value))};
}

Outcome applyTest(std::string_view name, const Value &value, std::span<const Value> given) {
  Arguments arguments(given);
  if (name == "defined" || name == "undefined")
    return {value.is_discarded() == (name == "undefined"), {}};
  if (name == "none")
    return {value.is_null(), {}};
  if (name == "string")
    return {value.is_string(), {}};
  if (name == "mapping")
    return {value.is_object(), {}};
  if (name == "iterable" || name == "sequence")
    return {value.is_structured() || value.is_string(), {}};
  if (name == "number")
    return {value.is_number(), {}};
  if (name == "integer")
    return {value.is_number_integer(), {}};
  if (name == "boolean")
    return {value.is_boolean(), {}};
  if (name == "true" || name == "false")
    return {value.is_boolean() && value.get<bool>() == (name == "true"), {}};
  if ((name == "equalto" || name == "eq") && arguments.has(0))
    return {isEqual(value, arguments.at(0)), {}};
  if (name == "in" && arguments.has(0))
    return binaryOperation("in", value, arguments.at(0));
  return {undefined(), fmt::format("the test '{}' is not supported", name)};
}

static Outcome stringMethod(std::string_view name, const std::string &text,
                            const Arguments &arguments) {
  if (name == "strip" || name == "lstrip" || name == "rstrip")
    return {trimmed(text, arguments.text(0, spaces), name != "rstrip", name != "lstrip"), {}};
  if (name == "upper")
    return {mapped(text, upperOf), {}};
  if (name == "lower")
    return {mapped(text, lowerOf), {}};
  if (name == "capitalize" || name == "title")
    return {titled(text, name == "title"), {}};
  if (name == "startswith")
    return {text.starts_with(arguments.text(0, "")), {}};
  if (name == "endswith")
    return {text.ends_with(arguments.text(0, "")), {}};
  if (name == "split" && !arguments.has(1))
    return {splitText(text, arguments.text(0, "")), {}};
  if (name == "replace")
    return {replaced(text, arguments.text(0, ""), arguments.text(1, "")), {}};
  if (name == "join" && arguments.has(0))
    return joined(arguments.at(0), text);
  return {undefined(), fmt::format("strings have no method '{}' here", name)};
}

Outcome callMethod(std::string_view name, const Value &value, std::span<const Value> given) {
  Arguments arguments(given);
  if (const auto *text = value.get_ptr<const std::string *>())
    return stringMethod(name, *text, arguments);
  if (value.is_object() && (name == "items" || name == "keys" || name == "values"))
    return {itemsOf(value, name), {}};
  if (value.is_object() && name == "get" && arguments.has(0) && arguments.at(0).is_string()) {
    auto place = value.find(arguments.at(0).get_ref<const std::string &>());
    return {place != value.end() ? *place
            : arguments.has(1)   ? arguments.at(1)
                                 : Value(nullptr),
            {}};
  }
  return {undefined(), fmt::format("{} has no method '{}' here", kindOf(value), name)};
}

} // namespace levin::text::jinja
