// A byte-level BPE tokenizer, read from the tokenizer.json of Hugging Face's `tokenizers`.
//
// Text becomes the same ids as there (tested against 0.23): added tokens, normal forms NFC, NFD,
// NFKC and NFKD, pre-tokenizers ByteLevel, Split and Digits, BPE, a template around the result.
// Everything else is refused by name (LV1021).  "truncation" and "padding" are not applied: they
// are settings of a call, not of a model.
#ifndef LEVIN_RUNTIME_TEXT_TOKENIZER_H
#define LEVIN_RUNTIME_TEXT_TOKENIZER_H

#include "runtime/base/Status.h"
#include "runtime/text/Utf8.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin::text {

/// The longest text that encode() takes, in bytes.
inline constexpr size_t maxTextBytes = size_t(1) << 28;

class Tokenizer {
public:
  /// Reads the text of a tokenizer.json.  LV1020 if it is malformed, LV1021 if it asks for another
  /// kind of tokenizer.
  static Result<Tokenizer> parse(std::string_view json);

  /// The ids of `text`.  Bytes that are no UTF-8 count as U+FFFD (one for each maximal ill-formed
  /// subpart, as Python's errors="replace").  `addSpecial`: with what the template puts around.
  /// LV2002 if the text is too long, LV1021 if a pattern of the tokenizer cannot cope with it.
  Result<std::vector<int32_t>> encode(std::string_view text, bool addSpecial = true) const;

  /// The text of `ids`; unknown ids are passed over, ill-formed UTF-8 is replaced.
  std::string decode(std::span<const int32_t> ids, bool skipSpecial = true) const;

  /// The bytes that a token stands for, not necessarily whole code points; empty if it is unknown.
  std::string_view bytesOf(int32_t id) const;
  bool isKnown(int32_t id) const;
  bool isSpecial(int32_t id) const;
  /// The id of a token as the vocabulary spells it ("<|bos|>", "Ġthe").
  std::optional<int32_t> idOf(std::string_view token) const;
  /// One more than the largest id.
  size_t size() const;

private:
  friend class TokenizerReader;
  struct Data;
  std::shared_ptr<const Data> data;
};

/// Decodes ids one by one; text appears as soon as it is certain.
class StreamDecoder {
public:
  explicit StreamDecoder(const Tokenizer &tokenizer, bool skipSpecial = true)
      : tokenizer(tokenizer), skipSpecial(skipSpecial) {}

  /// What is certain after `id`; all pieces and finish() together are decode() of all ids.
  std::string push(int32_t id);
  std::string finish() { return stream.finish(); }

private:
  Tokenizer tokenizer;
  bool skipSpecial;
  Utf8Stream stream;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_TOKENIZER_H
