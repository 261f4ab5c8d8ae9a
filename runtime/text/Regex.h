// Regular expressions of Split pre-tokenizers, by PCRE2, with limits.
#ifndef LEVIN_RUNTIME_TEXT_REGEX_H
#define LEVIN_RUNTIME_TEXT_REGEX_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace levin::text {

/// A half-open range of bytes.
struct Span {
  size_t begin, end;
  bool operator==(const Span &) const = default;
};

class Regex {
public:
  /// Compiles `pattern`; ^ and $ match at lines, classes follow Unicode.  LV1021 if PCRE2 does not
  /// accept it; `where` names it in messages.
  static Result<Regex> compile(std::string_view pattern, std::string where);

  /// All matches in `text` (well-formed UTF-8), left to right, without overlap; they may be empty.
  /// LV1021 if the search takes too many steps, as a hostile pattern can make it.
  Result<std::vector<Span>> findAll(std::string_view text) const;

private:
  struct Compiled;
  std::shared_ptr<const Compiled> compiled;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_REGEX_H
