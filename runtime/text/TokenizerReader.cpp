// Reading tokenizer.json.
#include "runtime/base/Json.h"
#include "runtime/text/ByteAlphabet.h"
#include "runtime/text/TokenizerData.h"

#include <algorithm>

namespace levin::text {

static constexpr size_t maxFileBytes = size_t(1) << 27;
static constexpr int64_t maxTokenId = (1 << 21) - 1;
static constexpr size_t maxTokenBytes = 1 << 16;
static constexpr size_t maxAddedTokens = 1 << 16;
static constexpr size_t maxTemplateTokens = 1024;

class TokenizerReader {
public:
  explicit TokenizerReader(const JsonValue &root)
      : root(root), data(std::make_shared<Tokenizer::Data>()) {}

  Result<Tokenizer> read();

private:
  static Status unsupported(const JsonValue &where, std::string_view what, std::string need);
  static Result<std::string> typeOf(const JsonValue &value);
  Status readNormalizer(const JsonValue &value, size_t depth);
  Status readModel();
  Status readVocabulary(const JsonValue &vocabulary);
  Status readUnknown(const JsonValue &model);
  Status readMerges(const JsonValue &merges);
  Status readBytes(const JsonValue &model, bool byteFallback);
  Status readAddedTokens();
  Status readAddedToken(const JsonValue &value);
  Status readDecoder(const JsonValue &value, size_t depth);
  Status readPostProcessor(const JsonValue &value, size_t depth);
  Status readTemplate(const JsonValue &value);
  Result<Tokenizer::Data::Token *> place(int64_t id, const JsonValue &where);

  const JsonValue &root;
  std::shared_ptr<Tokenizer::Data> data;
  bool allBytes = true; // every byte has a token
};

Status TokenizerReader::unsupported(const JsonValue &where, std::string_view what,
                                    std::string need) {
  return makeError(ErrorCode::TokenizerKind, "tokenizer.json: '{}' {}", where.path(), what)
      .note("need", std::move(need));
}

Result<std::string> TokenizerReader::typeOf(const JsonValue &value) {
  LEVIN_ASSIGN_OR_RETURN(JsonValue type, value.at("type"));
  return type.asString();
}

// --- Normalizer ----------------------------------------------------------------------------------

Status TokenizerReader::readNormalizer(const JsonValue &value, size_t depth) {
  LEVIN_ASSIGN_OR_RETURN(std::string type, typeOf(value));
  if (type == "Sequence") {
    LEVIN_ASSIGN_OR_RETURN(JsonValue parts, value.at("normalizers"));
    LEVIN_RETURN_IF_ERROR(parts.expectArray());
    for (size_t i = 0; i < parts.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue part, parts.at(i));
      if (depth >= 8 || data->normalizers.size() >= 8)
        return value.error("is nested too deeply or too long");
      LEVIN_RETURN_IF_ERROR(readNormalizer(part, depth + 1));
    }
    return {};
  }
  static constexpr std::pair<std::string_view, NormalForm> forms[] = {{"NFC", NormalForm::NFC},
                                                                      {"NFD", NormalForm::NFD},
                                                                      {"NFKC", NormalForm::NFKC},
                                                                      {"NFKD", NormalForm::NFKD}};
  for (auto [name, form] : forms)
    if (type == name) {
      data->normalizers.push_back(form);
      return {};
    }
  return unsupported(value, fmt::format("is the normalizer '{}'", type),
                     "none, NFC, NFD, NFKC, NFKD or a Sequence of them");
}

// --- Model ---------------------------------------------------------------------------------------

Result<Tokenizer::Data::Token *> TokenizerReader::place(int64_t id, const JsonValue &where) {
  if (id < 0 || id > maxTokenId)
    return where.error("is no acceptable token id")
        .note("have", fmt::format("{}", id))
        .note("need", fmt::format("0 to {}", maxTokenId));
  if (static_cast<size_t>(id) >= data->tokens.size())
    data->tokens.resize(static_cast<size_t>(id) + 1);
  return &data->tokens[static_cast<size_t>(id)];
}

Status TokenizerReader::readVocabulary(const JsonValue &vocabulary) {
  LEVIN_RETURN_IF_ERROR(vocabulary.expectObject());
  for (const auto &[spelling, ignored] : vocabulary.raw().items()) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue member, vocabulary.at(spelling));
    LEVIN_ASSIGN_OR_RETURN(int64_t id, member.asInt());
    LEVIN_ASSIGN_OR_RETURN(Tokenizer::Data::Token * token, place(id, member));
    if (token->known)
      return member.error("has the id of another token").note("have", fmt::format("{}", id));
    if (spelling.size() > maxTokenBytes)
      return vocabulary.error("holds a token that is too long");
    token->known = true;
    token->bytes = bytesOfToken(spelling).value_or(spelling);
    data->ids.emplace(spelling, static_cast<int32_t>(id));
  }
  return {};
}

Status TokenizerReader::readUnknown(const JsonValue &model) {
  auto unknown = model.find("unk_token");
  if (!unknown)
    return {};
  LEVIN_ASSIGN_OR_RETURN(std::string spelling, unknown->asString());
  LEVIN_ASSIGN_OR_RETURN(bool fuse, model.getBool("fuse_unk", false));
  auto id = data->ids.find(spelling);
  if (id == data->ids.end())
    return allBytes ? Status() : unknown->error("is not in the vocabulary").note("have", spelling);
  data->encoder.setUnknown(id->second, fuse);
  return {};
}

Status TokenizerReader::readBytes(const JsonValue &model, bool byteFallback) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    std::string spelling;
    appendUtf8(spelling, characterOfByte(static_cast<uint8_t>(byte)));
    auto id = data->ids.find(spelling);
    if (id != data->ids.end()) {
      data->encoder.setByte(static_cast<uint8_t>(byte), id->second);
      continue;
    }
    allBytes = false;
    if (byteFallback)
      return unsupported(model, "has byte_fallback and no token for some byte",
                         "a vocabulary with all 256 bytes");
  }
  return {};
}

/// The two spellings of a merge, ["a", "b"] or "a b"; nothing for the version line that stands
/// among merges at times.
static Result<std::optional<std::pair<std::string, std::string>>> readPair(const JsonValue &merge) {
  if (!merge.isString()) {
    LEVIN_RETURN_IF_ERROR(merge.expectArray());
    if (merge.size() != 2)
      return merge.error("is no pair of tokens");
    LEVIN_ASSIGN_OR_RETURN(JsonValue left, merge.at(size_t(0)));
    LEVIN_ASSIGN_OR_RETURN(JsonValue right, merge.at(size_t(1)));
    LEVIN_ASSIGN_OR_RETURN(std::string a, left.asString());
    LEVIN_ASSIGN_OR_RETURN(std::string b, right.asString());
    return std::optional(std::pair(std::move(a), std::move(b)));
  }
  LEVIN_ASSIGN_OR_RETURN(std::string line, merge.asString());
  if (line.starts_with("#version"))
    return std::optional<std::pair<std::string, std::string>>();
  size_t space = line.find(' ');
  if (space == line.npos || line.find(' ', space + 1) != line.npos)
    return merge.error("is no pair of tokens").note("have", shortJson(merge.raw()));
  return std::optional(std::pair(line.substr(0, space), line.substr(space + 1)));
}

Status TokenizerReader::readMerges(const JsonValue &merges) {
  LEVIN_RETURN_IF_ERROR(merges.expectArray());
  uint32_t rank = 0;
  for (size_t i = 0; i < merges.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue merge, merges.at(i));
    LEVIN_ASSIGN_OR_RETURN(auto pair, readPair(merge));
    if (!pair)
      continue;
    auto left = data->ids.find(pair->first), right = data->ids.find(pair->second);
    auto result = data->ids.find(pair->first + pair->second);
    if (left == data->ids.end() || right == data->ids.end() || result == data->ids.end())
      return merge.error("names tokens that the vocabulary does not have")
          .note("have", fmt::format("'{}' and '{}'", pair->first, pair->second))
          .note("need", "both, and what they make together, in model.vocab");
    data->encoder.setMerge(left->second, right->second, rank++, result->second);
  }
  return {};
}

Status TokenizerReader::readModel() {
  LEVIN_ASSIGN_OR_RETURN(JsonValue model, root.at("model"));
  // Old files leave the type out; then a list of merges tells.
  LEVIN_ASSIGN_OR_RETURN(std::string type,
                         model.getString("type", model.find("merges") ? "BPE" : "unknown"));
  if (type != "BPE")
    return unsupported(model, fmt::format("is of type '{}'", type), "BPE on bytes");
  for (const char *key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    LEVIN_ASSIGN_OR_RETURN(std::string text, model.getString(key, ""));
    if (!text.empty())
      return unsupported(model, fmt::format("has a {}", key), "BPE on bytes");
  }
  LEVIN_ASSIGN_OR_RETURN(double dropout, model.getDouble("dropout", 0));
  if (dropout != 0)
    return unsupported(model, "has a dropout", "merges without chance");
  LEVIN_ASSIGN_OR_RETURN(JsonValue vocabulary, model.at("vocab"));
  LEVIN_RETURN_IF_ERROR(readVocabulary(vocabulary));
  LEVIN_ASSIGN_OR_RETURN(bool byteFallback, model.getBool("byte_fallback", false));
  LEVIN_RETURN_IF_ERROR(readBytes(model, byteFallback));
  LEVIN_RETURN_IF_ERROR(readUnknown(model));
  LEVIN_ASSIGN_OR_RETURN(JsonValue merges, model.at("merges"));
  LEVIN_RETURN_IF_ERROR(readMerges(merges));
  LEVIN_ASSIGN_OR_RETURN(bool ignoreMerges, model.getBool("ignore_merges", false));
  if (ignoreMerges)
    for (const auto &[spelling, id] : data->ids)
      if (auto bytes = bytesOfToken(spelling))
        data->encoder.setWhole(std::move(*bytes), id);
  return {};
}

// --- Added tokens --------------------------------------------------------------------------------

Status TokenizerReader::readAddedToken(const JsonValue &value) {
  AddedToken token;
  LEVIN_ASSIGN_OR_RETURN(JsonValue content, value.at("content"));
  LEVIN_ASSIGN_OR_RETURN(token.content, content.asString());
  LEVIN_ASSIGN_OR_RETURN(JsonValue idValue, value.at("id"));
  LEVIN_ASSIGN_OR_RETURN(int64_t id, idValue.asInt());
  LEVIN_ASSIGN_OR_RETURN(token.special, value.getBool("special", false));
  LEVIN_ASSIGN_OR_RETURN(token.singleWord, value.getBool("single_word", false));
  LEVIN_ASSIGN_OR_RETURN(token.leftStrip, value.getBool("lstrip", false));
  LEVIN_ASSIGN_OR_RETURN(token.rightStrip, value.getBool("rstrip", false));
  LEVIN_ASSIGN_OR_RETURN(token.normalized, value.getBool("normalized", !token.special));
  if (token.content.empty())
    return {};
  if (token.content.size() > maxAddedTokenBytes)
    return content.error("is too long")
        .note("need", fmt::format("at most {} bytes", maxAddedTokenBytes));
  LEVIN_ASSIGN_OR_RETURN(Tokenizer::Data::Token * entry, place(id, idValue));
  auto [spelled, isNew] = data->ids.try_emplace(token.content, static_cast<int32_t>(id));
  if (spelled->second != id || (isNew && entry->known))
    return idValue.error("is not the id that the vocabulary gives this token")
        .note("have", fmt::format("{}", id));
  token.id = static_cast<int32_t>(id);
  entry->known = true;
  entry->special = token.special;
  entry->bytes = bytesOfToken(token.content).value_or(token.content);
  std::string wanted = token.content;
  if (token.normalized)
    for (NormalForm form : data->normalizers)
      wanted = normalise(wanted, form);
  (token.normalized ? data->normalizedTokens : data->plainTokens).add(wanted, token);
  return {};
}

Status TokenizerReader::readAddedTokens() {
  auto list = root.find("added_tokens");
  if (!list)
    return {};
  LEVIN_RETURN_IF_ERROR(list->expectArray());
  if (list->size() > maxAddedTokens)
    return list->error(fmt::format("holds more than {} tokens", maxAddedTokens));
  for (size_t i = 0; i < list->size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue value, list->at(i));
    LEVIN_RETURN_IF_ERROR(readAddedToken(value));
  }
  return {};
}

// --- Decoder and post-processor ------------------------------------------------------------------

Status TokenizerReader::readDecoder(const JsonValue &value, size_t depth) {
  LEVIN_ASSIGN_OR_RETURN(std::string type, typeOf(value));
  if (type == "ByteLevel")
    return {};
  if (type == "Sequence" && depth < 8) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue parts, value.at("decoders"));
    LEVIN_RETURN_IF_ERROR(parts.expectArray());
    for (size_t i = 0; i < parts.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue part, parts.at(i));
      LEVIN_RETURN_IF_ERROR(readDecoder(part, depth + 1));
    }
    return {};
  }
  return unsupported(value, fmt::format("is the decoder '{}'", type), "ByteLevel");
}

Status TokenizerReader::readTemplate(const JsonValue &value) {
  LEVIN_ASSIGN_OR_RETURN(JsonValue single, value.at("single"));
  LEVIN_RETURN_IF_ERROR(single.expectArray());
  std::vector<int32_t> *side = &data->before;
  bool found = false;
  for (size_t i = 0; i < single.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue piece, single.at(i));
    if (piece.find("Sequence")) {
      if (found)
        return piece.error("puts the text in twice");
      found = true;
      side = &data->after;
      continue;
    }
    LEVIN_ASSIGN_OR_RETURN(JsonValue special, piece.at("SpecialToken"));
    LEVIN_ASSIGN_OR_RETURN(JsonValue nameValue, special.at("id"));
    LEVIN_ASSIGN_OR_RETURN(std::string name, nameValue.asString());
    LEVIN_ASSIGN_OR_RETURN(JsonValue table, value.at("special_tokens"));
    LEVIN_ASSIGN_OR_RETURN(JsonValue known, table.at(name));
    LEVIN_ASSIGN_OR_RETURN(JsonValue ids, known.at("ids"));
    LEVIN_RETURN_IF_ERROR(ids.expectArray());
    for (size_t k = 0; k < ids.size(); ++k) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue idValue, ids.at(k));
      LEVIN_ASSIGN_OR_RETURN(int64_t id, idValue.asInt());
      bool held = id >= 0 && id < static_cast<int64_t>(data->tokens.size());
      if (!held || !data->tokens[static_cast<size_t>(id)].known)
        return idValue.error("is the id of no token").note("have", fmt::format("{}", id));
      if (data->before.size() + data->after.size() >= maxTemplateTokens)
        return value.error("puts too many tokens around the text");
      side->push_back(static_cast<int32_t>(id));
    }
  }
  return found ? Status() : single.error("does not hold the text");
}

Status TokenizerReader::readPostProcessor(const JsonValue &value, size_t depth) {
  LEVIN_ASSIGN_OR_RETURN(std::string type, typeOf(value));
  if (type == "ByteLevel") // changes offsets only
    return {};
  if (type == "TemplateProcessing") {
    if (!data->before.empty() || !data->after.empty())
      return unsupported(value, "is a second template", "one TemplateProcessing");
    return readTemplate(value);
  }
  if (type == "Sequence" && depth < 8) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue parts, value.at("processors"));
    LEVIN_RETURN_IF_ERROR(parts.expectArray());
    for (size_t i = 0; i < parts.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(JsonValue part, parts.at(i));
      LEVIN_RETURN_IF_ERROR(readPostProcessor(part, depth + 1));
    }
    return {};
  }
  return unsupported(value, fmt::format("is the post-processor '{}'", type),
                     "ByteLevel, TemplateProcessing or a Sequence of them");
}

Result<Tokenizer> TokenizerReader::read() {
  LEVIN_RETURN_IF_ERROR(root.expectObject());
  if (auto normalizer = root.find("normalizer"))
    LEVIN_RETURN_IF_ERROR(readNormalizer(*normalizer, 0));
  LEVIN_RETURN_IF_ERROR(readModel());
  auto preTokenizer = root.find("pre_tokenizer");
  if (!preTokenizer)
    return makeError(ErrorCode::TokenizerKind, "tokenizer.json: there is no pre-tokenizer")
        .note("need", "a byte-level tokenizer");
  LEVIN_ASSIGN_OR_RETURN(data->preTokenizer, PreTokenizer::read(*preTokenizer));
  LEVIN_RETURN_IF_ERROR(readAddedTokens());
  if (auto decoder = root.find("decoder"))
    LEVIN_RETURN_IF_ERROR(readDecoder(*decoder, 0));
  if (auto processor = root.find("post_processor"))
    LEVIN_RETURN_IF_ERROR(readPostProcessor(*processor, 0));
  if (data->tokens.empty())
    return root.error("defines no tokens");
  Tokenizer tokenizer;
  tokenizer.data = std::move(data);
  return tokenizer;
}

Result<Tokenizer> Tokenizer::parse(std::string_view json) {
  if (json.size() > maxFileBytes)
    return makeError(ErrorCode::TokenizerFormat, "tokenizer.json is larger than {} bytes",
                     maxFileBytes);
  LEVIN_ASSIGN_OR_RETURN(Json document,
                         parseJson(json, "tokenizer.json", ErrorCode::TokenizerFormat));
  JsonValue root(document, "tokenizer.json", ErrorCode::TokenizerFormat);
  return TokenizerReader(root).read();
}

} // namespace levin::text
