#include "runtime/text/Regex.h"

#include "runtime/text/RegexSyntax.h"
#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <chrono>
#include <optional>

namespace levin::text {

static constexpr size_t maxPatternBytes = 1 << 16;
// One search may backtrack this often and use this much memory (KiB).
static constexpr uint32_t matchLimit = 20'000'000;
static constexpr uint32_t heapLimit = 256 * 1024;
// All searches in one text together.  PCRE2 does not tell how many steps it took.
static constexpr auto timeLimit = std::chrono::seconds(20);

struct Regex::Compiled {
  ~Compiled() { pcre2_code_free(code); }
  pcre2_code *code = nullptr;
  std::string where;
};

namespace {
/// What a search needs beside the pattern; not shared between threads.
struct MatchState {
  explicit MatchState(const pcre2_code *code)
      : data(pcre2_match_data_create_from_pattern(code, nullptr)),
        context(pcre2_match_context_create(nullptr)) {
    if (!context)
      return;
    pcre2_set_match_limit(context, matchLimit);
    pcre2_set_heap_limit(context, heapLimit);
  }
  MatchState(const MatchState &) = delete;
  ~MatchState() {
    pcre2_match_context_free(context);
    pcre2_match_data_free(data);
  }
  pcre2_match_data *data;
  pcre2_match_context *context;
};
} // namespace

static std::string pcreMessage(int error) {
  PCRE2_UCHAR buffer[256];
  int length = pcre2_get_error_message(error, buffer, sizeof(buffer));
  return length < 0 ? "unknown error" : reinterpret_cast<const char *>(buffer);
}

Result<Regex> Regex::compile(std::string_view pattern, std::string where) {
  if (pattern.size() > maxPatternBytes)
    return makeError(ErrorCode::TokenizerKind, "{}: the pattern is too long", where)
        .note("have", fmt::format("{} bytes", pattern.size()))
        .note("need", fmt::format("at most {}", maxPatternBytes));
  LEVIN_ASSIGN_OR_RETURN(std::string translated, pcreSyntax(pattern, where));
  auto compiled = std::make_shared<Compiled>();
  pcre2_compile_context *context = pcre2_compile_context_create(nullptr);
  pcre2_set_newline(context, PCRE2_NEWLINE_LF);
  pcre2_set_parens_nest_limit(context, 100);
  int error = 0;
  PCRE2_SIZE place = 0;
  // NEVER_BACKSLASH_C: \C could stop within a code point.
  uint32_t options = PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C;
  compiled->code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(translated.data()), translated.size(),
                                 options, &error, &place, context);
  pcre2_compile_context_free(context);
  if (!compiled->code)
    return makeError(ErrorCode::TokenizerKind, "{}: the pattern is not supported: {}", where,
                     pcreMessage(error))
        .note("where", fmt::format("byte {} of the pattern", place));
  compiled->where = std::move(where);
  Regex regex;
  regex.compiled = std::move(compiled);
  return regex;
}

Result<std::vector<Span>> Regex::findAll(std::string_view text) const {
  std::vector<Span> found;
  if (text.empty())
    return found;
  std::string subject = withOlderCodePoints(text);
  MatchState state(compiled->code);
  if (!state.data || !state.context)
    return makeError(ErrorCode::OutOfMemory, "{}: no memory for a search", compiled->where);
  auto deadline = std::chrono::steady_clock::now() + timeLimit;
  const PCRE2_SIZE *bounds = pcre2_get_ovector_pointer(state.data);
  size_t at = 0;
  std::optional<size_t> lastEnd;
  while (at <= subject.size()) {
    int count = pcre2_match(compiled->code, reinterpret_cast<PCRE2_SPTR>(subject.data()),
                            subject.size(), at, PCRE2_NO_UTF_CHECK, state.data, state.context);
    if (count == PCRE2_ERROR_NOMATCH)
      return found;
    if (count < 0 || std::chrono::steady_clock::now() > deadline)
      return makeError(ErrorCode::TokenizerKind,
                       "{}: the pattern cannot be applied to this text: {}", compiled->where,
                       count < 0 ? pcreMessage(count) : "it takes too long")
          .note("have", fmt::format("a text of {} bytes", text.size()));
    Span match{bounds[0], bounds[1]};
    // An empty match where the last one ended is passed over together with the next code point, as
    // the reference does it.  \K can put the start of a match behind its end or before the search.
    bool usable = match.begin >= at && match.begin <= match.end;
    if (!usable || (match.begin == match.end && lastEnd == match.end)) {
      at += at < subject.size() ? codePointAt(subject, at).length : 1;
      continue;
    }
    found.push_back(match);
    at = match.end;
    lastEnd = at;
  }
  return found;
}

} // namespace levin::text
