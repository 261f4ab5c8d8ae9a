#include "tools/common/Nesting.h"

#include <algorithm>

namespace levin::tool {

// How deep brackets of `text` lie in one another.  Arrows and comparisons are no brackets.
static size_t nestingOf(std::string_view text) {
  size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i], before = i ? text[i - 1] : ' ';
    if (quoted) {
      i += c == '\\'; // skips what is escaped
      quoted = c != '"' && c != '\n';
      continue;
    }
    quoted = c == '"';
    if (c == '/' && before == '/') {
      size_t end = text.find('\n', i);
      i = end == std::string_view::npos ? text.size() - 1 : end;
    } else if (c == '(' || c == '[' || c == '{' ||
               (c == '<' && !text.substr(i).starts_with("<="))) {
      deepest = std::max(deepest, ++depth);
    } else if (c == ')' || c == ']' || c == '}' || (c == '>' && before != '-' && before != '=')) {
      depth -= depth > 0;
    }
  }
  return deepest;
}

Status checkNesting(std::string_view text, std::string_view path) {
  constexpr size_t deepest = 1000;
  if (text.starts_with("ML\xefR")) // bytecode, which has no brackets
    return {};
  size_t nesting = nestingOf(text);
  if (nesting <= deepest)
    return {};
  return makeError(ErrorCode::IrSyntax, "'{}' nests too deep", path)
      .note("have", fmt::format("{} brackets within one another", nesting))
      .note("need", fmt::format("at most {}", deepest));
}

} // namespace levin::tool
