#include "tools/levin-bench/Measure.h"

#include <chrono>
#include <random>

namespace levin::bench {

Result<std::vector<PlannedRun>> planRuns(const artifact::Manifest &manifest, const Case &wanted,
                                         uint64_t past) {
  // As a session lists them.
  std::vector<const artifact::Entry *> entries;
  std::vector<Bucket> buckets;
  for (const artifact::Entry &entry : manifest.entries) {
    if (!entry.tokens || !entry.sequences || !entry.rows)
      continue;
    entries.push_back(&entry);
    buckets.push_back({*entry.tokens, *entry.sequences, *entry.rows});
  }
  std::vector<StepWork> work;
  for (uint64_t tokens : wanted.tokens)
    work.push_back({tokens, LogitsMode::Last});
  LEVIN_ASSIGN_OR_RETURN(std::vector<StepRun> runs, planStep(buckets, work));
  std::vector<PlannedRun> planned;
  for (const StepRun &run : runs) {
    PlannedRun &one = planned.emplace_back();
    one.entry = entries[run.bucket];
    for (const StepPart &part : run.parts) {
      one.shape.sequences.push_back({part.count, past + part.first});
      one.shape.rows += part.rows;
    }
  }
  return planned;
}

namespace {

/// The sequences of a case, each with a slot of its own.
class Sequences {
public:
  Sequences(Session &session, const Case &wanted, uint64_t seed)
      : session(session), wanted(wanted), generator(seed),
        token(0, static_cast<int32_t>(session.vocabulary() - 1)) {}
  ~Sequences() {
    for (int32_t slot : slots)
      (void)session.releaseSlot(slot); // was acquired below
  }

  Status acquire() {
    for (size_t i = 0; i < wanted.tokens.size(); ++i) {
      LEVIN_ASSIGN_OR_RETURN(int32_t slot, session.acquireSlot());
      slots.push_back(slot);
    }
    return {};
  }

  /// Empties the slots and feeds `depth` tokens to each.
  Status fill() {
    for (int32_t slot : slots)
      LEVIN_RETURN_IF_ERROR(session.resetSlot(slot));
    if (wanted.depth == 0)
      return {};
    return feed(std::vector<uint64_t>(slots.size(), wanted.depth), 1, LogitsMode::None, nullptr);
  }

  /// All steps of the case; their time in seconds.
  Status run(double &seconds) {
    return feed(wanted.tokens, wanted.steps, LogitsMode::Last, &seconds);
  }

private:
  /// `steps` steps of random tokens, made before the clock starts.
  Status feed(const std::vector<uint64_t> &lengths, uint64_t steps, LogitsMode logits,
              double *seconds) {
    std::vector<std::vector<int32_t>> tokens;
    for (uint64_t length : lengths) {
      std::vector<int32_t> &ids = tokens.emplace_back(length * steps);
      for (int32_t &id : ids)
        id = token(generator);
    }
    std::vector<StepSequence> step(lengths.size());
    auto start = std::chrono::steady_clock::now();
    for (uint64_t i = 0; i < steps; ++i) {
      for (size_t s = 0; s < lengths.size(); ++s)
        step[s] = {slots[s], logits,
                   std::span<const int32_t>(tokens[s]).subspan(i * lengths[s], lengths[s])};
      LEVIN_RETURN_IF_ERROR(session.step(step, [](size_t, size_t, const float *) {}));
    }
    if (seconds)
      *seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    return {};
  }

  Session &session;
  const Case &wanted;
  std::mt19937_64 generator;
  std::uniform_int_distribution<int32_t> token;
  std::vector<int32_t> slots;
};

} // namespace

Result<Measured> measure(Session &session, const Case &wanted, unsigned repetitions, uint64_t seed,
                         const std::function<void(uint64_t done)> &progress) {
  Measured measured{wanted, {}, {}, 0};
  uint64_t grown = wanted.steps > 1 ? wanted.steps / 2 * wanted.tokens[0] : 0;
  LEVIN_ASSIGN_OR_RETURN(std::vector<PlannedRun> runs,
                         planRuns(session.model().manifest(), wanted, wanted.depth + grown));
  measured.runs = runs.size();
  for (const PlannedRun &run : runs)
    measured.work += WorkCounter(session.model().manifest(), *run.entry).step(run.shape);

  Sequences sequences(session, wanted, seed);
  LEVIN_RETURN_IF_ERROR(sequences.acquire());
  std::vector<double> times;
  for (unsigned i = 0; i <= repetitions; ++i) {
    double seconds = 0;
    LEVIN_RETURN_IF_ERROR(sequences.fill());
    LEVIN_RETURN_IF_ERROR(sequences.run(seconds));
    if (i > 0)
      times.push_back(seconds / static_cast<double>(wanted.steps));
    progress(i + 1);
  }
  measured.seconds = Spread::of(std::move(times));
  return measured;
}

} // namespace levin::bench
