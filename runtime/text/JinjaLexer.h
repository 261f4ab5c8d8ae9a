// Words of a template.
#ifndef LEVIN_RUNTIME_TEXT_JINJALEXER_H
#define LEVIN_RUNTIME_TEXT_JINJALEXER_H

#include "runtime/text/Jinja.h"

#include <string>
#include <string_view>
#include <vector>

namespace levin::text::jinja {

struct Token {
  enum class Kind {
    Text,           // between tags
    StatementBegin, // {%
    StatementEnd,
    OutputBegin, // {{
    OutputEnd,
    Name,
    String,
    Number,
    Operator,
    End
  };
  Kind kind;
  std::string text; // of a string: its value
  int line;
};

/// Cuts `source` into tokens, with the white space rules of transformers: trim_blocks and
/// lstrip_blocks, and "-" and "+" at tags.  Comments vanish.  LV1022 for what cannot be read.
Result<std::vector<Token>> tokenize(std::string_view source, const std::string &where);

} // namespace levin::text::jinja

#endif // LEVIN_RUNTIME_TEXT_JINJALEXER_H
