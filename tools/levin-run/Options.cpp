#include "tools/levin-run/Options.h"

#include "tools/common/Format.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <system_error>

namespace levin::run {

// --- Model ---------------------------------------------------------------------------------------

void ModelOptions::add(tool::Command &command) {
  command.positional("MODEL", &artifact, "the artifact (.lvn)", {.required = true});
  command.group("Model")
      .option("--weights", &weights, "folder of the weight files; default: that of the artifact",
              {.value = "DIR"})
      .option("--device", &device, "host, or cuda:0 for the first GPU; default: what it is for",
              {.value = "DEVICE"})
      .option("--random-weights", &randomWeights,
              "no weight files: random weights from this seed (GPUs only)", {.value = "SEED"})
      .option("--threads", &threads, "threads to compute with; 0: all cores",
              {.value = "N", .max = 1024})
      .option("--timeout", &timeout, "seconds after which a run on a GPU has failed; 0: 60",
              {.value = "S", .max = 1e6})
      .option("--validate", &validate, "check every launch and poison unused memory (slow)")
      .option("--trust-weights", &trustWeights, "do not compare the digests of the weight files");
}

Result<Model> ModelOptions::load(const tool::GeneralOptions &general, double *seconds) const {
  tool::Progress progress(general.progress);
  std::vector<const char *> folders;
  for (const std::string &folder : weights)
    folders.push_back(folder.c_str());
  levin_load_options options = LEVIN_INIT(levin_load_options);
  options.weight_folders = folders.data();
  options.weight_folder_count = folders.size();
  options.threads = static_cast<uint32_t>(threads);
  options.skip_weight_digests = trustWeights;
  options.device = device.empty() ? nullptr : device.c_str();
  options.random_weights = randomWeights.has_value();
  options.random_seed = randomWeights.value_or(0);
  options.user = &progress;
  options.progress = [](void *user, const char *, uint64_t done, uint64_t total) {
    auto &bar = *static_cast<tool::Progress *>(user);
    bar.expect(total, tool::Progress::Unit::Bytes);
    bar.update(done);
  };
  progress.begin("load");
  double begin = now();
  LEVIN_ASSIGN_OR_RETURN(Model model, Model::load(artifact, options));
  progress.end(fmt::format("{}, {} of parameters", artifact,
                           tool::humanBytes(model.info().parameter_bytes)));
  if (seconds)
    *seconds = now() - begin;
  return model;
}

Result<Model> ModelOptions::inspect() const {
  levin_load_options options = LEVIN_INIT(levin_load_options);
  options.artifact_only = 1;
  return Model::load(artifact, options);
}

Result<Session> ModelOptions::start(const Model &model) const {
  levin_session_options options = LEVIN_INIT(levin_session_options);
  options.threads = static_cast<uint32_t>(threads);
  options.validate = validate;
  options.timeout = static_cast<uint32_t>(timeout);
  return Session::create(model, options);
}

// --- Sampling and prompts ------------------------------------------------------------------------

void SamplingOptions::add(tool::Command &command) {
  command.group("Sampling")
      .option("--temperature", &temperature, "0 takes the most likely token",
              {.value = "T", .min = 0, .max = 100})
      .option("--top-k", &topK, "only the K most likely; 0: all", {.value = "K", .max = 1e9})
      .option("--top-p", &topP, "only the most likely that reach P together; 0: all",
              {.value = "P", .min = 0, .max = 1})
      .option("--min-p", &minP, "only those at least P times as likely as the first; 0: all",
              {.value = "P", .min = 0, .max = 1})
      .option("--repetition-penalty", &repetitionPenalty, "of tokens there already; 0: none",
              {.value = "R", .min = 0, .max = 100})
      .option("--seed", &seed, "the same seed gives the same tokens", {.value = "N"})
      .option("--logprobs", &logprobs, "report this many most likely tokens with each",
              {.value = "N", .max = 64});
}

levin_sampling SamplingOptions::get() const {
  levin_sampling sampling = LEVIN_INIT(levin_sampling);
  sampling.temperature = static_cast<float>(temperature);
  sampling.top_k = static_cast<uint32_t>(topK);
  sampling.top_p = static_cast<float>(topP);
  sampling.min_p = static_cast<float>(minP);
  sampling.repetition_penalty = static_cast<float>(repetitionPenalty);
  sampling.seed = seed;
  sampling.logprobs = static_cast<uint32_t>(logprobs);
  return sampling;
}

void PromptOptions::add(tool::Command &command) {
  command.group("Prompt")
      .option("--prompt", &prompts, "a text to continue", {.value = "TEXT"})
      .option("--prompt-file", &files, "a file whose whole text is a prompt", {.value = "FILE"})
      .option("--ids", &ids, "token ids to continue, used as they are", {.value = "1,5,7"})
      .option("--no-begin", &noBegin, "do not put the begin token before texts");
}

// --- Values --------------------------------------------------------------------------------------

/// The whole numbers of a list separated by white space, one comma, or both.  Two commas with
/// nothing between them are a number that got lost.
static Result<std::vector<int64_t>> parseNumbers(const std::string &text, std::string_view what) {
  std::vector<int64_t> numbers;
  const char *at = text.data(), *end = at + text.size();
  auto isGap = [](char c) { return c == ',' || c == ' ' || c == '\n' || c == '\t' || c == '\r'; };
  auto refuse = [&](const char *from) {
    return makeError(ErrorCode::OptionValue, "{} cannot be read", what)
        .note("have", "'" + std::string(from, std::min<size_t>(20, size_t(end - from))) + "'")
        .note("need", "numbers separated by commas, such as 1,5,7");
  };
  while (true) {
    const char *gap = at;
    while (at != end && isGap(*at))
      ++at;
    auto commas = std::count(gap, at, ',');
    if (at == end && commas == 0)
      break;
    if (at == end || commas > (numbers.empty() ? 0 : 1))
      return refuse(gap);
    int64_t value = 0;
    auto [next, error] = std::from_chars(at, end, value);
    if (error == std::errc::result_out_of_range)
      value = INT64_MAX;
    else if (error != std::errc() || (next != end && !isGap(*next)))
      return refuse(at);
    numbers.push_back(value);
    at = next;
  }
  if (numbers.empty())
    return makeError(ErrorCode::OptionValue, "{} is empty", what)
        .note("need", "numbers separated by commas, such as 1,5,7");
  return numbers;
}

Result<std::vector<int32_t>> parseIds(const std::string &text) {
  LEVIN_ASSIGN_OR_RETURN(std::vector<int64_t> numbers, parseNumbers(text, "the list of ids"));
  std::vector<int32_t> ids;
  for (int64_t number : numbers) {
    if (number < 0 || number > INT32_MAX)
      return makeError(ErrorCode::TokenRange, "{} is the id of no token",
                       number == INT64_MAX ? "a number of more than 63 bits"
                                           : std::to_string(number))
          .note("need", "ids from 0 on, below the size of the vocabulary");
    ids.push_back(static_cast<int32_t>(number));
  }
  return ids;
}

Result<Chunks> Chunks::parse(const std::string &text) {
  Chunks chunks;
  if (text.empty())
    return chunks;
  LEVIN_ASSIGN_OR_RETURN(std::vector<int64_t> numbers, parseNumbers(text, "--chunk"));
  for (int64_t number : numbers) {
    if (number < 1)
      return makeError(ErrorCode::OptionValue, "--chunk has a value that cannot be used")
          .note("have", std::to_string(number))
          .note("need", "pieces of at least one token");
    chunks.sizes.push_back(static_cast<size_t>(number));
  }
  return chunks;
}

size_t Chunks::size(size_t index, size_t left) const {
  return sizes.empty() ? left : std::min(left, sizes[index % sizes.size()]);
}

Result<std::string> readStandardInput() {
  static constexpr size_t limit = size_t(1) << 30;
  std::string text;
  std::vector<char> buffer(1 << 16);
  while (true) {
    ssize_t got = ::read(STDIN_FILENO, buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return makeError(ErrorCode::InputFile, "cannot read standard input: {}",
                       std::generic_category().message(errno));
    if (got == 0)
      return text;
    text.append(buffer.data(), static_cast<size_t>(got));
    if (text.size() > limit)
      return makeError(ErrorCode::InputFile, "standard input is longer than {} bytes", limit);
  }
}

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

} // namespace levin::run
