#include "tools/common/CommandLine.h"
#include "tools/common/Format.h"

#include <algorithm>
#include <cctype>

namespace levin::tool {

#ifndef LEVIN_VERSION
#error "LEVIN_VERSION is set by CMake"
#endif

std::string versionLine(std::string_view program) {
  return fmt::format("{} {}", program, LEVIN_VERSION);
}

// The help of an option starts here.
static constexpr size_t helpColumn = 30;

struct Help {
  using Spec = Command::Spec;

  /// "  -o, --output FILE           where it goes".
  static std::string line(const Spec &spec) {
    std::string left = "  ";
    for (const std::string &name : spec.names)
      left += (left.size() > 2 ? ", " : "") + name;
    if (!spec.isFlag() && !spec.positional)
      left += " " + spec.info.value;
    if (spec.isList())
      left += " ...";
    std::string text = spec.help;
    if (!spec.info.choices.empty())
      text += fmt::format(" ({})", fmt::join(spec.info.choices, ", "));
    std::string standard = defaultText(spec);
    if (!standard.empty() && !spec.info.required)
      text += fmt::format(" [{}]", standard);
    if (left.size() + 2 > helpColumn)
      left += "\n" + std::string(helpColumn, ' ');
    else
      left.resize(helpColumn, ' ');
    return left + wrapText(text, helpColumn) + "\n";
  }

  static std::string defaultText(const Spec &spec) {
    if (auto *text = std::get_if<std::string *>(&spec.target))
      return **text;
    if (auto *integer = std::get_if<uint64_t *>(&spec.target))
      return fmt::format("{}", **integer);
    if (auto *number = std::get_if<double *>(&spec.target))
      return fmt::format("{}", **number);
    return {};
  }

  static std::string usage(const CommandLine &tool, const Command &command) {
    std::string text = "usage: " + tool.program;
    if (!command.name.empty())
      text += " " + command.name;
    else if (tool.commands.size() > 1)
      text += " SUBCOMMAND";
    for (const Spec &spec : command.specs) {
      if (!spec.positional)
        continue;
      std::string name = spec.longest() + (spec.isList() ? "..." : "");
      text += spec.info.required ? " " + name : " [" + name + "]";
    }
    for (const Spec &spec : command.specs)
      if (!spec.positional && spec.info.required)
        text += fmt::format(" {} {}", spec.longest(), spec.info.value);
    return text + " [OPTIONS]\n";
  }

  static std::string page(const CommandLine &tool, const Command &command) {
    std::string text = command.summary + "\n\n" + usage(tool, command);
    bool isRoot = &command == tool.commands.front().get();
    if (isRoot && tool.commands.size() > 1) {
      text += "\nSubcommands:\n";
      Table table;
      table.column("").column("");
      for (size_t i = 1; i < tool.commands.size(); ++i)
        table.row({"  " + tool.commands[i]->name, tool.commands[i]->summary});
      text += table.text();
    }
    std::vector<std::string> groups;
    for (const Spec &spec : command.specs)
      if (!spec.info.hidden && std::find(groups.begin(), groups.end(), spec.group) == groups.end())
        groups.push_back(spec.group);
    for (const std::string &group : groups) {
      text += "\n" + group + ":\n";
      for (const Spec &spec : command.specs)
        if (spec.group == group && !spec.info.hidden)
          text += line(spec);
    }
    text += "  -h, --help[=WORD]           this text, or the options that have to do with WORD\n"
            "  --version                   the version\n";
    if (!command.ending.empty())
      text += "\n" + command.ending + "\n";
    return text;
  }

  static std::string lower(std::string_view text) {
    std::string out(text);
    for (char &c : out)
      c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    return out;
  }

  static bool matches(const Spec &spec, const std::string &word) {
    bool found = lower(spec.help).find(word) != std::string::npos;
    for (const std::string &name : spec.names)
      found |= lower(name).find(word) != std::string::npos;
    return found;
  }
};

std::string CommandLine::help(std::string_view command) const {
  for (const auto &candidate : commands)
    if (candidate->name == command)
      return Help::page(*this, *candidate);
  return {};
}

std::string CommandLine::search(std::string_view word) const {
  std::string text, wanted = Help::lower(word);
  for (const auto &command : commands) {
    // With subcommands, the program itself has only options that each of them repeats.
    if (command == commands.front() && commands.size() > 1)
      continue;
    std::string found;
    for (const Command::Spec &spec : command->specs)
      if (Help::matches(spec, wanted))
        found += Help::line(spec);
    bool named =
        Help::lower(command->name + " " + command->summary).find(wanted) != std::string::npos;
    if (found.empty() && !(named && !command->name.empty()))
      continue;
    text += fmt::format("{}{}{}: {}\n{}", program, command->name.empty() ? "" : " ", command->name,
                        command->summary, found);
  }
  if (text.empty())
    text = fmt::format("nothing in the help of {} has to do with '{}'\n", program, word);
  return text;
}

} // namespace levin::tool
