#include "tools/levin-run/Language.h"

#include "runtime/base/File.h"
#include "runtime/base/Json.h"

#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace levin::run {

static constexpr std::array textFileNames = {"tokenizer.json", "tokenizer_config.json",
                                             "generation_config.json", "chat_template.jinja"};

// --- Files ---------------------------------------------------------------------------------------

TextFiles TextFiles::of(const Model &model) {
  TextFiles out;
  for (const char *name : textFileNames)
    if (auto content = model.asset(name))
      out.files[name] = *content;
  return out;
}

static bool isFolder(const std::string &path) {
  struct stat info = {};
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

Result<TextFiles> TextFiles::open(const std::string &path) {
  TextFiles out;
  if (path.ends_with(".json")) {
    LEVIN_ASSIGN_OR_RETURN(out.files["tokenizer.json"], readFile(path));
    return out;
  }
  if (!isFolder(path)) {
    ModelOptions options;
    options.artifact = path;
    LEVIN_ASSIGN_OR_RETURN(Model model, options.inspect());
    return of(model);
  }
  for (const char *name : textFileNames) {
    std::string file = path + "/" + name;
    if (::access(file.c_str(), F_OK) != 0)
      continue;
    LEVIN_ASSIGN_OR_RETURN(out.files[name], readFile(file));
  }
  return out;
}

const std::string *TextFiles::find(const std::string &name) const {
  auto place = files.find(name);
  return place == files.end() ? nullptr : &place->second;
}

// --- Language ------------------------------------------------------------------------------------

Result<Language> Language::read(const TextFiles &files, int32_t beginToken) {
  const std::string *json = files.find("tokenizer.json");
  if (!json)
    return makeError(ErrorCode::NotInArtifact, "there is no tokenizer.json")
        .note("fix", "compile a folder that holds tokenizer.json, or give prompts as --ids");
  Language out;
  LEVIN_ASSIGN_OR_RETURN(out.words, text::Tokenizer::parse(*json));
  out.files = files;
  out.beginToken = beginToken;
  return out;
}

Result<Language> Language::of(const Model &model) {
  return read(TextFiles::of(model), model.info().begin_token);
}

std::optional<Language> languageIfAny(const Model &model, Status *why) {
  auto language = Language::of(model);
  if (language.ok())
    return std::move(*language);
  if (why)
    *why = language.takeStatus();
  return std::nullopt;
}

Result<std::vector<int32_t>> Language::prompt(std::string_view text, bool withBegin) const {
  LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, words->encode(text, withBegin));
  if (withBegin && beginToken >= 0 && (ids.empty() || ids.front() != beginToken))
    ids.insert(ids.begin(), beginToken);
  return ids;
}

/// A token of tokenizer_config.json: a string, or an object with its content.
static Result<std::string> tokenText(const JsonValue &config, std::string_view key) {
  auto token = config.find(key);
  if (!token)
    return std::string();
  if (token->isObject())
    return token->getString("content", "");
  return token->asString();
}

Result<text::TemplateTokens> Language::templateTokens() const {
  text::TemplateTokens tokens;
  const std::string *source = files.find("tokenizer_config.json");
  if (!source)
    return tokens;
  LEVIN_ASSIGN_OR_RETURN(Json document,
                         parseJson(*source, "tokenizer_config.json", ErrorCode::TokenizerFormat));
  JsonValue config(document, "tokenizer_config.json", ErrorCode::TokenizerFormat);
  LEVIN_ASSIGN_OR_RETURN(tokens.begin, tokenText(config, "bos_token"));
  LEVIN_ASSIGN_OR_RETURN(tokens.end, tokenText(config, "eos_token"));
  return tokens;
}

/// The template within tokenizer_config.json: a string, or a list of named ones, of which
/// "default" counts; empty if there is none.
static Result<std::string> templateOf(const std::string &source) {
  LEVIN_ASSIGN_OR_RETURN(Json document,
                         parseJson(source, "tokenizer_config.json", ErrorCode::TokenizerFormat));
  JsonValue config(document, "tokenizer_config.json", ErrorCode::TokenizerFormat);
  auto held = config.find("chat_template");
  if (!held)
    return std::string();
  if (!held->isArray())
    return held->asString();
  for (size_t i = 0; i < held->size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(JsonValue entry, held->at(i));
    LEVIN_ASSIGN_OR_RETURN(std::string name, entry.getString("name", ""));
    if (name == "default")
      return entry.getString("template", "");
  }
  return std::string();
}

Result<text::ChatTemplate> Language::chatTemplate(const std::string &name) const {
  if (name != "auto")
    return text::ChatTemplate::builtin(name);
  LEVIN_ASSIGN_OR_RETURN(text::TemplateTokens tokens, templateTokens());
  if (const std::string *source = files.find("chat_template.jinja"))
    return text::ChatTemplate::jinja(*source, "chat_template.jinja", std::move(tokens));
  if (const std::string *config = files.find("tokenizer_config.json")) {
    LEVIN_ASSIGN_OR_RETURN(std::string source, templateOf(*config));
    if (!source.empty())
      return text::ChatTemplate::jinja(source, "chat_template of tokenizer_config.json",
                                       std::move(tokens));
  }
  if (words->idOf("<beginning_of_sentence>"))
    return text::ChatTemplate::builtin("minimax");
  return text::ChatTemplate::builtin(words->idOf("<|im_start|>") ? "chatml" : "none");
}

Result<text::ChatTemplate> Language::chatTemplateFile(const std::string &path) const {
  LEVIN_ASSIGN_OR_RETURN(std::string source, readFile(path, uint64_t(1) << 20));
  LEVIN_ASSIGN_OR_RETURN(text::TemplateTokens tokens, templateTokens());
  return text::ChatTemplate::jinja(source, path, std::move(tokens));
}

// --- Prompts -------------------------------------------------------------------------------------

Result<std::vector<Prompt>> readPrompts(const PromptOptions &options, const Model &model) {
  if (model.info().vocabulary == 0)
    return makeError(ErrorCode::NotInArtifact, "the artifact has no step entries: it is no language"
                                               " model")
        .note("fix", "levin-run call runs its other entries");
  std::vector<Prompt> prompts;
  for (const std::string &text : options.prompts)
    prompts.push_back({text, {}});
  for (const std::string &file : options.files) {
    LEVIN_ASSIGN_OR_RETURN(std::string text, readFile(file));
    prompts.push_back({std::move(text), {}});
  }
  if (prompts.empty() && options.ids.empty()) {
    if (::isatty(STDIN_FILENO))
      return makeError(ErrorCode::Usage, "there is no prompt")
          .note("fix", "give --prompt TEXT, --prompt-file FILE, --ids 1,5,7 or text on stdin");
    LEVIN_ASSIGN_OR_RETURN(std::string text, readStandardInput());
    prompts.push_back({std::move(text), {}});
  }
  if (!prompts.empty()) {
    LEVIN_ASSIGN_OR_RETURN(Language language, Language::of(model));
    for (Prompt &prompt : prompts) {
      LEVIN_ASSIGN_OR_RETURN(prompt.ids, language.prompt(prompt.text, !options.noBegin));
      if (prompt.ids.empty())
        return makeError(ErrorCode::OptionValue, "a prompt is empty")
            .note("fix", "give a text, or a begin token by leaving --no-begin out");
    }
  }
  for (const std::string &list : options.ids) {
    LEVIN_ASSIGN_OR_RETURN(std::vector<int32_t> ids, parseIds(list));
    prompts.push_back({"", std::move(ids)});
  }
  for (const Prompt &prompt : prompts)
    for (int32_t id : prompt.ids)
      if (static_cast<uint64_t>(id) >= model.info().vocabulary)
        return makeError(ErrorCode::TokenRange, "token {} is outside the vocabulary", id)
            .note("need", fmt::format("ids from 0 to {}", model.info().vocabulary - 1));
  return prompts;
}

} // namespace levin::run
