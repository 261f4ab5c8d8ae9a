#include "runtime/text/PreTokenizer.h"

#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace levin::text {

static constexpr size_t maxSteps = 64;

// --- GPT-2's pattern -----------------------------------------------------------------------------

/// The length of a contraction ('s, 'll, ..) at `at`; 0 if there is none.
static size_t contractionAt(std::string_view text, size_t at) {
  for (std::string_view word : {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"})
    if (text.substr(at, word.size()) == word)
      return word.size();
  return 0;
}

static CharClass classAt(std::string_view text, size_t at) {
  return classOf(codePointAt(text, at).value);
}

/// The end of the run of code points of class `wanted` that begins at `at`.
static size_t runEnd(std::string_view text, size_t at, CharClass wanted) {
  while (at < text.size()) {
    auto [value, length] = codePointAt(text, at);
    if (classOf(value) != wanted)
      break;
    at += length;
  }
  return at;
}

/// The end of a run of white space from `at` on: without its last code point if something follows,
/// which may take that along (`\s+(?!\S)`), unless it is the only one (`\s+`).
static size_t spaceEnd(std::string_view text, size_t at) {
  size_t last = at, end = at;
  while (end < text.size()) {
    auto [value, length] = codePointAt(text, end);
    if (!isSpace(value))
      return last == at ? end : last;
    last = end;
    end += length;
  }
  return end;
}

std::vector<Span> splitByGpt2Pattern(std::string_view text) {
  std::vector<Span> pieces;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + contractionAt(text, at);
    if (end == at) {
      size_t body = at + (text[at] == ' ' ? 1 : 0);
      CharClass kind = body < text.size() ? classAt(text, body) : CharClass::Space;
      end = kind == CharClass::Space ? spaceEnd(text, at) : runEnd(text, body, kind);
    }
    pieces.push_back({at, end});
    at = end;
  }
  return pieces;
}

// --- Split ---------------------------------------------------------------------------------------

namespace {
struct Part {
  Span span;
  bool match;
};
} // namespace

/// Matches and what lies between, in order.
static std::vector<Part> partsOf(size_t size, const std::vector<Span> &matches, bool invert) {
  std::vector<Part> parts;
  size_t end = 0;
  for (const Span &match : matches) {
    if (match.begin > end)
      parts.push_back({{end, match.begin}, invert});
    parts.push_back({match, !invert});
    end = match.end;
  }
  if (end < size)
    parts.push_back({{end, size}, invert});
  return parts;
}

std::vector<Span> splitByMatches(size_t size, const std::vector<Span> &matches,
                                 SplitBehavior behavior, bool invert) {
  std::vector<Part> parts = partsOf(size, matches, invert);
  std::vector<Span> pieces;
  bool previous = false; // whether the part before was a match
  bool backwards = behavior == SplitBehavior::MergedWithNext;
  if (backwards)
    std::reverse(parts.begin(), parts.end());
  for (const auto &[span, match] : parts) {
    bool join = false;
    switch (behavior) {
    case SplitBehavior::Removed:
      if (match)
        continue;
      break;
    case SplitBehavior::Isolated:
      break;
    case SplitBehavior::MergedWithPrevious:
    case SplitBehavior::MergedWithNext:
      join = match && !previous;
      break;
    case SplitBehavior::Contiguous:
      join = match == previous;
      break;
    }
    previous = match;
    if (join && !pieces.empty())
      (backwards ? pieces.back().begin : pieces.back().end) = backwards ? span.begin : span.end;
    else
      pieces.push_back(span);
  }
  if (backwards)
    std::reverse(pieces.begin(), pieces.end());
  std::erase_if(pieces, [](const Span &piece) { return piece.begin == piece.end; });
  return pieces;
}

static std::vector<Span> findLiteral(std::string_view text, std::string_view literal) {
  std::vector<Span> found;
  for (size_t at = 0; (at = text.find(literal, at)) != text.npos; at += literal.size())
    found.push_back({at, at + literal.size()});
  return found;
}

static std::vector<Span> findDigits(std::string_view text) {
  std::vector<Span> found;
  for (size_t at = 0; at < text.size();) {
    auto [value, length] = codePointAt(text, at);
    if (classOf(value) == CharClass::Number)
      found.push_back({at, at + length});
    at += length;
  }
  return found;
}

// --- PreTokenizer --------------------------------------------------------------------------------

Status PreTokenizer::readSplit(const JsonValue &value, std::vector<Step> &steps) {
  Step step{};
  LEVIN_ASSIGN_OR_RETURN(JsonValue pattern, value.at("pattern"));
  if (auto regex = pattern.find("Regex")) {
    LEVIN_ASSIGN_OR_RETURN(std::string text, regex->asString());
    step.kind = Step::Kind::Regex;
    LEVIN_ASSIGN_OR_RETURN(step.regex,
                           Regex::compile(text, "tokenizer.json: '" + regex->path() + "'"));
  } else {
    step.kind = Step::Kind::Literal;
    LEVIN_ASSIGN_OR_RETURN(JsonValue literal, pattern.at("String"));
    LEVIN_ASSIGN_OR_RETURN(step.literal, literal.asString());
    if (step.literal.empty())
      return literal.error("is empty");
  }
  static constexpr std::pair<std::string_view, SplitBehavior> behaviors[] = {
      {"Removed", SplitBehavior::Removed},
      {"Isolated", SplitBehavior::Isolated},
      {"MergedWithPrevious", SplitBehavior::MergedWithPrevious},
      {"MergedWithNext", SplitBehavior::MergedWithNext},
      {"Contiguous", SplitBehavior::Contiguous}};
  LEVIN_ASSIGN_OR_RETURN(JsonValue behavior, value.at("behavior"));
  LEVIN_ASSIGN_OR_RETURN(std::string name, behavior.asString());
  auto *place = std::find_if(std::begin(behaviors), std::end(behaviors),
                             [&](const auto &entry) { return entry.first == name; });
  if (place == std::end(behaviors))
    return behavior.error("is no behavior of a Split").note("have", name);
  step.behavior = place->second;
  LEVIN_ASSIGN_OR_RETURN(step.invert, value.getBool("invert", false));
  steps.push_back(std::move(step));
  return {};
}

Status PreTokenizer::readSteps(const JsonValue &value, size_t depth, std::vector<Step> &steps) {
  LEVIN_ASSIGN_OR_RETURN(JsonValue type, value.at("type"));
  LEVIN_ASSIGN_OR_RETURN(std::string name, type.asString());
  if (steps.size() >= maxSteps || depth > 8)
    return value.error("is nested too deeply or too long");
  if (!steps.empty() && steps.back().kind == Step::Kind::ByteLevel)
    return makeError(ErrorCode::TokenizerKind,
                     "tokenizer.json: '{}' is a pre-tokenizer after ByteLevel", value.path())
        .note("have", name);
  if (name == "Sequence") {
    LEVIN_ASSIGN_OR_RETURN(JsonValue parts, value.at("pretokenizers"));
    LEVIN_RETURN_IF_ERROR(parts.expectArray());
    for (size_t i = 0; i < parts.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue part, parts.at(i));
      LEVIN_RETURN_IF_ERROR(readSteps(part, depth + 1, steps));
    }
    return {};
  }
  if (name == "Split")
    return readSplit(value, steps);
  Step step{};
  if (name == "Digits") {
    step.kind = Step::Kind::Digits;
    LEVIN_ASSIGN_OR_RETURN(bool individual, value.getBool("individual_digits", false));
    step.behavior = individual ? SplitBehavior::Isolated : SplitBehavior::Contiguous;
  } else if (name == "ByteLevel") {
    step.kind = Step::Kind::ByteLevel;
    LEVIN_ASSIGN_OR_RETURN(step.prefixSpace, value.getBool("add_prefix_space", true));
    LEVIN_ASSIGN_OR_RETURN(step.gpt2, value.getBool("use_regex", true));
  } else {
    return makeError(ErrorCode::TokenizerKind, "tokenizer.json: '{}' is the pre-tokenizer '{}'",
                     value.path(), name)
        .note("need", "ByteLevel, Split, Digits or a Sequence of them");
  }
  steps.push_back(std::move(step));
  return {};
}

Result<PreTokenizer> PreTokenizer::read(const JsonValue &value) {
  PreTokenizer out;
  LEVIN_RETURN_IF_ERROR(readSteps(value, 0, out.steps));
  if (out.steps.empty() || out.steps.back().kind != Step::Kind::ByteLevel)
    return makeError(ErrorCode::TokenizerKind,
                     "tokenizer.json: the pre-tokenizer does not end in ByteLevel")
        .note("need", "a byte-level tokenizer");
  return out;
}

Result<std::vector<Span>> PreTokenizer::apply(const Step &step, std::string_view piece) {
  switch (step.kind) {
  case Step::Kind::Regex: {
    LEVIN_ASSIGN_OR_RETURN(std::vector<Span> matches, step.regex.findAll(piece));
    return splitByMatches(piece.size(), matches, step.behavior, step.invert);
  }
  case Step::Kind::Literal:
    return splitByMatches(piece.size(), findLiteral(piece, step.literal), step.behavior,
                          step.invert);
  case Step::Kind::Digits:
    return splitByMatches(piece.size(), findDigits(piece), step.behavior, false);
  case Step::Kind::ByteLevel:
    break;
  }
  return step.gpt2 ? splitByGpt2Pattern(piece) : std::vector<Span>{{0, piece.size()}};
}

Result<std::vector<std::string>> PreTokenizer::split(std::string_view text) const {
  std::vector<std::string> pieces;
  if (!text.empty())
    pieces.emplace_back(text);
  for (const Step &step : steps) {
    std::vector<std::string> next;
    for (std::string &piece : pieces) {
      if (step.prefixSpace && piece[0] != ' ')
        piece.insert(0, " ");
      LEVIN_ASSIGN_OR_RETURN(std::vector<Span> spans, apply(step, piece));
      for (const Span &span : spans)
        next.push_back(piece.substr(span.begin, span.end - span.begin));
    }
    pieces = std::move(next);
  }
  return pieces;
}

} // namespace levin::text
