#include "codegen/cuda/Assembler.h"

#include "codegen/cuda/KernelHeaders.h"
#include "runtime/base/Digest.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>
#include <cstring>

namespace levin::cuda {

// A correctly rounded division or root calls a function for rare operands, and any call makes ptxas
// serialise wgmma; these are within 2 ulp.
static const std::vector<std::string> nvccFlags{
    "-ptx", "-std=c++20", "-O3", "-DNDEBUG", "-lineinfo", "-prec-div=false", "-prec-sqrt=false"};

// --- messages ------------------------------------------------------------------------------------

/// The number before `unit` in `line`, such as 12 in "Used 12 registers"; 0 if there is none.
static uint32_t numberBefore(llvm::StringRef line, llvm::StringRef unit) {
  size_t at = line.find(unit);
  if (at == llvm::StringRef::npos)
    return 0;
  llvm::StringRef before = line.take_front(at).rtrim();
  size_t begin = before.find_last_not_of("0123456789");
  uint32_t number = 0;
  before.drop_front(begin == llvm::StringRef::npos ? 0 : begin + 1).getAsInteger(10, number);
  return number;
}

std::map<std::string, KernelFacts> parseFacts(llvm::StringRef messages) {
  std::map<std::string, KernelFacts> kernels;
  llvm::SmallVector<llvm::StringRef> lines;
  messages.split(lines, '\n');
  KernelFacts *current = nullptr, functions;
  for (llvm::StringRef line : lines) {
    if (line.contains("Compiling entry function '")) {
      current = &kernels[line.split('\'').second.split('\'').first.str()];
    } else if (line.contains("spill stores")) {
      // Also said of functions that a kernel calls.
      (current ? *current : functions).spillBytes +=
          numberBefore(line, " bytes spill stores") + numberBefore(line, " bytes spill loads");
    } else if (line.contains(" registers") && current) {
      current->registers = numberBefore(line, " registers");
      current->staticSharedBytes = numberBefore(line, " bytes smem");
      current = nullptr;
    }
  }
  for (auto &[name, facts] : kernels)
    facts.spillBytes += functions.spillBytes;
  return kernels;
}

llvm::StringRef serialisation(llvm::StringRef messages) {
  llvm::SmallVector<llvm::StringRef> lines;
  messages.split(lines, '\n');
  for (llvm::StringRef line : lines)
    if (line.contains("wgmma") && line.contains("serializ"))
      return line;
  return {};
}

// --- cache ---------------------------------------------------------------------------------------

static std::string chooseCacheFolder() {
  if (const char *named = std::getenv("LEVIN_CACHE"); named && *named)
    return llvm::StringRef(named) == "off" ? "" : named;
  if (const char *cache = std::getenv("XDG_CACHE_HOME"); cache && *cache)
    return std::string(cache) + "/levin";
  if (const char *home = std::getenv("HOME"); home && *home)
    return std::string(home) + "/.cache/levin";
  return {};
}

static constexpr llvm::StringLiteral cacheMagic = "levin cuda object 3\n";

static void putText(std::string &bytes, llvm::StringRef text) {
  bytes += std::to_string(text.size()) + "\n";
  bytes += text;
}

static bool takeText(llvm::StringRef &bytes, std::string &text) {
  auto [size, rest] = bytes.split('\n');
  size_t length = 0;
  if (size.getAsInteger(10, length) || length > rest.size())
    return false;
  text = rest.take_front(length).str();
  bytes = rest.drop_front(length);
  return true;
}

/// What `bytes` of a cache file hold; nothing if they are damaged.
static std::optional<std::pair<std::string, std::string>> parseCache(llvm::StringRef bytes) {
  if (!bytes.consume_front(cacheMagic))
    return std::nullopt;
  auto [digest, body] = bytes.split('\n');
  std::pair<std::string, std::string> result;
  if (digest != toHex(sha256(body)) || !takeText(body, result.first) ||
      !takeText(body, result.second))
    return std::nullopt;
  return result;
}

/// Writes a file of the cache so that readers see all of it or nothing.
static void storeCache(const std::string &folder, const std::string &name, llvm::StringRef first,
                       llvm::StringRef second) {
  std::string body;
  putText(body, first);
  putText(body, second);
  if (llvm::sys::fs::create_directories(folder))
    return;
  llvm::SmallString<128> temporary;
  int file = -1;
  if (llvm::sys::fs::createUniqueFile(folder + "/" + name + ".%%%%%%%%", file, temporary))
    return;
  llvm::raw_fd_ostream stream(file, /*shouldClose=*/true);
  stream << cacheMagic << toHex(sha256(body)) << '\n' << body;
  stream.close();
  bool failed = stream.has_error();
  stream.clear_error();
  if (failed || llvm::sys::fs::rename(temporary, folder + "/" + name))
    llvm::sys::fs::remove(temporary);
}

// --- programs ------------------------------------------------------------------------------------

Assembler::Assembler(const CudaToolkit &toolkit, const CudaTarget &target, unsigned threads)
    : toolkit(toolkit), target(target), cacheFolder(chooseCacheFolder()), threads(threads) {}

static std::string replaceAll(std::string text, llvm::StringRef from, llvm::StringRef to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
    text.replace(at, from.size(), to);
  return text;
}

/// Whether `text` begins with 8 digits of a hexadecimal number and a "_".
static bool isModuleNumber(llvm::StringRef text) {
  return text.size() > 8 && text[8] == '_' && llvm::all_of(text.take_front(8), llvm::isHexDigit);
}

/// Text without the number that nvcc makes of the source's path and puts into the names of what is
/// local to it: in the code, and in debug information, whose strings are lists of numbers.
static std::string withoutModuleNumbers(llvm::StringRef ptx) {
  constexpr llvm::StringLiteral mark = "_INTERNAL_";
  std::string text = ptx.str(), bytes;
  for (size_t at = 0; (at = text.find(mark.data(), at)) != std::string::npos; at += mark.size())
    if (isModuleNumber(llvm::StringRef(text).drop_front(at + mark.size())))
      text.replace(at + mark.size(), 8, 8, '0');
  // The bytes of all ".b8" directives, and where each is written.
  std::vector<std::pair<size_t, size_t>> places;
  constexpr llvm::StringLiteral directive = "\n.b8 ";
  for (size_t at = 0; (at = text.find(directive.data(), at)) != std::string::npos;) {
    at += directive.size();
    while (at < text.size() && llvm::isDigit(text[at])) {
      size_t end = std::min(text.find_first_not_of("0123456789", at), text.size());
      unsigned value = 0;
      llvm::StringRef(text).slice(at, end).getAsInteger(10, value);
      bytes += static_cast<char>(value);
      places.push_back({at, end - at});
      at = end < text.size() && text[end] == ',' ? end + 1 : end;
    }
  }
  std::vector<size_t> digits;
  for (size_t at = 0; (at = bytes.find(mark.data(), at)) != std::string::npos; at += mark.size())
    if (isModuleNumber(llvm::StringRef(bytes).drop_front(at + mark.size())))
      for (size_t i = 0; i < 8; ++i)
        digits.push_back(at + mark.size() + i);
  for (size_t digit : llvm::reverse(digits)) {
    auto [begin, length] = places[digit];
    text.replace(begin, length, std::to_string(int('0')));
  }
  return text;
}

static Status refusal(llvm::StringRef program, const Run &run) {
  llvm::StringRef shown = llvm::StringRef(run.output).rtrim().take_front(4000);
  return makeError(ErrorCode::PassFailed, "{} refuses the code: {}", program.str(), shown.str());
}

/// The virtual architecture of a chip: "compute_90a" of "sm_90a".
static std::string virtualName(llvm::StringRef chip) {
  return ("compute_" + chip.drop_front(3)).str();
}

Result<std::string> Assembler::runNvcc(const DeviceSource &source) const {
  LEVIN_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::create());
  for (const auto &[name, text] : headersFor(source.header))
    LEVIN_RETURN_IF_ERROR(folder.write(name, text));
  LEVIN_RETURN_IF_ERROR(folder.write("kernel.cu", source.text));
  std::vector<std::string> arguments = nvccFlags;
  std::string arch = virtualName(target.chip);
  for (std::string word : {std::string("-gencode"), "arch=" + arch + ",code=" + arch,
                           std::string("-o"), folder.file("kernel.ptx"), folder.file("kernel.cu")})
    arguments.push_back(std::move(word));
  Run run = runProgram(toolkit.nvcc, arguments, folder);
  if (run.status != 0)
    return refusal("nvcc", run);
  LEVIN_ASSIGN_OR_RETURN(std::string ptx, folder.read("kernel.ptx"));
  return withoutModuleNumbers(replaceAll(std::move(ptx), folder.path() + "/", "kernels/"));
}

std::string Assembler::keyOf(const DeviceSource &source) const {
  std::string all = toolkit.version + "\n" + target.chip + "\n" + llvm::join(nvccFlags, " ") + "\n";
  for (const auto &[name, text] : headersFor(source.header)) {
    putText(all, name);
    putText(all, text);
  }
  putText(all, source.text);
  return toHex(sha256(all));
}

std::string Assembler::keyOf(llvm::StringRef ptx) const {
  std::string all = toolkit.version + "\n" + target.chip + "\nptx\n";
  putText(all, ptx);
  return toHex(sha256(all));
}

/// The kernels that `ptx` defines, in order.
static std::vector<std::string> kernelsOf(llvm::StringRef ptx) {
  std::vector<std::string> names;
  constexpr llvm::StringLiteral entry = ".entry ";
  for (size_t at = 0; (at = ptx.find(entry, at)) != llvm::StringRef::npos;) {
    at += entry.size();
    names.push_back(
        ptx.drop_front(at).ltrim().take_until([](char c) { return c == '(' || c == '\n'; }).str());
  }
  return names;
}

Result<DeviceObject> Assembler::compile(const DeviceSource &source) const {
  if (source.isPtx)
    return DeviceObject{source.text, kernelsOf(source.text)};
  if (headersFor(source.header).empty())
    return makeError(ErrorCode::PassFailed, "there is no kernel header '{}'", source.header);
  std::string key = keyOf(source);
  if (!cacheFolder.empty())
    if (auto file = llvm::MemoryBuffer::getFile(cacheFolder + "/" + key))
      if (auto found = parseCache((*file)->getBuffer())) {
        ++hits;
        return DeviceObject{found->first, kernelsOf(found->first)};
      }
  LEVIN_ASSIGN_OR_RETURN(std::string ptx, runNvcc(source));
  if (!cacheFolder.empty())
    storeCache(cacheFolder, key, ptx, "");
  std::vector<std::string> kernels = kernelsOf(ptx);
  return DeviceObject{std::move(ptx), std::move(kernels)};
}

/// The cubin of `ptx`, and what ptxas says.
Result<std::pair<std::string, std::string>> Assembler::runPtxas(llvm::StringRef ptx) const {
  LEVIN_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::create());
  LEVIN_RETURN_IF_ERROR(folder.write("kernels.ptx", ptx));
  Run run = runProgram(toolkit.ptxas,
                       {"-arch=" + target.chip, "-v", "--split-compile=" + std::to_string(threads),
                        "-o", folder.file("kernels.cubin"), folder.file("kernels.ptx")},
                       folder);
  if (run.status != 0)
    return refusal("ptxas", run);
  LEVIN_ASSIGN_OR_RETURN(std::string cubin, folder.read("kernels.cubin"));
  return std::pair(std::move(cubin), std::move(run.output));
}

Result<DeviceImage> Assembler::assemble(llvm::ArrayRef<const DeviceObject *> objects) const {
  DeviceImage image;
  LEVIN_ASSIGN_OR_RETURN(image.ptx, joinPtx(objects, target));
  std::string key = keyOf(image.ptx);
  std::optional<std::pair<std::string, std::string>> made;
  if (!cacheFolder.empty())
    if (auto file = llvm::MemoryBuffer::getFile(cacheFolder + "/" + key))
      made = parseCache((*file)->getBuffer());
  if (made) {
    ++hits;
  } else {
    LEVIN_ASSIGN_OR_RETURN(made, runPtxas(image.ptx));
    if (!cacheFolder.empty())
      storeCache(cacheFolder, key, made->first, made->second);
  }
  image.cubin = std::move(made->first);
  image.messages = std::move(made->second);
  image.kernels = parseFacts(image.messages);
  return image;
}

} // namespace levin::cuda
