// Files of IR that would overflow the stack of their parser.
#ifndef LEVIN_TOOLS_COMMON_NESTING_H
#define LEVIN_TOOLS_COMMON_NESTING_H

#include "runtime/base/Status.h"

#include <string_view>

namespace levin::tool {

/// Refuses IR whose brackets lie more than 1000 deep in one another (LV1030): MLIR's parser calls
/// itself for each.  `path` is for the message; bytecode passes.
Status checkNesting(std::string_view text, std::string_view path);

} // namespace levin::tool

#endif // LEVIN_TOOLS_COMMON_NESTING_H
