// What tokenizers refuse, how they decode, and that hostile input takes no time.
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Unicode.h"
#include "test/unit/text_hostile.h"

#include <chrono>
#include <cstdlib>

using namespace levin;
using namespace levin::test;
using text::StreamDecoder;
using text::Tokenizer;

namespace {

Json tiny() { return sourceJson("models/tiny-python/tokenizer.json"); }

Tokenizer parse(const Json &document) {
  auto tokenizer = Tokenizer::parse(document.dump());
  if (tokenizer.ok())
    return *tokenizer;
  ADD_FAILURE() << tokenizer.status().text();
  std::exit(1);
}

/// tiny-python's tokenizer with one change, made at a JSON pointer.
Json changed(const std::string &pointer, const Json &value) {
  Json document = tiny();
  document[Json::json_pointer(pointer)] = value;
  return document;
}

TEST(TokenizerErrors, HaveNumberAndKey) {
  struct Case {
    Json document;
    int number;
    std::string part;
  };
  Json split = {{"type", "Split"}, {"pattern", {{"Regex", "("}}}, {"behavior", "Isolated"}};
  Json sequence = {{"type", "Sequence"}, {"pretokenizers", Json::array({split})}};
  const Case cases[] = {
      {changed("/model/type", "Unigram"), 1021, "'model' is of type 'Unigram'"},
      {changed("/model/type", 3), 1020, "'model.type' has the wrong type"},
      {changed("/model/vocab", Json::array()), 1020, "'model.vocab' has the wrong type"},
      {changed("/model/vocab/!", "x"), 1020, "'model.vocab.!' has the wrong type"},
      {changed("/model/vocab/!", -1), 1020, "no acceptable token id"},
      {changed("/model/vocab/!", 99999999), 1020, "no acceptable token id"},
      {changed("/model/vocab/!", 5), 1020, "has the id of another token"},
      {changed("/model/merges/3", "a"), 1020, "'model.merges[3]' is no pair"},
      {changed("/model/merges/3", Json::array({"a", "qqq"})), 1020, "names tokens"},
      {changed("/model/dropout", 0.1), 1021, "dropout"},
      {changed("/model/end_of_word_suffix", "</w>"), 1021, "end_of_word_suffix"},
      {changed("/normalizer", {{"type", "Lowercase"}}), 1021, "the normalizer 'Lowercase'"},
      {changed("/pre_tokenizer", {{"type", "Whitespace"}}), 1021, "'Whitespace'"},
      {changed("/pre_tokenizer", nullptr), 1021, "no pre-tokenizer"},
      {changed("/pre_tokenizer", sequence), 1021, "the pattern is not supported"},
      {changed("/decoder", {{"type", "WordPiece"}}), 1021, "the decoder 'WordPiece'"},
      {changed("/post_processor", {{"type", "BertProcessing"}}), 1021, "'BertProcessing'"},
      {changed("/post_processor/single", Json::array()), 1020, "does not hold the text"},
      {changed("/added_tokens/0/id", 7), 1020, "'added_tokens[0].id'"},
      {changed("/added_tokens/0/content", std::string(5000, 'x')), 1020, "too long"},
      {Json::array(), 1020, "has the wrong type"},
      {Json::object(), 1020, "no key 'model'"},
  };
  for (const Case &test : cases) {
    auto tokenizer = Tokenizer::parse(test.document.dump());
    ASSERT_FALSE(tokenizer.ok()) << test.part;
    EXPECT_EQ(tokenizer.status().number(), test.number) << tokenizer.status().text();
    EXPECT_NE(tokenizer.status().what().find(test.part), std::string::npos)
        << tokenizer.status().text();
  }
  EXPECT_EQ(Tokenizer::parse("{").status().number(), 1020);
}

TEST(TokenizerErrors, PatternsOfOtherEngines) {
  for (const char *pattern : {"[a&&b]", "[a[bc]]", "(?m:.)", "[\\W]"}) {
    auto regex = text::Regex::compile(pattern, "p");
    ASSERT_FALSE(regex.ok()) << pattern;
    EXPECT_EQ(regex.status().number(), 1021) << pattern;
  }
  auto hostile = text::Regex::compile("(a+)+[xy]", "p");
  ASSERT_TRUE(hostile.ok());
  auto found = hostile->findAll(std::string(100, 'a'));
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().number(), 1021);
}

TEST(TokenizerTime, HostileTextsTakeNoQuadraticTime) {
  Json document = tiny();
  document["normalizer"] = {{"type", "NFC"}};
  document["added_tokens"].push_back({{"id", 1024},
                                      {"content", "\t"},
                                      {"lstrip", true},
                                      {"rstrip", true},
                                      {"normalized", false},
                                      {"special", false}});
  Tokenizer tokenizer = parse(document);
  auto begin = std::chrono::steady_clock::now();
  std::string marks, spaces;
  for (int i = 0; i < 250000; ++i) {
    marks += i % 2 ? "\u0323" : "\u0301"; // out of order
    spaces += i % 2 ? "\t" : " ";
  }
  for (const std::string &text :
       {std::string(1 << 20, 'a'), std::string(1 << 20, ' '), marks, spaces,
        std::string(1 << 20, '\xff'), std::string(1 << 20, '\0')}) {
    auto ids = tokenizer.encode(text);
    ASSERT_TRUE(ids.ok());
    EXPECT_FALSE(ids->empty());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(60));
}

TEST(Decoding, StreamHoldsBackIncompleteCharacters) {
  Tokenizer tokenizer = parse(tiny());
  std::string text = "a\u00e9\u4e2d\U0001f600<|eos|>z";
  auto ids = tokenizer.encode(text);
  ASSERT_TRUE(ids.ok());
  StreamDecoder decoder(tokenizer, false);
  std::string streamed;
  for (int32_t id : *ids) {
    std::string piece = decoder.push(id);
    EXPECT_TRUE(text::isUtf8(piece));
    streamed += piece;
  }
  EXPECT_EQ(streamed + decoder.finish(), text);
  EXPECT_EQ(tokenizer.decode(*ids), "a\u00e9\u4e2d\U0001f600z");
  // The first byte of an emoji alone.
  int32_t lead = ids->at(6);
  EXPECT_EQ(tokenizer.decode(std::span(&lead, 1)), "\ufffd");
  const int32_t unknown[] = {-1, 99999, ids->front()};
  EXPECT_EQ(tokenizer.decode(unknown), "a");
}

TEST(Utf8, ReplacesMaximalSubparts) {
  EXPECT_EQ(text::repairUtf8("a\xe4\xb8"
                             "b"),
            "a\ufffdb");
  EXPECT_EQ(text::repairUtf8("\xf0\x9f\x98"), "\ufffd");
  EXPECT_EQ(text::repairUtf8("\xed\xa0\x80"), "\ufffd\ufffd\ufffd"); // a surrogate
  EXPECT_EQ(text::repairUtf8("\xc0\x80"), "\ufffd\ufffd");           // overlong
  EXPECT_EQ(text::repairUtf8("\xf4\x90\x80\x80"), "\ufffd\ufffd\ufffd\ufffd");
  EXPECT_TRUE(text::isUtf8("\xf4\x8f\xbf\xbf"));
}

TEST(Tokenizers, NamesAndBytes) {
  Tokenizer tokenizer = parse(tiny());
  EXPECT_EQ(tokenizer.size(), 1024u);
  EXPECT_EQ(tokenizer.idOf("<|eos|>"), 2);
  EXPECT_TRUE(tokenizer.isSpecial(2));
  EXPECT_FALSE(tokenizer.isKnown(1024));
  EXPECT_EQ(tokenizer.bytesOf(*tokenizer.idOf("\u0120\u0120")), "  ");
}

} // namespace
