// The regular expressions of tokenizer.json are written for Oniguruma, with Ruby's syntax.
#ifndef LEVIN_RUNTIME_TEXT_REGEXSYNTAX_H
#define LEVIN_RUNTIME_TEXT_REGEXSYNTAX_H

#include "runtime/base/Status.h"

#include <string>
#include <string_view>

namespace levin::text {

/// `pattern` as PCRE2 has to see it to mean the same: \w and \h, {,n}, and + after an interval,
/// which is possessive only in PCRE2.  LV1021, with `where`, for what cannot be said in PCRE2: sets
/// within sets, && in sets, \W or \H in sets, the option (?m).
Result<std::string> pcreSyntax(std::string_view pattern, std::string_view where);

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_REGEXSYNTAX_H
