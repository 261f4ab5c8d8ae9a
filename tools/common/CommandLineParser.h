// How a command line is taken apart; only CommandLine.cpp needs this.
#ifndef LEVIN_TOOLS_COMMON_COMMANDLINEPARSER_H
#define LEVIN_TOOLS_COMMON_COMMANDLINEPARSER_H

#include "tools/common/CommandLine.h"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace levin::tool {

/// Values as they were written, by the option's longest name ("--max-tokens").
using RawValues = std::map<std::string, std::vector<std::string>>;

/// Values of the TOML file `path` for the command `name`: the table of that name wins over the
/// keys at the top.  `known` are the names of the command's options, `anywhere` those of all
/// commands.  Failures: LV2003 if the file cannot be read, LV2001 for an unknown key.
Result<RawValues> readConfigFile(const std::string &path, const std::string &name,
                                 const std::vector<std::string> &known,
                                 const std::vector<std::string> &anywhere);

struct Parser {
  explicit Parser(CommandLine &line) : line(line) {}

  /// Splits `args` into values of options of the chosen command.
  Status parse(const std::vector<std::string> &args);
  /// Converts the values, with those of the environment and of `configFile`, which becomes known
  /// on the way, to where they belong.
  Status assign(const std::string &configFile);

  Command *chosen = nullptr;
  bool helpWanted = false, versionWanted = false;
  std::optional<std::string> helpWord;

private:
  Status split(const std::vector<std::string> &args);
  Status unknown(const std::string &argument) const;
  Status assignOne(const Command::Spec &spec, const std::vector<std::string> &values,
                   const std::string &source) const;

  CommandLine &line;
  RawValues values;
  std::vector<std::string> leftOver;
};

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_COMMANDLINEPARSER_H
