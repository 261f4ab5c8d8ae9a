#include "runtime/hal/CpuFeatures.h"

#include <algorithm>
#include <fstream>

namespace levin::hal {

CpuFeatures::CpuFeatures(std::string_view words) {
  constexpr std::string_view blanks = " \t\n";
  while (true) {
    size_t first = words.find_first_not_of(blanks);
    if (first == words.npos)
      break;
    words.remove_prefix(first);
    size_t length = std::min(words.find_first_of(blanks), words.size());
    names.emplace_back(words.substr(0, length));
    words.remove_prefix(length);
  }
  std::sort(names.begin(), names.end());
}

Result<CpuFeatures> CpuFeatures::ofThisMachine() {
  std::ifstream file("/proc/cpuinfo"); // its size is reported as 0, so readFile() cannot read it
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("flags") && !line.starts_with("Features"))
      continue;
    size_t colon = line.find(':');
    if (colon != line.npos)
      return CpuFeatures(std::string_view(line).substr(colon + 1));
  }
  return makeError(ErrorCode::ArtifactTarget, "the processor's features cannot be read")
      .note("need", "a line 'flags' or 'Features' in /proc/cpuinfo")
      .note("fix", "mount /proc");
}

bool CpuFeatures::has(std::string_view feature) const {
  return std::binary_search(names.begin(), names.end(), feature);
}

std::string CpuFeatures::missing(std::span<const std::string> needed) const {
  std::string text;
  for (const std::string &feature : needed)
    if (!has(feature))
      text += (text.empty() ? "" : " ") + feature;
  return text;
}

} // namespace levin::hal
