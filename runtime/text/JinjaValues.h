// What can be done with values of a template, as Python does it.
#ifndef LEVIN_RUNTIME_TEXT_JINJAVALUES_H
#define LEVIN_RUNTIME_TEXT_JINJAVALUES_H

#include "runtime/text/Jinja.h"

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace levin::text::jinja {

bool isTrue(const Value &value);
bool isEqual(const Value &a, const Value &b);
/// "a string", "a list" and so on, for messages.
std::string_view kindOf(const Value &value);
/// As Python's str(); `quoted` as repr().
std::string printed(const Value &value, bool quoted = false);
/// As Python's json.dumps(ensure_ascii=False); `indent` < 0 is one line.
std::string toJson(const Value &value, int indent, int level = 0);
/// Bytes that copying the value costs, about.
size_t sizeOf(const Value &value);
/// Code points of a string.
size_t lengthOf(std::string_view text);
/// Code points [begin, end) of a string.
std::string_view codePoints(std::string_view text, size_t begin, size_t end);
std::string trimmed(std::string_view text, std::string_view drop, bool left, bool right);

/// A failure is a sentence; the interpreter knows the line.
struct Outcome {
  Value value;
  std::optional<std::string> failure;
};
Outcome binaryOperation(std::string_view op, const Value &a, const Value &b);
Outcome applyFilter(std::string_view name, const Value &value, std::span<const Value> arguments);
Outcome applyTest(std::string_view name, const Value &value, std::span<const Value> arguments);
Outcome callMethod(std::string_view name, const Value &value, std::span<const Value> arguments);

} // namespace levin::text::jinja

#endif // LEVIN_RUNTIME_TEXT_JINJAVALUES_H
