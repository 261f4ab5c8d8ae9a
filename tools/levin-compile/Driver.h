// The whole way from a model to an artifact.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_DRIVER_H
#define LEVIN_TOOLS_LEVINCOMPILE_DRIVER_H

#include "tools/levin-compile/Options.h"

namespace levin::compile {

/// Does what `options` ask for.  Results go to files and stdout, progress to stderr.
Status compile(const Options &options);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_DRIVER_H
