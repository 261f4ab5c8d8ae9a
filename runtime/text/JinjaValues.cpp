#include "runtime/text/JinjaValues.h"

#include "runtime/text/JinjaSyntax.h"
#include "runtime/text/Utf8.h"

#include <cmath>

namespace levin::text::jinja {

bool isTrue(const Value &value) {
  if (value.is_boolean())
    return value.get<bool>();
  if (value.is_number())
    return value.get<double>() != 0;
  if (const auto *text = value.get_ptr<const std::string *>())
    return !text->empty();
  return value.is_structured() && !value.empty();
}

bool isEqual(const Value &a, const Value &b) {
  if (a.is_discarded() || b.is_discarded())
    return a.is_discarded() && b.is_discarded();
  return a == b;
}

std::string_view kindOf(const Value &value) {
  if (value.is_discarded())
    return "an undefined value";
  if (value.is_null())
    return "none";
  if (value.is_string())
    return "a string";
  if (value.is_boolean())
    return "a boolean";
  if (value.is_number())
    return "a number";
  return value.is_array() ? "a list" : "a mapping";
}

static std::string numberText(const Value &value) {
  if (!value.is_number_float())
    return value.dump();
  double number = value.get<double>();
  if (std::isnan(number))
    return "nan";
  if (std::isinf(number))
    return number < 0 ? "-inf" : "inf";
  std::string text = fmt::format("{}", number);
  return text.find_first_of(".e") == text.npos ? text + ".0" : text;
}

std::string printed(const Value &value, bool quoted) {
  if (value.is_discarded())
    return {};
  if (value.is_null())
    return "None";
  if (value.is_boolean())
    return value.get<bool>() ? "True" : "False";
  if (value.is_number())
    return numberText(value);
  if (const auto *text = value.get_ptr<const std::string *>()) {
    if (!quoted)
      return *text;
    char quote = text->find('\'') != text->npos && text->find('"') == text->npos ? '"' : '\'';
    std::string out(1, quote);
    for (char c : *text) {
      if (c == quote || c == '\\')
        out += '\\';
      out += c == '\n' ? "\\n" : c == '\t' ? "\\t" : c == '\r' ? "\\r" : std::string(1, c);
    }
    return out + quote;
  }
  std::string out;
  for (const auto &[key, member] : value.items()) {
    if (!out.empty())
      out += ", ";
    if (value.is_object())
      out += printed(Value(key), true) + ": ";
    out += printed(member, true);
  }
  return value.is_array() ? "[" + out + "]" : "{" + out + "}";
}

std::string toJson(const Value &value, int indent, int level) {
  if (value.is_discarded())
    return "null";
  if (value.is_number())
    return numberText(value);
  if (!value.is_structured() || value.empty())
    return value.dump(-1, ' ', false, Value::error_handler_t::replace);
  bool lines = indent >= 0;
  std::string space =
      lines ? "\n" + std::string(static_cast<size_t>(indent * (level + 1)), ' ') : "";
  std::string out;
  for (const auto &[key, member] : value.items()) {
    out += out.empty() ? space : (lines ? "," : ", ") + space;
    if (value.is_object())
      out += Value(key).dump(-1, ' ', false, Value::error_handler_t::replace) + ": ";
    out += toJson(member, indent, level + 1);
  }
  if (lines)
    out += "\n" + std::string(static_cast<size_t>(indent * level), ' ');
  return value.is_array() ? "[" + out + "]" : "{" + out + "}";
}

size_t sizeOf(const Value &value) {
  if (const auto *text = value.get_ptr<const std::string *>())
    return sizeof(Value) + text->size();
  size_t size = sizeof(Value);
  if (value.is_structured())
    for (const auto &[key, member] : value.items())
      size += key.size() + sizeOf(member);
  return size;
}

size_t lengthOf(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += decodeUtf8(text, at).length)
    ++count;
  return count;
}

std::string_view codePoints(std::string_view text, size_t begin, size_t end) {
  size_t at = 0, count = 0, first = text.size(), last = text.size();
  for (; at < text.size(); at += decodeUtf8(text, at).length, ++count) {
    if (count == begin)
      first = at;
    if (count == end)
      last = at;
  }
  return first < last ? text.substr(first, last - first) : std::string_view();
}

std::string trimmed(std::string_view text, std::string_view drop, bool left, bool right) {
  if (left)
    text.remove_prefix(std::min(text.find_first_not_of(drop), text.size()));
  if (right)
    text = text.substr(0, text.find_last_not_of(drop) + 1);
  return std::string(text);
}

// --- Operations ----------------------------------------------------------------------------------

static Outcome cannot(std::string_view op, const Value &a, const Value &b) {
  return {undefined(), fmt::format("'{}' of {} and {}", op, kindOf(a), kindOf(b))};
}

static Outcome contains(const Value &needle, const Value &hay) {
  if (hay.is_string() && needle.is_string())
    return {hay.get_ref<const std::string &>().find(needle.get_ref<const std::string &>()) !=
                std::string::npos,
            {}};
  if (hay.is_object())
    return {needle.is_string() && hay.contains(needle.get_ref<const std::string &>()), {}};
  if (!hay.is_array())
    return {undefined(), fmt::format("'in' needs a string, list or mapping, not {}", kindOf(hay))};
  for (const Value &element : hay)
    if (isEqual(element, needle))
      return {true, {}};
  return {false, {}};
}

static Outcome compare(std::string_view op, const Value &a, const Value &b) {
  int order = 0;
  if (a.is_number() && b.is_number()) {
    double x = a.get<double>(), y = b.get<double>();
    order = x < y ? -1 : x > y ? 1 : 0;
  } else if (a.is_string() && b.is_string()) {
    order = a.get_ref<const std::string &>().compare(b.get_ref<const std::string &>());
  } else {
    return cannot(op, a, b);
  }
  bool result = op == "<"    ? order < 0
                : op == ">"  ? order > 0
                : op == "<=" ? order <= 0
                             : order >= 0;
  return {result, {}};
}

/// Integers as Python divides them: towards minus infinity.
static Outcome integers(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+")
    overflow = __builtin_add_overflow(a, b, &result);
  else if (op == "-")
    overflow = __builtin_sub_overflow(a, b, &result);
  else if (op == "*")
    overflow = __builtin_mul_overflow(a, b, &result);
  else if (b == 0)
    return {undefined(), "division by zero"};
  else if (b == -1)
    overflow = op == "%" ? (result = 0, false) : __builtin_sub_overflow(int64_t(0), a, &result);
  else {
    int64_t rest = a % b;
    bool down = rest != 0 && (rest < 0) != (b < 0);
    result = op == "%" ? rest + (down ? b : 0) : a / b - (down ? 1 : 0);
  }
  if (overflow)
    return {undefined(), "an integer is too large"};
  return {result, {}};
}

static Outcome arithmetic(std::string_view op, const Value &a, const Value &b) {
  if (a.is_number_integer() && b.is_number_integer() && op != "/")
    return integers(op, a.get<int64_t>(), b.get<int64_t>());
  double x = a.get<double>(), y = b.get<double>();
  if (op == "+")
    return {x + y, {}};
  if (op == "-")
    return {x - y, {}};
  if (op == "*")
    return {x * y, {}};
  if (y == 0)
    return {undefined(), "division by zero"};
  if (op == "/")
    return {x / y, {}};
  double quotient = std::floor(x / y);
  return {op == "%" ? x - quotient * y : quotient, {}};
}

Outcome binaryOperation(std::string_view op, const Value &a, const Value &b) {
  if (op == "==" || op == "!=")
    return {isEqual(a, b) == (op == "=="), {}};
  if (op == "in")
    return contains(a, b);
  if (op == "not in") {
    Outcome found = contains(a, b);
    return found.failure ? found : Outcome{!found.value.get<bool>(), {}};
  }
  if (op == "<" || op == ">" || op == "<=" || op == ">=")
    return compare(op, a, b);
  if (op == "~")
    return {printed(a) + printed(b), {}};
  if (a.is_number() && b.is_number())
    return arithmetic(op, a, b);
  if (op == "+" && a.is_string() && b.is_string())
    return {a.get_ref<const std::string &>() + b.get_ref<const std::string &>(), {}};
  if (op == "+" && a.is_array() && b.is_array()) {
    Value joined = a;
    joined.insert(joined.end(), b.begin(), b.end());
    return {std::move(joined), {}};
  }
  return cannot(op, a, b);
}

} // namespace levin::text::jinja
