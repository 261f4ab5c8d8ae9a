#include "runtime/text/Tokenizer.h"

#include "runtime/text/TokenizerData.h"

namespace levin::text {

/// Cuts `part`, which holds no plain added token, and appends the ids of its pieces.
static Status encodePart(const auto &data, std::string part, std::vector<int32_t> &ids) {
  for (NormalForm form : data.normalizers)
    part = normalise(part, form);
  for (const TextPart &piece : data.normalizedTokens.split(part)) {
    if (piece.token) {
      ids.push_back(*piece.token);
      continue;
    }
    std::string_view text =
        std::string_view(part).substr(piece.span.begin, piece.span.end - piece.span.begin);
    LEVIN_ASSIGN_OR_RETURN(std::vector<std::string> words, data.preTokenizer.split(text));
    for (const std::string &word : words)
      data.encoder.encode(word, ids);
  }
  return {};
}

Result<std::vector<int32_t>> Tokenizer::encode(std::string_view text, bool addSpecial) const {
  if (text.size() > maxTextBytes)
    return makeError(ErrorCode::OptionValue, "the text is too long to be tokenized")
        .note("have", fmt::format("{} bytes", text.size()))
        .note("need", fmt::format("at most {} bytes", maxTextBytes));
  std::string repaired;
  if (!isUtf8(text)) {
    repaired = repairUtf8(text);
    text = repaired;
  }
  std::vector<int32_t> ids;
  if (addSpecial)
    ids = data->before;
  for (const TextPart &part : data->plainTokens.split(text)) {
    if (part.token)
      ids.push_back(*part.token);
    else
      LEVIN_RETURN_IF_ERROR(encodePart(
          *data, std::string(text.substr(part.span.begin, part.span.end - part.span.begin)), ids));
  }
  if (addSpecial)
    ids.insert(ids.end(), data->after.begin(), data->after.end());
  return ids;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skipSpecial) const {
  StreamDecoder decoder(*this, skipSpecial);
  std::string text;
  for (int32_t id : ids)
    text += decoder.push(id);
  return text + decoder.finish();
}

bool Tokenizer::isKnown(int32_t id) const {
  return id >= 0 && static_cast<size_t>(id) < data->tokens.size() &&
         data->tokens[static_cast<size_t>(id)].known;
}

std::string_view Tokenizer::bytesOf(int32_t id) const {
  return isKnown(id) ? std::string_view(data->tokens[static_cast<size_t>(id)].bytes) : "";
}

bool Tokenizer::isSpecial(int32_t id) const {
  return isKnown(id) && data->tokens[static_cast<size_t>(id)].special;
}

std::optional<int32_t> Tokenizer::idOf(std::string_view token) const {
  auto place = data->ids.find(std::string(token));
  return place == data->ids.end() ? std::nullopt : std::optional(place->second);
}

size_t Tokenizer::size() const { return data->tokens.size(); }

std::string StreamDecoder::push(int32_t id) {
  if (skipSpecial && tokenizer.isSpecial(id))
    return {};
  return stream.push(tokenizer.bytesOf(id));
}

} // namespace levin::text
