#include "tools/common/Format.h"

#include "runtime/base/Checked.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace levin::tool {

std::string humanBytes(uint64_t bytes) {
  if (bytes < 1024)
    return fmt::format("{} B", bytes);
  static constexpr const char *units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1023.95 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  return fmt::format("{:.1f} {}", value, units[unit]);
}

std::string humanSeconds(double seconds) {
  if (!(seconds >= 0) || seconds > 1e9)
    return "?";
  if (seconds < 1e-3)
    return fmt::format("{:.0f} us", seconds * 1e6);
  if (seconds < 0.1)
    return fmt::format("{:.1f} ms", seconds * 1e3);
  if (seconds < 60)
    return fmt::format("{:.1f} s", seconds);
  auto whole = static_cast<uint64_t>(std::llround(seconds));
  if (whole < 3600)
    return fmt::format("{}:{:02} min", whole / 60, whole % 60);
  return fmt::format("{}:{:02}:{:02} h", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string humanCount(uint64_t count) {
  std::string digits = std::to_string(count);
  for (size_t place = digits.size(); place > 3;) {
    place -= 3;
    digits.insert(place, " ");
  }
  return digits;
}

std::optional<uint64_t> parseCount(std::string_view text) {
  uint64_t scale = 1;
  if (!text.empty()) {
    switch (text.back()) {
    case 'k':
    case 'K':
      scale = uint64_t(1) << 10;
      break;
    case 'm':
    case 'M':
      scale = uint64_t(1) << 20;
      break;
    case 'g':
    case 'G':
      scale = uint64_t(1) << 30;
      break;
    default:
      break;
    }
    if (scale != 1)
      text.remove_suffix(1);
  }
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size())
    return std::nullopt;
  return checkedMul(value, scale);
}

Table &Table::column(std::string title, Align align) {
  columns.push_back({std::move(title), align});
  return *this;
}

Table &Table::row(std::vector<std::string> cells) {
  cells.resize(columns.size());
  rows.push_back(std::move(cells));
  return *this;
}

std::string Table::text() const {
  std::vector<size_t> widths;
  bool titled = false;
  for (size_t c = 0; c < columns.size(); ++c) {
    size_t width = columns[c].title.size();
    titled |= width != 0;
    for (const auto &cells : rows)
      width = std::max(width, cells[c].size());
    widths.push_back(width);
  }
  std::string out;
  auto line = [&](auto cell) {
    std::string text;
    for (size_t c = 0; c < columns.size(); ++c) {
      const std::string &content = cell(c);
      std::string padding(widths[c] - content.size(), ' ');
      text += columns[c].align == Align::Left ? content + padding : padding + content;
      text += "  ";
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out += text + "\n";
  };
  if (titled)
    line([&](size_t c) -> const std::string & { return columns[c].title; });
  for (const auto &cells : rows)
    line([&](size_t c) -> const std::string & { return cells[c]; });
  return out;
}

std::string wrapText(std::string_view text, size_t indent, size_t width) {
  std::string out;
  size_t column = indent;
  while (!text.empty()) {
    size_t space = text.find(' ');
    std::string_view word = text.substr(0, space);
    text.remove_prefix(space == text.npos ? text.size() : space + 1);
    bool first = out.empty();
    if (!first && column + 1 + word.size() > width) {
      out += "\n" + std::string(indent, ' ');
      column = indent;
    } else if (!first) {
      out += ' ';
      ++column;
    }
    out += word;
    column += word.size();
  }
  return out;
}

} // namespace levin::tool
