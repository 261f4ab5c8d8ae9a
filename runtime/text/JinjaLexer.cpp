#include "runtime/text/JinjaLexer.h"

#include "runtime/text/JinjaSyntax.h"

#include <algorithm>

namespace levin::text::jinja {

static constexpr size_t maxSourceBytes = 1 << 20;
static constexpr std::string_view spaces = " \t\n\r\f\v";

static bool isNameStart(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}
static bool isDigit(char c) { return c >= '0' && c <= '9'; }

namespace {
class Lexer {
public:
  Lexer(std::string_view source, const std::string &where) : in(source), where(where) {}

  Result<std::vector<Token>> run() {
    // One line end at the very end does not count.
    if (in.ends_with('\n'))
      in.remove_suffix(in.ends_with("\r\n") ? 2 : 1);
    while (at < in.size())
      LEVIN_RETURN_IF_ERROR(textAndTag());
    add(Token::Kind::End, "");
    return std::move(tokens);
  }

private:
  bool next(std::string_view text) const { return in.substr(at, text.size()) == text; }
  void add(Token::Kind kind, std::string text) { tokens.push_back({kind, std::move(text), line}); }
  void skip(size_t count) {
    line += static_cast<int>(std::count(in.begin() + static_cast<ptrdiff_t>(at),
                                        in.begin() + static_cast<ptrdiff_t>(at + count), '\n'));
    at += count;
  }

  /// Where the next tag begins.
  size_t findTag() const {
    for (size_t i = at; i + 1 < in.size(); ++i)
      if (in[i] == '{' && (in[i + 1] == '%' || in[i + 1] == '{' || in[i + 1] == '#'))
        return i;
    return in.size();
  }

  /// Takes the white space away that the tag at `tag` strips from the text before it.
  std::string_view stripped(std::string_view text, size_t tag) const {
    char mark = tag + 2 < in.size() ? in[tag + 2] : '\0';
    if (mark == '-')
      return text.substr(0, text.find_last_not_of(spaces) + 1);
    if (mark == '+' || tag >= in.size() || in[tag + 1] == '{')
      return text;
    size_t lineBegin = text.rfind('\n') + 1; // 0 if there is none
    bool ownLine = text.find_first_not_of(" \t", lineBegin) == text.npos &&
                   (lineBegin != 0 || tokens.empty() || text.size() == tag);
    return ownLine ? text.substr(0, lineBegin) : text;
  }

  Status textAndTag() {
    size_t tag = findTag();
    std::string_view text = stripped(in.substr(at, tag - at), tag);
    if (!text.empty())
      add(Token::Kind::Text, std::string(text));
    skip(tag - at);
    if (at >= in.size())
      return {};
    if (in[at + 1] == '#')
      return comment();
    bool statement = in[at + 1] == '%';
    add(statement ? Token::Kind::StatementBegin : Token::Kind::OutputBegin, "");
    int begin = line;
    skip(2);
    if (next("-") || next("+"))
      skip(1);
    std::string_view close = statement ? "%}" : "}}";
    depth = 0;
    while (true) {
      skip(std::min(in.find_first_not_of(spaces, at), in.size()) - at);
      if (at >= in.size())
        return failAt(where, begin, "the tag is not closed");
      bool marked = (next("-") || next("+")) && in.substr(at + 1, 2) == close;
      if (depth == 0 && (marked || next(close))) {
        add(statement ? Token::Kind::StatementEnd : Token::Kind::OutputEnd, "");
        char mark = marked ? in[at] : '\0';
        skip(marked ? 3 : 2);
        afterTag(mark, statement);
        return {};
      }
      LEVIN_RETURN_IF_ERROR(word());
    }
  }

  /// The white space that a tag strips from the text after it.
  void afterTag(char mark, bool trimLine) {
    if (mark == '-')
      skip(std::min(in.find_first_not_of(spaces, at), in.size()) - at);
    else if (trimLine && mark != '+')
      skip(next("\r\n") ? 2 : next("\n") ? 1 : 0);
  }

  Status comment() {
    size_t end = in.find("#}", at + 2);
    if (end == in.npos)
      return failAt(where, line, "the comment is not closed");
    char mark = in[end - 1];
    skip(end + 2 - at);
    afterTag(mark, true);
    return {};
  }

  Status word() {
    char c = in[at];
    if (isNameStart(c)) {
      size_t end = at;
      while (end < in.size() && (isNameStart(in[end]) || isDigit(in[end])))
        ++end;
      add(Token::Kind::Name, std::string(in.substr(at, end - at)));
      at = end;
      return {};
    }
    if (isDigit(c)) {
      size_t end = at;
      while (end < in.size() &&
             (isDigit(in[end]) || (in[end] == '.' && end + 1 < in.size() && isDigit(in[end + 1]))))
        ++end;
      add(Token::Kind::Number, std::string(in.substr(at, end - at)));
      at = end;
      return {};
    }
    if (c == '\'' || c == '"')
      return string();
    for (std::string_view op : {"==", "!=", "<=", ">=", "//", "**"})
      if (next(op)) {
        add(Token::Kind::Operator, std::string(op));
        at += 2;
        return {};
      }
    if (std::string_view("+-*/%~<>=|.,:()[]{}").find(c) == std::string_view::npos)
      return failAt(where, line, "'{}' cannot stand in a tag", c);
    if (c == '(' || c == '[' || c == '{')
      ++depth;
    if ((c == ')' || c == ']' || c == '}') && depth > 0)
      --depth;
    add(Token::Kind::Operator, std::string(1, c));
    ++at;
    return {};
  }

  Status string() {
    char quote = in[at];
    int begin = line;
    std::string value;
    skip(1);
    while (at < in.size() && in[at] != quote) {
      if (in[at] != '\\' || at + 1 >= in.size()) {
        value += in[at];
        skip(1);
        continue;
      }
      static constexpr std::string_view letters = "nrtbf\\'\"", meanings = "\n\r\t\b\f\\'\"";
      char letter = in[at + 1];
      if (letter == 'u' || letter == 'U' || letter == 'x' || letter == 'N')
        return failAt(where, line, "the escape \\{} is not supported", letter);
      size_t place = letters.find(letter);
      if (place == letters.npos)
        value += '\\'; // as Python does
      value += place == letters.npos ? letter : meanings[place];
      skip(2);
    }
    if (at >= in.size())
      return failAt(where, begin, "the string is not closed");
    skip(1);
    add(Token::Kind::String, std::move(value));
    return {};
  }

  std::string_view in;
  const std::string &where;
  std::vector<Token> tokens;
  size_t at = 0;
  int line = 1;
  int depth = 0; // of brackets within a tag
};
} // namespace

Result<std::vector<Token>> tokenize(std::string_view source, const std::string &where) {
  if (source.size() > maxSourceBytes)
    return makeError(ErrorCode::ChatTemplate, "{}: the template is larger than {} bytes", where,
                     maxSourceBytes);
  return Lexer(source, where).run();
}

} // namespace levin::text::jinja
