// Texts that end an answer.
#ifndef LEVIN_TOOLS_LEVIN_RUN_STOPTEXTS_H
#define LEVIN_TOOLS_LEVIN_RUN_STOPTEXTS_H

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace levin::run {

/// Passes text on as it arrives, but for what may be the beginning of a stop text; ends before the
/// first stop text.
class StopTexts {
public:
  explicit StopTexts(std::vector<std::string> stops) : stops(std::move(stops)) {
    std::erase(this->stops, "");
  }

  /// What is certain after `text` more.
  std::string push(std::string_view text) {
    if (found)
      return {};
    held += text;
    size_t end = held.npos;
    for (const std::string &stop : stops)
      end = std::min(end, held.find(stop));
    found = end != held.npos;
    if (!found)
      end = held.size() - longestBeginning();
    std::string certain = held.substr(0, end);
    held.erase(0, end);
    return certain;
  }
  /// What was held back, as no stop text came of it.
  std::string finish() { return found ? "" : std::move(held); }
  bool stopped() const { return found; }

private:
  /// The length of the longest end of `held` that begins a stop text.
  size_t longestBeginning() const {
    size_t longest = 0;
    for (const std::string &stop : stops)
      for (size_t length = std::min(stop.size() - 1, held.size()); length > longest; --length)
        if (std::string_view(held).ends_with(std::string_view(stop).substr(0, length)))
          longest = length;
    return longest;
  }

  std::vector<std::string> stops;
  std::string held;
  bool found = false;
};

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_STOPTEXTS_H
