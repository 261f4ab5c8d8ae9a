// From the messages of a conversation to the text that a model continues.
#ifndef LEVIN_RUNTIME_TEXT_CHATTEMPLATE_H
#define LEVIN_RUNTIME_TEXT_CHATTEMPLATE_H

#include "runtime/base/Status.h"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace levin::text {

struct Message {
  std::string role; // "system", "user" or "assistant"
  std::string content;
};

/// What a Jinja template may use besides the messages.
struct TemplateTokens {
  std::string begin, end; // bos_token and eos_token; empty if there are none
};

class ChatTemplate {
public:
  /// "minimax", "chatml", or "none", which puts the contents one after the other.
  /// LV2002 for another name.
  static Result<ChatTemplate> builtin(std::string_view name);
  static const std::vector<std::string> &builtinNames();

  /// A template in the subset of Jinja of docs/levin-run.md; `where` names its file in messages.
  /// LV1022 with the construct and its line for everything else.
  static Result<ChatTemplate> jinja(std::string_view source, std::string where,
                                    TemplateTokens tokens);

  /// The text of `messages`, with the beginning of an answer if `openAnswer`.  LV1022 if the
  /// template takes too many steps, makes too long a text or refuses the messages.
  Result<std::string> render(std::span<const Message> messages, bool openAnswer) const;

  /// Texts of tokens that end an answer, if the vocabulary has them.
  const std::vector<std::string> &endTexts() const { return ends; }
  const std::string &name() const { return title; }

private:
  struct Jinja;
  enum class Kind { Plain, MiniMax, ChatMl, Jinja } kind = Kind::Plain;
  std::string title;
  std::vector<std::string> ends;
  std::shared_ptr<const Jinja> program;
};

} // namespace levin::text

#endif // LEVIN_RUNTIME_TEXT_CHATTEMPLATE_H
