#include "tools/levin-bench/Cases.h"

#include "runtime/base/Checked.h"
#include "tools/common/Format.h"

#include <algorithm>
#include <numeric>

namespace levin::bench {

static constexpr uint64_t mostSequences = 65536; // of a case

uint64_t Case::tokensPerStep() const {
  return std::accumulate(tokens.begin(), tokens.end(), uint64_t(0));
}

std::string Case::title() const {
  std::string text = name;
  if (tokens.size() > 1 && !name.starts_with("mix"))
    text += fmt::format(" b{}", tokens.size());
  return depth > 0 ? text + fmt::format(" @ d{}", depth) : text;
}

static Status refuse(std::string_view option, std::string_view have, std::string need) {
  return makeError(ErrorCode::OptionValue, "{} has a value that cannot be used", option)
      .note("have", "'" + std::string(have.substr(0, 40)) + "'")
      .note("need", std::move(need));
}

/// The pieces of `text` between `separator`s.
static std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  while (true) {
    size_t at = text.find(separator);
    pieces.push_back(text.substr(0, at));
    if (at == text.npos)
      return pieces;
    text.remove_prefix(at + 1);
  }
}

static constexpr uint64_t mostTokens = uint64_t(1) << 31;

/// "512,8K" as numbers of `least` at least.
static Result<std::vector<uint64_t>> parseList(std::string_view option, std::string_view text,
                                               uint64_t least) {
  std::vector<uint64_t> numbers;
  for (std::string_view piece : split(text, ',')) {
    auto number = tool::parseCount(piece);
    if (!number || *number < least || *number > mostTokens)
      return refuse(option, piece, fmt::format("numbers from {} on, such as 512,8K", least));
    numbers.push_back(*number);
  }
  return numbers;
}

/// "2x50+18x1" as tokens of each sequence.
static Result<std::vector<uint64_t>> parseMixture(std::string_view text) {
  std::vector<uint64_t> tokens;
  for (std::string_view piece : split(text, '+')) {
    size_t x = piece.find('x');
    auto count = tool::parseCount(piece.substr(0, x));
    auto length = x == piece.npos ? std::nullopt : tool::parseCount(piece.substr(x + 1));
    if (!count || !length || *count == 0 || *length == 0 || *length > mostTokens ||
        *count > mostSequences - tokens.size())
      return refuse("--mixed", text,
                    "SEQUENCESxTOKENS, several joined by +, such as 2x50+18x1 (2 sequences of 50 "
                    "tokens and 18 of one)");
    tokens.insert(tokens.end(), *count, *length);
  }
  return tokens;
}

Result<std::vector<Case>> listCases(const CaseOptions &options) {
  LEVIN_ASSIGN_OR_RETURN(auto prompts, parseList("--prompt", options.prompts, 0));
  LEVIN_ASSIGN_OR_RETURN(auto generations, parseList("--generate", options.generations, 0));
  LEVIN_ASSIGN_OR_RETURN(auto depths, parseList("--depth", options.depths, 0));
  LEVIN_ASSIGN_OR_RETURN(auto batches, parseList("--batch", options.batches, 1));
  std::vector<std::vector<uint64_t>> mixtures;
  for (const std::string &text : options.mixed) {
    LEVIN_ASSIGN_OR_RETURN(auto mixture, parseMixture(text));
    mixtures.push_back(std::move(mixture));
  }
  for (uint64_t batch : batches)
    if (batch > mostSequences)
      return refuse("--batch", std::to_string(batch), fmt::format("at most {}", mostSequences));
  std::vector<Case> cases;
  for (uint64_t depth : depths) {
    for (uint64_t batch : batches)
      for (uint64_t prompt : prompts)
        if (prompt > 0)
          cases.push_back({fmt::format("pp{}", prompt), std::vector(batch, prompt), 1, depth});
    for (uint64_t batch : batches)
      for (uint64_t count : generations)
        if (count > 0)
          cases.push_back(
              {fmt::format("tg{}", count), std::vector(batch, uint64_t(1)), count, depth});
    for (size_t i = 0; i < mixtures.size(); ++i)
      cases.push_back({"mix " + options.mixed[i], mixtures[i], 1, depth});
  }
  if (cases.empty())
    return makeError(ErrorCode::OptionValue, "nothing is asked for")
        .note("fix", "give --prompt, --generate or --mixed a number that is not 0");
  return cases;
}

Status checkCase(const Case &wanted, const Limits &limits) {
  if (wanted.tokens.size() > limits.slots)
    return makeError(ErrorCode::BatchTooLarge,
                     "'{}' has more sequences than the artifact has slots", wanted.title())
        .note("have", fmt::format("{} slots", limits.slots))
        .note("need", fmt::format("{}", wanted.tokens.size()))
        .note("fix", fmt::format("compile with --slots {}", wanted.tokens.size()));
  uint64_t longest = *std::ranges::max_element(wanted.tokens);
  auto grown = checkedMul(longest, wanted.steps);
  auto length = grown ? checkedAdd(*grown, wanted.depth) : std::nullopt;
  if (!length || *length > limits.maxContext)
    return makeError(ErrorCode::ContextFull, "'{}' is longer than the compiled context",
                     wanted.title())
        .note("have", fmt::format("{} tokens", limits.maxContext))
        .note("need", length ? fmt::format("{}", *length) : "more than 2^64")
        .note("fix", "compile with a larger --max-context, or take a smaller depth");
  return {};
}

} // namespace levin::bench
