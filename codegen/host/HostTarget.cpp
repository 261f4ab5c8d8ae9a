#include "codegen/host/HostTarget.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringSet.h"

#include <fstream>
#include <sstream>

namespace levin::host {

// x86-64 psABI, section 3.1.1: each level has the features of the one before.  /proc/cpuinfo calls
// LZCNT "abm" and OSXSAVE is implied by "avx".
static std::vector<HostTarget> makeTargets() {
  HostTarget v3{"host-x86_64-v3",
                "x86-64-v3",
                256,
                16,
                {"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "popcnt", "sse4_2"}};
  HostTarget v4 = v3;
  v4.name = "host-x86_64-v4";
  v4.cpu = "x86-64-v4";
  v4.vectorBits = 512;
  v4.vectorRegisters = 32;
  for (const char *feature : {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"})
    v4.cpuFeatures.push_back(feature);
  return {v3, v4};
}

llvm::ArrayRef<HostTarget> hostTargets() {
  static const std::vector<HostTarget> targets = makeTargets();
  return targets;
}

std::optional<HostTarget> lookupHostTarget(llvm::StringRef name) {
  for (const HostTarget &target : hostTargets())
    if (target.name == name)
      return target;
  return std::nullopt;
}

std::optional<HostTarget> hostTargetFor(llvm::StringRef cpuinfo) {
  llvm::StringSet<> flags;
  llvm::SmallVector<llvm::StringRef> lines, words;
  cpuinfo.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    auto [key, value] = line.split(':');
    if (key.trim() != "flags")
      continue;
    value.split(words, ' ', -1, /*KeepEmpty=*/false);
    for (llvm::StringRef word : words)
      flags.insert(word.trim());
    break;
  }
  for (const HostTarget &target : llvm::reverse(hostTargets()))
    if (llvm::all_of(target.cpuFeatures, [&](const std::string &f) { return flags.contains(f); }))
      return target;
  return std::nullopt;
}

std::optional<HostTarget> nativeHostTarget() {
  std::ifstream file("/proc/cpuinfo");
  std::ostringstream text;
  text << file.rdbuf();
  return hostTargetFor(text.str());
}

} // namespace levin::host
