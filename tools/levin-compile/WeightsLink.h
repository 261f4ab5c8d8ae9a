// How an artifact's weights are found where it is run.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_WEIGHTSLINK_H
#define LEVIN_TOOLS_LEVINCOMPILE_WEIGHTSLINK_H

#include "runtime/base/Status.h"

#include <string>

namespace levin::compile {

/// An artifact holds no paths.  Unless `folder` is the artifact's own, makes the symbolic link
/// ARTIFACT.weights to it, which levin-run follows after looking beside the artifact; an older link
/// is replaced.  LV2004 if that is impossible.
Status linkWeights(const std::string &artifact, const std::string &folder);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_WEIGHTSLINK_H
