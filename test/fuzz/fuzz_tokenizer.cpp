// Whatever tokenizer.json, template and text hold: they are refused, or texts become ids and back.
//
// The input is parts separated by zero bytes: the kind ("t": a chat template), tokenizer.json or
// the template, and texts.
#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Tokenizer.h"

#include <cstdio>
#include <cstdlib>
#include <string_view>

using namespace levin;
using text::Tokenizer;

static void require(bool condition, const char *what) {
  if (condition)
    return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

static std::string_view nextPart(std::string_view &rest) {
  size_t end = rest.find('\0');
  std::string_view part = rest.substr(0, end);
  rest.remove_prefix(end == rest.npos ? rest.size() : end + 1);
  return part;
}

/// Streaming, and decoding at once, say the same and are well-formed.
static void checkDecoding(const Tokenizer &tokenizer, std::span<const int32_t> ids) {
  std::string whole = tokenizer.decode(ids, false), streamed;
  text::StreamDecoder decoder(tokenizer, false);
  for (int32_t id : ids) {
    std::string piece = decoder.push(id);
    require(text::isUtf8(piece), "streamed text is UTF-8");
    streamed += piece;
  }
  streamed += decoder.finish();
  require(whole == streamed, "streaming gives the same text");
}

static void checkTokenizer(std::string_view json, std::string_view texts) {
  auto tokenizer = Tokenizer::parse(json);
  if (!tokenizer.ok()) {
    int number = tokenizer.status().number();
    require(number == 1020 || number == 1021, "a refusal has the tokenizer's numbers");
    return;
  }
  // Hostile patterns take as long as their limits allow; short texts keep the fuzzer going.
  texts = texts.substr(0, 200);
  while (!texts.empty()) {
    auto ids = tokenizer->encode(nextPart(texts));
    if (!ids.ok())
      continue;
    for (int32_t id : *ids)
      require(tokenizer->isKnown(id), "every id is in the vocabulary");
    checkDecoding(*tokenizer, *ids);
  }
  const int32_t strange[] = {-1, 0, 1, INT32_MAX, INT32_MIN, 255, 300};
  checkDecoding(*tokenizer, strange);
}

static void checkTemplate(std::string_view source, std::string_view texts) {
  auto chat = text::ChatTemplate::jinja(source, "fuzz", {"<s>", "</s>"});
  if (!chat.ok()) {
    require(chat.status().number() == 1022, "a refusal has the template's number");
    return;
  }
  std::vector<text::Message> messages = {{"system", "s"}, {"user", std::string(texts)}};
  auto rendered = chat->render(messages, true);
  require(rendered.ok() || rendered.status().number() == 1022, "so has one when rendering");
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  std::string_view rest(reinterpret_cast<const char *>(data), size);
  std::string_view kind = nextPart(rest), document = nextPart(rest);
  if (kind == "t")
    checkTemplate(document, rest);
  else
    checkTokenizer(document, rest);
  return 0;
}
