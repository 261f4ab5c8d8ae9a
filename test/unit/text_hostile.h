// The generator of hostile strings that text_goldens.py has in Python: the same seeds give the same
// strings.
#ifndef LEVIN_TEST_UNIT_TEXT_HOSTILE_H
#define LEVIN_TEST_UNIT_TEXT_HOSTILE_H

#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "runtime/text/Utf8.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

namespace levin::test {

inline std::string sourceFile(const std::string &name) {
  auto text = readFile(std::string(LEVIN_SOURCE_DIR "/") + name);
  EXPECT_TRUE(text.ok()) << name;
  return text.ok() ? *text : "";
}

inline Json sourceJson(const std::string &name) {
  return Json::parse(sourceFile(name), nullptr, /*allow_exceptions=*/false);
}

/// SplitMix64.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed) {}
  uint64_t next() {
    state += 0x9e3779b97f4a7c15u;
    uint64_t x = state;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
  }
  uint64_t below(uint64_t limit) { return next() % limit; }

private:
  uint64_t state;
};

inline std::string codePoint(Random &random, uint64_t limit) {
  uint64_t value = random.below(limit - 0x800);
  std::string text;
  text::appendUtf8(text, static_cast<char32_t>(value >= 0xd800 ? value + 0x800 : value));
  return text;
}

/// String number `seed`.
inline std::string hostile(const std::vector<std::string> &atoms, uint64_t seed) {
  Random random(seed);
  uint64_t length = 1 + random.below(24);
  if (random.below(64) == 0)
    length *= 40;
  std::string out;
  for (uint64_t i = 0; i < length; ++i) {
    uint64_t kind = random.below(10);
    std::string unit;
    if (kind < 7)
      unit = atoms[random.below(atoms.size())];
    else if (kind == 7)
      unit = codePoint(random, 0x10000);
    else if (kind == 8)
      text::appendUtf8(unit, static_cast<char32_t>(random.below(0x500)));
    else
      unit = codePoint(random, 0x110000);
    uint64_t times = random.below(8) == 0 ? 1 + random.below(30) : 1;
    for (uint64_t t = 0; t < times; ++t)
      out += unit;
  }
  return out;
}

/// Bytes number `seed`: a hostile string with bytes overwritten and cut off.
inline std::string broken(const std::vector<std::string> &atoms, uint64_t seed) {
  std::string data = hostile(atoms, seed);
  Random random(seed + (uint64_t(1) << 32));
  uint64_t count = 1 + random.below(8);
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t place = random.below(data.size());
    data[place] = static_cast<char>(random.below(256));
  }
  data.resize(data.size() - std::min<uint64_t>(random.below(3), data.size()));
  return data;
}

inline std::vector<std::string> hostileAtoms() {
  return sourceJson("test/unit/text_data/atoms.json").get<std::vector<std::string>>();
}

} // namespace levin::test

#endif // LEVIN_TEST_UNIT_TEXT_HOSTILE_H
