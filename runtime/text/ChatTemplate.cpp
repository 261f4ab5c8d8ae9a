#include "runtime/text/ChatTemplate.h"

#include "runtime/text/Jinja.h"

namespace levin::text {

struct ChatTemplate::Jinja {
  jinja::Template source;
  TemplateTokens tokens;
};

const std::vector<std::string> &ChatTemplate::builtinNames() {
  static const std::vector<std::string> names = {"minimax", "chatml", "none"};
  return names;
}

Result<ChatTemplate> ChatTemplate::builtin(std::string_view name) {
  ChatTemplate out;
  out.title = name;
  if (name == "minimax") {
    out.kind = Kind::MiniMax;
    out.ends = {"<end_of_sentence>"};
  } else if (name == "chatml") {
    out.kind = Kind::ChatMl;
    out.ends = {"<|im_end|>"};
  } else if (name != "none") {
    return makeError(ErrorCode::OptionValue, "there is no chat template '{}'", name)
        .note("need", fmt::format("one of {}", fmt::join(builtinNames(), ", ")));
  }
  return out;
}

Result<ChatTemplate> ChatTemplate::jinja(std::string_view source, std::string where,
                                         TemplateTokens tokens) {
  ChatTemplate out;
  out.kind = Kind::Jinja;
  out.title = where;
  if (!tokens.end.empty())
    out.ends.push_back(tokens.end);
  LEVIN_ASSIGN_OR_RETURN(jinja::Template parsed, jinja::Template::parse(source, std::move(where)));
  out.program = std::make_shared<Jinja>(Jinja{std::move(parsed), std::move(tokens)});
  return out;
}

// MiniMax names the speaker in the first line (MiniMax-Text-01's tokenizer_config.json).
static std::string_view minimaxSpeaker(std::string_view role) {
  if (role == "system")
    return "system ai_setting=assistant";
  return role == "assistant" ? "ai name=assistant" : "user name=user";
}

Result<std::string> ChatTemplate::render(std::span<const Message> messages, bool openAnswer) const {
  std::string text;
  switch (kind) {
  case Kind::Plain:
    for (const Message &message : messages)
      text += message.content;
    return text;
  case Kind::MiniMax:
    for (const Message &message : messages)
      text += fmt::format("<beginning_of_sentence>{}\n{}<end_of_sentence>\n",
                          minimaxSpeaker(message.role), message.content);
    return text + (openAnswer ? "<beginning_of_sentence>ai name=assistant\n" : "");
  case Kind::ChatMl:
    for (const Message &message : messages)
      text += fmt::format("<|im_start|>{}\n{}<|im_end|>\n", message.role, message.content);
    return text + (openAnswer ? "<|im_start|>assistant\n" : "");
  case Kind::Jinja:
    break;
  }
  jinja::Value list = jinja::Value::array();
  for (const Message &message : messages)
    list.push_back({{"role", message.role}, {"content", message.content}});
  jinja::Value variables = {{"messages", std::move(list)},
                            {"add_generation_prompt", openAnswer},
                            {"bos_token", program->tokens.begin},
                            {"eos_token", program->tokens.end}};
  return program->source.render(std::move(variables));
}

} // namespace levin::text
