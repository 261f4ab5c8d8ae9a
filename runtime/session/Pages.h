// The pages of caches that all sequences of a session share.
#ifndef LEVIN_RUNTIME_SESSION_PAGES_H
#define LEVIN_RUNTIME_SESSION_PAGES_H

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace levin {

/// Who holds which page.  A page given back is taken again first.
class PagePool {
public:
  PagePool() = default;
  /// `pages` pages, each for the keys and values of `pageTokens` > 0 tokens.
  PagePool(uint64_t pages, uint64_t pageTokens, size_t slots)
      : held(slots), count(pages), tokensEach(pageTokens) {
    for (uint64_t page = pages; page-- > 0;)
      unused.push_back(static_cast<int32_t>(page));
  }

  uint64_t size() const { return count; }
  uint64_t pageTokens() const { return tokensEach; }
  uint64_t unusedPages() const { return unused.size(); }
  /// The pages of the sequence in `slot`, in the order of its tokens.
  std::span<const int32_t> of(size_t slot) const { return held[slot]; }
  /// Pages that the sequence in `slot` lacks to hold `tokens` tokens.
  uint64_t lacking(size_t slot, uint64_t tokens) const {
    uint64_t needed = tokens / tokensEach + (tokens % tokensEach != 0);
    return needed > held[slot].size() ? needed - held[slot].size() : 0;
  }
  /// Gives the sequence in `slot` what it lacks, which must not be more than unusedPages().
  void grow(size_t slot, uint64_t tokens) {
    for (uint64_t lacks = lacking(slot, tokens); lacks > 0; --lacks) {
      assert(!unused.empty() && "growing was not checked");
      held[slot].push_back(unused.back());
      unused.pop_back();
    }
  }
  void release(size_t slot) {
    unused.insert(unused.end(), held[slot].rbegin(), held[slot].rend());
    held[slot].clear();
  }

private:
  std::vector<std::vector<int32_t>> held; // by slot
  std::vector<int32_t> unused;            // the next one last
  uint64_t count = 0, tokensEach = 1;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_PAGES_H
