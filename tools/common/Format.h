// Numbers and tables as people read them.
#ifndef LEVIN_TOOLS_COMMON_FORMAT_H
#define LEVIN_TOOLS_COMMON_FORMAT_H

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace levin::tool {

/// "17 B", "4.0 KiB", "11.6 MiB", "129.5 GiB".
std::string humanBytes(uint64_t bytes);
/// "85 us", "12.3 ms", "0.3 s", "4:05 min", "2:03:05 h".
std::string humanSeconds(double seconds);
/// Thousands apart: "8 243".
std::string humanCount(uint64_t count);

/// Reads "4096", "512K", "2M" or "1G" (powers of 1024); nothing if it is none of these.
std::optional<uint64_t> parseCount(std::string_view text);

/// A table in plain text, columns two spaces apart.
class Table {
public:
  enum class Align { Left, Right };
  /// One column after the other; an empty title is allowed.
  Table &column(std::string title, Align align = Align::Left);
  /// Cells beyond the last column are dropped, missing ones are empty.
  Table &row(std::vector<std::string> cells);
  /// Lines ending in "\n"; the title line is left out if all titles are empty.
  std::string text() const;

private:
  struct Column {
    std::string title;
    Align align;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
};

/// `text` broken into lines of at most `width` bytes at spaces; all but the first are indented.
std::string wrapText(std::string_view text, size_t indent, size_t width = 100);

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_FORMAT_H
