// JSON from outside: parsed with limits, read with types checked.
//
// nlohmann::json reports wrong types by exceptions, which the runtime does not have.  A JsonValue
// checks first and answers with a Status that names the key by its path ("model.vocab").
#ifndef LEVIN_RUNTIME_BASE_JSON_H
#define LEVIN_RUNTIME_BASE_JSON_H

#include "runtime/base/Status.h"

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace levin {

using Json = nlohmann::json;

struct JsonLimits {
  size_t depth = 64;          // arrays and objects within each other
  size_t values = 1ull << 24; // all values together
};

/// Parses `text`.  Not only syntax errors are failures, but also a key that an object has twice,
/// which other readers would resolve in different ways.  `what` names the text in messages.
Result<Json> parseJson(std::string_view text, std::string_view what, ErrorCode code,
                       JsonLimits limits = {});

/// A value of a parsed document and the path by which it was reached.  Refers to the document.
class JsonValue {
public:
  /// `what` names the document, `code` is that of every failure.
  JsonValue(const Json &value, std::string what, ErrorCode code)
      : value(&value), what(std::move(what)), code(code) {}

  const Json &raw() const { return *value; }
  const std::string &path() const { return keys; }
  bool isNull() const { return value->is_null(); }
  bool isObject() const { return value->is_object(); }
  bool isArray() const { return value->is_array(); }
  bool isString() const { return value->is_string(); }

  /// Elements of an array or object, else 0.
  size_t size() const { return value->is_structured() ? value->size() : 0; }
  /// The member `key`, or nothing if this is no object or the member is absent or null.
  std::optional<JsonValue> find(std::string_view key) const;
  /// The member `key`; absent or null is a failure.
  Result<JsonValue> at(std::string_view key) const;
  /// The element `index` of an array.
  Result<JsonValue> at(size_t index) const;

  Result<bool> asBool() const;
  Result<int64_t> asInt() const;
  Result<uint64_t> asUint() const;
  Result<double> asDouble() const;
  Result<std::string> asString() const;
  Status expectObject() const;
  Status expectArray() const;

  /// Members with a value to use where the key is absent or null.
  Result<bool> getBool(std::string_view key, bool otherwise) const;
  Result<int64_t> getInt(std::string_view key, int64_t otherwise) const;
  Result<double> getDouble(std::string_view key, double otherwise) const;
  Result<std::string> getString(std::string_view key, std::string_view otherwise) const;

  /// A failure about this value: "what: 'path' <sentence>".
  Status error(std::string_view sentence) const;

private:
  JsonValue(const Json &value, const JsonValue &parent, std::string keys)
      : value(&value), what(parent.what), keys(std::move(keys)), code(parent.code) {}
  Status wrongType(std::string_view expected) const;

  const Json *value;
  std::string what, keys;
  ErrorCode code;
};

/// `value` as JSON text for a message, cut after `limit` bytes.
std::string shortJson(const Json &value, size_t limit = 60);

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_JSON_H
