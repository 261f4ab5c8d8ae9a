#include "tools/common/CommandLine.h"

#include "runtime/base/DidYouMean.h"
#include "tools/common/CommandLineParser.h"
#include "tools/common/Report.h"

#include <fcntl.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <csignal>

namespace levin::tool {

static constexpr const char *generalGroup = "General";

static std::vector<std::string> splitNames(std::string_view names) {
  std::vector<std::string> out;
  while (true) {
    size_t comma = names.find(',');
    out.emplace_back(names.substr(0, comma));
    if (comma == names.npos)
      return out;
    names.remove_prefix(comma + 1);
  }
}

// --- Command -------------------------------------------------------------------------------------

Command &Command::group(std::string title) {
  currentGroup = std::move(title);
  return *this;
}

Command &Command::option(std::string_view names, Target target, std::string help, OptionInfo info) {
  specs.push_back({splitNames(names), target, std::move(help), currentGroup, std::move(info)});
  return *this;
}

Command &Command::positional(std::string name, Target target, std::string help, OptionInfo info) {
  specs.push_back({{std::move(name)}, target, std::move(help), "Arguments", std::move(info), true});
  return *this;
}

Command &Command::epilogue(std::string text) {
  ending = std::move(text);
  return *this;
}

Command &Command::action(std::function<Status()> what) {
  run = std::move(what);
  return *this;
}

std::string Command::Spec::environment() const {
  if (positional || !longest().starts_with("--") || group == generalGroup)
    return {};
  std::string out = "LEVIN_";
  for (char c : longest().substr(2))
    out += c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// --- CommandLine ---------------------------------------------------------------------------------

CommandLine::CommandLine(std::string program, std::string summary) : program(std::move(program)) {
  auto &command = *commands.emplace_back(std::make_unique<Command>());
  command.summary = std::move(summary);
}

CommandLine::~CommandLine() = default;

Command &CommandLine::root() { return *commands.front(); }

Command &CommandLine::subcommand(std::string name, std::string summary) {
  auto &command = *commands.emplace_back(std::make_unique<Command>());
  command.name = std::move(name);
  command.summary = std::move(summary);
  return command;
}

void CommandLine::addGeneralOptions(Command &command) {
  auto last = std::find_if(command.specs.begin(), command.specs.end(),
                           [](const auto &spec) { return spec.group == generalGroup; });
  if (last != command.specs.end())
    return;
  command.group(generalGroup)
      .option("--json", &generalOptions.json, "results and failures as JSON")
      .option("-q,--quiet", &generalOptions.quiet, "nothing on stderr but failures")
      .option("--progress", &progressName, "how progress is shown on stderr",
              {.value = "MODE", .choices = {"auto", "bar", "lines", "json", "off"}})
      .option("--config", &configFile, "values of options, in TOML; a table for each subcommand",
              {.value = "FILE"});
}

/// Puts the general options to use once they are read.
Status CommandLine::prepare(Command &command) {
  static constexpr std::pair<std::string_view, ProgressMode> modes[] = {
      {"auto", ProgressMode::Auto},
      {"bar", ProgressMode::Bar},
      {"lines", ProgressMode::Lines},
      {"json", ProgressMode::Json},
      {"off", ProgressMode::Off}};
  for (auto [name, mode] : modes)
    if (progressName == name)
      generalOptions.progress = mode;
  // With --json, stderr holds failures only, unless progress is asked for.
  if (generalOptions.quiet || (generalOptions.json && progressName == "auto"))
    generalOptions.progress = ProgressMode::Off;
  if (!command.run)
    return makeError(ErrorCode::Usage, "{} needs a subcommand", program)
        .note("fix", fmt::format("{} --help lists them", program));
  return {};
}

Status CommandLine::run(const std::vector<std::string> &args) {
  for (auto &command : commands)
    addGeneralOptions(*command);
  // Failures of the parser itself must know how to print themselves.
  generalOptions.json = std::find(args.begin(), args.end(), "--json") != args.end();
  Parser parser(*this);
  LEVIN_RETURN_IF_ERROR(parser.parse(args));
  Output output;
  if (parser.helpWord)
    output.write(search(*parser.helpWord));
  else if (parser.helpWanted)
    output.write(help(parser.chosen->name));
  else if (parser.versionWanted)
    output.print("{}\n", versionLine(program));
  if (parser.helpWord || parser.helpWanted || parser.versionWanted)
    return output.finish();
  LEVIN_RETURN_IF_ERROR(parser.assign(configFile));
  LEVIN_RETURN_IF_ERROR(prepare(*parser.chosen));
  return parser.chosen->run();
}

/// Occupies standard descriptors that are closed, lest a file that is opened later gets their
/// number and what is meant for the terminal.  Reading and writing them fails as before.
static void occupyStandardDescriptors() {
  for (int fd = 0; fd <= 2; ++fd)
    if (::fcntl(fd, F_GETFD) < 0 && errno == EBADF)
      ::open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY); // takes the lowest free number
}

int CommandLine::main(int argc, const char *const *argv) {
  occupyStandardDescriptors();
  std::signal(SIGPIPE, SIG_IGN);
  Status status = run(std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  return reportStatus(status, generalOptions.json);
}

} // namespace levin::tool
