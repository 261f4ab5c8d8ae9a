#include "runtime/text/AddedTokens.h"

#include "runtime/text/Unicode.h"
#include "runtime/text/Utf8.h"

#include <algorithm>

namespace levin::text {

void AddedTokenSet::add(std::string_view content, const AddedToken &token) {
  if (content.empty())
    return;
  leads[static_cast<uint8_t>(content[0])] = true;
  uint32_t node = 0;
  for (char c : content) {
    auto [edge, isNew] = edges.try_emplace({node, static_cast<uint8_t>(c)}, nodes);
    nodes += isNew;
    node = edge->second;
  }
  ends[node] = tokens.size();
  tokens.push_back(token);
}

std::pair<const AddedToken *, size_t> AddedTokenSet::longestAt(std::string_view text,
                                                               size_t at) const {
  std::pair<const AddedToken *, size_t> found{nullptr, 0};
  if (!leads[static_cast<uint8_t>(text[at])])
    return found;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    auto edge = edges.find({node, static_cast<uint8_t>(text[i])});
    if (edge == edges.end())
      break;
    node = edge->second;
    if (auto end = ends.find(node); end != ends.end())
      found = {&tokens[end->second], i + 1 - at};
  }
  return found;
}

/// The start of the code point that ends at `end` > 0.
static size_t previousStart(std::string_view text, size_t end) {
  do
    --end;
  while (end > 0 && (static_cast<uint8_t>(text[end]) & 0xc0) == 0x80);
  return end;
}

static bool standsAlone(std::string_view text, Span span) {
  bool before = span.begin > 0 && isWord(codePointAt(text, previousStart(text, span.begin)).value);
  bool after = span.end < text.size() && isWord(codePointAt(text, span.end).value);
  return !before && !after;
}

/// Where the white space before `begin` starts, but not before `floor`.
static size_t spaceBefore(std::string_view text, size_t begin, size_t floor) {
  while (begin > floor) {
    size_t start = previousStart(text, begin);
    if (!isSpace(codePointAt(text, start).value))
      break;
    begin = start;
  }
  return begin;
}

static size_t spaceAfter(std::string_view text, size_t end) {
  while (end < text.size()) {
    auto [value, length] = codePointAt(text, end);
    if (!isSpace(value))
      break;
    end += length;
  }
  return end;
}

std::vector<TextPart> AddedTokenSet::split(std::string_view text) const {
  std::vector<TextPart> parts;
  size_t done = 0;  // end of the last token, with the white space that it took along
  Span space{0, 0}; // run of white space that was looked at last
  for (size_t at = 0; at < text.size();) {
    auto [token, length] = longestAt(text, at);
    if (!token) {
      ++at;
      continue;
    }
    Span span{at, at + length};
    at += length;
    if (token->singleWord && !standsAlone(text, span))
      continue;
    // White space that the token before took along may hold tokens itself.  As in the reference,
    // they are found again, unless taking space along leaves nothing of them.
    if (token->leftStrip)
      span.begin = std::max(spaceBefore(text, span.begin, std::min(done, span.begin)), done);
    if (token->rightStrip) {
      if (span.end < space.begin || span.end > space.end)
        space = {span.end, spaceAfter(text, span.end)};
      span.end = space.end;
    }
    if (done < span.begin)
      parts.push_back({{done, span.begin}, std::nullopt});
    if (span.begin < span.end)
      parts.push_back({span, token->id});
    done = span.end;
  }
  if (done < text.size())
    parts.push_back({{done, text.size()}, std::nullopt});
  return parts;
}

} // namespace levin::text
