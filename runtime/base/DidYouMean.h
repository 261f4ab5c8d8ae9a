// Nearest known words for a mistyped one.
#ifndef LEVIN_RUNTIME_BASE_DIDYOUMEAN_H
#define LEVIN_RUNTIME_BASE_DIDYOUMEAN_H

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin {

/// The Damerau-Levenshtein distance (insert, delete, replace, swap of neighbours), in bytes.
/// Words longer than 256 bytes are cut.
size_t editDistance(std::string_view a, std::string_view b);

/// Up to `limit` candidates that `word` may have meant, nearest first: at most a third of its
/// letters differ, or it is a prefix of at least three letters.
std::vector<std::string> nearestWords(std::string_view word,
                                      std::span<const std::string> candidates, size_t limit = 3);

/// The text of a `fix` note: "did you mean 'a'?" or "did you mean 'a' or 'b'?"; nothing if no
/// candidate is near.
std::optional<std::string> didYouMean(std::string_view word,
                                      std::span<const std::string> candidates);

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_DIDYOUMEAN_H
