// The syntax tree of a template; only the parser and the interpreter need this.
#ifndef LEVIN_RUNTIME_TEXT_JINJASYNTAX_H
#define LEVIN_RUNTIME_TEXT_JINJASYNTAX_H

#include "runtime/text/Jinja.h"

#include <string>
#include <vector>

namespace levin::text::jinja {

struct Expression {
  enum class Kind {
    Literal,   // literal
    Name,      // text
    List,      // parts
    Dict,      // key and value by turns
    Attribute, // parts[0].text
    Index,     // parts[0][parts[1]]
    Slice,     // parts[0][parts[1]:parts[2]], either may be an absent literal
    Call,      // text(parts..) with names for keyword arguments
    Method,    // parts[0].text(parts[1..])
    Filter,    // parts[0] | text(parts[1..])
    Test,      // parts[0] is text(parts[1..])
    Unary,     // text parts[0]
    Binary,    // parts[0] text parts[1]
    Choice     // parts[1] if parts[0] else parts[2]
  };
  Kind kind = Kind::Literal;
  int line = 0;
  std::string text;
  Value literal;
  std::vector<Expression> parts;
  std::vector<std::string> names; // of keyword arguments, for the last names.size() of parts
};

struct Statement {
  enum class Kind {
    Text,     // text
    Output,   // value
    If,       // branches: condition and body; a branch without condition is the else
    For,      // targets in value, if filter; body, otherwise
    Set,      // targets[0] (or an attribute of it, text) = value
    SetBlock, // targets[0] = rendered body
    Break,
    Continue
  };
  struct Branch {
    std::vector<Expression> condition; // one or none
    std::vector<Statement> body;
  };
  Kind kind = Kind::Text;
  int line = 0;
  std::string text;
  Expression value;
  std::vector<Expression> filter; // one or none
  std::vector<std::string> targets;
  std::vector<Branch> branches; // If; For: the body, then the else
};

/// The value of what is not there.
inline Value undefined() { return Value(Value::value_t::discarded); }

struct Template::Program {
  std::string where;
  std::vector<Statement> body;
};

/// LV1022 about a line of a template.
template <typename... Args>
Status failAt(const std::string &where, int line, fmt::format_string<Args...> format,
              Args &&...args) {
  return makeError(ErrorCode::ChatTemplate, "{}: line {}: {}", where, line,
                   fmt::format(format, std::forward<Args>(args)...));
}

/// Parses `source`; `where` names it.
Result<std::vector<Statement>> parseTemplate(std::string_view source, const std::string &where);

} // namespace levin::text::jinja

#endif // LEVIN_RUNTIME_TEXT_JINJASYNTAX_H
