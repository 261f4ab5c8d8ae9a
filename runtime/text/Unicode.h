// Properties of code points and normal forms, by utf8proc and a table of newer code points.
#ifndef LEVIN_RUNTIME_TEXT_UNICODE_H
#define LEVIN_RUNTIME_TEXT_UNICODE_H

#include <string>
#include <string_view>

namespace levin::text {

/// How byte-level pre-tokenizers tell code points apart: \p{L}, \p{N}, \s and the rest, in
/// Unicode 16.
enum class CharClass { Letter, Number, Space, Other };
CharClass classOf(char32_t value);

/// White_Space, which is \s.
bool isSpace(char32_t value);
/// \w of UTS 18: alphabetic, mark, decimal number, connector or join control.
bool isWord(char32_t value);

enum class NormalForm { NFC, NFD, NFKC, NFKD };
/// `text` (well-formed UTF-8) in a normal form, by Unicode 9 as the reference has it.
std::string normalise(std::string_view text, NormalForm form);

/// A text of equal length whose code points a library that knows Unicode 14 only treats as
/// Unicode 16 says: newer code points are replaced by older ones of the same category and length,
/// and U+180E, which PCRE2 takes for white space, by another format character.
std::string withOlderCodePoints(std::string_view text);

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_UNICODE_H
