// What a tokenizer holds; only the files that read it and use it need this.
#ifndef LEVIN_RUNTIME_TEXT_TOKENIZERDATA_H
#define LEVIN_RUNTIME_TEXT_TOKENIZERDATA_H

#include "runtime/text/AddedTokens.h"
#include "runtime/text/BytePairEncoder.h"
#include "runtime/text/PreTokenizer.h"
#include "runtime/text/Tokenizer.h"
#include "runtime/text/Unicode.h"

#include <unordered_map>

namespace levin::text {

struct Tokenizer::Data {
  struct Token {
    std::string bytes;
    bool known = false, special = false;
  };
  std::vector<Token> tokens; // by id
  std::unordered_map<std::string, int32_t> ids;
  AddedTokenSet plainTokens;      // searched in the text as it is
  AddedTokenSet normalizedTokens; // searched after normalisation
  std::vector<NormalForm> normalizers;
  PreTokenizer preTokenizer;
  BytePairEncoder encoder;
  std::vector<int32_t> before, after; // what the template puts around a text
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_TOKENIZERDATA_H
