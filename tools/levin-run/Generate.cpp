// levin-run generate: continues prompts.
#include "runtime/base/Json.h"
#include "tools/common/Format.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Feeder.h"
#include "tools/levin-run/Language.h"
#include "tools/levin-run/Memory.h"
#include "tools/levin-run/StopTexts.h"

#include <algorithm>
#include <cmath>

namespace levin::run {

namespace {

struct Options {
  ModelOptions model;
  PromptOptions prompt;
  SamplingOptions sampling;
  uint64_t maxTokens = 256;
  bool printIds = false, ignoreEnd = false, echo = false;
  std::string logits, chunk;
  std::vector<std::string> stops;
};

/// What became of one prompt.
struct Answer {
  explicit Answer(const std::optional<Language> &language, const std::vector<std::string> &stops)
      : stops(stops) {
    if (language)
      decoder.emplace(language->tokenizer());
  }
  std::vector<int32_t> ids;
  std::vector<Json> logprobs;
  std::string text;
  std::optional<text::StreamDecoder> decoder;
  StopTexts stops;
  levin_result result{};
  double firstToken = 0; // moment
};

class Generation {
public:
  Generation(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general) {}
  Status run();

private:
  Status writeLogits();
  Status generate();
  Status generateInPieces();
  int take(size_t number, const levin_choice &choice);
  void finish(size_t number, const levin_result &result);
  void stream(size_t number, const std::string &text);
  void report();
  Json timing() const;
  Json answerJson(size_t number) const;
  void summary() const;

  const Options &options;
  const tool::GeneralOptions &general;
  std::optional<Model> model;
  std::optional<Session> session;
  std::optional<Language> language;
  std::vector<Prompt> prompts;
  std::vector<Answer> answers;
  Chunks chunks;
  tool::Output output;
  double loadSeconds = 0, sessionSeconds = 0, begin = 0, end = 0;
  bool streaming = false;
};

} // namespace

static const char *finishName(levin_finish finish) {
  switch (finish) {
  case LEVIN_FINISH_END:
    return "end";
  case LEVIN_FINISH_LENGTH:
    return "length";
  case LEVIN_FINISH_CONTEXT:
    return "context";
  case LEVIN_FINISH_STOPPED:
    return "stop";
  case LEVIN_FINISH_CANCELLED:
    return "cancelled";
  case LEVIN_FINISH_FAILED:
    return "failed";
  case LEVIN_FINISH_NONE:
    break;
  }
  return "none";
}

static Json alternativesOf(const levin_choice &choice) {
  Json list = Json::array();
  for (size_t i = 0; i < choice.alternative_count; ++i)
    list.push_back(
        {{"id", choice.alternatives[i].token}, {"logprob", choice.alternatives[i].logprob}});
  return list;
}

/// Takes a token; non-zero ends the answer.
int Generation::take(size_t number, const levin_choice &choice) {
  Answer &answer = answers[number];
  if (answer.ids.empty())
    answer.firstToken = now();
  answer.ids.push_back(choice.token);
  if (options.sampling.logprobs > 0)
    answer.logprobs.push_back({{"id", choice.token},
                               {"logprob", choice.logprob},
                               {"alternatives", alternativesOf(choice)}});
  if (answer.decoder)
    stream(number, answer.stops.push(answer.decoder->push(choice.token)));
  // Nobody reads any more.
  return answer.stops.stopped() || !output.good();
}

void Generation::stream(size_t number, const std::string &text) {
  answers[number].text += text;
  if (!streaming || text.empty())
    return;
  output.write(text);
  output.flush();
}

void Generation::finish(size_t number, const levin_result &result) {
  Answer &answer = answers[number];
  answer.result = result;
  if (!answer.decoder)
    return;
  stream(number, answer.stops.push(answer.decoder->finish()));
  stream(number, answer.stops.finish());
}

/// Feeds all prompts and stores the logits of every position.
Status Generation::writeLogits() {
  uint64_t vocabulary = model->info().vocabulary;
  std::vector<NamedRows> tensors;
  std::vector<std::span<const int32_t>> sequences;
  for (size_t i = 0; i < prompts.size(); ++i) {
    tensors.push_back({prompts.size() == 1 ? "logits" : fmt::format("logits_{}", i), {}});
    tensors.back().values.resize(prompts[i].ids.size() * vocabulary);
    sequences.emplace_back(prompts[i].ids);
  }
  auto onRow = [&](size_t sequence, size_t position, const float *logits) {
    std::copy_n(logits, vocabulary, tensors[sequence].values.data() + position * vocabulary);
  };
  LEVIN_RETURN_IF_ERROR(feedAll(*session, *model, sequences, chunks, LEVIN_LOGITS_ALL, onRow));
  return writeRows(options.logits, tensors, vocabulary);
}

Status Generation::generate() {
  levin_engine *handle = nullptr;
  LEVIN_RETURN_IF_ERROR(call(levin_engine_create, session->get(), &handle));
  EngineHandle engine(handle);
  levin_sampling sampling = options.sampling.get();
  for (const Prompt &prompt : prompts) {
    levin_request request = LEVIN_INIT(levin_request);
    request.prompt = prompt.ids.data();
    request.prompt_count = prompt.ids.size();
    request.max_tokens = options.maxTokens;
    request.ignore_end_tokens = options.ignoreEnd;
    request.sampling = &sampling;
    request.user = this;
    // Requests are numbered from 1 on, in the order in which they are added.
    request.on_token = [](void *user, uint64_t id, const levin_choice *choice) {
      return static_cast<Generation *>(user)->take(id - 1, *choice);
    };
    request.on_finish = [](void *user, uint64_t id, const levin_result *result) {
      static_cast<Generation *>(user)->finish(id - 1, *result);
    };
    LEVIN_RETURN_IF_ERROR(call(levin_engine_add, handle, &request, nullptr));
  }
  return call(levin_engine_run, handle);
}

/// As generate(), one prompt after the other, fed in pieces of the given sizes.
Status Generation::generateInPieces() {
  const levin_model_info &info = model->info();
  levin_sampling sampling = options.sampling.get();
  for (size_t number = 0; number < prompts.size(); ++number) {
    const std::vector<int32_t> &ids = prompts[number].ids;
    LEVIN_RETURN_IF_ERROR(checkLength(*model, ids.size()));
    levin_sampler *handle = nullptr;
    LEVIN_RETURN_IF_ERROR(call(levin_sampler_create, &sampling, info.vocabulary, &handle));
    SamplerHandle sampler(handle);
    LEVIN_RETURN_IF_ERROR(call(levin_sampler_prompt, handle, ids.data(), ids.size()));
    LEVIN_ASSIGN_OR_RETURN(int32_t slot, session->acquire());
    levin_result result{};
    result.prompt_tokens = ids.size();
    double started = now();
    std::vector<float> logits(info.vocabulary);
    auto keep = [&](size_t, size_t, const float *row) {
      std::copy_n(row, info.vocabulary, logits.data());
    };
    std::span<const int32_t> rest(ids);
    for (size_t piece = 0; !rest.empty(); ++piece) {
      size_t count = chunks.size(piece, rest.size());
      Feed feed{slot, rest.first(count),
                count == rest.size() ? LEVIN_LOGITS_LAST : LEVIN_LOGITS_NONE};
      LEVIN_RETURN_IF_ERROR(step(*session, std::span(&feed, 1), keep));
      rest = rest.subspan(count);
    }
    std::span<const int32_t> ends(info.end_tokens, options.ignoreEnd ? 0 : info.end_token_count);
    uint64_t length = ids.size();
    while (result.finish == LEVIN_FINISH_NONE) {
      levin_choice choice{};
      LEVIN_RETURN_IF_ERROR(call(levin_sampler_sample, handle, logits.data(), &choice));
      if (result.first_token_seconds == 0)
        result.first_token_seconds = now() - started;
      if (std::find(ends.begin(), ends.end(), choice.token) != ends.end()) {
        result.finish = LEVIN_FINISH_END;
        break;
      }
      ++result.generated_tokens;
      if (take(number, choice))
        result.finish = LEVIN_FINISH_STOPPED;
      else if (result.generated_tokens == options.maxTokens)
        result.finish = LEVIN_FINISH_LENGTH;
      else if (info.max_context != 0 && length == info.max_context)
        result.finish = LEVIN_FINISH_CONTEXT;
      if (result.finish != LEVIN_FINISH_NONE)
        break;
      Feed feed{slot, std::span(&choice.token, 1), LEVIN_LOGITS_LAST};
      LEVIN_RETURN_IF_ERROR(step(*session, std::span(&feed, 1), keep));
      ++length;
    }
    result.total_seconds = now() - started;
    finish(number, result);
    LEVIN_RETURN_IF_ERROR(session->release(slot));
  }
  return {};
}

// --- What is printed -----------------------------------------------------------------------------

Json Generation::timing() const {
  double first = 0, decode = 0;
  uint64_t fed = 0, made = 0, after = 0;
  for (size_t i = 0; i < answers.size(); ++i) {
    const levin_result &result = answers[i].result;
    first = std::max(first, result.queue_seconds + result.first_token_seconds);
    decode = std::max(decode, result.total_seconds - result.first_token_seconds);
    fed += prompts[i].ids.size();
    made += answers[i].ids.size();
    after += answers[i].ids.empty() ? 0 : answers[i].ids.size() - 1;
  }
  auto rate = [](uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  levin_load_statistics phases = LEVIN_INIT(levin_load_statistics);
  (void)call(levin_model_get_load_statistics, model->get(), &phases); // zeros if it cannot say
  return {{"load_seconds", loadSeconds},
          {"artifact_seconds", phases.artifact_seconds},
          {"code_seconds", phases.code_seconds},
          {"weights_seconds", phases.weights_seconds},
          {"session_seconds", sessionSeconds},
          {"first_token_seconds", first},
          {"total_seconds", end - begin},
          {"prompt_tokens", fed},
          {"generated_tokens", made},
          {"prefill_tokens_per_second", rate(fed, first)},
          {"decode_tokens_per_second", rate(after, decode)}};
}

void Generation::summary() const {
  Json t = timing();
  auto number = [&](const char *key) { return t[key].get<double>(); };
  std::string text = fmt::format(
      "load {}, first token {}, prefill {:.1f} tok/s ({} tokens)", tool::humanSeconds(loadSeconds),
      tool::humanSeconds(number("first_token_seconds")), number("prefill_tokens_per_second"),
      t["prompt_tokens"].get<uint64_t>());
  text += fmt::format(", decode {:.1f} tok/s ({} tokens), total {}\n",
                      number("decode_tokens_per_second"), t["generated_tokens"].get<uint64_t>(),
                      tool::humanSeconds(end - begin));
  fmt::print(stderr, "{}", text);
}

Json Generation::answerJson(size_t number) const {
  const Answer &answer = answers[number];
  Json out = {{"prompt_tokens", prompts[number].ids.size()},
              {"ids", answer.ids},
              {"finish", finishName(answer.result.finish)}};
  if (language)
    out["text"] = answer.text;
  if (options.sampling.logprobs > 0)
    out["logprobs"] = answer.logprobs;
  return out;
}

void Generation::report() {
  if (general.json) {
    const levin_model_info &info = model->info();
    Json memory = {
        {"planned_bytes", info.parameter_bytes + info.state_bytes + info.workspace_bytes},
        {"peak_bytes", peakAnonymousBytes()}};
    Json all = {{"results", Json::array()},
                {"device", info.device},
                {"timing", timing()},
                {"memory", memory}};
    for (size_t i = 0; i < answers.size(); ++i)
      all["results"].push_back(answerJson(i));
    output.write(all.dump(1, ' ', false, Json::error_handler_t::replace) + "\n");
    return;
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (options.printIds) {
      output.print("{}\n", fmt::join(answers[i].ids, " "));
      continue;
    }
    if (streaming) {
      output.write("\n");
    } else {
      if (answers.size() > 1)
        output.print("--- {} ---\n", i);
      output.write((options.echo ? prompts[i].text : "") + answers[i].text + "\n");
    }
    for (const Json &token : answers[i].logprobs)
      output.write(token.dump() + "\n");
  }
}

Status Generation::run() {
  LEVIN_ASSIGN_OR_RETURN(chunks, Chunks::parse(options.chunk));
  double loaded = 0;
  LEVIN_ASSIGN_OR_RETURN(model, options.model.load(general, &loaded));
  LEVIN_ASSIGN_OR_RETURN(prompts, readPrompts(options.prompt, *model));
  bool wantsText = !options.printIds && options.maxTokens > 0;
  Status why;
  language = languageIfAny(*model, &why);
  if (!language && (!options.stops.empty() || (wantsText && !general.json)))
    return std::move(why).note("fix", "--print-ids prints ids instead of text");
  double created = now();
  LEVIN_ASSIGN_OR_RETURN(session, options.model.start(*model));
  sessionSeconds = now() - created;
  loadSeconds = loaded + sessionSeconds;
  if (!options.logits.empty())
    LEVIN_RETURN_IF_ERROR(writeLogits());
  for (size_t i = 0; i < prompts.size(); ++i)
    answers.emplace_back(language, options.stops);
  streaming = wantsText && !general.json && prompts.size() == 1;
  if (streaming && options.echo)
    output.write(prompts[0].text);
  begin = now();
  if (options.maxTokens > 0)
    LEVIN_RETURN_IF_ERROR(chunks.sizes.empty() ? generate() : generateInPieces());
  end = now();
  if (options.maxTokens > 0 || general.json || options.printIds)
    report();
  LEVIN_RETURN_IF_ERROR(output.finish());
  if (!general.quiet && !general.json && options.maxTokens > 0)
    summary();
  return {};
}

void addGenerate(tool::CommandLine &line) {
  auto options = std::make_shared<Options>();
  tool::Command &command = line.subcommand("generate", "continues prompts");
  options->model.add(command);
  options->prompt.add(command);
  command.group("Output")
      .option("-n,--max-tokens", &options->maxTokens, "how many tokens at most", {.value = "N"})
      .option("--stop", &options->stops, "end before this text", {.value = "TEXT"})
      .option("--ignore-eos", &options->ignoreEnd, "go on after end tokens")
      .option("--print-ids", &options->printIds, "print ids, one line for each prompt")
      .option("--echo", &options->echo, "print the prompt before its continuation")
      .option("--logits", &options->logits, "store the logits of all prompt positions",
              {.value = "FILE"})
      .option("--chunk", &options->chunk, "feed prompts in pieces of so many tokens",
              {.value = "N[,N..]"});
  options->sampling.add(command);
  command.epilogue("Several prompts run together; without any, the prompt is read from stdin.");
  command.action([options, &line] { return Generation(*options, line.general()).run(); });
}

} // namespace levin::run
