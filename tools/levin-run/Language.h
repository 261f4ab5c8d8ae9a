// The texts of a model: its tokenizer, begin token and chat template.
#ifndef LEVIN_TOOLS_LEVIN_RUN_LANGUAGE_H
#define LEVIN_TOOLS_LEVIN_RUN_LANGUAGE_H

#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Tokenizer.h"
#include "tools/levin-run/Library.h"
#include "tools/levin-run/Options.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace levin::run {

/// Files that travel with a model, by name, as far as texts need them.
struct TextFiles {
  std::map<std::string, std::string> files;

  static TextFiles of(const Model &model);
  /// Of an artifact, a model folder, or a tokenizer.json.
  static Result<TextFiles> open(const std::string &path);
  const std::string *find(const std::string &name) const;
};

class Language {
public:
  /// LV2010 if there is no tokenizer, LV1020 or LV1021 if it cannot be used.  `beginToken` is the
  /// model's, -1 if it has none.
  static Result<Language> read(const TextFiles &files, int32_t beginToken);
  static Result<Language> of(const Model &model);

  const text::Tokenizer &tokenizer() const { return *words; }
  /// The ids of a prompt; with the begin token unless it is there already or not wanted.
  Result<std::vector<int32_t>> prompt(std::string_view text, bool withBegin) const;

  /// The template `name`; "auto" is the model's own, or the built-in one that fits.
  Result<text::ChatTemplate> chatTemplate(const std::string &name) const;
  /// The template in the file `path`.
  Result<text::ChatTemplate> chatTemplateFile(const std::string &path) const;

private:
  Result<text::TemplateTokens> templateTokens() const;

  std::optional<text::Tokenizer> words;
  TextFiles files;
  int32_t beginToken = -1;
};

/// Whether texts can be made of ids: what to say if not.
std::optional<Language> languageIfAny(const Model &model, Status *why = nullptr);

struct Prompt {
  std::string text; // empty if given as ids
  std::vector<int32_t> ids;
};

/// The prompts of the command line, or that of standard input if there is none.
Result<std::vector<Prompt>> readPrompts(const PromptOptions &options, const Model &model);

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_LANGUAGE_H
