// levin.h: samplers, engines.
#include "runtime/capi/Handles.h"

using namespace levin;
using namespace levin::capi;

// --- Sampling ------------------------------------------------------------------------------------

struct levin_sampler {
  Sampler sampler;
  uint64_t vocabulary;
  std::vector<levin_alternative> alternatives; // of the last choice
};

Sampling levin::capi::samplingOf(const levin_sampling &given) {
  Sampling sampling;
  sampling.temperature = given.temperature;
  sampling.topK = given.top_k;
  sampling.topP = given.top_p;
  sampling.minP = given.min_p;
  sampling.repetitionPenalty = given.repetition_penalty;
  sampling.presencePenalty = given.presence_penalty;
  sampling.frequencyPenalty = given.frequency_penalty;
  sampling.seed = given.seed;
  sampling.logprobs = given.logprobs;
  return sampling;
}

levin_choice levin::capi::choiceOf(const Choice &choice,
                                   std::vector<levin_alternative> &alternatives) {
  alternatives.clear();
  for (const Alternative &alternative : choice.alternatives)
    alternatives.push_back({alternative.token, alternative.logprob});
  return {choice.token, choice.logprob, alternatives.data(), alternatives.size()};
}

levin_status levin_sampler_create(const levin_sampling *sampling, uint64_t vocabulary,
                                  levin_sampler **sampler, levin_error **error) {
  LEVIN_CAPI_REQUIRE(sampler, "sampler is NULL");
  Result<levin_sampling> given = readStruct(sampling, "levin_sampling");
  if (!given.ok())
    return report(given.takeStatus(), error);
  Result<Sampler> made = Sampler::create(samplingOf(*given), vocabulary);
  if (!made.ok())
    return report(made.takeStatus(), error);
  *sampler = new levin_sampler{std::move(*made), vocabulary, {}};
  return 0;
}

void levin_sampler_free(levin_sampler *sampler) { delete sampler; }

levin_status levin_sampler_prompt(levin_sampler *sampler, const int32_t *tokens, size_t token_count,
                                  levin_error **error) {
  LEVIN_CAPI_REQUIRE(sampler, "sampler is NULL");
  LEVIN_CAPI_REQUIRE(tokens || token_count == 0, "tokens is NULL");
  return report(sampler->sampler.addPrompt({tokens, token_count}), error);
}

levin_status levin_sampler_sample(levin_sampler *sampler, const float *logits, levin_choice *choice,
                                  levin_error **error) {
  LEVIN_CAPI_REQUIRE(sampler && logits && choice, "sampler, logits or choice is NULL");
  Result<Choice> chosen = sampler->sampler.sample({logits, sampler->vocabulary});
  if (!chosen.ok())
    return report(chosen.takeStatus(), error);
  *choice = choiceOf(*chosen, sampler->alternatives);
  return 0;
}

// --- Engines -------------------------------------------------------------------------------------

struct levin_engine {
  explicit levin_engine(std::shared_ptr<SharedSession> session)
      : shared(std::move(session)), engine(*shared->session) {}

  std::shared_ptr<SharedSession> shared;
  std::vector<levin_alternative> alternatives; // of the choice that a callback hears of
  Engine engine;                               // ends first: it tells callbacks
};

static_assert(LEVIN_FINISH_FAILED == static_cast<int>(Finish::Failed));
static_assert(LEVIN_FINISH_END == static_cast<int>(Finish::End));

static levin_result resultOf(const RequestResult &result) {
  levin_result value{};
  value.finish = static_cast<levin_finish>(result.finish);
  value.prompt_tokens = result.promptTokens;
  value.generated_tokens = result.generatedTokens;
  value.queue_seconds = result.queueSeconds;
  value.first_token_seconds = result.firstTokenSeconds;
  value.total_seconds = result.totalSeconds;
  return value;
}

static Result<Request> requestOf(const levin_request *given, levin_engine &engine) {
  if (!given)
    return badArgument("request is NULL");
  LEVIN_ASSIGN_OR_RETURN(levin_request wanted, readStruct(given, "levin_request"));
  LEVIN_ASSIGN_OR_RETURN(levin_sampling sampling, readStruct(wanted.sampling, "levin_sampling"));
  if ((!wanted.prompt && wanted.prompt_count != 0) ||
      (!wanted.end_tokens && wanted.end_token_count != 0))
    return badArgument("prompt or end_tokens is NULL, but its count is not 0");
  Request request;
  request.prompt.assign(wanted.prompt, wanted.prompt + wanted.prompt_count);
  request.maxTokens = wanted.max_tokens;
  request.sampling = samplingOf(sampling);
  if (wanted.end_tokens)
    request.endTokens.assign(wanted.end_tokens, wanted.end_tokens + wanted.end_token_count);
  else if (!wanted.ignore_end_tokens)
    request.endTokens = engine.engine.model().manifest().model.endTokens;
  if (wanted.on_token)
    request.onToken = [&engine, wanted](uint64_t id, const Choice &choice) {
      levin_choice value = choiceOf(choice, engine.alternatives);
      return wanted.on_token(wanted.user, id, &value) != 0;
    };
  if (wanted.on_finish)
    request.onFinish = [wanted](uint64_t id, const RequestResult &result) {
      levin_result value = resultOf(result);
      wanted.on_finish(wanted.user, id, &value);
    };
  return request;
}

levin_status levin_engine_create(levin_session *session, levin_engine **engine,
                                 levin_error **error) {
  LEVIN_CAPI_REQUIRE(session && engine, "session or engine is NULL");
  *engine = new levin_engine(session->shared);
  return 0;
}

void levin_engine_free(levin_engine *engine) { delete engine; }

levin_status levin_engine_add(levin_engine *engine, const levin_request *request, uint64_t *id,
                              levin_error **error) {
  LEVIN_CAPI_REQUIRE(engine, "engine is NULL");
  Result<Request> wanted = requestOf(request, *engine);
  if (!wanted.ok())
    return report(wanted.takeStatus(), error);
  Result<uint64_t> added = engine->engine.add(std::move(*wanted));
  if (!added.ok())
    return report(added.takeStatus(), error);
  if (id)
    *id = *added;
  return 0;
}

levin_status levin_engine_cancel(levin_engine *engine, uint64_t id, levin_error **error) {
  LEVIN_CAPI_REQUIRE(engine, "engine is NULL");
  return report(engine->engine.cancel(id), error);
}

levin_status levin_engine_step(levin_engine *engine, size_t *active, levin_error **error) {
  LEVIN_CAPI_REQUIRE(engine, "engine is NULL");
  Busy busy(*engine->shared);
  LEVIN_CAPI_TRY(busy.status());
  Status status = engine->engine.step();
  if (active)
    *active = engine->engine.active();
  return report(std::move(status), error);
}

levin_status levin_engine_run(levin_engine *engine, levin_error **error) {
  LEVIN_CAPI_REQUIRE(engine, "engine is NULL");
  Busy busy(*engine->shared);
  LEVIN_CAPI_TRY(busy.status());
  return report(engine->engine.run(), error);
}

levin_status levin_generate(levin_session *session, const levin_request *request,
                            levin_error **error) {
  LEVIN_CAPI_REQUIRE(session, "session is NULL");
  levin_engine engine(session->shared);
  if (levin_status status = levin_engine_add(&engine, request, nullptr, error))
    return status;
  return levin_engine_run(&engine, error);
}
