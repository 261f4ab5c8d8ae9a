// Compiled with exceptions and RTTI for CLI11, none of which leaves this file.
#include "tools/common/CommandLineParser.h"

#include "runtime/base/DidYouMean.h"
#include "runtime/base/File.h"
#include "tools/common/Format.h"

#include <CLI/CLI.hpp>

#include <charconv>
#include <cmath>
#include <cstdlib>

namespace levin::tool {

// --- Splitting -----------------------------------------------------------------------------------

namespace {
/// The CLI11 side of a command and of its options, in the order of the specs.
struct Mirror {
  CLI::App *app = nullptr;
  std::vector<CLI::Option *> options;
  CLI::Option *help = nullptr, *version = nullptr;
};
} // namespace

template <typename Specs> static Mirror mirror(CLI::App &app, const Specs &specs) {
  Mirror out;
  out.app = &app;
  app.set_help_flag();
  app.allow_extras();
  for (const auto &spec : specs) {
    std::string names;
    for (const std::string &name : spec.names)
      names += (names.empty() ? "" : ",") + name;
    CLI::Option *option = nullptr;
    if (spec.isFlag())
      option = app.add_flag(names);
    else
      option = app.add_option(names);
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    if (!spec.isFlag() && spec.positional && spec.isList())
      option->expected(0, -1);
    else if (!spec.isFlag())
      option->expected(1)->allow_extra_args(false);
    out.options.push_back(option);
  }
  out.help = app.add_flag("-h,--help")->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  out.version = app.add_flag("--version")->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  return out;
}

Status Parser::split(const std::vector<std::string> &args) {
  CLI::App app;
  std::vector<Mirror> mirrors{mirror(app, line.root().specs)};
  for (size_t i = 1; i < line.commands.size(); ++i)
    mirrors.push_back(mirror(*app.add_subcommand(line.commands[i]->name), line.commands[i]->specs));
  app.require_subcommand(0, 1);
  chosen = &line.root();
  std::string failure;
  try {
    app.parse(std::vector<std::string>(args.rbegin(), args.rend())); // CLI11 takes from the back
  } catch (const CLI::ArgumentMismatch &mismatch) {
    failure = mismatch.what(); // "--option: 1 required TEXT missing"
    failure = fmt::format("{} needs a value", failure.substr(0, failure.find(':')));
  } catch (const std::exception &other) {
    failure = other.what();
  }
  for (size_t i = 0; i < mirrors.size(); ++i) {
    if (i > 0 && mirrors[i].app->parsed())
      chosen = line.commands[i].get();
    for (const std::string &word : mirrors[i].help->results()) {
      helpWanted = true;
      if (word != "true")
        helpWord = word;
    }
    versionWanted |= mirrors[i].version->count() > 0;
    for (size_t o = 0; o < mirrors[i].options.size(); ++o)
      if (const auto &results = mirrors[i].options[o]->results(); !results.empty())
        values[line.commands[i]->specs[o].longest()] = results;
  }
  leftOver = app.remaining(true);
  if (!failure.empty() && !helpWanted)
    return makeError(ErrorCode::Usage, "{}", failure)
        .note("fix", fmt::format("{} --help", line.program));
  return {};
}

Status Parser::unknown(const std::string &argument) const {
  std::string word = argument.substr(0, argument.find('='));
  std::vector<std::string> candidates;
  bool isOption = word.size() > 1 && word[0] == '-';
  bool asCommand = !isOption && chosen == &line.root() && line.commands.size() > 1;
  if (asCommand)
    for (size_t i = 1; i < line.commands.size(); ++i)
      candidates.push_back(line.commands[i]->name);
  else if (isOption)
    for (const Command::Spec &spec : chosen->specs)
      if (!spec.positional)
        candidates.insert(candidates.end(), spec.names.begin(), spec.names.end());
  std::string program = line.program + (chosen->name.empty() ? "" : " " + chosen->name);
  Status status = makeError(ErrorCode::Usage, "{} has no {} '{}'", program,
                            asCommand  ? "subcommand"
                            : isOption ? "option"
                                       : "place for the argument",
                            word);
  if (auto hint = didYouMean(word, candidates))
    status.note("fix", *hint);
  else
    status.note("fix", fmt::format("{} --help", program));
  return status;
}

Status Parser::parse(const std::vector<std::string> &args) {
  LEVIN_RETURN_IF_ERROR(split(args));
  for (const std::string &argument : leftOver)
    if (!helpWanted && argument != "--")
      return unknown(argument);
  return {};
}

// --- Values --------------------------------------------------------------------------------------

static Status badValue(const std::string &source, const std::string &have, std::string need) {
  return makeError(ErrorCode::OptionValue, "{} has a value that cannot be used", source)
      .note("have", "'" + have + "'")
      .note("need", std::move(need));
}

/// "an integer from 1 to 8".
static std::string rangeText(const char *kind, const OptionInfo &info) {
  std::string text = kind;
  if (std::isfinite(info.min))
    text += fmt::format(" from {}", info.min);
  if (std::isfinite(info.max))
    text += fmt::format(" to {}", info.max);
  return text;
}

static Result<uint64_t> readInteger(const std::string &source, const std::string &text,
                                    const OptionInfo &info) {
  auto value = parseCount(text);
  if (!value || static_cast<double>(*value) < info.min || static_cast<double>(*value) > info.max)
    return badValue(source, text, rangeText("an integer", info));
  return *value;
}

static Result<double> readDouble(const std::string &source, const std::string &text,
                                 const OptionInfo &info) {
  double value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value) ||
      value < info.min || value > info.max)
    return badValue(source, text, rangeText("a number", info));
  return value;
}

static Result<bool> readFlag(const std::string &source, const std::string &text) {
  if (text == "true" || text == "1" || text == "on" || text == "yes")
    return true;
  if (text == "false" || text == "0" || text == "off" || text == "no" || text.empty())
    return false;
  return badValue(source, text, "true or false");
}

Status Parser::assignOne(const Command::Spec &spec, const std::vector<std::string> &given,
                         const std::string &source) const {
  const OptionInfo &info = spec.info;
  for (const std::string &text : given)
    if (!info.choices.empty() &&
        std::find(info.choices.begin(), info.choices.end(), text) == info.choices.end()) {
      Status status =
          badValue(source, text, fmt::format("one of {}", fmt::join(info.choices, ", ")));
      if (auto hint = didYouMean(text, info.choices))
        status.note("fix", *hint);
      return status;
    }
  if (auto *list = std::get_if<std::vector<std::string> *>(&spec.target)) {
    **list = given;
    return {};
  }
  if (given.size() > 1 && !spec.isFlag())
    return makeError(ErrorCode::Usage, "{} is given {} times, but takes one value", source,
                     given.size());
  const std::string &text = given.back();
  if (auto *flag = std::get_if<bool *>(&spec.target)) {
    LEVIN_ASSIGN_OR_RETURN(**flag, readFlag(source, text));
  } else if (auto *string = std::get_if<std::string *>(&spec.target)) {
    **string = text;
  } else if (auto *maybe = std::get_if<std::optional<std::string> *>(&spec.target)) {
    **maybe = text;
  } else if (auto *integer = std::get_if<uint64_t *>(&spec.target)) {
    LEVIN_ASSIGN_OR_RETURN(**integer, readInteger(source, text, info));
  } else if (auto *maybe = std::get_if<std::optional<uint64_t> *>(&spec.target)) {
    LEVIN_ASSIGN_OR_RETURN(**maybe, readInteger(source, text, info));
  } else if (auto *number = std::get_if<double *>(&spec.target)) {
    LEVIN_ASSIGN_OR_RETURN(**number, readDouble(source, text, info));
  } else if (auto *maybe = std::get_if<std::optional<double> *>(&spec.target)) {
    LEVIN_ASSIGN_OR_RETURN(**maybe, readDouble(source, text, info));
  }
  return {};
}

Status Parser::assign(const std::string &configFile) {
  std::vector<std::string> known, anywhere;
  for (const Command::Spec &spec : chosen->specs)
    if (!spec.positional)
      known.push_back(spec.longest());
  for (const auto &command : line.commands)
    for (const Command::Spec &spec : command->specs)
      if (!spec.positional)
        anywhere.push_back(spec.longest());

  // The general options come last and --config is the last of them, so read it before the others.
  RawValues configured;
  if (auto place = values.find("--config"); place != values.end()) {
    LEVIN_RETURN_IF_ERROR(assignOne(chosen->specs.back(), place->second, "--config"));
    LEVIN_ASSIGN_OR_RETURN(configured, readConfigFile(configFile, chosen->name, known, anywhere));
  }
  for (const Command::Spec &spec : chosen->specs) {
    std::string variable = spec.environment();
    const char *fromEnvironment = variable.empty() ? nullptr : std::getenv(variable.c_str());
    if (auto place = values.find(spec.longest()); place != values.end()) {
      LEVIN_RETURN_IF_ERROR(assignOne(spec, place->second, spec.longest()));
    } else if (fromEnvironment) {
      LEVIN_RETURN_IF_ERROR(assignOne(spec, {fromEnvironment}, "environment variable " + variable));
    } else if (auto place = configured.find(spec.longest()); place != configured.end()) {
      LEVIN_RETURN_IF_ERROR(assignOne(spec, place->second,
                                      fmt::format("{}: {}", configFile, spec.longest().substr(2))));
    } else if (spec.info.required) {
      return makeError(ErrorCode::Usage, "{} {} is missing",
                       spec.positional ? "the argument" : "the option", spec.longest())
          .note("need", spec.help)
          .note("fix", fmt::format("{}{}{} --help", line.program, chosen->name.empty() ? "" : " ",
                                   chosen->name));
    }
  }
  return {};
}

} // namespace levin::tool
