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
  session->validate = options.validate || validationAskedFor();
  const artifact::Manifest &manifest = session->loaded->manifest();

  uint64_t machine = hal::machineMemory(), parameters = session->loaded->parameters().size();
  uint64_t left = machine > parameters ? machine - parameters : 1;
  hal::MemoryBudget budget(options.maxMemory != 0 ? options.maxMemory : left);
  LEVIN_ASSIGN_OR_RETURN(
      session->state,
      hal::HostMemory::allocate(session->loaded->arenaBytes(ArenaKind::State), "state", budget));
  LEVIN_ASSIGN_OR_RETURN(session->workspace, hal::HostMemory::allocate(
                                                 session->loaded->arenaBytes(ArenaKind::Workspace),
                                                 "workspace", budget));
  LEVIN_ASSIGN_OR_RETURN(session->pool, hal::ThreadPool::create(options.threads));

  Arenas arenas;
  for (const artifact::Arena &arena : manifest.arenas)
    arenas.push_back(arena.kind == ArenaKind::Parameters ? session->loaded->parameters()
                     : arena.kind == ArenaKind::State    ? session->state.bytes()
                                                         : session->workspace.bytes());
  for (const artifact::Program &program : manifest.programs) {
    LEVIN_ASSIGN_OR_RETURN(BoundProgram bound, BoundProgram::bind(manifest, program, arenas,
                                                                  session->loaded->executables()));
    session->programs.push_back(std::move(bound));
  }
  for (const artifact::Executable &executable : manifest.executables)
    for (const artifact::Export &symbol : executable.exports)
      session->kernelStack = std::max(session->kernelStack, symbol.stackBytes);
  auto slots = narrow<int32_t>(manifest.model.slots);
  if (!slots)
    return makeError(ErrorCode::ArtifactLimit, "the model has {} slots", manifest.model.slots)
        .note("need", "fewer than 2^31");
  session->slotStates.resize(static_cast<size_t>(*slots));
  session->findStepEntries();
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
    stepEntries.push_back(
        {entry.program, findRole(entry.inputs, Role::Ids), findRole(entry.inputs, Role::Starts),
         findRole(entry.inputs, Role::Slots), findRole(entry.inputs, Role::Past),
         findRole(entry.inputs, Role::Rows), findRole(entry.outputs, Role::Logits)});
  }
}

std::span<std::byte> Session::bytesOf(uint32_t program, const Binding &binding) const {
  return programs[program].slice(binding.slices[0]);
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
  return {};
}

Status Session::resetSlot(int32_t slot) {
  LEVIN_RETURN_IF_ERROR(checkSlot(slot));
  slotStates[static_cast<size_t>(slot)].length = 0;
  return {};
}

Result<uint64_t> Session::slotLength(int32_t slot) const {
  LEVIN_RETURN_IF_ERROR(checkSlot(slot));
  return slotStates[static_cast<size_t>(slot)].length;
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
  }
  return {};
}

Status Session::step(std::span<const StepSequence> sequences, const RowSink &sink) {
  LEVIN_RETURN_IF_ERROR(checkStep(sequences));
  std::vector<StepWork> work;
  work.reserve(sequences.size());
  for (const StepSequence &sequence : sequences)
    work.push_back({sequence.tokens.size(), sequence.logits});
  LEVIN_ASSIGN_OR_RETURN(std::vector<StepRun> runs, planStep(bucketSizes, work));
  for (const StepRun &run : runs)
    LEVIN_RETURN_IF_ERROR(runStep(run, sequences, sink));
  return {};
}

Status Session::runStep(const StepRun &run, std::span<const StepSequence> sequences,
                        const RowSink &sink) {
  const StepEntry &entry = stepEntries[run.bucket];
  const Bucket &bucket = bucketSizes[run.bucket];
  if (validate)
    std::memset(workspace.data(), 0xff, workspace.size());
  IntegerWriter ids(bytesOf(entry.program, *entry.ids));
  IntegerWriter starts(bytesOf(entry.program, *entry.starts));
  IntegerWriter slotIds(bytesOf(entry.program, *entry.slots));
  IntegerWriter past(bytesOf(entry.program, *entry.past));
  IntegerWriter rows(bytesOf(entry.program, *entry.rows));

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
  LEVIN_RETURN_IF_ERROR(runProgram(entry.program));

  counts.tokens += static_cast<uint64_t>(token);
  counts.paddingTokens += bucket.tokens - static_cast<uint64_t>(token);
  counts.rows += rowCount;
  const float *logits =
      reinterpret_cast<const float *>(bytesOf(entry.program, *entry.logits).data());
  for (const StepPart &part : run.parts) {
    slotStates[static_cast<size_t>(sequences[part.sequence].slot)].length += part.count;
    for (uint64_t row = part.rows; row > 0; --row, logits += vocabulary())
      sink(part.sequence, part.first + part.count - row, logits);
  }
  return {};
}

Status Session::runProgram(uint32_t index) {
  constexpr size_t reserve = size_t(64) << 10; // for what a kernel calls and a signal handler
  if (hal::stackLeft() < kernelStack + reserve)
    return makeError(ErrorCode::OutOfMemory, "the calling thread's stack is too small")
        .note("have", fmt::format("{} bytes left", hal::stackLeft()))
        .note("need", fmt::format("{} bytes", kernelStack + reserve))
        .note("fix", "call from a thread with a larger stack");
  auto start = std::chrono::steady_clock::now();
  const BoundProgram &program = programs[index];
  if (validate)
    LEVIN_RETURN_IF_ERROR(program.runChecked(*pool));
  else
    program.run(*pool);
  counts.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  ++counts.runs;
  counts.launches += program.launches();
  return {};
}

} // namespace levin
