#include "runtime/base/DidYouMean.h"

#include <fmt/format.h>

#include <algorithm>

namespace levin {

size_t editDistance(std::string_view a, std::string_view b) {
  a = a.substr(0, 256);
  b = b.substr(0, 256);
  // Three rows of the table: a swap looks two rows back.
  std::vector<size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j)
    row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, above);
    std::swap(above, row);
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      size_t replace = above[j - 1] + (a[i - 1] != b[j - 1]);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, replace});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

std::vector<std::string> nearestWords(std::string_view word,
                                      std::span<const std::string> candidates, size_t limit) {
  size_t allowed = std::max<size_t>(1, word.size() / 3);
  std::vector<std::pair<size_t, std::string>> found;
  for (const std::string &candidate : candidates) {
    size_t distance = editDistance(word, candidate);
    bool prefix = word.size() >= 3 && candidate.starts_with(word);
    if (distance <= allowed || prefix)
      found.emplace_back(prefix ? std::min<size_t>(distance, 1) : distance, candidate);
  }
  std::sort(found.begin(), found.end());
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::vector<std::string> words;
  for (size_t i = 0; i < found.size() && i < limit; ++i)
    words.push_back(std::move(found[i].second));
  return words;
}

std::optional<std::string> didYouMean(std::string_view word,
                                      std::span<const std::string> candidates) {
  std::vector<std::string> words = nearestWords(word, candidates);
  if (words.empty())
    return std::nullopt;
  std::string text = "did you mean ";
  for (size_t i = 0; i < words.size(); ++i)
    text += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == words.size() ? " or " : ", ", words[i]);
  return text + "?";
}

} // namespace levin
