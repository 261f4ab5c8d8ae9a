// Byte-pair encoding of one piece of text (Sennrich et al. 2016), with ranked merges.
#ifndef LEVIN_RUNTIME_TEXT_BYTEPAIRENCODER_H
#define LEVIN_RUNTIME_TEXT_BYTEPAIRENCODER_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace levin::text {

class BytePairEncoder {
public:
  /// The token of a single byte; bytes without one become `unknown`, or vanish if there is none.
  void setByte(uint8_t byte, int32_t token) { byteTokens[byte] = token; }
  /// Stands for bytes without a token; `fuse` makes one of neighbours.
  void setUnknown(int32_t token, bool fuse);
  /// Tokens `left` and `right` become `result`; of all merges that a piece allows, that of lowest
  /// `rank` comes first.  A later merge of the same pair replaces the earlier one.
  void setMerge(int32_t left, int32_t right, uint32_t rank, int32_t result);
  /// Makes pieces that spell a token that token, whatever the merges say (ignore_merges).
  void setWhole(std::string bytes, int32_t token);

  /// Appends the tokens of `piece`.  Time is O(n log n) in its bytes.
  void encode(std::string_view piece, std::vector<int32_t> &tokens) const;

private:
  struct Merge {
    uint32_t rank;
    int32_t result;
  };
  struct PairHash {
    size_t operator()(uint64_t pair) const;
  };
  struct Symbol;
  static uint64_t pairOf(int32_t left, int32_t right) {
    return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
  }
  std::vector<Symbol> symbolsOf(std::string_view piece) const;
  const Merge *mergeOf(int32_t left, int32_t right) const;

  std::array<std::optional<int32_t>, 256> byteTokens;
  std::optional<int32_t> unknown;
  bool fuseUnknown = false;
  std::unordered_map<uint64_t, Merge, PairHash> merges;
  std::unordered_map<std::string, int32_t> wholes;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_BYTEPAIRENCODER_H
