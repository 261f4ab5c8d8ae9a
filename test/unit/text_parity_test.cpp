// The tokenizer gives the ids and texts of the reference, whose answers text_goldens.py stored.
#include "runtime/base/Digest.h"
#include "runtime/text/Tokenizer.h"
#include "test/unit/text_hostile.h"

#include <cstdlib>

using namespace levin;
using namespace levin::test;
using text::Tokenizer;

namespace {

constexpr size_t block = 100;

Tokenizer parse(const Json &document) {
  auto tokenizer = Tokenizer::parse(document.dump());
  if (tokenizer.ok())
    return *tokenizer;
  ADD_FAILURE() << tokenizer.status().text();
  std::exit(1);
}

const Json &tiny() {
  static const Json document = sourceJson("models/tiny-python/tokenizer.json");
  return document;
}

const Json &goldens() {
  static const Json document = sourceJson("test/unit/text_data/goldens.json");
  return document;
}

/// Whether `token` holds one of the characters in `characters`.
bool holdsAny(const std::string &token, const std::string &characters) {
  for (size_t at = 0; at < characters.size();) {
    size_t length = text::codePointAt(characters, at).length;
    if (token.find(characters.substr(at, length)) != token.npos)
      return true;
    at += length;
  }
  return false;
}

/// As text_goldens.py.
Json variant(Json base, const Json &changes) {
  Json &model = base["model"];
  for (const auto &[key, value] : changes.items()) {
    if (key == "model") {
      model.update(value);
    } else if (key == "string_merges") {
      for (Json &merge : model["merges"])
        merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    } else if (key == "without") {
      Json vocab = Json::object(), merges = Json::array();
      for (const auto &[token, id] : model["vocab"].items())
        if (!holdsAny(token, value))
          vocab[token] = id;
      for (const Json &pair : model["merges"])
        if (!holdsAny(pair[0].get<std::string>() + pair[1].get<std::string>(), value))
          merges.push_back(pair);
      model["vocab"] = vocab;
      model["merges"] = merges;
    } else if (key != "base") {
      base[key] = value;
    }
  }
  return base;
}

/// One digest for each block of texts, as text_goldens.py makes them.
class Digests {
public:
  explicit Digests(const Tokenizer &tokenizer) : tokenizer(tokenizer) {}

  void add(const std::string &text) {
    auto ids = tokenizer.encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status().text();
    hash.update(fmt::format("{}\n{}\n", fmt::join(*ids, ","), tokenizer.decode(*ids, false)));
    if (++count == block)
      flush();
  }
  std::vector<std::string> done() {
    if (count != 0)
      flush();
    return std::move(list);
  }

private:
  void flush() {
    list.push_back(toHex(hash.finish()).substr(0, 16));
    count = 0;
  }
  const Tokenizer &tokenizer;
  Sha256 hash;
  size_t count = 0;
  std::vector<std::string> list;
};

void expectBlocks(const std::vector<std::string> &have, const Json &need, const std::string &what) {
  ASSERT_EQ(have.size(), need.size()) << what;
  for (size_t i = 0; i < have.size(); ++i)
    EXPECT_EQ(have[i], need[i].get<std::string>()) << what << ": strings from " << i * block;
}

TEST(TextParity, Heldout) {
  Tokenizer tokenizer = parse(tiny());
  std::string text = sourceFile("models/tiny-python/heldout.txt");
  Digests lines(tokenizer), whole(tokenizer);
  for (size_t at = 0; at <= text.size();) {
    size_t end = std::min(text.find('\n', at), text.size());
    lines.add(text.substr(at, end - at));
    at = end + 1;
  }
  whole.add(text);
  expectBlocks(lines.done(), goldens()["heldout_lines"], "lines");
  expectBlocks(whole.done(), goldens()["heldout"], "whole");
}

TEST(TextParity, Explicit) {
  Tokenizer tokenizer = parse(tiny());
  for (const Json &golden : goldens()["explicit"]) {
    auto ids = tokenizer.encode(golden["text"].get<std::string>());
    ASSERT_TRUE(ids.ok());
    EXPECT_EQ(*ids, golden["ids"].get<std::vector<int32_t>>()) << golden["text"];
  }
}

class TextParityVariant : public testing::TestWithParam<std::string> {};

TEST_P(TextParityVariant, HostileStrings) {
  Json changes = sourceJson("test/unit/text_data/variants.json")[GetParam()];
  bool onTiny = changes.value("base", "") == "tiny";
  Tokenizer tokenizer = parse(
      variant(onTiny ? tiny() : sourceJson("test/unit/text_data/multilingual.json"), changes));
  const Json &need = goldens()["variants"][GetParam()];
  std::vector<std::string> atoms = hostileAtoms();
  Digests strings(tokenizer), bytes(tokenizer);
  for (uint64_t seed = 0; seed < need["strings"].size() * block; ++seed)
    strings.add(hostile(atoms, seed));
  for (uint64_t seed = 20000; seed < 21000; ++seed)
    bytes.add(broken(atoms, seed));
  expectBlocks(strings.done(), need["strings"], "strings");
  expectBlocks(bytes.done(), need["broken"], "broken");
}

INSTANTIATE_TEST_SUITE_P(All, TextParityVariant,
                         testing::Values("tiny", "tiny_prefix", "cl100k", "o200k", "deepseek",
                                         "merging", "unknown", "unknown_each", "missing_bytes",
                                         "cl100k_new", "ruby"),
                         [](const auto &info) { return info.param; });

} // namespace
