// levin-run: runs compiled models.
#include "tools/common/Report.h"
#include "tools/levin-run/Commands.h"

#include <new>

using namespace levin;

int main(int argc, char **argv) {
  tool::CommandLine line("levin-run", "Runs models that levin-compile made.");
  run::addGenerate(line);
  run::addChat(line);
  run::addScore(line);
  run::addVerify(line);
  run::addTokenize(line);
  run::addRender(line);
  run::addCall(line);
  run::addCheck(line);
  run::addCompare(line);
  run::addDoctor(line);
  line.root().epilogue("levin-run SUBCOMMAND --help tells more.");
  try {
    return line.main(argc, argv);
  } catch (const std::bad_alloc &) {
    return tool::reportStatus(makeError(ErrorCode::OutOfMemory, "memory could not be allocated"),
                              line.general().json);
  }
}
