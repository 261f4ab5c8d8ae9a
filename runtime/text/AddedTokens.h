// Tokens that are found in the text before anything else is done to it.
#ifndef LEVIN_RUNTIME_TEXT_ADDEDTOKENS_H
#define LEVIN_RUNTIME_TEXT_ADDEDTOKENS_H

#include "runtime/text/Regex.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace levin::text {

/// The longest content that is accepted, in bytes; bounds the time to search.
inline constexpr size_t maxAddedTokenBytes = 1024;

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool special = false;    // left out by decode(.., skipSpecial)
  bool singleWord = false; // not next to a word character
  bool leftStrip = false;  // takes white space before it along
  bool rightStrip = false; // and after it
  bool normalized = false; // searched in the normalised text
};

/// A part of a text: an added token, or text between.
struct TextPart {
  Span span;
  std::optional<int32_t> token;
};

/// A set of added tokens to search for; of several at one place, the longest wins.
class AddedTokenSet {
public:
  /// `content` is what to search for, `token` what is known of it.  A later token of the same
  /// content replaces the earlier.
  void add(std::string_view content, const AddedToken &token);
  bool empty() const { return tokens.empty(); }
  /// `text` (well-formed UTF-8) cut into tokens and what is between them.
  std::vector<TextPart> split(std::string_view text) const;

private:
  /// The longest token at `at`, and its length in bytes; null if there is none.
  std::pair<const AddedToken *, size_t> longestAt(std::string_view text, size_t at) const;

  // A trie: node 0 is the root, edges by node and byte.
  std::map<std::pair<uint32_t, uint8_t>, uint32_t> edges;
  std::map<uint32_t, size_t> ends; // node to place in tokens
  uint32_t nodes = 1;
  std::vector<AddedToken> tokens;
  bool leads[256] = {}; // bytes that begin a token
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_ADDEDTOKENS_H
