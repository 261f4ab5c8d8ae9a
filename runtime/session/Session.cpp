#include "runtime/session/Session.h"

#include "runtime/base/Checked.h"
#include "runtime/session/StepValues.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <cstring>

namespace levin {

using artifact::ArenaKind;
using artifact::Binding;
using artifact::Role;

// --- Making a session ----------------------------------------------------------------------------

static bool validationAskedFor() {
  const char *value = std::getenv("LEVIN_VALIDATE");
  return value && *value && std::string_view(value) != "0";
}

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Model> model,
                                                 const SessionOptions &options) {
  if (!model->isComplete())
    return makeError(ErrorCode::Argument, "the model was loaded without code and weights")
        .note("fix", "load it without artifact_only");
  std::unique_ptr<Session> session(new Session);
  session->loaded = std::move(model);
  const artifact::Manifest &manifest = session->loaded->manifest();

  SessionOptions wanted = options;
  wanted.validate |= validationAskedFor();
  LEVIN_ASSIGN_OR_RETURN(session->pool, hal::ThreadPool::create(options.threads));
  Result<std::unique_ptr<Backend>> backend =
      session->loaded->cuda() ? makeCudaBackend(*session->loaded, wanted)
                              : makeHostBackend(*session->loaded, wanted, *session->pool);
  if (!backend.ok())
    return backend.takeStatus();
  session->backend = std::move(*backend);
  auto slots = narrow<int32_t>(manifest.model.slots);
  if (!slots)
    return makeError(ErrorCode::ArtifactLimit, "the model has {} slots", manifest.model.slots)
        .note("need", "fewer than 2^31");
  session->slotStates.resize(static_cast<size_t>(*slots));
  session->findStepEntries();
  if (manifest.model.pages != 0)
    session->pages = PagePool(manifest.model.pages, manifest.model.pageTokens, session->slots());
  return session;
}

static const Binding *findRole(const std::vector<Binding> &bindings, Role role) {
  for (const Binding &binding : bindings)
    if (binding.role == role)
      return &binding;
  return nullptr;
}

/// Lists the entries that step() can use.  The artifact's checks made sure of roles and shapes.
void Session::findStepEntries() {
  for (const artifact::Entry &entry : loaded->manifest().entries) {
    if (!entry.tokens || !entry.sequences || !entry.rows)
      continue;
    bucketSizes.push_back({*entry.tokens, *entry.sequences, *entry.rows});
    stepEntries.push_back({entry.program, findRole(entry.inputs, Role::Ids),
                           findRole(entry.inputs, Role::Starts),
                           findRole(entry.inputs, Role::Slots), findRole(entry.inputs, Role::Past),
                           findRole(entry.inputs, Role::Rows), findRole(entry.inputs, Role::Pages),
                           findRole(entry.outputs, Role::Logits)});
  }
}

// --- Slots ---------------------------------------------------------------------------------------

size_t Session::freeSlots() const {
  return static_cast<size_t>(std::count_if(slotStates.begin(), slotStates.end(),
                                           [](const SlotState &slot) { return !slot.taken; }));
}

Result<int32_t> Session::acquireSlot() {
  for (size_t i = 0; i < slotStates.size(); ++i) {
    if (slotStates[i].taken)
      continue;
    slotStates[i] = {true, 0};
    return static_cast<int32_t>(i);
  }
  return makeError(ErrorCode::BatchTooLarge, "no slot is free")
      .note("have", fmt::format("{} slots, all taken", slots()))
      .note("fix", "release one, or compile with more --slots");
}

Status Session::checkSlot(int32_t slot) const {
  if (slot < 0 || static_cast<size_t>(slot) >= slots())
    return makeError(ErrorCode::Argument, "there is no slot {}", slot)
        .note("have", fmt::format("slots 0 to {}", static_cast<int64_t>(slots()) - 1));
  if (!slotStates[static_cast<size_t>(slot)].taken)
    return makeError(ErrorCode::Argument, "slot {} is not taken", slot)
        .note("fix", "acquire it first");
  return {};
}

Status Session::releaseSlot(int32_t slot) {
  LEVIN_RETURN_IF_ERROR(checkSlot(slot));
  slotStates[static_cast<size_t>(slot)] = {};
  if (pages.size() != 0)
    pages.release(static_cast<size_t>(slot));
  return {};
}

Status Session::resetSlot(int32_t slot) {
  LEVIN_RETURN_IF_ERROR(checkSlot(slot));
  slotStates[static_cast<size_t>(slot)].length = 0;
  if (pages.size() != 0)
    pages.release(static_cast<size_t>(slot));
  return {};
}

Result<uint64_t> Session::slotLength(int32_t slot) const {
  LEVIN_RETURN_IF_ERROR(checkSlot(slot));
  return slotStates[static_cast<size_t>(slot)].length;
}

uint64_t Session::pagesLacking(int32_t slot, uint64_t tokens) const {
  size_t place = static_cast<size_t>(slot);
  return pages.size() != 0 ? pages.lacking(place, slotStates[place].length + tokens) : 0;
}

Status Session::pagesFull(uint64_t needed) const {
  return makeError(ErrorCode::PagesFull, "the caches have no pages left for the step")
      .note("have", fmt::format("{} of {} pages of {} tokens unused", pages.unusedPages(),
                                pages.size(), pages.pageTokens()))
      .note("need", fmt::format("{}", needed))
      .note("fix", "release a sequence, or compile with more --kv-pages");
}

// --- Steps ---------------------------------------------------------------------------------------

Status Session::checkTokens(std::span<const int32_t> tokens) const {
  for (size_t i = 0; i < tokens.size(); ++i)
    if (tokens[i] < 0 || static_cast<uint64_t>(tokens[i]) >= vocabulary())
      return makeError(ErrorCode::TokenRange, "token {} is outside the vocabulary", tokens[i])
          .note("where", fmt::format("position {}", i))
          .note("need", fmt::format("0 to {}", static_cast<int64_t>(vocabulary()) - 1));
  return {};
}

Status Session::checkStep(std::span<const StepSequence> sequences) const {
  if (stepEntries.empty())
    return makeError(ErrorCode::NotInArtifact, "the artifact has no step entries")
        .note("fix", "call its entries by name, or compile a model that has a step function");
  std::vector<bool> used(slots(), false);
  uint64_t morePages = 0;
  for (size_t s = 0; s < sequences.size(); ++s) {
    const StepSequence &sequence = sequences[s];
    LEVIN_RETURN_IF_ERROR(checkSlot(sequence.slot));
    size_t slot = static_cast<size_t>(sequence.slot);
    if (used[slot])
      return makeError(ErrorCode::Argument, "slot {} appears twice in one step", slot)
          .note("where", fmt::format("sequence {}", s));
    used[slot] = true;
    if (sequence.tokens.empty())
      return makeError(ErrorCode::Argument, "sequence {} of the step has no tokens", s);
    LEVIN_RETURN_IF_ERROR(checkTokens(sequence.tokens));
    auto length = checkedAdd(slotStates[slot].length, sequence.tokens.size());
    if (!length || *length > maxContext())
      return makeError(ErrorCode::ContextFull, "sequence {} would exceed the compiled context", s)
          .note("have", fmt::format("{} tokens and {} more", slotStates[slot].length,
                                    sequence.tokens.size()))
          .note("need", fmt::format("at most {}", maxContext()))
          .note("fix", "shorten it, or compile with a larger --max-context");
    if (pages.size() != 0)
      morePages += pages.lacking(slot, *length);
  }
  return morePages > unusedPages() ? pagesFull(morePages) : Status();
}

Status Session::step(std::span<const StepSequence> sequences, const RowSink &sink,
                     const SummarySink &summaries) {
  LEVIN_RETURN_IF_ERROR(checkStep(sequences));
  std::vector<StepWork> work;
  work.reserve(sequences.size());
  for (const StepSequence &sequence : sequences)
    work.push_back({sequence.tokens.size(), sequence.logits});
  LEVIN_ASSIGN_OR_RETURN(std::vector<StepRun> runs, planStep(bucketSizes, work));
  for (const StepRun &run : runs)
    LEVIN_RETURN_IF_ERROR(runStep(run, sequences, sink, summaries));
  return {};
}

Status Session::runStep(const StepRun &run, std::span<const StepSequence> sequences,
                        const RowSink &sink, const SummarySink &summaries) {
  const StepEntry &entry = stepEntries[run.bucket];
  const Bucket &bucket = bucketSizes[run.bucket];
  LEVIN_RETURN_IF_ERROR(backend->begin(entry.program));
  IntegerWriter ids(backend->input(entry.program, *entry.ids));
  IntegerWriter starts(backend->input(entry.program, *entry.starts));
  IntegerWriter slotIds(backend->input(entry.program, *entry.slots));
  IntegerWriter past(backend->input(entry.program, *entry.past));
  IntegerWriter rows(backend->input(entry.program, *entry.rows));

  int32_t token = 0;
  for (const StepPart &part : run.parts) {
    const StepSequence &sequence = sequences[part.sequence];
    starts.put(token);
    slotIds.put(sequence.slot);
    past.put(static_cast<int32_t>(slotStates[static_cast<size_t>(sequence.slot)].length));
    for (int32_t id : sequence.tokens.subspan(part.first, part.count))
      ids.put(id);
    token += static_cast<int32_t>(part.count);
    for (uint64_t row = part.rows; row > 0; --row)
      rows.put(token - static_cast<int32_t>(row));
  }
  uint64_t rowCount = rows.written();
  // Padding: tokens that belong to no sequence, sequences without tokens, rows nobody looks at.
  ids.fill(0);
  starts.fill(token);
  slotIds.fill(0);
  past.fill(0);
  rows.fill(0);
  if (entry.pages)
    writePages(entry, run, sequences);
  bool summarise = summaries && backend->summarises();
  LEVIN_RETURN_IF_ERROR(
      runProgram(entry.program, {entry.logits, rowCount * vocabulary() * sizeof(float),
                                 summarise ? rowCount : 0}));

  counts.tokens += static_cast<uint64_t>(token);
  counts.paddingTokens += bucket.tokens - static_cast<uint64_t>(token);
  counts.rows += rowCount;
  for (const StepPart &part : run.parts)
    slotStates[static_cast<size_t>(sequences[part.sequence].slot)].length += part.count;
  return handOver(entry, run, rowCount, sink, summarise ? summaries : SummarySink());
}

/// Gives the sequences of a run the pages that they lack, which checkStep saw to be there, and
/// writes those of each.
void Session::writePages(const StepEntry &entry, const StepRun &run,
                         std::span<const StepSequence> sequences) {
  std::span<std::byte> bytes = backend->input(entry.program, *entry.pages);
  uint64_t rowBytes = entry.pages->type.shape[1] * sizeof(int32_t);
  std::memset(bytes.data(), 0, bytes.size());
  for (const StepPart &part : run.parts) {
    size_t slot = static_cast<size_t>(sequences[part.sequence].slot);
    pages.grow(slot, slotStates[slot].length + part.count);
    std::span<const std::byte> row = std::as_bytes(pages.of(slot));
    std::memcpy(bytes.data(), row.data(), std::min<uint64_t>(row.size(), rowBytes));
    bytes = bytes.subspan(rowBytes);
  }
}

/// Gives each of the first `rows` rows of the logits, or its summary, to a sink.
Status Session::handOver(const StepEntry &entry, const StepRun &run, uint64_t rows,
                         const RowSink &sink, const SummarySink &summaries) {
  uint64_t rowBytes = vocabulary() * sizeof(float), next = 0;
  std::span<const std::byte> there;
  for (const StepPart &part : run.parts) {
    for (uint64_t row = part.rows; row > 0; --row, ++next) {
      size_t position = part.first + part.count - row;
      if (summaries && summaries(part.sequence, position, backend->summary(next))) {
        there = {};
        continue;
      }
      if (there.size() < rowBytes) {
        LEVIN_ASSIGN_OR_RETURN(there, backend->read(entry.program, *entry.logits, next * rowBytes,
                                                    (rows - next) * rowBytes));
      }
      sink(part.sequence, position, reinterpret_cast<const float *>(there.data()));
      there = there.subspan(rowBytes);
    }
  }
  return {};
}

Status Session::runProgram(uint32_t index, const Wanted &wanted) {
  auto start = std::chrono::steady_clock::now();
  LEVIN_RETURN_IF_ERROR(backend->run(index, wanted));
  counts.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ++counts.runs;
  counts.launches += backend->launches(index);
  return {};
}

} // namespace levin
