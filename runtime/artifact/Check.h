// The meaning of a manifest: what flatbuffers cannot check.
#ifndef LEVIN_RUNTIME_ARTIFACT_CHECK_H
#define LEVIN_RUNTIME_ARTIFACT_CHECK_H

#include "runtime/artifact/Manifest.h"
#include "runtime/base/Status.h"

#include <cstddef>
#include <span>

namespace levin::artifact {

/// Checks everything that execution relies on, and that a manifest alone can show: enums, indices,
/// names, tensor types, segments' places, parameters and their sources, memory and its life,
/// launches, races, entries.  Reader and writer both call it.  A refusal (LV3009 to LV3021) says
/// where in the manifest, what was found and what was expected; docs/artifact.md lists the checks.
Status check(const Manifest &manifest);

/// Checks that `code` is what `kind` says and defines all that `executable` runs (LV3019).  Host
/// code is a shared object that loading cannot surprise: for this class of machine, without
/// dependencies, relocations, constructors or writable code.  Code of a GPU is an ELF file for one,
/// whose tables lie within it, or PTX text.  `where` names it in messages.
Status checkCode(std::span<const std::byte> code, CodeKind kind, const Executable &executable,
                 const std::string &where);

/// `[A-Za-z0-9._-]{1,128}`, and neither "." nor "..".
bool isName(std::string_view name);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_CHECK_H
