// Chat templates: as Jinja2 renders them (text_templates.py), the built-in ones, and refusals.
#include "runtime/text/ChatTemplate.h"
#include "runtime/text/Jinja.h"
#include "test/unit/text_hostile.h"

using namespace levin;
using namespace levin::test;
using text::ChatTemplate;
using text::Message;

namespace {

std::vector<Message> conversation() { return {{"system", "S"}, {"user", "U"}, {"assistant", "A"}}; }

TEST(ChatTemplates, RenderAsJinja2) {
  Json stored = sourceJson("test/unit/text_data/templates.json");
  std::vector<Message> messages;
  for (const Json &message : stored["messages"])
    messages.push_back({message["role"], message["content"]});
  for (const Json &golden : stored["cases"]) {
    auto chat = ChatTemplate::jinja(golden["template"].get<std::string>(), "t", {"<s>", "</s>"});
    ASSERT_TRUE(chat.ok()) << golden["name"] << chat.status().text();
    auto rendered = chat->render(messages, true);
    ASSERT_TRUE(rendered.ok()) << golden["name"] << rendered.status().text();
    EXPECT_EQ(*rendered, golden["text"].get<std::string>()) << golden["name"];
  }
}

TEST(ChatTemplates, BuiltIn) {
  auto minimax = ChatTemplate::builtin("minimax");
  EXPECT_EQ(*minimax->render(conversation(), true),
            "<beginning_of_sentence>system ai_setting=assistant\nS<end_of_sentence>\n"
            "<beginning_of_sentence>user name=user\nU<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\nA<end_of_sentence>\n"
            "<beginning_of_sentence>ai name=assistant\n");
  EXPECT_EQ(*ChatTemplate::builtin("chatml")->render(conversation(), false),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nU<|im_end|>\n"
            "<|im_start|>assistant\nA<|im_end|>\n");
  EXPECT_EQ(*ChatTemplate::builtin("none")->render(conversation(), true), "SUA");
  EXPECT_EQ(ChatTemplate::builtin("llama").status().number(), 2002);
}

/// The failure of parsing or rendering `source`; fine if there is none.
Status failureOf(const std::string &source) {
  auto chat = ChatTemplate::jinja(source, "t", {"<s>", "</s>"});
  if (!chat.ok())
    return chat.takeStatus();
  auto rendered = chat->render(conversation(), true);
  return rendered.ok() ? Status() : rendered.takeStatus();
}

TEST(ChatTemplates, RefuseByNameAndLine) {
  const std::pair<const char *, const char *> cases[] = {
      {"{% macro f() %}{% endmacro %}", "line 1: the tag 'macro'"},
      {"\n{% include 'x' %}", "line 2: the tag 'include'"},
      {"{{ 'a' | shuffle }}", "filter 'shuffle'"},
      {"{{ messages.append(1) }}", "method 'append'"},
      {"{{ ''.__class__.__mro__[0] }}", "'__mro__' of an undefined value"},
      {"{{ cycler() }}", "function 'cycler'"},
      {"{% if true %}", "the tag 'endif' is missing"},
      {"{{ (1, }}", "is not closed"},
      {"{{ 1 + }}", "a value is expected"},
      {"{{ 1", "is not closed"},
      {"{{ 'a", "not closed"},
      {"{# a", "comment is not closed"},
      {"{{ ? }}", "cannot stand in a tag"},
      {"{{ 1 is odd }}", "test 'odd'"},
      {"{{ raise_exception('no tools') }}", "refuses the messages: no tools"},
      {"{{ 1 // 0 }}", "division by zero"},
      {"{{ 'a' + 1 }}", "'+' of a string and a number"},
      {"{% break %}", "outside a loop"},
      {"{{ '\\u0041' }}", "escape"},
      {"{% for i in 3 %}{% endfor %}", "a loop over a number"},
      {"{{ 99999999999999999999 }}", ""},
      {"{{ 9223372036854775807 + 1 }}", "too large"},
  };
  for (const auto &[source, part] : cases) {
    Status status = failureOf(source);
    if (*part == '\0') {
      EXPECT_TRUE(status.ok()) << source; // a float, as in no integer type
      continue;
    }
    ASSERT_FALSE(status.ok()) << source;
    EXPECT_EQ(status.number(), 1022) << source;
    EXPECT_NE(status.what().find(part), std::string::npos) << status.what();
  }
}

TEST(ChatTemplates, LimitsStepsAndSize) {
  std::string nested = "{% set x = [1] %}";
  for (int i = 0; i < 60; ++i)
    nested += "{% set x = [x, x] %}";
  const std::string hostile[] = {
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
      "{% for i in range(999999999999) %}{% endfor %}",
      "{% set ns = namespace(x='aaaaaaaa') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}"
      "{% endfor %}{{ ns.x }}",
      nested,
      "{% set ns = namespace(x=1) %}{% for i in range(9999) %}{% set ns.x = [ns.x] %}{% endfor %}",
      "{{ '" + std::string(50000, 'a') + "'.replace('a', '" + std::string(50000, 'b') + "') }}",
      "{{ range(50000) | join('" + std::string(50000, 'b') + "') }}",
      "{{ '" + std::string(50000, 'b') + "'.join(range(50000)) }}",
      "{{ " + std::string(100000, '(') + " }}",
      "{{ " + std::string(100000, '-') + "1 }}",
      "{{ 1" + std::string(3000, '+') + "1 }}",
      [] {
        std::string text = "{{ 1";
        for (int i = 0; i < 100000; ++i)
          text += " ~ 1";
        return text + " }}";
      }(),
      [] {
        std::string text;
        for (int i = 0; i < 100000; ++i)
          text += "{% if 1 %}";
        return text;
      }(),
  };
  for (const std::string &source : hostile) {
    Status status = failureOf(source);
    ASSERT_FALSE(status.ok()) << source.substr(0, 60);
    EXPECT_EQ(status.number(), 1022) << source.substr(0, 60);
  }
}

} // namespace
