#include "runtime/text/Utf8.h"

#include <cassert>

namespace levin::text {

namespace {
/// What a leading byte allows (Unicode 15, table 3-7).
struct Lead {
  uint32_t length;               // of the whole sequence; 0 if the byte cannot lead one
  unsigned char lowest, highest; // allowed for the second byte
};
} // namespace

static Lead leadOf(unsigned char byte) {
  if (byte < 0x80)
    return {1, 0, 0};
  if (byte < 0xc2)
    return {0, 0, 0};
  if (byte < 0xe0)
    return {2, 0x80, 0xbf};
  if (byte < 0xf0)
    return {3, static_cast<unsigned char>(byte == 0xe0 ? 0xa0 : 0x80),
            static_cast<unsigned char>(byte == 0xed ? 0x9f : 0xbf)};
  if (byte < 0xf5)
    return {4, static_cast<unsigned char>(byte == 0xf0 ? 0x90 : 0x80),
            static_cast<unsigned char>(byte == 0xf4 ? 0x8f : 0xbf)};
  return {0, 0, 0};
}

Utf8Unit decodeUtf8(std::string_view text, size_t at) {
  auto byteAt = [&](size_t i) { return static_cast<unsigned char>(text[at + i]); };
  unsigned char first = byteAt(0);
  Lead lead = leadOf(first);
  if (lead.length == 0)
    return {};
  if (lead.length == 1)
    return {first, 1, true, false};
  char32_t value = first & (0x7fu >> lead.length);
  for (uint32_t i = 1; i < lead.length; ++i) {
    if (at + i >= text.size())
      return {replacementCharacter, i, false, true};
    unsigned char next = byteAt(i);
    unsigned char lowest = i == 1 ? lead.lowest : 0x80, highest = i == 1 ? lead.highest : 0xbf;
    if (next < lowest || next > highest)
      return {replacementCharacter, i, false, false};
    value = value << 6 | (next & 0x3f);
  }
  return {value, lead.length, true, false};
}

CodePoint codePointAt(std::string_view text, size_t at) {
  Utf8Unit unit = decodeUtf8(text, at);
  assert(unit.valid && "the text must be well-formed");
  return {unit.value, unit.length};
}

void appendUtf8(std::string &text, char32_t value) {
  auto add = [&](char32_t byte) { text += static_cast<char>(byte); };
  if (value < 0x80) {
    add(value);
  } else if (value < 0x800) {
    add(0xc0 | value >> 6);
    add(0x80 | (value & 0x3f));
  } else if (value < 0x10000) {
    add(0xe0 | value >> 12);
    add(0x80 | (value >> 6 & 0x3f));
    add(0x80 | (value & 0x3f));
  } else {
    add(0xf0 | value >> 18);
    add(0x80 | (value >> 12 & 0x3f));
    add(0x80 | (value >> 6 & 0x3f));
    add(0x80 | (value & 0x3f));
  }
}

bool isUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    Utf8Unit unit = decodeUtf8(text, at);
    if (!unit.valid)
      return false;
    at += unit.length;
  }
  return true;
}

std::string repairUtf8(std::string_view text) {
  Utf8Stream stream;
  std::string out = stream.push(text);
  return out + stream.finish();
}

std::string Utf8Stream::push(std::string_view bytes) {
  held += bytes;
  std::string out;
  out.reserve(held.size());
  size_t at = 0;
  while (at < held.size()) {
    Utf8Unit unit = decodeUtf8(held, at);
    if (unit.cut)
      break;
    if (unit.valid)
      out.append(held, at, unit.length);
    else
      appendUtf8(out, replacementCharacter);
    at += unit.length;
  }
  held.erase(0, at);
  return out;
}

std::string Utf8Stream::finish() {
  std::string out;
  // What is held back is one cut sequence, thus one maximal subpart.
  if (!held.empty())
    appendUtf8(out, replacementCharacter);
  held.clear();
  return out;
}

} // namespace levin::text
