// Cutting a text into the pieces within which a tokenizer merges.
#ifndef LEVIN_RUNTIME_TEXT_PRETOKENIZER_H
#define LEVIN_RUNTIME_TEXT_PRETOKENIZER_H

#include "runtime/base/Json.h"
#include "runtime/text/Regex.h"

#include <string>
#include <string_view>
#include <vector>

namespace levin::text {

/// The pieces of `text` by GPT-2's pattern
///   's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+
/// They cover the text.
std::vector<Span> splitByGpt2Pattern(std::string_view text);

/// What becomes of the matches of a Split pre-tokenizer.
enum class SplitBehavior { Removed, Isolated, MergedWithPrevious, MergedWithNext, Contiguous };

/// The pieces that `behavior` makes of a text of `size` bytes with these matches; `invert` swaps
/// matches and what is between them.  Empty pieces are left out.
std::vector<Span> splitByMatches(size_t size, const std::vector<Span> &matches,
                                 SplitBehavior behavior, bool invert);

/// The pre-tokenizer of a tokenizer.json: any number of Split and Digits, then ByteLevel.
class PreTokenizer {
public:
  /// Reads the value of "pre_tokenizer".  LV1020 if it is malformed, LV1021 if it is of another
  /// kind or does not end in ByteLevel, without which no byte-level vocabulary can be used.
  static Result<PreTokenizer> read(const JsonValue &value);

  /// The pieces of `text` (well-formed UTF-8), as bytes; none is empty.
  Result<std::vector<std::string>> split(std::string_view text) const;

private:
  struct Step {
    enum class Kind { Regex, Literal, Digits, ByteLevel } kind;
    Regex regex;
    std::string literal;
    SplitBehavior behavior = SplitBehavior::Isolated;
    bool invert = false;
    bool prefixSpace = false; // ByteLevel: before a piece that does not begin with one
    bool gpt2 = false;        // ByteLevel: use_regex
  };
  static Status readSteps(const JsonValue &value, size_t depth, std::vector<Step> &steps);
  static Status readSplit(const JsonValue &value, std::vector<Step> &steps);
  static Result<std::vector<Span>> apply(const Step &step, std::string_view piece);

  std::vector<Step> steps;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_PRETOKENIZER_H
