#include "runtime/base/Json.h"

#include "runtime/base/Checked.h"

#include <vector>

namespace levin {

namespace {

// Builds the document like the library's own builder, and stops at a limit or a repeated key.
class LimitedBuilder {
public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit LimitedBuilder(JsonLimits limits) : limits(limits) {}

  bool null() { return add(nullptr) != nullptr; }
  bool boolean(bool value) { return add(value) != nullptr; }
  bool number_integer(number_integer_t value) { return add(value) != nullptr; }
  bool number_unsigned(number_unsigned_t value) { return add(value) != nullptr; }
  bool number_float(number_float_t value, const string_t &) { return add(value) != nullptr; }
  bool string(string_t &value) { return add(std::move(value)) != nullptr; }
  bool binary(binary_t &) { return fail("a binary value is not expected"); }
  bool start_object(size_t) { return open(Json::value_t::object); }
  bool start_array(size_t) { return open(Json::value_t::array); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }

  bool key(string_t &name) {
    auto [place, isNew] = stack.back()->get_ref<Json::object_t &>().try_emplace(name, nullptr);
    if (!isNew)
      return fail(fmt::format("the key '{}' appears twice in one object", name.substr(0, 80)));
    member = &place->second;
    return true;
  }

  bool parse_error(size_t position, const std::string &, const nlohmann::detail::exception &) {
    return fail(fmt::format("syntax error at byte {}", position));
  }

  Json document;
  std::string failure;

private:
  bool fail(std::string text) {
    if (failure.empty())
      failure = std::move(text);
    return false;
  }

  template <typename T> Json *add(T &&value) {
    if (++count > limits.values) {
      fail(fmt::format("more than {} values", limits.values));
      return nullptr;
    }
    if (stack.empty()) {
      document = Json(std::forward<T>(value));
      return &document;
    }
    Json &parent = *stack.back();
    if (parent.is_array()) {
      auto &elements = parent.get_ref<Json::array_t &>();
      elements.emplace_back(std::forward<T>(value));
      return &elements.back();
    }
    *member = Json(std::forward<T>(value));
    return member;
  }

  bool open(Json::value_t type) {
    if (stack.size() >= limits.depth)
      return fail(fmt::format("nested deeper than {}", limits.depth));
    Json *place = add(type);
    if (!place)
      return false;
    stack.push_back(place);
    return true;
  }

  bool close() {
    stack.pop_back();
    return true;
  }

  JsonLimits limits;
  size_t count = 0;
  std::vector<Json *> stack; // an open container does not move: its parent gets no new element
  Json *member = nullptr;
};

} // namespace

Result<Json> parseJson(std::string_view text, std::string_view what, ErrorCode code,
                       JsonLimits limits) {
  LimitedBuilder builder(limits);
  bool done = Json::sax_parse(text.begin(), text.end(), &builder);
  if (!done || !builder.failure.empty())
    return makeError(code, "{} is not acceptable JSON: {}", what,
                     builder.failure.empty() ? "syntax error" : builder.failure);
  return std::move(builder.document);
}

std::string shortJson(const Json &value, size_t limit) {
  if (value.is_structured())
    return fmt::format("{} of {}", value.is_array() ? "an array" : "an object", value.size());
  std::string text = value.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > limit)
    text = text.substr(0, limit) + "..";
  return text;
}

Status JsonValue::error(std::string_view sentence) const {
  return keys.empty() ? makeError(code, "{} {}", what, sentence)
                      : makeError(code, "{}: '{}' {}", what, keys, sentence);
}

Status JsonValue::wrongType(std::string_view expected) const {
  return error("has the wrong type")
      .note("have", shortJson(*value))
      .note("need", std::string(expected));
}

std::optional<JsonValue> JsonValue::find(std::string_view key) const {
  if (!value->is_object())
    return std::nullopt;
  auto place = value->find(key);
  if (place == value->end() || place->is_null())
    return std::nullopt;
  return JsonValue(*place, *this,
                   keys.empty() ? std::string(key) : fmt::format("{}.{}", keys, key));
}

Result<JsonValue> JsonValue::at(std::string_view key) const {
  LEVIN_RETURN_IF_ERROR(expectObject());
  if (auto member = find(key))
    return *member;
  return error(fmt::format("has no key '{}'", key));
}

Result<JsonValue> JsonValue::at(size_t index) const {
  LEVIN_RETURN_IF_ERROR(expectArray());
  if (index >= value->size())
    return error(fmt::format("has {} elements, not {}", value->size(), index + 1));
  return JsonValue((*value)[index], *this, fmt::format("{}[{}]", keys, index));
}

Status JsonValue::expectObject() const {
  return value->is_object() ? Status() : wrongType("an object");
}

Status JsonValue::expectArray() const {
  return value->is_array() ? Status() : wrongType("an array");
}

Result<bool> JsonValue::asBool() const {
  if (const bool *held = value->get_ptr<const bool *>())
    return *held;
  return wrongType("true or false");
}

Result<int64_t> JsonValue::asInt() const {
  if (const auto *held = value->get_ptr<const Json::number_unsigned_t *>()) {
    if (auto fitting = narrow<int64_t>(*held))
      return *fitting;
  } else if (const auto *held = value->get_ptr<const Json::number_integer_t *>()) {
    return *held;
  }
  return wrongType("an integer");
}

Result<uint64_t> JsonValue::asUint() const {
  if (const auto *held = value->get_ptr<const Json::number_unsigned_t *>())
    return *held;
  if (const auto *held = value->get_ptr<const Json::number_integer_t *>(); held && *held >= 0)
    return static_cast<uint64_t>(*held);
  return wrongType("an integer that is not negative");
}

Result<double> JsonValue::asDouble() const {
  if (const auto *held = value->get_ptr<const Json::number_float_t *>())
    return *held;
  if (const auto *held = value->get_ptr<const Json::number_unsigned_t *>())
    return static_cast<double>(*held);
  if (const auto *held = value->get_ptr<const Json::number_integer_t *>())
    return static_cast<double>(*held);
  return wrongType("a number");
}

Result<std::string> JsonValue::asString() const {
  if (const auto *held = value->get_ptr<const std::string *>())
    return *held;
  return wrongType("a string");
}

Result<bool> JsonValue::getBool(std::string_view key, bool otherwise) const {
  auto member = find(key);
  return member ? member->asBool() : Result<bool>(otherwise);
}

Result<int64_t> JsonValue::getInt(std::string_view key, int64_t otherwise) const {
  auto member = find(key);
  return member ? member->asInt() : Result<int64_t>(otherwise);
}

Result<double> JsonValue::getDouble(std::string_view key, double otherwise) const {
  auto member = find(key);
  return member ? member->asDouble() : Result<double>(otherwise);
}

Result<std::string> JsonValue::getString(std::string_view key, std::string_view otherwise) const {
  auto member = find(key);
  return member ? member->asString() : Result<std::string>(std::string(otherwise));
}

} // namespace levin
