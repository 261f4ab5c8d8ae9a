// levin-run score: how well a model predicts a text.
#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "tools/common/Format.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Language.h"
#include "tools/levin-run/Losses.h"

namespace levin::run {

namespace {
struct Options {
  ModelOptions model;
  std::optional<std::string> text, file, ids;
  std::optional<uint64_t> maxTokens;
  std::string losses, chunk;
  bool noBegin = false;
};
} // namespace

static Result<std::vector<int32_t>> readIds(const Options &options, const Model &model) {
  int sources = options.text.has_value() + options.file.has_value() + options.ids.has_value();
  if (sources > 1)
    return makeError(ErrorCode::Usage, "--text, --file and --ids exclude each other");
  PromptOptions prompt;
  prompt.noBegin = options.noBegin;
  if (options.text)
    prompt.prompts = {*options.text};
  if (options.file)
    prompt.files = {*options.file};
  if (options.ids)
    prompt.ids = {*options.ids};
  LEVIN_ASSIGN_OR_RETURN(std::vector<Prompt> prompts, readPrompts(prompt, model));
  std::vector<int32_t> ids = std::move(prompts[0].ids);
  if (options.maxTokens && *options.maxTokens < ids.size())
    ids.resize(*options.maxTokens + 1);
  if (ids.size() < 2)
    return makeError(ErrorCode::OptionValue, "the text is too short to be scored")
        .note("have", fmt::format("{} tokens", ids.size()))
        .note("need", "at least 2, as the first has nothing before it");
  return ids;
}

static Status score(const Options &options, const tool::GeneralOptions &general) {
  LEVIN_ASSIGN_OR_RETURN(Chunks chunks, Chunks::parse(options.chunk));
  LEVIN_ASSIGN_OR_RETURN(Model model, options.model.load(general));
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, readIds(options, model));
  if (Status status = checkLength(model, ids.size() - 1); !status.ok())
    return std::move(status).note(
        "fix", fmt::format("--max-tokens {} scores what fits", model.info().max_context));
  LEVIN_ASSIGN_OR_RETURN(Session session, options.model.start(model));
  double begin = now();
  std::vector<float> losses;
  {
    tool::Progress progress(general.progress);
    progress.begin("score", ids.size() - 1);
    LEVIN_ASSIGN_OR_RETURN(
        losses, lossesOf(session, model, ids, chunks, [&](size_t done) { progress.update(done); }));
    progress.end(fmt::format("{} tokens", losses.size()));
  }
  double seconds = now() - begin;
  if (!options.losses.empty()) {
    NamedRows rows{"losses", losses};
    LEVIN_RETURN_IF_ERROR(writeRows(options.losses, std::span(&rows, 1), 0));
  }
  double loss = mean(losses);
  tool::Output output;
  if (general.json)
    output.write(Json{{"tokens", losses.size()},
                      {"mean_loss", loss},
                      {"perplexity", std::exp(loss)},
                      {"seconds", seconds}}
                     .dump(1) +
                 "\n");
  else
    output.print("tokens      {}\nmean loss   {:.6f} nats\nperplexity  {:.4f}\n", losses.size(),
                 loss, std::exp(loss));
  return output.finish();
}

void addScore(tool::CommandLine &line) {
  auto options = std::make_shared<Options>();
  tool::Command &command = line.subcommand("score", "prints the mean loss of a text");
  options->model.add(command);
  command.group("Text")
      .option("--file", &options->file, "the file whose text is scored", {.value = "FILE"})
      .option("--text", &options->text, "the text itself", {.value = "TEXT"})
      .option("--ids", &options->ids, "token ids, used as they are", {.value = "1,5,7"})
      .option("--no-begin", &options->noBegin, "do not put the begin token before texts")
      .option("-n,--max-tokens", &options->maxTokens, "score no more than so many tokens",
              {.value = "N", .min = 1});
  command.group("Output")
      .option("--losses", &options->losses, "store the loss of each token", {.value = "FILE"})
      .option("--chunk", &options->chunk, "feed the text in pieces of so many tokens",
              {.value = "N[,N..]"});
  command.action([options, &line] { return score(*options, line.general()); });
}

} // namespace levin::run
