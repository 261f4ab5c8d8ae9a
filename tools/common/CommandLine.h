// Command lines of the tools.
//
// A value comes from the command line, else from the environment (LEVIN_MAX_TOKENS for
// --max-tokens), else from the file given by --config, else it is what the variable held before.
// Whatever is wrong with it ends as a Status: LV2001 for a command line that cannot be understood,
// LV2002 for a value that cannot be used.
#ifndef LEVIN_TOOLS_COMMON_COMMANDLINE_H
#define LEVIN_TOOLS_COMMON_COMMANDLINE_H

#include "runtime/base/Status.h"
#include "tools/common/Progress.h"

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace levin::tool {

/// Where a value goes.  A vector collects every use of the option; an optional tells whether it
/// was given; a bool makes a flag.
using Target =
    std::variant<bool *, std::string *, std::optional<std::string> *, std::vector<std::string> *,
                 uint64_t *, std::optional<uint64_t> *, double *, std::optional<double> *>;

/// What else is known of an option.
struct OptionInfo {
  std::string value = "VALUE";                           // what the help shows for the value
  std::vector<std::string> choices = {};                 // if any, the only values allowed
  double min = -std::numeric_limits<double>::infinity(); // of a number
  double max = std::numeric_limits<double>::infinity();
  bool required = false;
  bool hidden = false; // from --help, not from --help=WORD
};

/// Options, positional arguments and what to do: the program itself or one of its subcommands.
/// Numbers may be written 4096, 4K, 2M, 1G (powers of 1024) where the target is an integer.
class Command {
public:
  /// Options added from here on are listed under `title` in the help.
  Command &group(std::string title);
  /// `names` are separated by commas: "-o,--output".
  Command &option(std::string_view names, Target target, std::string help, OptionInfo info = {});
  /// A positional argument; with a vector as target it takes all that are left.
  Command &positional(std::string name, Target target, std::string help, OptionInfo info = {});
  /// Text at the end of the help, such as examples.
  Command &epilogue(std::string text);
  /// What runs once the values are in place; its status becomes the exit status.
  Command &action(std::function<Status()> run);

private:
  friend class CommandLine;
  friend struct Parser;
  friend struct Help;
  struct Spec {
    std::vector<std::string> names; // "-o", "--output"; the bare name of a positional
    Target target;
    std::string help, group;
    OptionInfo info;
    bool positional = false;

    const std::string &longest() const { return names.back(); }
    bool isFlag() const { return std::holds_alternative<bool *>(target); }
    bool isList() const { return std::holds_alternative<std::vector<std::string> *>(target); }
    std::string environment() const; // "LEVIN_MAX_TOKENS"; empty if there is none
  };
  std::string name, summary, currentGroup = "Options", ending;
  std::vector<Spec> specs;
  std::function<Status()> run;
};

/// The options that every tool has.
struct GeneralOptions {
  bool json = false;                          // results and failures as JSON
  bool quiet = false;                         // nothing on stderr but failures
  ProgressMode progress = ProgressMode::Auto; // Off with quiet
};

class CommandLine {
public:
  /// `summary` is one line.
  CommandLine(std::string program, std::string summary);
  ~CommandLine();

  /// The program's own options and action.  With subcommands they are not used.
  Command &root();
  /// Adds a subcommand.  The reference stays valid.
  Command &subcommand(std::string name, std::string summary);
  const GeneralOptions &general() const { return generalOptions; }

  /// Parses, runs the action, prints a failure on stderr; returns the exit status.  Also prints
  /// what --help, --help=WORD and --version ask for.  Ignores SIGPIPE from here on.
  int main(int argc, const char *const *argv);

  /// As main() without printing failures: parses `args` (without the program's name) and runs.
  Status run(const std::vector<std::string> &args);

  /// The text of --help for a subcommand, or for the program if `command` is empty.
  std::string help(std::string_view command = {}) const;
  /// The text of --help=WORD: every option whose name or help contains `word`.
  std::string search(std::string_view word) const;

private:
  friend struct Parser;
  friend struct Help;
  void addGeneralOptions(Command &command);
  Status prepare(Command &command);

  std::string program;
  std::vector<std::unique_ptr<Command>> commands; // the first is root()
  GeneralOptions generalOptions;
  std::string progressName = "auto", configFile;
};

/// "levin-run 0.1.0", as --version prints it.
std::string versionLine(std::string_view program);

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_COMMANDLINE_H
