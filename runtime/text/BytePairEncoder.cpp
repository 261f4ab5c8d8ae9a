#include "runtime/text/BytePairEncoder.h"

#include <queue>
#include <tuple>

namespace levin::text {

/// A token of the piece as far as it is merged; a doubly linked list by index.
struct BytePairEncoder::Symbol {
  int32_t token;
  uint32_t previous, next;
  bool alive = true;
};

static constexpr uint32_t none = UINT32_MAX;

size_t BytePairEncoder::PairHash::operator()(uint64_t pair) const {
  // SplitMix64: ids of a hostile vocabulary should not meet in one bucket.
  pair = (pair ^ pair >> 30) * 0xbf58476d1ce4e5b9u;
  pair = (pair ^ pair >> 27) * 0x94d049bb133111ebu;
  return pair ^ pair >> 31;
}

void BytePairEncoder::setUnknown(int32_t token, bool fuse) {
  unknown = token;
  fuseUnknown = fuse;
}

void BytePairEncoder::setMerge(int32_t left, int32_t right, uint32_t rank, int32_t result) {
  merges[pairOf(left, right)] = {rank, result};
}

void BytePairEncoder::setWhole(std::string bytes, int32_t token) {
  wholes.insert_or_assign(std::move(bytes), token);
}

const BytePairEncoder::Merge *BytePairEncoder::mergeOf(int32_t left, int32_t right) const {
  auto place = merges.find(pairOf(left, right));
  return place == merges.end() ? nullptr : &place->second;
}

std::vector<BytePairEncoder::Symbol> BytePairEncoder::symbolsOf(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  bool afterUnknown = false;
  for (char c : piece) {
    std::optional<int32_t> token = byteTokens[static_cast<uint8_t>(c)];
    bool isUnknown = !token;
    if (isUnknown && (!unknown || (afterUnknown && fuseUnknown)))
      continue;
    afterUnknown = isUnknown;
    auto place = static_cast<uint32_t>(symbols.size());
    symbols.push_back({token ? *token : *unknown, place == 0 ? none : place - 1, place + 1});
  }
  if (!symbols.empty())
    symbols.back().next = none;
  return symbols;
}

void BytePairEncoder::encode(std::string_view piece, std::vector<int32_t> &tokens) const {
  if (!wholes.empty())
    if (auto whole = wholes.find(std::string(piece)); whole != wholes.end()) {
      tokens.push_back(whole->second);
      return;
    }
  std::vector<Symbol> symbols = symbolsOf(piece);
  // Merges that were possible when they were seen: by rank, then from the left.
  using Candidate = std::tuple<uint32_t, uint32_t, int32_t>; // rank, left symbol, result
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<Candidate>> candidates;
  auto consider = [&](uint32_t left) {
    if (left == none || symbols[left].next == none)
      return;
    if (const Merge *merge = mergeOf(symbols[left].token, symbols[symbols[left].next].token))
      candidates.emplace(merge->rank, left, merge->result);
  };
  for (uint32_t i = 0; i < symbols.size(); ++i)
    consider(i);
  while (!candidates.empty()) {
    auto [rank, place, result] = candidates.top();
    candidates.pop();
    Symbol &left = symbols[place];
    if (!left.alive || left.next == none)
      continue;
    Symbol &right = symbols[left.next];
    // Either of the two may have changed since.
    const Merge *merge = mergeOf(left.token, right.token);
    if (!merge || merge->result != result)
      continue;
    left.token = result;
    left.next = right.next;
    right.alive = false;
    if (left.next != none)
      symbols[left.next].previous = place;
    consider(left.previous);
    consider(place);
  }
  for (uint32_t i = symbols.empty() ? none : 0; i != none; i = symbols[i].next)
    tokens.push_back(symbols[i].token);
}

} // namespace levin::text
