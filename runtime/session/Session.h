// A session: the state of several sequences and what is needed to continue them.
#ifndef LEVIN_RUNTIME_SESSION_SESSION_H
#define LEVIN_RUNTIME_SESSION_SESSION_H

#include "runtime/base/Status.h"
#include "runtime/hal/ThreadPool.h"
#include "runtime/session/Backend.h"
#include "runtime/session/Model.h"
#include "runtime/session/Pages.h"
#include "runtime/session/StepPlan.h"

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace levin {

struct SessionOptions {
  unsigned threads = 0;        // the caller's included; 0: all usable cores
  bool validate = false;       // launches are checked one by one; workspace holds NaN before runs
  uint64_t maxMemory = 0;      // for state and workspace; 0: what the machine has
  unsigned timeoutSeconds = 0; // of a run on a GPU; 0: 60
};

/// Tokens that continue the sequence in `slot`.
struct StepSequence {
  int32_t slot = 0;
  LogitsMode logits = LogitsMode::Last;
  std::span<const int32_t> tokens;
};

/// Takes the logits of token `position` (0: the first given) of sequence number `sequence`.
using RowSink = std::function<void(size_t sequence, size_t position, const float *logits)>;

/// Takes a summary of such a row; false if the row itself is wanted.
using SummarySink =
    std::function<bool(size_t sequence, size_t position, const RowSummary &summary)>;

/// A tensor of the caller's, for call().  An empty name stands for the binding of the same place.
struct CallTensor {
  std::string_view name;
  artifact::TensorType type;
  std::span<std::byte> bytes;
};

struct SessionStatistics {
  uint64_t runs = 0, tokens = 0, paddingTokens = 0, rows = 0, launches = 0;
  double seconds = 0;
};

/// For one thread at a time.
class Session {
public:
  /// Failures: LV4001, LV4103 memory or threads; LV2009 a model without code or an impossible
  /// number of threads; LV3010, LV3016, LV3017 the artifact.
  static Result<std::unique_ptr<Session>> create(std::shared_ptr<const Model> model,
                                                 const SessionOptions &options);

  const Model &model() const { return *loaded; }
  hal::ThreadPool &threads() { return *pool; }
  uint64_t vocabulary() const { return loaded->manifest().model.vocabulary; }
  uint64_t maxContext() const { return loaded->manifest().model.maxContext; }
  size_t slots() const { return slotStates.size(); }
  size_t freeSlots() const;
  std::span<const Bucket> buckets() const { return bucketSizes; }
  const SessionStatistics &statistics() const { return counts; }

  /// Takes a free slot, the lowest; LV4003 if there is none.
  Result<int32_t> acquireSlot();
  /// These fail with LV2009 if the slot is not taken.
  Status releaseSlot(int32_t slot);
  Status resetSlot(int32_t slot);
  Result<uint64_t> slotLength(int32_t slot) const;

  /// Pages that no sequence holds, and those that the sequence of a taken slot lacks to go on by
  /// `tokens` tokens.  No limit and 0 where each slot has its own cache.
  uint64_t unusedPages() const { return pages.size() != 0 ? pages.unusedPages() : UINT64_MAX; }
  uint64_t pagesLacking(int32_t slot, uint64_t tokens) const;
  /// LV4004 for a step that lacks `needed` pages.
  Status pagesFull(uint64_t needed) const;

  /// Feeds the tokens of every sequence and hands over the wanted logits.  Cut as planStep says.
  /// Failures, before anything changes: LV2008, LV4002, LV2009, LV2010, LV4003, LV4004 (see
  /// levin.h).  On a GPU also LV8004 to LV8007.
  /// With `summaries`, a row is handed over as its summary where the device makes some.
  Status step(std::span<const StepSequence> sequences, const RowSink &sink,
              const SummarySink &summaries = {});

  /// Runs one entry with the given inputs (all of them) and copies out the given results.
  /// Failures: LV2007, LV2003, LV2008 (see levin.h).
  Status call(std::string_view entry, std::span<const CallTensor> inputs,
              std::span<const CallTensor> outputs);

  /// A failure if `tokens` are not all inside the vocabulary (LV2008).
  Status checkTokens(std::span<const int32_t> tokens) const;

private:
  struct SlotState {
    bool taken = false;
    uint64_t length = 0;
  };
  /// A step entry: where its arguments lie.
  struct StepEntry {
    uint32_t program = 0;
    const artifact::Binding *ids = nullptr, *starts = nullptr, *slots = nullptr, *past = nullptr,
                            *rows = nullptr, *pages = nullptr, *logits = nullptr;
  };

  Session() = default;
  void findStepEntries();
  Status checkStep(std::span<const StepSequence> sequences) const;
  Status checkSlot(int32_t slot) const;
  Status runStep(const StepRun &run, std::span<const StepSequence> sequences, const RowSink &sink,
                 const SummarySink &summaries);
  void writePages(const StepEntry &entry, const StepRun &run,
                  std::span<const StepSequence> sequences);
  Status handOver(const StepEntry &entry, const StepRun &run, uint64_t rows, const RowSink &sink,
                  const SummarySink &summaries);
  Status runProgram(uint32_t index, const Wanted &wanted);

  std::shared_ptr<const Model> loaded;
  std::unique_ptr<hal::ThreadPool> pool;
  std::unique_ptr<Backend> backend;
  std::vector<StepEntry> stepEntries;
  std::vector<Bucket> bucketSizes; // of stepEntries
  std::vector<SlotState> slotStates;
  PagePool pages; // of no pages if the caches have none
  SessionStatistics counts;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_SESSION_H
