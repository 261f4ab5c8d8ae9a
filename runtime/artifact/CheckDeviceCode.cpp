// Code of a GPU: a cubin, which is an ELF file, or PTX text for the driver to assemble.
//
// The driver reads both with a parser of its own; what is checked here keeps damage and mistakes
// from reaching it, and that every kernel is there.
#include "runtime/artifact/Check.h"
#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <elf.h>

#include <algorithm>
#include <cstring>
#include <string_view>
#include <unordered_set>

namespace levin::artifact::detail {

namespace {

constexpr uint16_t machineCuda = 190; // EM_CUDA

template <typename... Args>
Status refuse(const std::string &where, fmt::format_string<Args...> format, Args &&...args) {
  return Status(ErrorCode::ArtifactCode,
                where + ": " + fmt::format(format, std::forward<Args>(args)...));
}

template <typename T> T at(std::span<const std::byte> code, uint64_t offset) {
  T value; // copied since nothing aligns it
  std::memcpy(&value, code.data() + offset, sizeof value);
  return value;
}

class CubinChecker {
public:
  CubinChecker(std::span<const std::byte> code, const std::string &where)
      : code(code), where(where) {}

  /// Fills `functions` with the names of the global functions.
  Status run();

  std::unordered_set<std::string_view> functions;

private:
  Status checkSections();
  Status readSymbols(const Elf64_Shdr &symbols);

  std::span<const std::byte> code;
  const std::string &where;
  Elf64_Ehdr file{};
};

Status CubinChecker::run() {
  if (code.size() < sizeof file || std::memcmp(code.data(), ELFMAG, SELFMAG) != 0)
    return refuse(where, "the segment is no ELF file")
        .note("have", fmt::format("{} bytes", code.size()));
  file = at<Elf64_Ehdr>(code, 0);
  if (file.e_ident[EI_CLASS] != ELFCLASS64 || file.e_ident[EI_DATA] != ELFDATA2LSB ||
      file.e_machine != machineCuda)
    return refuse(where, "the code is for no GPU")
        .note("have", fmt::format("class {}, order {}, machine {}", file.e_ident[EI_CLASS],
                                  file.e_ident[EI_DATA], file.e_machine))
        .note("need",
              fmt::format("class {}, order {}, machine {}", ELFCLASS64, ELFDATA2LSB, machineCuda));
  if (file.e_ehsize != sizeof(Elf64_Ehdr) || file.e_shentsize != sizeof(Elf64_Shdr) ||
      !fitsWithin(file.e_shoff, file.e_shnum * sizeof(Elf64_Shdr), code.size()) ||
      !fitsWithin(file.e_phoff, file.e_phnum * sizeof(Elf64_Phdr), code.size()))
    return refuse(where, "the headers lie outside the file")
        .note("have", fmt::format("{} sections at {}, {} segments at {}", file.e_shnum,
                                  file.e_shoff, file.e_phnum, file.e_phoff))
        .note("need", fmt::format("within {} bytes", code.size()));
  return checkSections();
}

Status CubinChecker::checkSections() {
  for (uint64_t i = 0; i < file.e_shnum; ++i) {
    auto section = at<Elf64_Shdr>(code, file.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type != SHT_NOBITS &&
        !fitsWithin(section.sh_offset, section.sh_size, code.size()))
      return refuse(where, "section {} lies outside the file", i)
          .note("have", rangeText(section.sh_offset, section.sh_size))
          .note("need", fmt::format("within {} bytes", code.size()));
    if (section.sh_type == SHT_SYMTAB)
      LEVIN_RETURN_IF_ERROR(readSymbols(section));
  }
  return {};
}

Status CubinChecker::readSymbols(const Elf64_Shdr &symbols) {
  Elf64_Shdr strings{};
  if (symbols.sh_link < file.e_shnum)
    strings = at<Elf64_Shdr>(code, file.e_shoff + symbols.sh_link * sizeof(Elf64_Shdr));
  if (symbols.sh_entsize != sizeof(Elf64_Sym) || strings.sh_type != SHT_STRTAB ||
      !fitsWithin(strings.sh_offset, strings.sh_size, code.size()))
    return refuse(where, "the symbol table is malformed")
        .note("have", fmt::format("strings in section {}, entries of {} bytes", symbols.sh_link,
                                  symbols.sh_entsize))
        .note("need", fmt::format("a string table, {} bytes", sizeof(Elf64_Sym)));
  uint64_t count = symbols.sh_size / sizeof(Elf64_Sym);
  for (uint64_t i = 0; i < count; ++i) {
    auto symbol = at<Elf64_Sym>(code, symbols.sh_offset + i * sizeof(Elf64_Sym));
    bool isKernel = ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
                    ELF64_ST_BIND(symbol.st_info) != STB_LOCAL && symbol.st_shndx != SHN_UNDEF;
    if (!isKernel || symbol.st_name >= strings.sh_size)
      continue;
    const char *begin =
        reinterpret_cast<const char *>(code.data()) + strings.sh_offset + symbol.st_name;
    size_t room = std::min(strings.sh_size - symbol.st_name, limits::keyBytes);
    if (size_t length = ::strnlen(begin, room); length < room)
      functions.insert({begin, length});
  }
  return {};
}

// Whether `text` declares the kernel `symbol`: ".entry symbol(".
bool declares(std::string_view text, std::string_view symbol) {
  for (size_t from = 0; (from = text.find(symbol, from)) != text.npos; from += symbol.size()) {
    std::string_view before = text.substr(0, from), after = text.substr(from + symbol.size());
    if (before.ends_with(".entry ") && !after.empty() && (after[0] == '(' || after[0] == '\n'))
      return true;
  }
  return false;
}

Status checkPtx(std::string_view text, const Executable &executable, const std::string &where) {
  bool printable = std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 0x20 && c < 0x7f) || c == '\n' || c == '\t' || c == '\r';
  });
  if (!printable || text.find(".version ") == text.npos || text.find(".target ") == text.npos)
    return refuse(where, "the segment is no PTX")
        .note("have", fmt::format("{} bytes", text.size()))
        .note("need", "text with .version and .target");
  for (const Export &exported : executable.exports)
    for (const DeviceLaunch &launch : exported.launches)
      if (!declares(text, launch.symbol))
        return refuse(where, "the code does not define the kernel '{}'", launch.symbol)
            .note("need", "all that the exports launch");
  return {};
}

} // namespace

Status checkDeviceCode(std::span<const std::byte> code, CodeKind kind, const Executable &executable,
                       const std::string &where) {
  if (kind == CodeKind::Ptx)
    return checkPtx({reinterpret_cast<const char *>(code.data()), code.size()}, executable, where);
  CubinChecker checker(code, where);
  LEVIN_RETURN_IF_ERROR(checker.run());
  for (const Export &exported : executable.exports)
    for (const DeviceLaunch &launch : exported.launches)
      if (!checker.functions.contains(launch.symbol))
        return refuse(where, "the code does not define the kernel '{}'", launch.symbol)
            .note("have", fmt::format("{} kernels", checker.functions.size()))
            .note("need", "all that the exports launch");
  return {};
}

} // namespace levin::artifact::detail
