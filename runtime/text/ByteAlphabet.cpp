#include "runtime/text/ByteAlphabet.h"

#include "runtime/text/Utf8.h"

#include <array>

namespace levin::text {

static constexpr bool standsForItself(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
}

static constexpr char32_t firstSubstitute = 0x100;
static constexpr size_t substitutes = 68;

static constexpr std::array<uint8_t, substitutes> substituted = [] {
  std::array<uint8_t, substitutes> bytes{};
  size_t count = 0;
  for (unsigned byte = 0; byte < 256; ++byte)
    if (!standsForItself(byte))
      bytes[count++] = static_cast<uint8_t>(byte);
  return bytes;
}();

static constexpr std::array<char32_t, 256> characters = [] {
  std::array<char32_t, 256> table{};
  for (unsigned byte = 0; byte < 256; ++byte)
    table[byte] = byte;
  for (size_t i = 0; i < substitutes; ++i)
    table[substituted[i]] = firstSubstitute + static_cast<char32_t>(i);
  return table;
}();

char32_t characterOfByte(uint8_t byte) { return characters[byte]; }

std::optional<std::string> bytesOfToken(std::string_view token) {
  std::string bytes;
  for (size_t at = 0; at < token.size();) {
    auto [value, length] = codePointAt(token, at);
    at += length;
    if (value < 256 && standsForItself(value))
      bytes += static_cast<char>(value);
    else if (value >= firstSubstitute && value < firstSubstitute + substitutes)
      bytes += static_cast<char>(substituted[value - firstSubstitute]);
    else
      return std::nullopt;
  }
  return bytes;
}

} // namespace levin::text
