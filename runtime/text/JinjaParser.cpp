#include "runtime/text/JinjaLexer.h"
#include "runtime/text/JinjaSyntax.h"

#include <algorithm>
#include <charconv>

namespace levin::text::jinja {

static constexpr int maxDepth = 60;
// Operators in one tag: a chain of operators makes a tree as deep as it is long.
static constexpr size_t maxOperators = 500;

namespace {
class Parser {
public:
  Parser(std::vector<Token> tokens, const std::string &where)
      : tokens(std::move(tokens)), where(where) {}

  Result<std::vector<Statement>> run() {
    std::vector<Statement> body;
    LEVIN_RETURN_IF_ERROR(block(body, {}));
    return body;
  }

private:
  using Kind = Expression::Kind;
  const Token &now() const { return tokens[at]; }
  bool isName(std::string_view text) const {
    return now().kind == Token::Kind::Name && now().text == text;
  }
  bool isOperator(std::string_view text) const {
    return now().kind == Token::Kind::Operator && now().text == text;
  }
  bool take(std::string_view text) {
    if (!isName(text) && !isOperator(text))
      return false;
    ++at;
    return true;
  }
  Status fail(std::string_view what) const { return failAt(where, now().line, "{}", what); }
  Status expect(std::string_view text) {
    return take(text) ? Status() : failAt(where, now().line, "'{}' is missing", text);
  }
  Status endTag() {
    if (now().kind != Token::Kind::StatementEnd)
      return failAt(where, now().line, "'{}' is not expected here", now().text);
    ++at;
    return {};
  }
  Expression make(Kind kind, std::string text = {}) const {
    Expression out;
    out.kind = kind;
    out.line = now().line;
    out.text = std::move(text);
    return out;
  }

  // --- Statements ---

  /// Statements up to a tag whose word is in `ends`, which is left to be read.
  Status block(std::vector<Statement> &body, std::vector<std::string_view> ends) {
    if (++depth > maxDepth)
      return fail("tags are nested too deeply");
    while (true) {
      const Token &token = now();
      operators = 0;
      if (token.kind == Token::Kind::End) {
        if (!ends.empty())
          return failAt(where, token.line, "the tag '{}' is missing", ends.back());
        break;
      }
      if (token.kind == Token::Kind::StatementBegin) {
        const Token &word = tokens[at + 1];
        if (std::find(ends.begin(), ends.end(), word.text) != ends.end())
          break;
        LEVIN_RETURN_IF_ERROR(statement(body));
        continue;
      }
      Statement out;
      out.line = token.line;
      ++at;
      if (token.kind == Token::Kind::Text) {
        out.text = token.text;
      } else {
        out.kind = Statement::Kind::Output;
        LEVIN_RETURN_IF_ERROR(expression(out.value));
        if (now().kind != Token::Kind::OutputEnd)
          return failAt(where, now().line, "'{}' is not expected here", now().text);
        ++at;
      }
      body.push_back(std::move(out));
    }
    --depth;
    return {};
  }

  Status statement(std::vector<Statement> &body) {
    ++at;
    Statement out;
    out.line = now().line;
    std::string word = now().text;
    if (now().kind != Token::Kind::Name)
      return fail("a tag begins with a word");
    ++at;
    if (word == "if") {
      LEVIN_RETURN_IF_ERROR(ifStatement(out));
    } else if (word == "for") {
      LEVIN_RETURN_IF_ERROR(forStatement(out));
    } else if (word == "set") {
      LEVIN_RETURN_IF_ERROR(setStatement(out));
    } else if (word == "break" || word == "continue") {
      if (loops == 0)
        return failAt(where, out.line, "'{}' outside a loop", word);
      out.kind = word == "break" ? Statement::Kind::Break : Statement::Kind::Continue;
      LEVIN_RETURN_IF_ERROR(endTag());
    } else if (word == "generation" || word == "endgeneration") {
      // Marks what training looks at; says nothing about the text.
      return endTag();
    } else {
      return failAt(where, out.line, "the tag '{}' is not supported", word);
    }
    body.push_back(std::move(out));
    return {};
  }

  Status ifStatement(Statement &out) {
    out.kind = Statement::Kind::If;
    bool open = true, more = true;
    while (open) {
      auto &branch = out.branches.emplace_back();
      if (more)
        LEVIN_RETURN_IF_ERROR(expression(branch.condition.emplace_back()));
      LEVIN_RETURN_IF_ERROR(endTag());
      std::vector<std::string_view> ends = {"endif"};
      if (more)
        ends = {"elif", "else", "endif"};
      LEVIN_RETURN_IF_ERROR(block(branch.body, ends));
      ++at;
      more = isName("elif");
      open = more || isName("else");
      ++at;
    }
    return endTag();
  }

  Status forStatement(Statement &out) {
    out.kind = Statement::Kind::For;
    do {
      if (now().kind != Token::Kind::Name)
        return fail("a loop needs a name");
      out.targets.push_back(now().text);
      ++at;
    } while (take(","));
    LEVIN_RETURN_IF_ERROR(expect("in"));
    LEVIN_RETURN_IF_ERROR(disjunction(out.value)); // without "if": that filters
    if (take("if"))
      LEVIN_RETURN_IF_ERROR(expression(out.filter.emplace_back()));
    if (isName("recursive"))
      return fail("recursive loops are not supported");
    LEVIN_RETURN_IF_ERROR(endTag());
    ++loops;
    LEVIN_RETURN_IF_ERROR(block(out.branches.emplace_back().body, {"else", "endfor"}));
    --loops;
    ++at;
    if (take("else")) {
      LEVIN_RETURN_IF_ERROR(endTag());
      LEVIN_RETURN_IF_ERROR(block(out.branches.emplace_back().body, {"endfor"}));
      ++at;
    }
    ++at;
    return endTag();
  }

  Status setStatement(Statement &out) {
    if (now().kind != Token::Kind::Name)
      return fail("'set' needs a name");
    out.targets.push_back(now().text);
    ++at;
    if (take(".")) {
      out.text = now().text;
      if (now().kind != Token::Kind::Name)
        return fail("'set' needs a name");
      ++at;
    }
    if (isOperator(","))
      return fail("'set' of several names is not supported");
    if (take("=")) {
      out.kind = Statement::Kind::Set;
      LEVIN_RETURN_IF_ERROR(expression(out.value));
      return endTag();
    }
    out.kind = Statement::Kind::SetBlock;
    LEVIN_RETURN_IF_ERROR(endTag());
    LEVIN_RETURN_IF_ERROR(block(out.branches.emplace_back().body, {"endset"}));
    at += 2;
    return endTag();
  }

  // --- Expressions, from the loosest operator to the tightest ---

  Status expression(Expression &out) {
    LEVIN_RETURN_IF_ERROR(disjunction(out));
    if (!isName("if"))
      return {};
    Expression choice = make(Kind::Choice);
    ++at;
    choice.parts.resize(3);
    LEVIN_RETURN_IF_ERROR(disjunction(choice.parts[0]));
    choice.parts[1] = std::move(out);
    if (take("else"))
      LEVIN_RETURN_IF_ERROR(expression(choice.parts[2]));
    else
      choice.parts[2].literal = undefined();
    out = std::move(choice);
    return {};
  }

  using Level = Status (Parser::*)(Expression &);

  Status binary(Expression &out, Level tighter, std::vector<std::string_view> operators) {
    LEVIN_RETURN_IF_ERROR((this->*tighter)(out));
    while (true) {
      auto found = std::find_if(operators.begin(), operators.end(),
                                [&](std::string_view op) { return isName(op) || isOperator(op); });
      if (found == operators.end())
        return {};
      Expression node = make(Kind::Binary, std::string(*found));
      ++at;
      node.parts.push_back(std::move(out));
      LEVIN_RETURN_IF_ERROR((this->*tighter)(node.parts.emplace_back()));
      out = std::move(node);
      LEVIN_RETURN_IF_ERROR(count());
    }
  }

  Status count() {
    return ++operators > maxOperators ? fail("the tag has too many operators") : Status();
  }

  Status disjunction(Expression &out) {
    if (++depth > maxDepth)
      return fail("expressions are nested too deeply");
    LEVIN_RETURN_IF_ERROR(binary(out, &Parser::conjunction, {"or"}));
    --depth;
    return {};
  }
  Status conjunction(Expression &out) { return binary(out, &Parser::negation, {"and"}); }

  Status negation(Expression &out) {
    if (!isName("not"))
      return comparison(out);
    out = make(Kind::Unary, "not");
    ++at;
    if (++depth > maxDepth)
      return fail("expressions are nested too deeply");
    LEVIN_RETURN_IF_ERROR(negation(out.parts.emplace_back()));
    --depth;
    return {};
  }

  Status comparison(Expression &out) {
    LEVIN_RETURN_IF_ERROR(sum(out));
    while (true) {
      std::string op;
      for (std::string_view candidate : {"==", "!=", "<=", ">=", "<", ">", "in"})
        if (op.empty() && (isOperator(candidate) || isName(candidate)))
          op = candidate;
      if (isName("not") && tokens[at + 1].text == "in") {
        op = "not in";
        ++at;
      }
      if (op.empty())
        return {};
      Expression node = make(Kind::Binary, op);
      ++at;
      node.parts.push_back(std::move(out));
      LEVIN_RETURN_IF_ERROR(sum(node.parts.emplace_back()));
      out = std::move(node);
      LEVIN_RETURN_IF_ERROR(count());
    }
  }

  Status sum(Expression &out) { return binary(out, &Parser::concatenation, {"+", "-"}); }
  Status concatenation(Expression &out) { return binary(out, &Parser::product, {"~"}); }
  Status product(Expression &out) { return binary(out, &Parser::unary, {"*", "//", "/", "%"}); }

  Status unary(Expression &out) {
    if (!isOperator("-") && !isOperator("+"))
      return filtered(out);
    out = make(Kind::Unary, now().text);
    ++at;
    if (++depth > maxDepth)
      return fail("expressions are nested too deeply");
    LEVIN_RETURN_IF_ERROR(unary(out.parts.emplace_back()));
    --depth;
    return {};
  }

  Status filtered(Expression &out) {
    LEVIN_RETURN_IF_ERROR(postfix(out));
    while (isOperator("|") || isName("is")) {
      bool filter = isOperator("|");
      ++at;
      bool negated = !filter && take("not");
      if (now().kind != Token::Kind::Name)
        return fail(filter ? "a filter needs a name" : "a test needs a name");
      Expression node = make(filter ? Kind::Filter : Kind::Test, now().text);
      ++at;
      node.parts.push_back(std::move(out));
      if (take("("))
        LEVIN_RETURN_IF_ERROR(arguments(node));
      out = std::move(node);
      LEVIN_RETURN_IF_ERROR(count());
      if (negated) {
        Expression outer = make(Kind::Unary, "not");
        outer.parts.push_back(std::move(out));
        out = std::move(outer);
      }
    }
    return {};
  }

  /// What stands between parentheses, up to and with the closing one.
  Status arguments(Expression &call) {
    while (!take(")")) {
      bool named = now().kind == Token::Kind::Name &&
                   tokens[at + 1].kind == Token::Kind::Operator && tokens[at + 1].text == "=";
      if (named) {
        call.names.push_back(now().text);
        at += 2;
      } else if (!call.names.empty()) {
        return fail("a plain argument follows a named one");
      }
      LEVIN_RETURN_IF_ERROR(expression(call.parts.emplace_back()));
      if (!isOperator(")"))
        LEVIN_RETURN_IF_ERROR(expect(","));
    }
    return {};
  }

  Status postfix(Expression &out) {
    LEVIN_RETURN_IF_ERROR(primary(out));
    while (true) {
      if (isOperator(".") || isOperator("["))
        LEVIN_RETURN_IF_ERROR(count());
      if (take(".")) {
        if (now().kind != Token::Kind::Name && now().kind != Token::Kind::Number)
          return fail("'.' needs a name");
        Expression node = make(Kind::Attribute, now().text);
        ++at;
        bool method = take("(");
        if (method)
          node.kind = Kind::Method;
        node.parts.push_back(std::move(out));
        if (method)
          LEVIN_RETURN_IF_ERROR(arguments(node));
        out = std::move(node);
      } else if (take("[")) {
        LEVIN_RETURN_IF_ERROR(subscript(out));
      } else if (isOperator("(")) {
        if (out.kind != Kind::Name)
          return fail("only functions by name and methods can be called");
        ++at;
        out.kind = Kind::Call;
        LEVIN_RETURN_IF_ERROR(arguments(out));
      } else {
        return {};
      }
    }
  }

  Status subscript(Expression &out) {
    Expression node = make(Kind::Index);
    node.parts.push_back(std::move(out));
    Expression first = make(Kind::Literal), second = first;
    first.literal = second.literal = undefined();
    if (!isOperator(":"))
      LEVIN_RETURN_IF_ERROR(expression(first));
    node.parts.push_back(std::move(first));
    if (take(":")) {
      node.kind = Kind::Slice;
      if (!isOperator("]") && !isOperator(":"))
        LEVIN_RETURN_IF_ERROR(expression(second));
      node.parts.push_back(std::move(second));
      if (take(":")) {
        Expression step = make(Kind::Literal);
        step.literal = undefined();
        if (!isOperator("]"))
          LEVIN_RETURN_IF_ERROR(expression(step));
        node.parts.push_back(std::move(step));
      }
    }
    out = std::move(node);
    return expect("]");
  }

  Status primary(Expression &out) {
    const Token &token = now();
    out = make(Kind::Literal);
    switch (token.kind) {
    case Token::Kind::String: {
      std::string text;
      for (; now().kind == Token::Kind::String; ++at)
        text += now().text;
      out.literal = std::move(text);
      return {};
    }
    case Token::Kind::Number:
      ++at;
      return number(token, out);
    case Token::Kind::Name:
      ++at;
      return name(token, out);
    default:
      break;
    }
    if (take("("))
      return parenthesised(out);
    if (take("["))
      return listOf(out);
    if (take("{"))
      return dictOf(out);
    return failAt(where, token.line, "a value is expected, not '{}'",
                  token.text.empty() ? "the end of the tag" : token.text);
  }

  Status number(const Token &token, Expression &out) {
    const char *begin = token.text.data(), *end = begin + token.text.size();
    int64_t integer = 0;
    double real = 0;
    if (auto [p, e] = std::from_chars(begin, end, integer); e == std::errc() && p == end)
      out.literal = integer;
    else if (auto [q, f] = std::from_chars(begin, end, real); f == std::errc() && q == end)
      out.literal = real;
    else
      return failAt(where, token.line, "the number '{}' cannot be read", token.text);
    return {};
  }

  Status name(const Token &token, Expression &out) {
    const std::string &text = token.text;
    if (text == "true" || text == "True")
      out.literal = true;
    else if (text == "false" || text == "False")
      out.literal = false;
    else if (text == "none" || text == "None")
      out.literal = nullptr;
    else {
      out.kind = Kind::Name;
      out.text = text;
    }
    return {};
  }

  Status parenthesised(Expression &out) {
    if (take(")")) {
      out.kind = Kind::List;
      return {};
    }
    LEVIN_RETURN_IF_ERROR(expression(out));
    if (!isOperator(","))
      return expect(")");
    Expression tuple = make(Kind::List);
    tuple.parts.push_back(std::move(out));
    while (take(","))
      if (!isOperator(")"))
        LEVIN_RETURN_IF_ERROR(expression(tuple.parts.emplace_back()));
    out = std::move(tuple);
    return expect(")");
  }

  Status listOf(Expression &out) {
    out.kind = Kind::List;
    while (!take("]")) {
      LEVIN_RETURN_IF_ERROR(expression(out.parts.emplace_back()));
      if (!isOperator("]"))
        LEVIN_RETURN_IF_ERROR(expect(","));
    }
    return {};
  }

  Status dictOf(Expression &out) {
    out.kind = Kind::Dict;
    while (!take("}")) {
      LEVIN_RETURN_IF_ERROR(expression(out.parts.emplace_back()));
      LEVIN_RETURN_IF_ERROR(expect(":"));
      LEVIN_RETURN_IF_ERROR(expression(out.parts.emplace_back()));
      if (!isOperator("}"))
        LEVIN_RETURN_IF_ERROR(expect(","));
    }
    return {};
  }

  std::vector<Token> tokens;
  const std::string &where;
  size_t at = 0, operators = 0;
  int depth = 0, loops = 0;
};
} // namespace

Result<std::vector<Statement>> parseTemplate(std::string_view source, const std::string &where) {
  LEVIN_ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(source, where));
  return Parser(std::move(tokens), where).run();
}

} // namespace levin::text::jinja
