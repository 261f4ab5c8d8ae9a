// UTF-8: checked decoding, replacement of what is ill-formed, code points one by one.
#ifndef LEVIN_RUNTIME_TEXT_UTF8_H
#define LEVIN_RUNTIME_TEXT_UTF8_H

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace levin::text {

inline constexpr char32_t replacementCharacter = 0xfffd;

/// What stands at a place of a text.
struct Utf8Unit {
  char32_t value = replacementCharacter;
  uint32_t length = 1; // bytes that it takes
  bool valid = false;
  bool cut = false; // not valid, but the text ends where further bytes could make it so
};

/// The code point at `at` < text.size().  Of an ill-formed sequence, `length` covers the maximal
/// subpart (Unicode 15, section 3.9, "U+FFFD substitution"), as in Python's errors="replace".
Utf8Unit decodeUtf8(std::string_view text, size_t at);

/// The same where the text is known to be well-formed.
struct CodePoint {
  char32_t value;
  uint32_t length;
};
CodePoint codePointAt(std::string_view text, size_t at);

/// Appends `value`, which must be no surrogate and at most U+10FFFF.
void appendUtf8(std::string &text, char32_t value);

bool isUtf8(std::string_view text);
/// `text` with each maximal ill-formed subpart replaced by U+FFFD.
std::string repairUtf8(std::string_view text);

/// Turns bytes that arrive in pieces into well-formed text: what may still become a code point is
/// held back, what cannot is replaced by U+FFFD.
class Utf8Stream {
public:
  /// The text that is certain after `bytes` more.
  std::string push(std::string_view bytes);
  /// What was held back, replaced; the stream then starts anew.
  std::string finish();

private:
  std::string held;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_UTF8_H
