#include "runtime/text/Unicode.h"

#include "runtime/text/Utf8.h"

#include <utf8proc.h>

#include <algorithm>
#include <cassert>
#include <iterator>
#include <optional>
#include <tuple>
#include <vector>

namespace levin::text {

namespace {
struct Range {
  char32_t first, last;
  utf8proc_category_t category;
};
} // namespace

static constexpr Range newer[] = {
#define LEVIN_UNICODE_RANGE(first, last, category) {first, last, UTF8PROC_CATEGORY_##category},
#include "runtime/text/UnicodeAfter14.def"
#undef LEVIN_UNICODE_RANGE
};

static std::optional<utf8proc_category_t> newerCategory(char32_t value) {
  if (value < newer[0].first)
    return std::nullopt;
  const Range *range = std::upper_bound(std::begin(newer), std::end(newer), value,
                                        [](char32_t v, const Range &r) { return v < r.first; });
  if (value > (--range)->last)
    return std::nullopt;
  return range->category;
}

static utf8proc_category_t categoryOf(char32_t value) {
  if (auto category = newerCategory(value))
    return *category;
  return utf8proc_category(static_cast<utf8proc_int32_t>(value));
}

bool isSpace(char32_t value) {
  if (value < 0x80)
    return value == ' ' || (value >= '\t' && value <= '\r');
  return value == 0x85 || value == 0xa0 || value == 0x1680 ||
         (value >= 0x2000 && value <= 0x200a) || value == 0x2028 || value == 0x2029 ||
         value == 0x202f || value == 0x205f || value == 0x3000;
}

CharClass classOf(char32_t value) {
  if (value < 0x80) {
    if ((value | 0x20) >= 'a' && (value | 0x20) <= 'z')
      return CharClass::Letter;
    if (value >= '0' && value <= '9')
      return CharClass::Number;
    return isSpace(value) ? CharClass::Space : CharClass::Other;
  }
  if (isSpace(value))
    return CharClass::Space;
  utf8proc_category_t category = categoryOf(value);
  if (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO)
    return CharClass::Letter;
  if (category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO)
    return CharClass::Number;
  return CharClass::Other;
}

bool isWord(char32_t value) {
  if (value == 0x200c || value == 0x200d) // join controls
    return true;
  // Circled and squared letters are symbols, and alphabetic nevertheless.
  if ((value >= 0x24b6 && value <= 0x24e9) || (value >= 0x1f130 && value <= 0x1f149) ||
      (value >= 0x1f150 && value <= 0x1f169) || (value >= 0x1f170 && value <= 0x1f189))
    return true;
  utf8proc_category_t category = categoryOf(value);
  return (category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_ME) ||
         category == UTF8PROC_CATEGORY_ND || category == UTF8PROC_CATEGORY_NL ||
         category == UTF8PROC_CATEGORY_PC;
}

// --- Normal forms --------------------------------------------------------------------------------

static int combiningClass(utf8proc_int32_t value) {
  return utf8proc_get_property(value)->combining_class;
}

/// Sorts each run of combining marks by class.  utf8proc's own sort takes quadratic time.
static void orderMarks(std::vector<utf8proc_int32_t> &points) {
  struct Mark {
    int kind;
    size_t place;
    utf8proc_int32_t value;
  };
  std::vector<Mark> marks;
  for (size_t begin = 0; begin < points.size();) {
    marks.clear();
    for (size_t i = begin; i < points.size() && combiningClass(points[i]) != 0; ++i)
      marks.push_back({combiningClass(points[i]), i, points[i]});
    std::sort(marks.begin(), marks.end(), [](const Mark &a, const Mark &b) {
      return std::tie(a.kind, a.place) < std::tie(b.kind, b.place);
    });
    for (size_t i = 0; i < marks.size(); ++i)
      points[begin + i] = marks[i].value;
    begin += marks.size() + 1;
  }
}

namespace {
struct Span32 {
  char32_t first, last;
};
} // namespace

// Code points that Unicode gave a decomposition or a combining class after version 9, with which
// the reference normalises: they are left as they are and nothing combines across them.
static constexpr Span32 unnormalised[] = {
    {0x7fd, 0x7fd},     {0x898, 0x89f},     {0x8ca, 0x8d3},     {0x9fe, 0x9fe},
    {0xc3c, 0xc3c},     {0xd3b, 0xd3c},     {0xeba, 0xeba},     {0x1715, 0x1715},
    {0x1abf, 0x1ace},   {0x1df6, 0x1dfa},   {0x32ff, 0x32ff},   {0xa7f2, 0xa7f4},
    {0xa82c, 0xa82c},   {0xab69, 0xab69},   {0x10781, 0x10785}, {0x10787, 0x107b0},
    {0x107b2, 0x107ba}, {0x10d24, 0x10d27}, {0x10eab, 0x10eac}, {0x10efd, 0x10eff},
    {0x10f46, 0x10f50}, {0x10f82, 0x10f85}, {0x11070, 0x11070}, {0x1133b, 0x1133b},
    {0x1145e, 0x1145e}, {0x11839, 0x1183a}, {0x11930, 0x11930}, {0x11935, 0x11935},
    {0x11938, 0x11938}, {0x1193d, 0x1193e}, {0x11943, 0x11943}, {0x119e0, 0x119e0},
    {0x11a34, 0x11a34}, {0x11a47, 0x11a47}, {0x11a99, 0x11a99}, {0x11d42, 0x11d42},
    {0x11d44, 0x11d45}, {0x11d97, 0x11d97}, {0x11f41, 0x11f42}, {0x16ff0, 0x16ff1},
    {0x1e030, 0x1e06d}, {0x1e08f, 0x1e08f}, {0x1e130, 0x1e136}, {0x1e2ae, 0x1e2ae},
    {0x1e2ec, 0x1e2ef}, {0x1e4ec, 0x1e4ef}, {0x1f16c, 0x1f16c}, {0x1fbf0, 0x1fbf9}};

static bool isNormalised(char32_t value) {
  const Span32 *range = std::upper_bound(std::begin(unnormalised), std::end(unnormalised), value,
                                         [](char32_t v, const Span32 &r) { return v < r.first; });
  return range == std::begin(unnormalised) || value > (--range)->last;
}

/// Appends the decomposed `points`, ordered and composed if wanted, and empties them.
static void flush(std::vector<utf8proc_int32_t> &points, bool composed, std::string &out) {
  orderMarks(points);
  auto length = static_cast<utf8proc_ssize_t>(points.size());
  if (composed)
    length = utf8proc_normalize_utf32(
        points.data(), length, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  for (utf8proc_ssize_t i = 0; i < length; ++i)
    appendUtf8(out, static_cast<char32_t>(points[static_cast<size_t>(i)]));
  points.clear();
}

std::string normalise(std::string_view text, NormalForm form) {
  if (std::all_of(text.begin(), text.end(),
                  [](char c) { return static_cast<signed char>(c) >= 0; }))
    return std::string(text);
  bool compatible = form == NormalForm::NFKC || form == NormalForm::NFKD;
  bool composed = form == NormalForm::NFC || form == NormalForm::NFKC;
  auto options = static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_DECOMPOSE |
                                                (compatible ? UTF8PROC_COMPAT : 0));
  std::string out;
  out.reserve(text.size());
  std::vector<utf8proc_int32_t> points;
  for (size_t at = 0; at < text.size();) {
    auto [value, length] = codePointAt(text, at);
    if (!isNormalised(value)) {
      flush(points, composed, out);
      out.append(text, at, length);
      at += length;
      continue;
    }
    at += length;
    utf8proc_int32_t parts[32]; // no code point decomposes into more than 18
    int boundary = 0;
    utf8proc_ssize_t count = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(value), parts,
                                                     std::size(parts), options, &boundary);
    assert(count >= 0 && count <= static_cast<utf8proc_ssize_t>(std::size(parts)));
    points.insert(points.end(), parts, parts + count);
  }
  flush(points, composed, out);
  return out;
}

// --- Older code points ---------------------------------------------------------------------------

static bool isNewHan(char32_t value) { return value >= 0x2b739 && value <= 0x323af; }

/// A code point of Unicode 14 with the category, three or four bytes long as `value` is.
static char32_t standIn(char32_t value, utf8proc_category_t category) {
  bool three = value < 0x10000;
  switch (category) {
  case UTF8PROC_CATEGORY_LU:
    return three ? 0x10a0 : 0x10400;
  case UTF8PROC_CATEGORY_LL:
    return three ? 0x1d00 : 0x10428;
  case UTF8PROC_CATEGORY_LM:
    return three ? 0x3005 : 0x10780;
  case UTF8PROC_CATEGORY_LO:
    return three ? 0x1200 : isNewHan(value) ? 0x20000 : 0x10280;
  case UTF8PROC_CATEGORY_MN:
    return three ? 0x0901 : 0x10a01;
  case UTF8PROC_CATEGORY_MC:
    return three ? 0x0903 : 0x11000;
  case UTF8PROC_CATEGORY_ND:
    return three ? 0x0966 : 0x104a0;
  case UTF8PROC_CATEGORY_NO:
    return three ? 0x0bf0 : 0x10107;
  case UTF8PROC_CATEGORY_PD:
    return three ? 0x2010 : 0x10ead;
  case UTF8PROC_CATEGORY_PO:
    return three ? 0x0970 : 0x10100;
  case UTF8PROC_CATEGORY_SM:
    return three ? 0x2200 : 0x1d6c1;
  case UTF8PROC_CATEGORY_SO:
    return three ? 0x2100 : 0x1f300;
  case UTF8PROC_CATEGORY_CF:
    return three ? 0x200b : 0x110bd;
  default:
    return value;
  }
}

std::string withOlderCodePoints(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    auto [value, length] = codePointAt(text, at);
    if (value == 0x180e)
      appendUtf8(out, 0x200b);
    else if (auto category = newerCategory(value))
      appendUtf8(out, standIn(value, *category));
    else
      out.append(text, at, length);
    at += length;
  }
  assert(out.size() == text.size());
  return out;
}

} // namespace levin::text
