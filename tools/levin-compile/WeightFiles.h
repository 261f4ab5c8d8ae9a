// The safetensors files that parameters are made of.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_WEIGHTFILES_H
#define LEVIN_TOOLS_LEVINCOMPILE_WEIGHTFILES_H

#include "codegen/artifact/WeightIndex.h"

namespace levin::compile {

/// Reads the headers of `files` (names within `folder`).
/// Failures: LV1016 for an absent file, LV1010 for a malformed one, LV1013 for a tensor in two.
Result<artifact::WeightIndex> readWeightIndex(const std::string &folder,
                                              std::vector<std::string> files);

/// The names of the safetensors files in `folder`, sorted; none if it cannot be listed.
std::vector<std::string> listWeightFiles(const std::string &folder);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_WEIGHTFILES_H
