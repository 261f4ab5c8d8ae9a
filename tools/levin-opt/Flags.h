// The command line of levin-opt, as far as upstream's parser is not helpful.
#ifndef LEVIN_TOOLS_LEVINOPT_FLAGS_H
#define LEVIN_TOOLS_LEVINOPT_FLAGS_H

#include "runtime/base/Status.h"

#include "llvm/ADT/ArrayRef.h"

namespace levin::tool {

/// Refuses a flag that no one has registered (LV2001), with those it may have meant.  Upstream
/// takes some for help and prints all there are.
Status verifyFlags(llvm::ArrayRef<char *> args);

/// Prints how the program is used, its main options and the project's passes.
void printHelp();

} // namespace levin::tool

#endif // LEVIN_TOOLS_LEVINOPT_FLAGS_H
