// levin-run chat: a conversation on the terminal.
#include "runtime/base/DidYouMean.h"
#include "runtime/base/Json.h"
#include "tools/common/Format.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Feeder.h"
#include "tools/levin-run/Language.h"
#include "tools/levin-run/StopTexts.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>

namespace levin::run {

// Ctrl-C since the last look.
static volatile std::sig_atomic_t interrupts = 0;

namespace {

struct Options {
  ModelOptions model;
  SamplingOptions sampling;
  uint64_t maxTokens = 512;
  std::string system, chatTemplate = "auto", templateFile;
};

/// Lines of standard input; knows of Ctrl-C.
class LineReader {
public:
  enum class Event { Line, Interrupt, End };
  Event next(std::string &line);

private:
  std::string buffer;
  bool ended = false;
};

class Chat {
public:
  Chat(const Options &options, const tool::GeneralOptions &general)
      : options(options), general(general), sampling(options.sampling) {}
  Status run();

private:
  Status prepare();
  Status converse();
  Status command(const std::string &line);
  Status set(const std::string &name, const std::string &value);
  Status reset();
  Status answer(const std::string &question);
  Status feed(std::span<const int32_t> tokens, std::vector<float> &logits);
  Status speak(levin_sampler *sampler, std::vector<float> &logits, std::string &text);
  bool isEnd(int32_t token) const;
  void stats();

  const Options &options;
  const tool::GeneralOptions &general;
  SamplingOptions sampling;
  uint64_t maxTokens = 0;
  std::optional<Model> model;
  std::optional<Session> session;
  std::optional<Language> language;
  std::optional<text::ChatTemplate> chat;
  std::vector<text::Message> messages;
  std::vector<int32_t> held; // tokens that the slot has
  std::vector<int32_t> ends;
  int32_t slot = 0;
  tool::Output output;
  uint64_t fed = 0, made = 0; // tokens
  double feedSeconds = 0, speakSeconds = 0;
  bool terminal = false, leave = false;
};

} // namespace

LineReader::Event LineReader::next(std::string &line) {
  while (true) {
    if (size_t end = buffer.find('\n'); end != buffer.npos) {
      line = buffer.substr(0, end);
      buffer.erase(0, end + 1);
      return Event::Line;
    }
    if (ended) {
      line = std::exchange(buffer, {});
      return line.empty() ? Event::End : Event::Line;
    }
    char piece[4096];
    ssize_t got = ::read(STDIN_FILENO, piece, sizeof(piece));
    if (got < 0 && errno == EINTR)
      return Event::Interrupt;
    if (got <= 0)
      ended = true;
    else
      buffer.append(piece, static_cast<size_t>(got));
  }
}

// --- Preparation ---------------------------------------------------------------------------------

/// generation_config.json says how its authors want the model to be sampled.
static Status adoptDefaults(const TextFiles &files, SamplingOptions &sampling) {
  const std::string *source = files.find("generation_config.json");
  if (!source)
    return {};
  LEVIN_ASSIGN_OR_RETURN(Json document,
                         parseJson(*source, "generation_config.json", ErrorCode::ConfigSyntax));
  JsonValue config(document, "generation_config.json", ErrorCode::ConfigKey);
  LEVIN_ASSIGN_OR_RETURN(bool wanted, config.getBool("do_sample", false));
  if (!wanted || sampling.temperature != 0)
    return {};
  LEVIN_ASSIGN_OR_RETURN(sampling.temperature, config.getDouble("temperature", 1));
  LEVIN_ASSIGN_OR_RETURN(double topP, config.getDouble("top_p", 0));
  LEVIN_ASSIGN_OR_RETURN(int64_t topK, config.getInt("top_k", 0));
  if (sampling.topP == 0)
    sampling.topP = std::clamp(topP, 0.0, 1.0);
  if (sampling.topK == 0)
    sampling.topK = static_cast<uint64_t>(std::max<int64_t>(topK, 0));
  return {};
}

Status Chat::prepare() {
  LEVIN_ASSIGN_OR_RETURN(model, options.model.load(general));
  LEVIN_ASSIGN_OR_RETURN(language, Language::of(*model));
  auto found = options.templateFile.empty() ? language->chatTemplate(options.chatTemplate)
                                            : language->chatTemplateFile(options.templateFile);
  LEVIN_ASSIGN_OR_RETURN(chat, std::move(found));
  LEVIN_RETURN_IF_ERROR(adoptDefaults(TextFiles::of(*model), sampling));
  LEVIN_ASSIGN_OR_RETURN(session, options.model.start(*model));
  LEVIN_ASSIGN_OR_RETURN(slot, session->acquire());
  const levin_model_info &info = model->info();
  ends.assign(info.end_tokens, info.end_tokens + info.end_token_count);
  for (const std::string &text : chat->endTexts())
    if (auto id = language->tokenizer().idOf(text))
      ends.push_back(*id);
  maxTokens = options.maxTokens;
  terminal = ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO);
  return reset();
}

Status Chat::reset() {
  messages.clear();
  held.clear();
  if (!options.system.empty())
    messages.push_back({"system", options.system});
  return call(levin_slot_reset, session->get(), slot);
}

// --- Answers -------------------------------------------------------------------------------------

bool Chat::isEnd(int32_t token) const {
  return std::find(ends.begin(), ends.end(), token) != ends.end();
}

/// Brings the slot to hold `tokens`, of which it may have the first already.
Status Chat::feed(std::span<const int32_t> tokens, std::vector<float> &logits) {
  auto [mine, theirs] = std::mismatch(held.begin(), held.end(), tokens.begin(), tokens.end());
  // State cannot be taken back: what is no beginning of the new text must go.
  if (mine != held.end() || held.size() >= tokens.size()) {
    LEVIN_RETURN_IF_ERROR(call(levin_slot_reset, session->get(), slot));
    held.clear();
  }
  std::span<const int32_t> rest = tokens.subspan(held.size());
  LEVIN_RETURN_IF_ERROR(checkLength(*model, tokens.size()));
  auto keep = [&](size_t, size_t, const float *row) {
    std::copy_n(row, logits.size(), logits.data());
  };
  Feed feed{slot, rest, LEVIN_LOGITS_LAST};
  double begin = now();
  LEVIN_RETURN_IF_ERROR(step(*session, std::span(&feed, 1), keep));
  feedSeconds += now() - begin;
  fed += rest.size();
  held.assign(tokens.begin(), tokens.end());
  return {};
}

/// Samples tokens and prints them until the answer ends.
Status Chat::speak(levin_sampler *sampler, std::vector<float> &logits, std::string &text) {
  text::StreamDecoder decoder(language->tokenizer());
  double begin = now();
  uint64_t limit = model->info().max_context;
  auto show = [&](const std::string &piece) {
    text += piece;
    output.write(piece);
    output.flush();
  };
  for (uint64_t count = 0; count < maxTokens && interrupts == 0 && output.good(); ++count) {
    levin_choice choice{};
    LEVIN_RETURN_IF_ERROR(call(levin_sampler_sample, sampler, logits.data(), &choice));
    if (isEnd(choice.token))
      break;
    ++made;
    show(decoder.push(choice.token));
    if (limit != 0 && held.size() == limit) {
      fmt::print(stderr, "\n(the context of {} tokens is full; /reset starts anew)", limit);
      break;
    }
    auto keep = [&](size_t, size_t, const float *row) {
      std::copy_n(row, logits.size(), logits.data());
    };
    Feed next{slot, std::span(&choice.token, 1), LEVIN_LOGITS_LAST};
    LEVIN_RETURN_IF_ERROR(step(*session, std::span(&next, 1), keep));
    held.push_back(choice.token);
  }
  speakSeconds += now() - begin;
  show(decoder.finish());
  output.write("\n");
  output.flush();
  return {};
}

Status Chat::answer(const std::string &question) {
  size_t before = messages.size();
  messages.push_back({"user", question});
  LEVIN_ASSIGN_OR_RETURN(std::string prompt, chat->render(messages, true));
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, language->tokenizer().encode(prompt, false));
  int32_t begin = model->info().begin_token;
  if (begin >= 0 && (ids.empty() || ids.front() != begin))
    ids.insert(ids.begin(), begin);
  std::vector<float> logits(model->info().vocabulary);
  interrupts = 0;
  Status status =
      ids.empty() ? makeError(ErrorCode::OptionValue, "the prompt is empty") : feed(ids, logits);
  if (!status.ok()) {
    messages.resize(before); // as if it had not been said
    return status;
  }
  levin_sampling how = sampling.get();
  levin_sampler *handle = nullptr;
  LEVIN_RETURN_IF_ERROR(call(levin_sampler_create, &how, model->info().vocabulary, &handle));
  SamplerHandle sampler(handle);
  LEVIN_RETURN_IF_ERROR(call(levin_sampler_prompt, handle, ids.data(), ids.size()));
  std::string text;
  LEVIN_RETURN_IF_ERROR(speak(handle, logits, text));
  messages.push_back({"assistant", std::move(text)});
  return {};
}

// --- Commands ------------------------------------------------------------------------------------

void Chat::stats() {
  auto rate = [](uint64_t count, double seconds) {
    return seconds > 0 ? static_cast<double>(count) / seconds : 0.0;
  };
  uint64_t limit = model->info().max_context;
  output.print("context {} of {} tokens; fed {} tokens ({:.1f} tok/s), made {} ({:.1f} tok/s)\n",
               held.size(), limit ? std::to_string(limit) : "any number of", fed,
               rate(fed, feedSeconds), made, rate(made, speakSeconds));
  output.print(
      "template {}, temperature {}, top-k {}, top-p {}, min-p {}, seed {}, max-tokens {}\n",
      chat->name(), sampling.temperature, sampling.topK, sampling.topP, sampling.minP,
      sampling.seed, maxTokens);
}

Status Chat::set(const std::string &name, const std::string &value) {
  std::pair<std::string, std::variant<double *, uint64_t *>> places[] = {
      {"temperature", &sampling.temperature},
      {"top-k", &sampling.topK},
      {"top-p", &sampling.topP},
      {"min-p", &sampling.minP},
      {"seed", &sampling.seed},
      {"max-tokens", &maxTokens}};
  std::vector<std::string> names;
  for (auto &[candidate, place] : places) {
    names.push_back(candidate);
    if (candidate != name)
      continue;
    SamplingOptions before = sampling;
    auto parse = [&](auto *target) {
      const char *end = value.data() + value.size();
      auto parsed = *target;
      auto [next, error] = std::from_chars(value.data(), end, parsed);
      if (error != std::errc() || next != end)
        return false;
      *target = parsed;
      return true;
    };
    levin_sampler *probe = nullptr;
    Status status;
    if (!std::visit(parse, place))
      status = makeError(ErrorCode::OptionValue, "'{}' is no value for {}", value, name);
    else if (levin_sampling how = sampling.get(); true)
      status = call(levin_sampler_create, &how, model->info().vocabulary, &probe);
    levin_sampler_free(probe);
    if (!status.ok())
      sampling = before;
    return status;
  }
  Status status = makeError(ErrorCode::Usage, "there is nothing called '{}' to set", name)
                      .note("need", fmt::format("{}", fmt::join(names, ", ")));
  if (auto hint = didYouMean(name, names))
    status.note("fix", *hint);
  return status;
}

static constexpr const char *helpText = "/reset          forget the conversation\n"
                                        "/stats          what was done so far\n"
                                        "/set NAME VALUE temperature, top-k, top-p, min-p, seed, "
                                        "max-tokens\n"
                                        "/exit           leave (also Ctrl-D, or Ctrl-C twice)\n";

Status Chat::command(const std::string &line) {
  size_t space = line.find(' ');
  std::string word = line.substr(0, space);
  size_t begin = line.find_first_not_of(' ', space);
  std::string rest = space == line.npos || begin == line.npos ? "" : line.substr(begin);
  if (word == "/exit" || word == "/quit") {
    leave = true;
    return {};
  }
  if (word == "/reset")
    return reset();
  if (word == "/stats")
    stats();
  else if (word == "/help")
    output.write(helpText);
  else if (word == "/set") {
    size_t gap = rest.find_first_of(" =");
    return set(rest.substr(0, gap), gap == rest.npos ? "" : rest.substr(gap + 1));
  } else {
    std::vector<std::string> known = {"/reset", "/stats", "/set", "/exit", "/help"};
    Status status = makeError(ErrorCode::Usage, "there is no command '{}'", word);
    return std::move(status).note("fix", didYouMean(word, known).value_or("/help lists them"));
  }
  output.flush();
  return {};
}

Status Chat::converse() {
  LineReader reader;
  bool warned = false;
  while (!leave && output.good()) {
    if (terminal) {
      output.write("> ");
      output.flush();
    }
    std::string line;
    interrupts = 0;
    LineReader::Event event = reader.next(line);
    if (event == LineReader::Event::End || (event == LineReader::Event::Interrupt && warned))
      break;
    warned = event == LineReader::Event::Interrupt;
    if (warned) {
      fmt::print(stderr, "\n(Ctrl-C again leaves)\n");
      continue;
    }
    if (!line.empty() && line.back() == '\r')
      line.pop_back();
    if (line.find_first_not_of(" \t") == line.npos)
      continue;
    Status status = line[0] == '/' ? command(line) : answer(line);
    // On a terminal a mistake is told and the conversation goes on.
    if (!status.ok() && (!terminal || status.number() / 1000 == 9))
      return status;
    tool::reportStatus(status, general.json);
  }
  if (terminal)
    output.write("\n");
  return {};
}

Status Chat::run() {
  LEVIN_RETURN_IF_ERROR(prepare());
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupts = interrupts + 1; };
  ::sigaction(SIGINT, &action, nullptr); // without SA_RESTART, so that reading is interrupted
  if (terminal && !general.quiet)
    fmt::print(stderr, "template {}; /help lists commands\n", chat->name());
  Status status = converse();
  Status written = output.finish();
  return status.ok() ? std::move(written) : std::move(status);
}

void addChat(tool::CommandLine &line) {
  auto options = std::make_shared<Options>();
  tool::Command &command = line.subcommand("chat", "talks with a model");
  options->model.add(command);
  command.group("Conversation")
      .option("--system", &options->system, "instructions for the whole conversation",
              {.value = "TEXT"})
      .option("--chat-template", &options->chatTemplate, "the built-in template to use",
              {.value = "NAME", .choices = {"auto", "minimax", "chatml", "none"}})
      .option("--chat-template-file", &options->templateFile, "a Jinja template", {.value = "FILE"})
      .option("-n,--max-tokens", &options->maxTokens, "the longest answer", {.value = "N"});
  options->sampling.add(command);
  command.epilogue(helpText);
  command.action([options, &line] { return Chat(*options, line.general()).run(); });
}

} // namespace levin::run
