#include "runtime/text/RegexSyntax.h"

#include "runtime/text/Utf8.h"

#include <algorithm>
#include <vector>

namespace levin::text {

// What Oniguruma takes for a word character, and a hexadecimal digit, as contents of a set.
static constexpr std::string_view wordSet = "\\p{L}\\p{M}\\p{Nd}\\p{Nl}\\p{Pc}";
static constexpr std::string_view hexSet = "0-9A-Fa-f";

namespace {
class Translator {
public:
  Translator(std::string_view pattern, std::string_view where) : in(pattern), where(where) {}

  Result<std::string> run() {
    while (at < in.size())
      LEVIN_RETURN_IF_ERROR(inSet ? setItem() : item());
    return std::move(out);
  }

private:
  Status refuse(std::string_view what) const {
    return makeError(ErrorCode::TokenizerKind, "{}: the pattern uses {}", where, what)
        .note("where", fmt::format("byte {} of the pattern", at));
  }
  bool next(std::string_view text) const { return in.substr(at, text.size()) == text; }
  void copy(size_t count) {
    out += in.substr(at, count);
    at += count;
  }

  /// \x at the current place, in a set or outside.
  Status escape() {
    char kind = at + 1 < in.size() ? in[at + 1] : '\0';
    if (kind != 'w' && kind != 'W' && kind != 'h' && kind != 'H') {
      size_t length = kind == '\0' ? 1 : 1 + decodeUtf8(in, at + 1).length;
      // \p{..}, \x{..} and the like are one item.
      if (kind != '\0' && in.substr(at + 2, 1) == "{" &&
          std::string_view("pPxkgN").find(kind) != std::string_view::npos)
        length = std::min(in.find('}', at), in.size() - 1) + 1 - at;
      copy(length);
      return {};
    }
    bool negated = kind == 'W' || kind == 'H';
    if (negated && inSet)
      return refuse("\\W or \\H in a set");
    std::string_view set = kind == 'w' || kind == 'W' ? wordSet : hexSet;
    out += inSet ? std::string(set) : fmt::format("[{}{}]", negated ? "^" : "", set);
    at += 2;
    return {};
  }

  Status setItem() {
    if (in[at] == '\\')
      return escape();
    if (next("&&"))
      return refuse("an intersection of sets (&&)");
    if (in[at] == '[') {
      size_t end = next("[:") ? in.find(":]", at) : in.npos;
      if (end == in.npos)
        return refuse("a set within a set");
      copy(end + 2 - at);
      return {};
    }
    inSet = in[at] != ']';
    copy(1);
    return {};
  }

  Status item() {
    if (in[at] == '{')
      return interval();
    atom = out.size();
    if (in[at] == '\\')
      return escape();
    if (in[at] == ')' && !groups.empty()) {
      atom = groups.back();
      groups.pop_back();
    }
    if (in[at] == '(')
      groups.push_back(out.size());
    if (in[at] == '[') {
      inSet = true;
      copy(next("[^") ? 2 : 1);
      if (next("]")) // first in a set it stands for itself
        copy(1);
      return {};
    }
    if (next("(?"))
      return group();
    copy(decodeUtf8(in, at).length);
    return {};
  }

  Status group() {
    // In Ruby m lets the dot match line ends, in PCRE2 it changes ^ and $.
    for (size_t i = at + 2; i < in.size() && ((in[i] >= 'a' && in[i] <= 'z') || in[i] == '-'); ++i)
      if (in[i] == 'm')
        return refuse("the option (?m)");
    copy(2);
    return {};
  }

  Status interval() {
    size_t end = at + 1;
    while (end < in.size() && ((in[end] >= '0' && in[end] <= '9') || in[end] == ','))
      ++end;
    if (end == at + 1 || end == in.size() || in[end] != '}') {
      copy(1);
      return {};
    }
    std::string_view bounds = in.substr(at + 1, end - at - 1);
    out += fmt::format("{{{}{}}}", bounds[0] == ',' ? "0" : "", bounds);
    at = end + 1;
    if (next("+")) {
      out.insert(atom, "(?:");
      out += ")+";
      ++at;
    }
    return {};
  }

  std::string_view in, where;
  std::string out;
  size_t at = 0;
  size_t atom = 0;            // in `out`: what a quantifier here is about
  std::vector<size_t> groups; // in `out`: the groups that are open
  bool inSet = false;
};
} // namespace

Result<std::string> pcreSyntax(std::string_view pattern, std::string_view where) {
  return Translator(pattern, where).run();
}

} // namespace levin::text
