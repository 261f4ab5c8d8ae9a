#include "codegen/cuda/KernelHeaders.h"

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"

namespace levin::cuda {

static void collect(llvm::StringRef name, std::map<std::string, llvm::StringRef> &found) {
  auto headers = kernelHeaders();
  auto header = llvm::find_if(headers, [&](const KernelHeader &h) { return h.name == name; });
  if (header == headers.end() || !found.emplace(name.str(), header->text).second)
    return;
  llvm::SmallVector<llvm::StringRef> lines;
  header->text.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    line = line.trim();
    if (line.consume_front("#include") && (line = line.trim()).consume_front("\""))
      collect(line.take_until([](char c) { return c == '"'; }), found);
  }
}

std::map<std::string, llvm::StringRef> headersFor(llvm::StringRef name) {
  std::map<std::string, llvm::StringRef> found;
  collect(name, found);
  return found;
}

} // namespace levin::cuda
