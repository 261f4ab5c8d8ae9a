#include "runtime/session/Engine.h"

#include <algorithm>

namespace levin {

static double secondsBetween(std::chrono::steady_clock::time_point from,
                             std::chrono::steady_clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

Engine::~Engine() {
  closing = true;
  for (auto &active : requests)
    active->ended = active->ended == Finish::None ? Finish::Cancelled : active->ended;
  removeEnded();
}

Result<uint64_t> Engine::add(Request request) {
  if (closing)
    return makeError(ErrorCode::Argument, "the engine is being freed");
  if (session.buckets().empty())
    return makeError(ErrorCode::NotInArtifact, "the artifact has no step entries");
  if (request.prompt.empty())
    return makeError(ErrorCode::Argument, "the prompt has no tokens")
        .note("fix", "begin with the model's begin token");
  LEVIN_RETURN_IF_ERROR(session.checkTokens(request.prompt));
  if (request.prompt.size() > session.maxContext())
    return makeError(ErrorCode::ContextFull, "the prompt exceeds the compiled context")
        .note("have", fmt::format("{} tokens", request.prompt.size()))
        .note("need", fmt::format("at most {}", session.maxContext()))
        .note("fix", "shorten it, or compile with a larger --max-context");
  LEVIN_ASSIGN_OR_RETURN(Sampler sampler, Sampler::create(request.sampling, session.vocabulary()));
  LEVIN_RETURN_IF_ERROR(sampler.addPrompt(request.prompt));
  auto active = std::make_unique<Active>(Active{.id = ++lastId,
                                                .request = std::move(request),
                                                .sampler = std::move(sampler),
                                                .result = {},
                                                .added = Clock::now(),
                                                .started = {}});
  active->result.promptTokens = active->request.prompt.size();
  requests.push_back(std::move(active));
  return lastId;
}

Status Engine::cancel(uint64_t id) {
  for (auto &active : requests) {
    if (active->id != id || active->ended != Finish::None)
      continue;
    active->ended = Finish::Cancelled;
    if (!inStep)
      removeEnded();
    return {};
  }
  return makeError(ErrorCode::Argument, "there is no request {}, or it has ended", id);
}

/// Gives slots to requests that wait.
void Engine::admit() {
  for (auto &active : requests) {
    if (active->slot >= 0)
      continue;
    Result<int32_t> slot = session.acquireSlot();
    if (!slot.ok())
      return;
    active->slot = *slot;
    active->started = Clock::now();
    active->result.queueSeconds = secondsBetween(active->added, active->started);
  }
}

std::vector<Engine::Turn> Engine::compose(std::vector<StepSequence> &sequences) {
  uint64_t room = 0;
  for (const Bucket &bucket : session.buckets())
    room = std::max(room, bucket.tokens);
  std::vector<Turn> turns;
  for (auto &active : requests) {
    if (active->slot < 0 || active->fed < active->request.prompt.size())
      continue;
    sequences.push_back({active->slot, LogitsMode::Last, {&active->token, 1}});
    turns.push_back({active.get(), {}, {}});
    room -= std::min<uint64_t>(room, 1);
  }
  room = std::max<uint64_t>(room, 1); // prompts go on however many answers there are
  for (auto &active : requests) {
    std::span<const int32_t> prompt = active->request.prompt;
    uint64_t count = std::min<uint64_t>(prompt.size() - active->fed, room);
    if (active->slot < 0 || count == 0)
      continue;
    bool last = active->fed + count == prompt.size();
    sequences.push_back({active->slot, last ? LogitsMode::Last : LogitsMode::None,
                         prompt.subspan(active->fed, count)});
    turns.push_back({active.get(), {}, {}});
    room -= count;
  }
  return turns;
}

/// Feeds the sequences and chooses a token where logits come out.
Status Engine::feed(std::vector<Turn> &turns, std::span<const StepSequence> sequences) {
  auto fromRow = [&](size_t sequence, size_t, const float *logits) {
    Turn &turn = turns[sequence];
    Result<Choice> choice = turn.active->sampler.sample({logits, session.vocabulary()});
    turn.chosen = choice.ok();
    if (choice.ok())
      turn.choice = std::move(*choice);
    else
      turn.failure = choice.takeStatus();
  };
  auto fromSummary = [&](size_t sequence, size_t, const RowSummary &summary) {
    Turn &turn = turns[sequence];
    std::optional<Choice> choice = turn.active->sampler.sample(summary);
    turn.chosen = choice.has_value();
    if (choice)
      turn.choice = std::move(*choice);
    return turn.chosen;
  };
  return session.step(sequences, fromRow, fromSummary);
}

/// Hands the token of a turn on and finds out whether the request ends.
void Engine::take(Turn &turn, uint64_t fed) {
  Active &active = *turn.active;
  if (active.fed < active.request.prompt.size())
    active.fed += fed;
  if (!turn.failure.ok())
    active.ended = Finish::Failed;
  if (!turn.chosen || active.ended != Finish::None)
    return;
  RequestResult &result = active.result;
  if (result.generatedTokens == 0)
    result.firstTokenSeconds = secondsBetween(active.started, Clock::now());
  active.token = turn.choice.token;
  if (std::ranges::find(active.request.endTokens, active.token) != active.request.endTokens.end()) {
    active.ended = Finish::End;
    return;
  }
  ++result.generatedTokens;
  bool stop = active.request.onToken && active.request.onToken(active.id, turn.choice);
  uint64_t length = result.promptTokens + result.generatedTokens;
  if (active.ended != Finish::None) // cancelled by the callback
    return;
  if (stop)
    active.ended = Finish::Stopped;
  else if (result.generatedTokens == active.request.maxTokens)
    active.ended = Finish::Length;
  else if (length > session.maxContext())
    active.ended = Finish::Context;
}

/// Frees what ended requests hold, then tells them.
void Engine::removeEnded() {
  std::vector<std::unique_ptr<Active>> ended;
  for (auto &active : requests)
    if (active->ended != Finish::None)
      ended.push_back(std::move(active));
  std::erase(requests, nullptr);
  for (auto &active : ended) {
    if (active->slot >= 0)
      (void)session.releaseSlot(active->slot); // fails if the session's owner did it before
    active->result.finish = active->ended;
    active->result.totalSeconds = secondsBetween(active->added, Clock::now());
  }
  for (auto &active : ended)
    if (active->request.onFinish)
      active->request.onFinish(active->id, active->result);
}

Status Engine::step() {
  if (requests.empty())
    return {};
  admit();
  std::vector<StepSequence> sequences;
  std::vector<Turn> turns = compose(sequences);
  if (turns.empty())
    return makeError(ErrorCode::BatchTooLarge, "no slot is free, and no request holds one")
        .note("have", fmt::format("{} slots and {} requests", session.slots(), requests.size()))
        .note("fix", "release slots of the session");
  inStep = true;
  Status status = feed(turns, sequences);
  for (size_t i = 0; i < turns.size(); ++i) {
    if (status.ok())
      take(turns[i], sequences[i].tokens.size());
    else if (turns[i].failure.ok())
      turns[i].active->ended = Finish::Failed;
  }
  for (Turn &turn : turns)
    if (status.ok() && !turn.failure.ok())
      status = std::move(turn.failure);
  inStep = false;
  removeEnded();
  return status;
}

Status Engine::run() {
  while (!requests.empty())
    LEVIN_RETURN_IF_ERROR(step());
  return {};
}

} // namespace levin
