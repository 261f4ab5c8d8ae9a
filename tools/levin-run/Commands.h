// The subcommands of levin-run; each adds itself to the command line.
#ifndef LEVIN_TOOLS_LEVIN_RUN_COMMANDS_H
#define LEVIN_TOOLS_LEVIN_RUN_COMMANDS_H

#include "tools/common/CommandLine.h"

namespace levin::run {

void addGenerate(tool::CommandLine &line);
void addChat(tool::CommandLine &line);
void addScore(tool::CommandLine &line);
void addVerify(tool::CommandLine &line);
void addTokenize(tool::CommandLine &line);
void addRender(tool::CommandLine &line);
void addCall(tool::CommandLine &line);
void addCheck(tool::CommandLine &line);
void addCompare(tool::CommandLine &line);
void addDoctor(tool::CommandLine &line);

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_COMMANDS_H
