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

/// The first line of `messages` that says wgmma instructions wait for each other.
static llvm::StringRef serialisation(llvm::StringRef messages) {
  llvm::SmallVector<llvm::StringRef> lines;
  messages.split(lines, '\n');
  for (llvm::StringRef line : lines)
    if (line.contains("wgmma") && line.contains("serializ"))
      return line;
  return {};
}

static Status checkObject(const DeviceSource &source, const DeviceObject &object,
                          llvm::StringRef messages) {
  if (llvm::StringRef line = serialisation(messages); !line.empty())
    return makeError(ErrorCode::PassFailed, "ptxas serialises the tensor core instructions: {}",
                     line.str());
  if (source.refuseSpills)
    for (const auto &[name, facts] : object.kernels)
      if (facts.spillBytes)
        return makeError(ErrorCode::PassFailed, "kernel {} spills {} bytes of registers", name,
                         facts.spillBytes);
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

static constexpr llvm::StringLiteral cacheMagic = "levin cuda object 2\n";

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

static std::string cacheText(const DeviceObject &object, llvm::StringRef messages) {
  std::string body;
  putText(body, object.ptx);
  putText(body, object.cubin);
  putText(body, messages);
  return cacheMagic.str() + toHex(sha256(body)) + "\n" + body;
}

/// What `bytes` of a cache file hold; nothing if they are damaged.
static std::optional<std::pair<DeviceObject, std::string>> parseCache(llvm::StringRef bytes) {
  if (!bytes.consume_front(cacheMagic))
    return std::nullopt;
  auto [digest, body] = bytes.split('\n');
  std::pair<DeviceObject, std::string> result;
  if (digest != toHex(sha256(body)) || !takeText(body, result.first.ptx) ||
      !takeText(body, result.first.cubin) || !takeText(body, result.second))
    return std::nullopt;
  return result;
}

/// Writes a file of the cache so that readers see all of it or nothing.
static void storeCache(const std::string &folder, const std::string &name, llvm::StringRef bytes) {
  if (llvm::sys::fs::create_directories(folder))
    return;
  llvm::SmallString<128> temporary;
  int file = -1;
  if (llvm::sys::fs::createUniqueFile(folder + "/" + name + ".%%%%%%%%", file, temporary))
    return;
  llvm::raw_fd_ostream stream(file, /*shouldClose=*/true);
  stream << bytes;
  stream.close();
  bool failed = stream.has_error();
  stream.clear_error();
  if (failed || llvm::sys::fs::rename(temporary, folder + "/" + name))
    llvm::sys::fs::remove(temporary);
}

// --- programs ------------------------------------------------------------------------------------

Assembler::Assembler(const CudaToolkit &toolkit, const CudaTarget &target)
    : toolkit(toolkit), target(target), cacheFolder(chooseCacheFolder()) {}

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

Result<DeviceObject> Assembler::run(const DeviceSource &source) const {
  LEVIN_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::create());
  DeviceObject object;
  if (source.isPtx) {
    object.ptx = source.text;
  } else {
    for (const auto &[name, text] : headersFor(source.header))
      LEVIN_RETURN_IF_ERROR(folder.write(name, text));
    LEVIN_RETURN_IF_ERROR(folder.write("kernel.cu", source.text));
    std::vector<std::string> arguments = nvccFlags;
    std::string arch = virtualName(target.chip);
    for (std::string word :
         {std::string("-gencode"), "arch=" + arch + ",code=" + arch, std::string("-o"),
          folder.file("kernel.ptx"), folder.file("kernel.cu")})
      arguments.push_back(std::move(word));
    Run nvcc = runProgram(toolkit.nvcc, arguments, folder);
    if (nvcc.status != 0)
      return refusal("nvcc", nvcc);
    LEVIN_ASSIGN_OR_RETURN(std::string ptx, folder.read("kernel.ptx"));
    object.ptx = withoutModuleNumbers(replaceAll(std::move(ptx), folder.path() + "/", "kernels/"));
  }
  LEVIN_RETURN_IF_ERROR(folder.write("kernel.ptx", object.ptx));
  Run ptxas = runProgram(toolkit.ptxas,
                         {"-arch=" + target.chip, "-c", "-v", "-o", folder.file("kernel.cubin"),
                          folder.file("kernel.ptx")},
                         folder);
  if (ptxas.status != 0)
    return refusal("ptxas", ptxas);
  LEVIN_ASSIGN_OR_RETURN(object.cubin, folder.read("kernel.cubin"));
  object.kernels = parseFacts(ptxas.output);
  LEVIN_RETURN_IF_ERROR(checkObject(source, object, ptxas.output));
  if (!cacheFolder.empty())
    storeCache(cacheFolder, keyOf(source), cacheText(object, ptxas.output));
  return object;
}

std::string Assembler::keyOf(const DeviceSource &source) const {
  std::string all = toolkit.version + "\n" + target.chip + "\n" + llvm::join(nvccFlags, " ") + "\n";
  if (!source.isPtx)
    for (const auto &[name, text] : headersFor(source.header)) {
      putText(all, name);
      putText(all, text);
    }
  putText(all, source.isPtx ? "ptx" : "cuda");
  putText(all, source.text);
  return toHex(sha256(all));
}

Result<DeviceObject> Assembler::assemble(const DeviceSource &source) const {
  if (!source.isPtx && headersFor(source.header).empty())
    return makeError(ErrorCode::PassFailed, "there is no kernel header '{}'", source.header);
  if (!cacheFolder.empty())
    if (auto file = llvm::MemoryBuffer::getFile(cacheFolder + "/" + keyOf(source)))
      if (auto found = parseCache((*file)->getBuffer())) {
        auto &[object, messages] = *found;
        object.kernels = parseFacts(messages);
        LEVIN_RETURN_IF_ERROR(checkObject(source, object, messages));
        ++hits;
        return std::move(object);
      }
  return run(source);
}

Result<std::string> Assembler::link(llvm::ArrayRef<const DeviceObject *> objects) const {
  LEVIN_ASSIGN_OR_RETURN(TemporaryFolder folder, TemporaryFolder::create());
  // nvlink reads what it has to do from a file: there may be more objects than a command line
  // holds.
  std::string options = "-arch=" + target.chip + " -o " + folder.file("kernels.cubin");
  for (size_t i = 0; i < objects.size(); ++i) {
    std::string name = std::to_string(i) + ".cubin";
    LEVIN_RETURN_IF_ERROR(folder.write(name, objects[i]->cubin));
    options += " " + folder.file(name);
  }
  LEVIN_RETURN_IF_ERROR(folder.write("options.txt", options));
  Run run = runProgram(toolkit.nvlink, {"--options-file", folder.file("options.txt")}, folder);
  if (run.status != 0)
    return refusal("nvlink", run);
  return folder.read("kernels.cubin");
}

} // namespace levin::cuda
