// The printable characters that stand for bytes in the vocabulary of a byte-level tokenizer.
//
// Bytes that are printable in Latin-1 stand for themselves, the other 68 get U+0100 and following
// (Radford et al. 2019, bytes_to_unicode of GPT-2's encoder.py): a space is written U+0120.
#ifndef LEVIN_RUNTIME_TEXT_BYTEALPHABET_H
#define LEVIN_RUNTIME_TEXT_BYTEALPHABET_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace levin::text {

/// The character that stands for `byte`.
char32_t characterOfByte(uint8_t byte);

/// The bytes that `token` (well-formed UTF-8) spells, or nothing if one of its characters stands
/// for no byte.
std::optional<std::string> bytesOfToken(std::string_view token);

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_BYTEALPHABET_H
