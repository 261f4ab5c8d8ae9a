#include "runtime/session/Sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace levin {

static uint64_t mix(uint64_t value) {
  value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
  value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
  return value ^ (value >> 31);
}

double uniformAt(uint64_t seed, uint64_t index) {
  // The seed is mixed first, so that neighbouring seeds do not give shifted sequences.
  uint64_t bits = mix(mix(seed + 0x9e3779b97f4a7c15ull) + (index + 1) * 0x9e3779b97f4a7c15ull);
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

static Status badValue(const char *name, float value, const char *need) {
  return makeError(ErrorCode::OptionValue, "{} cannot be {}", name, value).note("need", need);
}

Result<Sampler> Sampler::create(const Sampling &sampling, uint64_t vocabulary) {
  // Comparisons are written so that a NaN is refused.
  if (!(sampling.temperature >= 0 && sampling.temperature <= 1e6f))
    return badValue("temperature", sampling.temperature, "0 (greedy) to 1e6");
  if (!(sampling.topP >= 0 && sampling.topP <= 1))
    return badValue("top_p", sampling.topP, "0 to 1");
  if (!(sampling.minP >= 0 && sampling.minP <= 1))
    return badValue("min_p", sampling.minP, "0 to 1");
  if (sampling.repetitionPenalty != 0 &&
      !(sampling.repetitionPenalty >= 0.01f && sampling.repetitionPenalty <= 100))
    return badValue("repetition_penalty", sampling.repetitionPenalty, "0 (none), or 0.01 to 100");
  if (!(std::abs(sampling.presencePenalty) <= 1e6f))
    return badValue("presence_penalty", sampling.presencePenalty, "-1e6 to 1e6");
  if (!(std::abs(sampling.frequencyPenalty) <= 1e6f))
    return badValue("frequency_penalty", sampling.frequencyPenalty, "-1e6 to 1e6");
  if (sampling.logprobs > maxLogprobs)
    return makeError(ErrorCode::OptionValue, "logprobs cannot be {}", sampling.logprobs)
        .note("need", fmt::format("0 to {}", maxLogprobs));
  if (vocabulary == 0 || vocabulary > INT32_MAX)
    return makeError(ErrorCode::Argument, "a vocabulary of {} tokens cannot be sampled",
                     vocabulary);
  Sampler sampler;
  sampler.sampling = sampling;
  sampler.vocabulary = vocabulary;
  return sampler;
}

Status Sampler::addPrompt(std::span<const int32_t> tokens) {
  for (int32_t token : tokens)
    if (token < 0 || static_cast<uint64_t>(token) >= vocabulary)
      return makeError(ErrorCode::TokenRange, "token {} is outside the vocabulary", token)
          .note("need", fmt::format("0 to {}", vocabulary - 1));
  for (int32_t token : tokens)
    seen.try_emplace(token);
  return {};
}

/// The largest logit, or the reason why these cannot be used.
static Result<float> largestLogit(std::span<const float> logits) {
  float largest = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] < std::numeric_limits<float>::infinity()))
      return makeError(ErrorCode::Internal, "the logit of token {} is {}", i, logits[i])
          .note("need", "finite numbers, or -inf to exclude a token")
          .note("fix", "run with LEVIN_VALIDATE=1, and report what levin-run verify says");
    largest = std::max(largest, logits[i]);
  }
  if (largest == -std::numeric_limits<float>::infinity())
    return makeError(ErrorCode::Internal, "every token is excluded: all logits are -inf");
  return largest;
}

void Sampler::applyPenalties() {
  constexpr float limit = std::numeric_limits<float>::max();
  float repetition = sampling.repetitionPenalty == 0 ? 1 : sampling.repetitionPenalty;
  for (const auto &[token, timesInAnswer] : seen) {
    float &logit = adjusted[static_cast<size_t>(token)];
    if (logit < -limit)
      continue; // stays excluded
    logit = logit > 0 ? logit / repetition : logit * repetition;
    if (timesInAnswer > 0)
      logit -=
          sampling.presencePenalty + sampling.frequencyPenalty * static_cast<float>(timesInAnswer);
    logit = std::clamp(logit, -limit, limit); // a penalty never excludes
  }
}

bool Sampler::before(const Candidate &a, const Candidate &b) {
  return a.logit > b.logit || (a.logit == b.logit && a.token < b.token);
}

/// Puts the `count` most likely candidates first, in order.
void Sampler::orderFirst(size_t count) {
  count = std::min(count, candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<ptrdiff_t>(count),
                    candidates.end(), before);
}

double Sampler::weightOf(const Candidate &candidate, float largest) const {
  return std::exp((static_cast<double>(candidate.logit) - largest) / sampling.temperature);
}

/// Keeps the fewest candidates, the most likely first, that together have the share topP.
void Sampler::keepTopP(float largest) {
  double total = 0, reached = 0;
  for (const Candidate &candidate : candidates)
    total += weightOf(candidate, largest);
  // Few candidates suffice nearly always, and ordering a whole vocabulary takes long.
  size_t kept = 0, ordered = 0;
  while (kept < candidates.size() && (kept == 0 || reached < sampling.topP * total)) {
    if (kept == ordered) {
      ordered = std::max<size_t>(256, 16 * ordered);
      orderFirst(ordered);
    }
    reached += weightOf(candidates[kept++], largest);
  }
  candidates.resize(kept);
}

/// Draws from `adjusted`, of which at least one is finite.
int32_t Sampler::draw() {
  candidates.clear();
  for (size_t i = 0; i < adjusted.size(); ++i)
    if (adjusted[i] > -std::numeric_limits<float>::infinity())
      candidates.push_back({adjusted[i], static_cast<int32_t>(i)});
  float largest = *std::max_element(adjusted.begin(), adjusted.end());
  if (sampling.topK != 0 && sampling.topK < candidates.size()) {
    orderFirst(sampling.topK);
    candidates.resize(sampling.topK);
  }
  return drawFrom(largest);
}

/// Draws from the candidates, of which the largest is `largest`.
int32_t Sampler::drawFrom(float largest) {
  if (sampling.topP > 0 && sampling.topP < 1)
    keepTopP(largest);
  double total = 0;
  weights.clear();
  for (const Candidate &candidate : candidates) {
    double weight = weightOf(candidate, largest); // 1 for the most likely
    weights.push_back(weight < sampling.minP ? 0 : weight);
    total += weights.back();
  }
  double target = uniformAt(sampling.seed, drawn) * total;
  size_t chosen = 0;
  for (size_t i = 0; i < weights.size(); ++i) {
    if (weights[i] == 0)
      continue;
    chosen = i; // rounding may leave something of `target` after the last
    if (target < weights[i])
      break;
    target -= weights[i];
  }
  return candidates[chosen].token;
}

void Sampler::report(std::span<const float> logits, float largest, Choice &choice) {
  double sum = 0;
  for (float logit : logits)
    sum += std::exp(static_cast<double>(logit) - largest);
  double logSum = largest + std::log(sum);
  choice.logprob = static_cast<float>(logits[static_cast<size_t>(choice.token)] - logSum);
  candidates.clear();
  for (size_t i = 0; i < logits.size(); ++i)
    candidates.push_back({logits[i], static_cast<int32_t>(i)});
  orderFirst(sampling.logprobs);
  for (size_t i = 0; i < std::min<size_t>(sampling.logprobs, candidates.size()); ++i)
    choice.alternatives.push_back(
        {candidates[i].token, static_cast<float>(candidates[i].logit - logSum)});
}

Result<Choice> Sampler::sample(std::span<const float> logits) {
  if (logits.size() != vocabulary)
    return makeError(ErrorCode::Argument, "{} logits are given", logits.size())
        .note("need", fmt::format("{}", vocabulary));
  LEVIN_ASSIGN_OR_RETURN(float largest, largestLogit(logits));
  adjusted.assign(logits.begin(), logits.end());
  applyPenalties();
  Choice choice;
  if (sampling.temperature == 0)
    choice.token =
        static_cast<int32_t>(std::max_element(adjusted.begin(), adjusted.end()) - adjusted.begin());
  else
    choice.token = draw();
  if (sampling.logprobs != 0)
    report(logits, largest, choice);
  ++drawn;
  ++seen[choice.token];
  return choice;
}

std::optional<Choice> Sampler::sample(const RowSummary &summary) {
  bool penalties = (sampling.repetitionPenalty != 0 && sampling.repetitionPenalty != 1) ||
                   sampling.presencePenalty != 0 || sampling.frequencyPenalty != 0;
  bool enough =
      sampling.temperature == 0 || (sampling.topK != 0 && sampling.topK <= RowSummary::most);
  if (penalties || !enough || !std::isfinite(summary.logSumExp) || summary.top.empty())
    return std::nullopt;
  candidates.clear();
  for (const TokenLogit &candidate : summary.top)
    if (std::isfinite(candidate.logit))
      candidates.push_back(candidate);
  Choice choice;
  size_t listed = candidates.size();
  for (size_t i = 0; i < std::min<size_t>(sampling.logprobs, listed); ++i)
    choice.alternatives.push_back({candidates[i].token, candidates[i].logit - summary.logSumExp});
  choice.token = candidates[0].token;
  if (sampling.temperature != 0) {
    // As from a row: in the order of logits if some are left out, of tokens otherwise.
    if (sampling.topK < listed || (listed == RowSummary::most && vocabulary > listed))
      candidates.resize(std::min<size_t>(sampling.topK, listed));
    else
      std::ranges::sort(candidates, {}, &TokenLogit::token);
    choice.token = drawFrom(summary.top[0].logit);
  }
  if (sampling.logprobs != 0)
    for (const TokenLogit &candidate : summary.top)
      if (candidate.token == choice.token)
        choice.logprob = candidate.logit - summary.logSumExp;
  ++drawn;
  ++seen[choice.token];
  return choice;
}

} // namespace levin
