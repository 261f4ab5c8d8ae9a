#include "runtime/session/StepPlan.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace levin {

/// Estimated time of a run, in units of one token's computation.
static double costOf(const Bucket &bucket) {
  return 10.0 + static_cast<double>(bucket.tokens) + 0.25 * static_cast<double>(bucket.rows) +
         0.0625 * static_cast<double>(bucket.sequences);
}

namespace {

/// What is not done yet: sequences before `sequence` are finished, of that one `done` tokens are.
struct Position {
  uint32_t sequence = 0;
  uint64_t done = 0;
};

class Planner {
public:
  Planner(std::span<const Bucket> buckets, std::span<const StepWork> work)
      : buckets(buckets), work(work) {}

  Result<std::vector<StepRun>> plan();

private:
  bool finished(const Position &at) const { return at.sequence == work.size(); }
  /// Fills `bucket` from `at` on and moves `at`; the number of tokens.  Lists parts if asked to.
  uint64_t fill(const Bucket &bucket, Position &at, std::vector<StepPart> *parts) const;
  /// The bucket that does most tokens for its time, or nothing useful: buckets.size().
  size_t mostEfficient(const Position &at) const;
  double restCost(Position at) const;
  double costFrom(size_t bucket, Position at) const;
  size_t choose(const Position &at) const;

  static constexpr size_t farRuns = 16; // so many runs away, the end does not matter

  std::span<const Bucket> buckets;
  std::span<const StepWork> work;
};

uint64_t Planner::fill(const Bucket &bucket, Position &at, std::vector<StepPart> *parts) const {
  uint64_t tokens = bucket.tokens, sequences = bucket.sequences, rows = bucket.rows;
  while (at.sequence < work.size() && tokens > 0 && sequences > 0) {
    const StepWork &item = work[at.sequence];
    uint64_t count = std::min(item.tokens - at.done, tokens), wanted = 0;
    if (item.logits == LogitsMode::All) {
      count = wanted = std::min(count, rows);
    } else if (item.logits == LogitsMode::Last && at.done + count == item.tokens) {
      wanted = 1;
      if (rows == 0) // leave the last token for the next run
        --count, wanted = 0;
    }
    if (count == 0)
      break;
    if (parts)
      parts->push_back({at.sequence, at.done, count, wanted});
    tokens -= count;
    rows -= wanted;
    --sequences;
    at.done += count;
    if (at.done < item.tokens)
      break; // a sequence appears once in a run
    ++at.sequence;
    at.done = 0;
  }
  return bucket.tokens - tokens;
}

size_t Planner::mostEfficient(const Position &at) const {
  size_t best = buckets.size();
  double bestRate = 0;
  for (size_t i = 0; i < buckets.size(); ++i) {
    Position after = at;
    double rate = static_cast<double>(fill(buckets[i], after, nullptr)) / costOf(buckets[i]);
    if (rate > bestRate) {
      best = i;
      bestRate = rate;
    }
  }
  return best;
}

/// The cost of going on with the most efficient buckets; infinite if the end is far or unreachable.
double Planner::restCost(Position at) const {
  double cost = 0;
  for (size_t runs = 0; !finished(at); ++runs) {
    size_t next = mostEfficient(at);
    if (next == buckets.size() || runs == farRuns)
      return std::numeric_limits<double>::infinity();
    cost += costOf(buckets[next]);
    fill(buckets[next], at, nullptr);
  }
  return cost;
}

double Planner::costFrom(size_t bucket, Position at) const {
  if (fill(buckets[bucket], at, nullptr) == 0)
    return std::numeric_limits<double>::infinity();
  return costOf(buckets[bucket]) + restCost(at);
}

/// The bucket to go on with; buckets.size() if none can.
size_t Planner::choose(const Position &at) const {
  size_t best = mostEfficient(at);
  if (best == buckets.size())
    return best;
  double bestCost = costFrom(best, at);
  if (std::isinf(bestCost))
    return best; // far from the end, nothing is better
  for (size_t i = 0; i < buckets.size(); ++i) {
    double cost = costFrom(i, at);
    if (cost < bestCost) {
      best = i;
      bestCost = cost;
    }
  }
  return best;
}

Result<std::vector<StepRun>> Planner::plan() {
  std::vector<StepRun> runs;
  Position at;
  while (!finished(at)) {
    size_t bucket = choose(at);
    if (bucket == buckets.size())
      return makeError(ErrorCode::BatchTooLarge,
                       "no bucket of the artifact can do sequence {} of the step", at.sequence)
          .note("have", fmt::format("{} buckets, none with room for its logits", buckets.size()))
          .note("fix", "compile with more rows: --buckets TOKENSxSEQUENCESxROWS");
    StepRun run;
    run.bucket = static_cast<uint32_t>(bucket);
    fill(buckets[bucket], at, &run.parts);
    runs.push_back(std::move(run));
  }
  return runs;
}

} // namespace

Result<std::vector<StepRun>> planStep(std::span<const Bucket> buckets,
                                      std::span<const StepWork> work) {
  return Planner(buckets, work).plan();
}

} // namespace levin
