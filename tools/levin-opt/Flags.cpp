#include "tools/levin-opt/Flags.h"

#include "runtime/base/DidYouMean.h"

#include "mlir/Pass/PassRegistry.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/raw_ostream.h"

#include <algorithm>

namespace cl = llvm::cl;

namespace levin::tool {

static std::vector<std::string> registeredFlags() {
  std::vector<std::string> names;
  for (auto &entry : cl::getRegisteredOptions())
    names.push_back(entry.first.str());
  std::sort(names.begin(), names.end());
  return names;
}

/// Whether `name` begins with a flag that takes its value without `=`.
static bool hasPrefixFlag(llvm::StringRef name) {
  for (auto &entry : cl::getRegisteredOptions()) {
    cl::FormattingFlags format = entry.second->getFormattingFlag();
    if ((format == cl::Prefix || format == cl::AlwaysPrefix) && name.starts_with(entry.first))
      return true;
  }
  return false;
}

Status verifyFlags(llvm::ArrayRef<char *> args) {
  const auto &options = cl::getRegisteredOptions();
  for (llvm::StringRef text : args.drop_front()) {
    if (text == "--")
      break;
    if (text == "-" || !text.starts_with("-"))
      continue;
    llvm::StringRef name = text.drop_while([](char c) { return c == '-'; }).split('=').first;
    if (options.contains(name) || hasPrefixFlag(name))
      continue;
    Status status = makeError(ErrorCode::Usage, "unknown flag '{}'", text.split('=').first.str());
    std::vector<std::string> known = registeredFlags();
    for (std::string &flag : known)
      flag.insert(0, "--");
    if (auto hint = didYouMean("--" + name.str(), known))
      status.note("fix", *hint);
    else
      status.note("fix", "levin-opt --help lists the project's passes, --help-all everything");
    return status;
  }
  return {};
}

void printHelp() {
  llvm::raw_ostream &out = llvm::outs();
  out << "levin-opt: runs passes on IR\n\n"
         "Usage: levin-opt [FILE|-] [PASSES] [OPTIONS]\n\n"
         "Passes run in the order in which they are given.  The project's:\n\n";
  std::vector<std::pair<llvm::StringRef, llvm::StringRef>> lines;
  for (const std::string &name : registeredFlags()) {
    if (!llvm::StringRef(name).starts_with("levin-"))
      continue;
    if (const auto *pass = mlir::PassInfo::lookup(name))
      lines.emplace_back(pass->getPassArgument(), pass->getPassDescription());
    else if (const auto *pipeline = mlir::PassPipelineInfo::lookup(name))
      lines.emplace_back(pipeline->getPassArgument(), pipeline->getPassDescription());
  }
  std::pair<llvm::StringRef, llvm::StringRef> general[] = {
      {"-o FILE", "write there instead of standard output"},
      {"--pass-pipeline=TEXT", "passes with options: 'builtin.module(levin-decompose)'"},
      {"--load-plugin=FILE.so", "passes and dialects from a plugin of Levin"},
      {"--load-pass-plugin=FILE.so", "passes from a plugin of mlir-opt"},
      {"--load-dialect-plugin=FILE.so", "dialects from a plugin of mlir-opt"},
      {"--mlir-print-ir-after-all", "print IR after each pass, on standard error"},
      {"--mlir-timing", "time of each pass"},
      {"--split-input-file", "treat parts between lines '// -----' one by one"},
      {"--verify-diagnostics", "compare diagnostics with expected-error comments"},
      {"--verify-roundtrip", "prove that text and bytecode keep what was read"},
      {"--emit-bytecode", "write bytecode"},
      {"--help-all", "every pass and option, upstream's too"},
      {"--help-hidden", "those and options for debugging"},
      {"--version", "the version"}};
  for (auto [name, text] : lines)
    out << "  --" << llvm::left_justify(name, 38) << text << '\n';
  out << "\nMain options:\n\n";
  for (auto [name, text] : general)
    out << "  " << llvm::left_justify(name, 40) << text << '\n';
}

} // namespace levin::tool
