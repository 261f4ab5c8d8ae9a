// Choosing a token from logits.
#ifndef LEVIN_RUNTIME_SESSION_SAMPLER_H
#define LEVIN_RUNTIME_SESSION_SAMPLER_H

#include "runtime/base/Status.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace levin {

/// Applied in this order: penalties, temperature, topK, topP, minP.  Values of 0 switch off.
struct Sampling {
  float temperature = 0; // 0: the largest logit, of equal ones the lowest id
  uint32_t topK = 0;
  float topP = 0;
  float minP = 0;
  float repetitionPenalty = 0; // 1 is none, too
  float presencePenalty = 0;
  float frequencyPenalty = 0;
  uint64_t seed = 0;
  uint32_t logprobs = 0; // 0: report none; n: the choice's and the n most likely, to maxLogprobs
};

inline constexpr uint32_t maxLogprobs = 64;

struct Alternative {
  int32_t token = 0;
  float logprob = 0;
};

/// Probabilities are those of the logits as the model gave them, whatever the sampling.
struct Choice {
  int32_t token = 0;
  float logprob = 0;                     // 0 if none are asked for
  std::vector<Alternative> alternatives; // most likely first
};

/// A logit and whose it is.
struct TokenLogit {
  float logit;
  int32_t token;
};

/// What a GPU tells of a row of logits, so that the row itself need not be read.
struct RowSummary {
  static constexpr size_t most = 64;
  float logSumExp = 0;             // not finite if a logit is NaN or +inf, or all are -inf
  std::span<const TokenLogit> top; // the `most` largest, in order; -inf where there are fewer
};

/// A number in [0, 1) that depends on `seed` and `index` only (SplitMix64's output function over
/// seed and counter), so that the n-th token of a request is the same whatever else runs.
double uniformAt(uint64_t seed, uint64_t index);

/// Samples one sequence.
class Sampler {
public:
  /// Failure: LV2002 for a value that cannot be used.
  static Result<Sampler> create(const Sampling &sampling, uint64_t vocabulary);

  /// Counts tokens of the prompt, for the repetition penalty.  Failure: LV2008.
  Status addPrompt(std::span<const int32_t> tokens);

  /// Chooses the next token and counts it.  Logits of -inf exclude tokens.
  /// Failure: LV9001 if a logit is NaN or +inf, or none is finite.
  Result<Choice> sample(std::span<const float> logits);

  /// The same, of the row that `summary` is of; nothing, and nothing is counted, if this way to
  /// choose needs the row.
  std::optional<Choice> sample(const RowSummary &summary);

private:
  using Candidate = TokenLogit;
  Sampler() = default;
  static bool before(const Candidate &a, const Candidate &b);
  void applyPenalties();
  void orderFirst(size_t count);
  double weightOf(const Candidate &candidate, float largest) const;
  void keepTopP(float largest);
  int32_t draw();
  int32_t drawFrom(float largest);
  void report(std::span<const float> logits, float largest, Choice &choice);

  Sampling sampling;
  uint64_t vocabulary = 0, drawn = 0;
  std::unordered_map<int32_t, uint32_t> seen; // of prompt and answer; times in the answer
  std::vector<float> adjusted;
  std::vector<Candidate> candidates;
  std::vector<double> weights;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_SAMPLER_H
