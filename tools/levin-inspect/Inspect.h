// The parts of levin-inspect.
#ifndef LEVIN_TOOLS_LEVIN_INSPECT_INSPECT_H
#define LEVIN_TOOLS_LEVIN_INSPECT_INSPECT_H

#include "runtime/artifact/Artifact.h"
#include "tools/common/Report.h"

#include <nlohmann/json.hpp>

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace levin::inspect {

/// What --section takes, in the order in which sections are printed.
const std::vector<std::string> &sectionNames();

/// Prints one section as tables for people.
void printSection(const artifact::Artifact &artifact, std::string_view section, tool::Output &out);
/// The same as JSON; sizes in bytes.
nlohmann::ordered_json sectionAsJson(const artifact::Artifact &artifact, std::string_view section);

/// The artifact as IR of the exec dialect: kernels by name and binding, parameters, programs.
void printExec(const artifact::Artifact &artifact, tool::Output &out);

/// Bytes of machine code of each function of a host code segment, by name.
std::map<std::string, uint64_t> codeSizes(std::span<const std::byte> code);

/// How a parameter is made: "stack of 32 pieces", "q.weight [0:8, 0:4]".
std::string sourceText(const artifact::Parameter &parameter);
/// How many commands the entry's program has.
uint64_t commandCount(const artifact::Manifest &manifest, const artifact::Entry &entry);

} // namespace levin::inspect

#endif // LEVIN_TOOLS_LEVIN_INSPECT_INSPECT_H
