// The parts of check(), each in its own file.  Each relies on those before it.
#ifndef LEVIN_RUNTIME_ARTIFACT_CHECKS_H
#define LEVIN_RUNTIME_ARTIFACT_CHECKS_H

#include "runtime/artifact/Manifest.h"
#include "runtime/artifact/Path.h"

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

namespace levin::artifact::detail {

/// Names of one scope: each well formed and there once (LV3014).  Refers to the strings.
class Names {
public:
  Status add(const std::string &name, const Path &path);

private:
  std::unordered_set<std::string_view> seen;
};

/// That `index` is below `count` (LV3012); `what` is what the table holds, in the plural.
Status checkIndex(uint64_t index, size_t count, const char *what, const Path &path);
/// Rank, extents and bytes within the limits (LV3015), dtype in range (LV3013).
Status checkTensor(const TensorType &type, const Path &path);
/// A known DType that is not Invalid (LV3013).
Status checkDType(DType type, const Path &path);
/// A power of two up to `limits::alignment` (LV3016).
Status checkAlignment(uint64_t alignment, const Path &path);

/// "64 bytes at 128", for messages about [offset, offset + size).
std::string rangeText(uint64_t offset, uint64_t size);

/// The arena of `kind`, or null.
const Arena *findArena(const Manifest &manifest, ArenaKind kind);

/// What an export runs, for the kind of code its executable has (LV3013, LV3017).
Status checkDeviceExport(const Export &exported, const Path &path);
/// That the boxes and products of `exported` lie within the bindings of a launch, whose sizes are
/// given in bytes (LV3017).
Status checkDeviceBindings(const Export &exported, std::span<const uint64_t> sizes,
                           const Path &path);

/// checkCode() for code of a GPU.
Status checkDeviceCode(std::span<const std::byte> code, CodeKind kind, const Executable &executable,
                       const std::string &where);

Status checkParameters(const Manifest &manifest);
/// Slices, references and launches of every program (LV3012, LV3016, LV3017).
Status checkCommands(const Manifest &manifest);
/// Entries, the state they share, and the model behind them (LV3020).
Status checkEntries(const Manifest &manifest);
/// Life of workspace bytes (LV3016) and order of conflicting commands (LV3018).
Status checkMemory(const Manifest &manifest);

} // namespace levin::artifact::detail

#endif // LEVIN_RUNTIME_ARTIFACT_CHECKS_H
