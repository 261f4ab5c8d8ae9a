// PTX texts of several sources as one module.
#include "codegen/cuda/Assembler.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringMap.h"

namespace levin::cuda {

static bool isWord(char c) { return llvm::isAlnum(c) || c == '_' || c == '$'; }

/// The text without comments, line numbers and debug sections, and its .version ("9.0").
static std::pair<std::string, std::string> bareText(llvm::StringRef ptx) {
  std::string bare, version;
  bool inSection = false;
  while (!ptx.empty()) {
    llvm::StringRef line;
    std::tie(line, ptx) = ptx.split('\n');
    llvm::StringRef text = line.take_front(line.find("//")).trim();
    if (inSection) {
      inSection = !text.starts_with("}");
    } else if (text.starts_with(".section")) {
      inSection = true;
    } else if (text.consume_front(".version")) {
      version = text.trim().str();
    } else if (!text.empty() && !text.starts_with(".loc") && !text.starts_with(".file") &&
               !text.starts_with(".target") && !text.starts_with(".address_size")) {
      bare += line.take_front(line.find("//")).rtrim();
      bare += '\n';
    }
  }
  return {bare, version};
}

/// The name that a statement outside of functions declares, unless it is a kernel's or that of a
/// function from elsewhere.
static llvm::StringRef declaredName(llvm::StringRef statement) {
  if (statement.contains(".entry"))
    return {};
  if (size_t at = statement.find(".func"); at != llvm::StringRef::npos) {
    if (statement.contains(".extern"))
      return {};
    statement = statement.drop_front(at + 5).ltrim();
    if (statement.starts_with("(")) // what it returns
      statement = statement.drop_front(statement.find(')') + 1).ltrim();
    return statement.take_while(isWord);
  }
  while (!statement.empty()) {
    char first = statement.front();
    if (first == '.') { // a directive
      statement = statement.drop_front().drop_while(isWord);
    } else if (llvm::isDigit(first)) {
      statement = statement.drop_while(isWord);
    } else if (isWord(first)) {
      return statement.take_while(isWord);
    } else {
      statement = statement.drop_front();
    }
  }
  return {};
}

/// Every name that is declared outside of functions.
static llvm::StringMap<std::string> ownNames(llvm::StringRef text, const std::string &suffix) {
  llvm::StringMap<std::string> names;
  size_t begin = 0;
  int depth = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    bool declares = depth == 0 && (c == ';' || c == '{');
    if (declares)
      if (llvm::StringRef name = declaredName(text.slice(begin, i)); !name.empty())
        names[name] = name.str() + suffix;
    depth += c == '{' ? 1 : c == '}' ? -1 : 0;
    if (depth == 0 && (c == ';' || c == '}'))
      begin = i + 1;
  }
  return names;
}

static std::string rename(llvm::StringRef text, const llvm::StringMap<std::string> &names) {
  std::string result;
  while (!text.empty()) {
    llvm::StringRef word =
        text.take_while([](char c) { return isWord(c) || c == '.' || c == '%'; });
    if (word.empty()) {
      result += text.front();
      text = text.drop_front();
      continue;
    }
    text = text.drop_front(word.size());
    auto found = names.find(word);
    if (found == names.end())
      result += word;
    else
      result += found->second;
  }
  return result;
}

Result<std::string> joinPtx(llvm::ArrayRef<const DeviceObject *> objects,
                            const CudaTarget &target) {
  std::string body, newest;
  double newestNumber = 0;
  for (auto [number, object] : llvm::enumerate(objects)) {
    auto [text, version] = bareText(object->ptx);
    double versionNumber = 0;
    if (llvm::StringRef(version).getAsDouble(versionNumber))
      return makeError(ErrorCode::PassFailed, "PTX without a version");
    if (versionNumber > newestNumber) {
      newestNumber = versionNumber;
      newest = version;
    }
    body += rename(text, ownNames(text, "_u" + std::to_string(number)));
  }
  return ".version " + newest + "\n.target " + target.chip + "\n.address_size 64\n" + body;
}

} // namespace levin::cuda
