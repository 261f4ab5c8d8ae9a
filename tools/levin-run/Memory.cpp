#include "tools/levin-run/Memory.h"

#include <charconv>
#include <fstream>
#include <string>

namespace levin::run {

/// The number behind `key` in a line "key:   1234 kB", in bytes.
static bool readKilobytes(const std::string &line, std::string_view key, uint64_t &bytes) {
  if (!line.starts_with(key))
    return false;
  size_t start = line.find_first_of("0123456789");
  uint64_t kilobytes = 0;
  if (start != line.npos)
    std::from_chars(line.data() + start, line.data() + line.size(), kilobytes);
  bytes = kilobytes * 1024;
  return true;
}

uint64_t peakAnonymousBytes() {
  std::ifstream status("/proc/self/status");
  uint64_t peak = 0, files = 0;
  for (std::string line; std::getline(status, line);)
    if (!readKilobytes(line, "VmHWM:", peak))
      readKilobytes(line, "RssFile:", files);
  return peak > files ? peak - files : 0;
}

} // namespace levin::run
