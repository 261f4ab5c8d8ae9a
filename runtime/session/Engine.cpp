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
                                                .answer = {},
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

/// Gives slots to requests that wait, as long as there are pages for the prompts of all.
void Engine::admit() {
  uint64_t pages = session.unusedPages();
  bool anyone = false;
  for (auto &active : requests) {
    if (active->slot < 0)
      continue;
    uint64_t rest = active->request.prompt.size() - active->fed;
    pages -= std::min(pages, session.pagesLacking(active->slot, rest));
    anyone = true;
  }
  for (auto &active : requests) {
    if (active->slot >= 0)
      continue;
    Result<int32_t> slot = session.acquireSlot();
    if (!slot.ok())
      return;
    uint64_t needed = session.pagesLacking(*slot, active->request.prompt.size());
    if (needed > pages && anyone) {
      (void)session.releaseSlot(*slot);
      return;
    }
    pages -= std::min(pages, needed);
    anyone = true;
    active->slot = *slot;
    if (active->started != Clock::time_point()) // it had a slot before
      continue;
    active->started = Clock::now();
    active->result.queueSeconds = secondsBetween(active->added, active->started);
  }
}

std::vector<Engine::Turn> Engine::compose(std::vector<StepSequence> &sequences) {
  uint64_t room = 0;
  for (const Bucket &bucket : session.buckets())
    room = std::max(room, bucket.tokens);
  std::vector<Turn> turns;
  uint64_t pages = session.unusedPages();
  auto takePages = [&](const Active &active, uint64_t tokens) {
    uint64_t lacking = session.pagesLacking(active.slot, tokens);
    if (lacking > pages)
      return false;
    pages -= lacking;
    return true;
  };
  for (auto &active : requests) {
    if (active->slot < 0 || active->fed < active->request.prompt.size() || !takePages(*active, 1))
      continue;
    sequences.push_back({active->slot, LogitsMode::Last, {&active->token, 1}});
    turns.push_back({active.get(), {}, {}});
    room -= std::min<uint64_t>(room, 1);
  }
  room = std::max<uint64_t>(room, 1); // prompts go on however many answers there are
  for (auto &active : requests) {
    std::span<const int32_t> prompt = active->request.prompt;
    uint64_t count = std::min<uint64_t>(prompt.size() - active->fed, room);
    if (active->slot < 0 || count == 0 || !takePages(*active, count))
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
  active.answer.push_back(active.token);
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

/// Takes slot and pages from the newest request that has some, unless it is the only one.  What it
/// has so far becomes its prompt.
bool Engine::preemptNewest() {
  auto holds = [](const std::unique_ptr<Active> &active) { return active->slot >= 0; };
  if (std::ranges::count_if(requests, holds) < 2)
    return false;
  Active &newest = **std::find_if(requests.rbegin(), requests.rend(), holds);
  (void)session.releaseSlot(newest.slot);
  newest.slot = -1;
  newest.fed = 0;
  std::vector<int32_t> &prompt = newest.request.prompt;
  prompt.insert(prompt.end(), newest.answer.begin(), newest.answer.end());
  newest.answer.clear();
  return true;
}

/// Ends the only request with a slot, which lacks pages that nobody else has.
Status Engine::failForPages() {
  for (auto &active : requests) {
    if (active->slot < 0)
      continue;
    uint64_t rest = std::max<uint64_t>(1, active->request.prompt.size() - active->fed);
    Status status = session.pagesFull(session.pagesLacking(active->slot, rest));
    active->ended = Finish::Failed;
    removeEnded();
    return status;
  }
  return {};
}

Status Engine::step() {
  if (requests.empty())
    return {};
  admit();
  std::vector<StepSequence> sequences;
  std::vector<Turn> turns = compose(sequences);
  while (turns.empty() && preemptNewest())
    turns = compose(sequences);
  if (turns.empty())
    LEVIN_RETURN_IF_ERROR(failForPages());
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
