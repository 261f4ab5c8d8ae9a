// Continuous batching: many requests served by one session.
#ifndef LEVIN_RUNTIME_SESSION_ENGINE_H
#define LEVIN_RUNTIME_SESSION_ENGINE_H

#include "runtime/base/Status.h"
#include "runtime/session/Sampler.h"
#include "runtime/session/Session.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

namespace levin {

enum class Finish { None, End, Length, Context, Stopped, Cancelled, Failed };

struct RequestResult {
  Finish finish = Finish::None;
  uint64_t promptTokens = 0, generatedTokens = 0;
  double queueSeconds = 0;      // until a slot was free
  double firstTokenSeconds = 0; // from then until the first token was chosen
  double totalSeconds = 0;
};

struct Request {
  std::vector<int32_t> prompt;
  uint64_t maxTokens = 0; // 0: until an end token or the end of the context
  std::vector<int32_t> endTokens;
  Sampling sampling;
  std::function<bool(uint64_t id, const Choice &choice)> onToken; // true: stop
  std::function<void(uint64_t id, const RequestResult &result)> onFinish;
};

/// Each step feeds one token of every request that is being answered and, in the room that is left
/// in the largest bucket, pieces of prompts, oldest request first.  Requests wait in order while no
/// slot is free, and while the caches have no pages for the next piece.  If all that have slots
/// wait for pages, the newest fails.  Slots that others took from the session are left to them.
class Engine {
public:
  explicit Engine(Session &session) : session(session) {}
  ~Engine();
  Engine(const Engine &) = delete;
  Engine &operator=(const Engine &) = delete;

  const Model &model() const { return session.model(); }
  /// Failures: LV2009 an empty prompt, LV2008, LV4002, LV2002 (see levin.h).
  Result<uint64_t> add(Request request);
  /// Failure: LV2009 if no such request is active.
  Status cancel(uint64_t id);
  /// One step.  Failures: LV4003 if requests wait and none can ever start; LV4004, which ends a
  /// request that needs more pages than there are; those of Session::step,
  /// which end all requests of the step; LV9001, which ends the one whose logits are unusable.
  Status step();
  /// Steps until all requests have ended or one step fails.
  Status run();
  /// Requests that have not ended.
  size_t active() const { return requests.size(); }

private:
  using Clock = std::chrono::steady_clock;
  struct Active {
    uint64_t id = 0;
    Request request;
    Sampler sampler;
    int32_t slot = -1;
    uint64_t fed = 0;            // tokens of the prompt
    std::vector<int32_t> answer; // since the prompt
    int32_t token = 0;           // chosen last, not fed yet
    Finish ended = Finish::None;
    RequestResult result;
    Clock::time_point added, started;
  };
  /// What a step does for a request, and what came of it.
  struct Turn {
    Active *active;
    Choice choice;
    Status failure;
    bool chosen = false;
  };

  void admit();
  bool preemptNewest();
  Status failForPages();
  std::vector<Turn> compose(std::vector<StepSequence> &sequences);
  Status feed(std::vector<Turn> &turns, std::span<const StepSequence> sequences);
  void take(Turn &turn, uint64_t fed);
  void removeEnded();

  Session &session;
  std::vector<std::unique_ptr<Active>> requests; // in the order of arrival
  uint64_t lastId = 0;
  bool inStep = false, closing = false;
};

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_ENGINE_H
