// levin-run tokenize and render: texts to ids and back, conversations to texts.
#include "runtime/base/File.h"
#include "runtime/base/Json.h"
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"
#include "tools/levin-run/Language.h"

namespace levin::run {

// --- tokenize ------------------------------------------------------------------------------------

namespace {
struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text, file, decode;
  bool noSpecial = false, pieces = false, keepSpecial = false;
};
} // namespace

static Result<std::string> textToTokenize(const TokenizeOptions &options) {
  if (options.text && options.file)
    return makeError(ErrorCode::Usage, "--text and --file exclude each other");
  if (options.text)
    return *options.text;
  if (options.file)
    return readFile(*options.file);
  return readStandardInput();
}

static Status decode(const TokenizeOptions &options, const text::Tokenizer &tokenizer, bool json) {
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, parseIds(*options.decode));
  for (int32_t id : ids)
    if (!tokenizer.isKnown(id))
      return makeError(ErrorCode::TokenRange, "token {} is outside the vocabulary", id)
          .note("need", fmt::format("ids of the tokenizer, below {}", tokenizer.size()));
  std::string text = tokenizer.decode(ids, !options.keepSpecial);
  tool::Output output;
  output.write(json ? Json{{"text", text}}.dump(-1, ' ', false) + "\n" : text + "\n");
  return output.finish();
}

static Status tokenize(const TokenizeOptions &options, bool json) {
  LEVIN_ASSIGN_OR_RETURN(TextFiles files, TextFiles::open(options.model));
  LEVIN_ASSIGN_OR_RETURN(Language language, Language::read(files, -1));
  const text::Tokenizer &tokenizer = language.tokenizer();
  if (options.decode)
    return decode(options, tokenizer, json);
  LEVIN_ASSIGN_OR_RETURN(std::string text, textToTokenize(options));
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, tokenizer.encode(text, !options.noSpecial));
  tool::Output output;
  if (json) {
    Json pieces = Json::array();
    for (int32_t id : ids)
      pieces.push_back(text::repairUtf8(tokenizer.bytesOf(id)));
    output.write(Json{{"ids", ids}, {"pieces", pieces}}.dump(-1, ' ', false) + "\n");
  } else if (options.pieces) {
    for (int32_t id : ids)
      output.print("{:>8}  {}\n", id,
                   Json(text::repairUtf8(tokenizer.bytesOf(id))).dump(-1, ' ', false));
  } else {
    output.print("{}\n", fmt::join(ids, " "));
  }
  return output.finish();
}

void addTokenize(tool::CommandLine &line) {
  auto options = std::make_shared<TokenizeOptions>();
  line.subcommand("tokenize", "prints the ids of a text, or the text of ids")
      .positional("MODEL", &options->model, "an artifact, a model folder or a tokenizer.json",
                  {.required = true})
      .option("--text", &options->text, "the text; default: stdin", {.value = "TEXT"})
      .option("--file", &options->file, "the file whose text is meant", {.value = "FILE"})
      .option("--decode", &options->decode, "print the text of these ids", {.value = "1,5,7"})
      .option("--pieces", &options->pieces, "print each id with its text, one a line")
      .option("--no-special", &options->noSpecial, "without the tokens that the template adds")
      .option("--keep-special", &options->keepSpecial, "show special tokens when decoding")
      .epilogue("The ids are those of the tokenizer alone; generate puts the model's begin token "
                "before them.")
      .action([options, &line] { return tokenize(*options, line.general().json); });
}

// --- render --------------------------------------------------------------------------------------

namespace {
struct RenderOptions {
  std::string model, messages, chatTemplate = "auto", templateFile;
  std::vector<std::string> user;
  std::string system;
  bool noAnswer = false, ids = false;
};
} // namespace

/// The messages of a JSON file: a list of {"role", "content"}.
static Result<std::vector<text::Message>> readMessages(const std::string &path) {
  LEVIN_ASSIGN_OR_RETURN(std::string source, readFile(path, uint64_t(1) << 26));
  LEVIN_ASSIGN_OR_RETURN(Json document, parseJson(source, path, ErrorCode::InputFile));
  JsonValue list(document, path, ErrorCode::InputFile);
  LEVIN_RETURN_IF_ERROR(list.expectArray());
  std::vector<text::Message> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue entry, list.at(i));
    LEVIN_ASSIGN_OR_RETURN(JsonValue role, entry.at("role"));
    LEVIN_ASSIGN_OR_RETURN(JsonValue content, entry.at("content"));
    text::Message message;
    LEVIN_ASSIGN_OR_RETURN(message.role, role.asString());
    LEVIN_ASSIGN_OR_RETURN(message.content, content.asString());
    messages.push_back(std::move(message));
  }
  return messages;
}

static Status render(const RenderOptions &options, bool json) {
  LEVIN_ASSIGN_OR_RETURN(TextFiles files, TextFiles::open(options.model));
  LEVIN_ASSIGN_OR_RETURN(Language language, Language::read(files, -1));
  auto found = options.templateFile.empty() ? language.chatTemplate(options.chatTemplate)
                                            : language.chatTemplateFile(options.templateFile);
  LEVIN_ASSIGN_OR_RETURN(text::ChatTemplate chat, std::move(found));
  std::vector<text::Message> messages;
  if (!options.messages.empty()) {
    LEVIN_ASSIGN_OR_RETURN(messages, readMessages(options.messages));
  }
  if (!options.system.empty())
    messages.insert(messages.begin(), {"system", options.system});
  for (size_t i = 0; i < options.user.size(); ++i)
    messages.push_back({"user", options.user[i]});
  if (messages.empty())
    return makeError(ErrorCode::Usage, "there are no messages")
        .note("fix", "give --user TEXT or --messages FILE.json");
  LEVIN_ASSIGN_OR_RETURN(std::string text, chat.render(messages, !options.noAnswer));
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, language.tokenizer().encode(text, false));
  tool::Output output;
  if (json)
    output.write(Json{{"template", chat.name()}, {"text", text}, {"ids", ids}}.dump(
                     1, ' ', false, Json::error_handler_t::replace) +
                 "\n");
  else if (options.ids)
    output.print("{}\n", fmt::join(ids, " "));
  else
    output.write(text);
  return output.finish();
}

void addRender(tool::CommandLine &line) {
  auto options = std::make_shared<RenderOptions>();
  line.subcommand("render", "prints what the chat template makes of messages")
      .positional("MODEL", &options->model, "an artifact or a model folder", {.required = true})
      .option("--user", &options->user, "what the user says", {.value = "TEXT"})
      .option("--system", &options->system, "instructions for the whole conversation",
              {.value = "TEXT"})
      .option("--messages", &options->messages, "a JSON list of {\"role\", \"content\"}",
              {.value = "FILE"})
      .option("--chat-template", &options->chatTemplate, "the built-in template to use",
              {.value = "NAME", .choices = {"auto", "minimax", "chatml", "none"}})
      .option("--chat-template-file", &options->templateFile, "a Jinja template", {.value = "FILE"})
      .option("--no-answer", &options->noAnswer, "without the beginning of an answer")
      .option("--print-ids", &options->ids, "print ids instead of text")
      .action([options, &line] { return render(*options, line.general().json); });
}

} // namespace levin::run
