// Reading a model's configuration: typed, with ranges, two spellings of one value, and an account
// of which keys were read, so that none is passed over in silence.
#ifndef LEVIN_MODELS_CONFIGREADER_H
#define LEVIN_MODELS_CONFIGREADER_H

#include "runtime/base/Json.h"
#include "runtime/base/Status.h"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace levin::models {

/// Applies "key=value" to `config`.  A dot in the key goes into an object; the value is JSON, or a
/// string if it is no JSON; null takes a key away.  Failure: LV2002.
Status applyOverride(Json &config, std::string_view assignment);

/// Parses `folder`/`name`.  Failures: LV1001 if it cannot be read, LV1002 if it is no JSON object.
Result<Json> readConfig(const std::string &folder, std::string_view name);

/// Keys are paths: "rope_parameters.rope_theta".  A null value counts as absent.  Every failure
/// is LV1004 but where stated.
class ConfigReader {
public:
  /// `document` must outlive the reader; `file` names it in messages.
  ConfigReader(const Json &document, std::string file);

  /// The value at `key`, which is marked as read, or nothing.
  std::optional<JsonValue> find(std::string_view key);
  bool has(std::string_view key) const;

  /// A count from 1 to `limit`; absent is a failure.
  Result<uint64_t> count(std::string_view key, uint64_t limit);
  /// A number within [least, most], or `otherwise` where absent.
  Result<double> real(std::string_view key, double otherwise, double least, double most);
  Result<bool> flag(std::string_view key, bool otherwise);

  /// The value under either spelling, or nothing.  LV1005 if both are there and differ.
  Result<std::optional<JsonValue>> either(std::string_view first, std::string_view second);
  /// `value` as a number within [least, most].
  static Result<double> within(const JsonValue &value, double least, double most);

  /// Top-level keys that are not null and were neither read nor are among `harmless`.
  std::vector<std::string> unread(const std::vector<std::string_view> &harmless) const;
  /// All top-level keys asked for, present or not.
  std::vector<std::string_view> known() const;

  /// A failure that says what to set: LV1004 for a missing key.
  Status missing(std::string_view key) const;
  const Json &document() const { return root.raw(); }
  const std::string &file() const { return name; }

private:
  std::optional<JsonValue> walk(std::string_view key) const;

  JsonValue root;
  std::string name;
  std::set<std::string, std::less<>> read; // top-level keys asked for
};

/// Whether `value` switches nothing on: null, false, 0 or empty.
bool isNeutral(const Json &value);

} // namespace levin::models

#endif // LEVIN_MODELS_CONFIGREADER_H
