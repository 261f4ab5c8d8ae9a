// Host code: an ELF shared object that nothing but its exports can enter.
//
// The rules are those that codegen/host links by: no dependencies, relocations, constructors or
// data, so that loading runs no code and needs no other library.
#include "runtime/artifact/Check.h"
#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <elf.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string_view>
#include <unordered_set>

namespace levin::artifact {

namespace {

constexpr uint64_t page = 4096;
constexpr size_t mostLoads = 16;

class CodeChecker {
public:
  CodeChecker(std::span<const std::byte> code, const std::string &where)
      : code(code), where(where) {}

  Status run(const Executable &executable);

private:
  template <typename... Args>
  Status refuse(fmt::format_string<Args...> format, Args &&...args) const {
    return Status(ErrorCode::ArtifactCode,
                  where + ": " + fmt::format(format, std::forward<Args>(args)...));
  }

  // A T at `offset`, copied since nothing aligns it; the range was checked.
  template <typename T> T at(uint64_t offset) const {
    T value;
    std::memcpy(&value, code.data() + offset, sizeof value);
    return value;
  }

  Status checkFileHeader();
  Status checkProgramHeaders();
  Status checkProgramHeader(const Elf64_Phdr &header);
  Status checkWritable() const;
  Status checkDynamic() const;
  Status checkDynamicEntry(const Elf64_Dyn &entry) const;
  Status checkSections();
  Status checkSymbols(const Elf64_Shdr &symbols);
  Status checkSymbol(const Elf64_Sym &symbol, std::string_view name);
  std::optional<std::string_view> stringAt(uint64_t table, uint64_t size, uint64_t offset) const;

  std::span<const std::byte> code;
  const std::string &where;
  Elf64_Ehdr file{};
  std::vector<Elf64_Phdr> loads;
  std::optional<Elf64_Phdr> dynamic, protectedData;
  std::unordered_set<std::string_view> functions;
};

Status CodeChecker::checkFileHeader() {
  if (code.size() < sizeof file || std::memcmp(code.data(), ELFMAG, SELFMAG) != 0)
    return refuse("the segment is no ELF file").note("have", fmt::format("{} bytes", code.size()));
  file = at<Elf64_Ehdr>(0);
  if (file.e_ident[EI_CLASS] != ELFCLASS64 || file.e_ident[EI_DATA] != ELFDATA2LSB ||
      file.e_ident[EI_VERSION] != EV_CURRENT || file.e_machine != EM_X86_64)
    return refuse("the code is for another kind of machine")
        .note("have", fmt::format("class {}, order {}, machine {}", file.e_ident[EI_CLASS],
                                  file.e_ident[EI_DATA], file.e_machine))
        .note("need", fmt::format("class {}, order {}, machine {} (x86-64)", ELFCLASS64,
                                  ELFDATA2LSB, EM_X86_64));
  if (file.e_type != ET_DYN)
    return refuse("the code is no shared object")
        .note("have", fmt::format("type {}", file.e_type))
        .note("need", fmt::format("type {}", ET_DYN));
  if (file.e_ehsize != sizeof(Elf64_Ehdr) || file.e_phentsize != sizeof(Elf64_Phdr) ||
      file.e_shentsize != sizeof(Elf64_Shdr))
    return refuse("the ELF headers have other sizes")
        .note("have",
              fmt::format("{}, {} and {} bytes", file.e_ehsize, file.e_phentsize, file.e_shentsize))
        .note("need", fmt::format("{}, {} and {}", sizeof(Elf64_Ehdr), sizeof(Elf64_Phdr),
                                  sizeof(Elf64_Shdr)));
  return {};
}

Status CodeChecker::checkProgramHeader(const Elf64_Phdr &header) {
  if (header.p_type == PT_INTERP || header.p_type == PT_TLS)
    return refuse("the code has {}",
                  header.p_type == PT_TLS ? "thread-local data" : "an interpreter");
  if (header.p_type == PT_GNU_STACK && (header.p_flags & PF_X))
    return refuse("the code asks for an executable stack");
  if (header.p_type != PT_LOAD && header.p_type != PT_DYNAMIC && header.p_type != PT_GNU_RELRO)
    return {};
  bool fits = fitsWithin(header.p_offset, header.p_filesz, code.size()) &&
              header.p_filesz <= header.p_memsz && header.p_memsz <= limits::manifestBytes &&
              header.p_vaddr <= limits::memory;
  if (!fits)
    return refuse("a program header leaves the file")
        .note("have", fmt::format("{} bytes at {}, {} in memory at {:#x}", header.p_filesz,
                                  header.p_offset, header.p_memsz, header.p_vaddr))
        .note("need", fmt::format("within {} bytes", code.size()));
  if (header.p_type == PT_DYNAMIC)
    dynamic = header;
  else if (header.p_type == PT_GNU_RELRO)
    protectedData = header;
  else
    loads.push_back(header);
  return {};
}

Status CodeChecker::checkProgramHeaders() {
  if (!fitsWithin(file.e_phoff, file.e_phnum * sizeof(Elf64_Phdr), code.size()))
    return refuse("the program headers lie outside the file")
        .note("have", fmt::format("{} at {}", file.e_phnum, file.e_phoff))
        .note("need", fmt::format("within {} bytes", code.size()));
  for (uint64_t i = 0; i < file.e_phnum; ++i)
    LEVIN_RETURN_IF_ERROR(
        checkProgramHeader(at<Elf64_Phdr>(file.e_phoff + i * sizeof(Elf64_Phdr))));
  if (loads.size() > mostLoads)
    return refuse("the code is loaded in too many parts")
        .note("have", fmt::format("{}", loads.size()))
        .note("need", fmt::format("at most {}", mostLoads));
  uint64_t end = 0;
  for (const Elf64_Phdr &load : loads) {
    bool aligned =
        load.p_align <= 1 || (std::has_single_bit(load.p_align) &&
                              load.p_vaddr % load.p_align == load.p_offset % load.p_align);
    if (!aligned || load.p_vaddr < end)
      return refuse("the loaded parts overlap or are not aligned")
          .note("have", fmt::format("address {:#x}, offset {:#x}, alignment {:#x}", load.p_vaddr,
                                    load.p_offset, load.p_align))
          .note("need", fmt::format("an address from {:#x}", end));
    end = load.p_vaddr + load.p_memsz;
  }
  if (!dynamic)
    return refuse("the code has no dynamic section");
  return checkWritable();
}

// Writable memory is only what the loader makes read-only again (the dynamic section).
Status CodeChecker::checkWritable() const {
  for (const Elf64_Phdr &load : loads) {
    if (!(load.p_flags & PF_W))
      continue;
    if (load.p_flags & PF_X)
      return refuse("code at {:#x} is writable", load.p_vaddr)
          .note("need", "memory that is writable or executable, never both");
    uint64_t begin = protectedData ? protectedData->p_vaddr : 0;
    uint64_t end = protectedData ? begin + protectedData->p_memsz : 0;
    uint64_t loadEnd = load.p_vaddr + load.p_memsz;
    if (load.p_vaddr < begin || loadEnd > (end + page - 1) / page * page)
      return refuse("the code has writable data")
          .note("have", fmt::format("{} bytes at {:#x}", load.p_memsz, load.p_vaddr))
          .note("need", fmt::format("read-only after loading: {:#x} to {:#x}", begin, end));
  }
  return {};
}

Status CodeChecker::checkDynamicEntry(const Elf64_Dyn &entry) const {
  uint64_t value = entry.d_un.d_val;
  switch (entry.d_tag) {
  case DT_HASH:
  case DT_GNU_HASH:
  case DT_STRTAB:
  case DT_SYMTAB:
  case DT_STRSZ:
  case DT_SYMENT:
  case DT_SONAME:
  case DT_FLAGS_1:
  case DT_RELAENT:
  case DT_RELENT:
  case DT_RELACOUNT:
  case DT_RELCOUNT:
    return {};
  case DT_FLAGS:
    if (!(value & DF_TEXTREL))
      return {};
    break;
  case DT_RELASZ:
  case DT_RELSZ:
  case DT_PLTRELSZ:
  case DT_INIT_ARRAYSZ:
  case DT_FINI_ARRAYSZ:
    if (value == 0)
      return {};
    break;
  case DT_NEEDED:
    return refuse("the code depends on another library").note("need", "no DT_NEEDED");
  default:
    break;
  }
  bool relocates = entry.d_tag == DT_RELA || entry.d_tag == DT_REL || entry.d_tag == DT_JMPREL ||
                   entry.d_tag == DT_RELASZ || entry.d_tag == DT_RELSZ ||
                   entry.d_tag == DT_PLTRELSZ || entry.d_tag == DT_TEXTREL;
  bool constructs = entry.d_tag == DT_INIT || entry.d_tag == DT_INIT_ARRAY ||
                    entry.d_tag == DT_PREINIT_ARRAY || entry.d_tag == DT_FINI ||
                    entry.d_tag == DT_FINI_ARRAY || entry.d_tag == DT_INIT_ARRAYSZ ||
                    entry.d_tag == DT_FINI_ARRAYSZ;
  return refuse("the code {}", relocates    ? "has relocations"
                               : constructs ? "has constructors or destructors"
                                            : "has a dynamic entry that is not allowed")
      .note("have", fmt::format("dynamic entry {:#x} with {:#x}",
                                static_cast<uint64_t>(entry.d_tag), value))
      .note("need", "symbols and their hash tables only");
}

Status CodeChecker::checkDynamic() const {
  // The loader goes by address, so that is where the entries are read.
  for (const Elf64_Phdr &load : loads) {
    if (dynamic->p_vaddr < load.p_vaddr ||
        !fitsWithin(dynamic->p_vaddr - load.p_vaddr, dynamic->p_filesz, load.p_filesz))
      continue;
    uint64_t offset = load.p_offset + (dynamic->p_vaddr - load.p_vaddr);
    uint64_t count = dynamic->p_filesz / sizeof(Elf64_Dyn);
    for (uint64_t i = 0; i < count; ++i) {
      auto entry = at<Elf64_Dyn>(offset + i * sizeof(Elf64_Dyn));
      if (entry.d_tag == DT_NULL)
        return {};
      LEVIN_RETURN_IF_ERROR(checkDynamicEntry(entry));
    }
    return refuse("the dynamic section has no end").note("have", fmt::format("{} entries", count));
  }
  return refuse("the dynamic section is not loaded")
      .note("have", fmt::format("{} bytes at {:#x}", dynamic->p_filesz, dynamic->p_vaddr));
}

std::optional<std::string_view> CodeChecker::stringAt(uint64_t table, uint64_t size,
                                                      uint64_t offset) const {
  if (offset >= size)
    return std::nullopt;
  // Not the whole table for each of many symbols.
  size_t room = std::min(size - offset, limits::keyBytes);
  const char *begin = reinterpret_cast<const char *>(code.data()) + table + offset;
  size_t length = ::strnlen(begin, room);
  if (length == room)
    return std::nullopt;
  return std::string_view(begin, length);
}

Status CodeChecker::checkSymbol(const Elf64_Sym &symbol, std::string_view name) {
  if (symbol.st_shndx == SHN_UNDEF)
    return refuse("the code needs the symbol '{}'", isName(name) ? name : "?")
        .note("need", "code that defines all it uses");
  bool isFunction = ELF64_ST_TYPE(symbol.st_info) == STT_FUNC &&
                    ELF64_ST_BIND(symbol.st_info) != STB_LOCAL &&
                    ELF64_ST_VISIBILITY(symbol.st_other) == STV_DEFAULT;
  bool inCode = std::any_of(loads.begin(), loads.end(), [&](const Elf64_Phdr &load) {
    return (load.p_flags & PF_X) && symbol.st_value >= load.p_vaddr &&
           symbol.st_value - load.p_vaddr < load.p_filesz;
  });
  if (isFunction && inCode)
    functions.insert(name);
  return {};
}

Status CodeChecker::checkSymbols(const Elf64_Shdr &symbols) {
  if (symbols.sh_link >= file.e_shnum || symbols.sh_entsize != sizeof(Elf64_Sym))
    return refuse("the symbol table is malformed")
        .note("have", fmt::format("strings in section {}, entries of {} bytes", symbols.sh_link,
                                  symbols.sh_entsize))
        .note("need", fmt::format("below {}, {} bytes", file.e_shnum, sizeof(Elf64_Sym)));
  auto strings = at<Elf64_Shdr>(file.e_shoff + symbols.sh_link * sizeof(Elf64_Shdr));
  if (!fitsWithin(strings.sh_offset, strings.sh_size, code.size()) ||
      !fitsWithin(symbols.sh_offset, symbols.sh_size, code.size()))
    return refuse("the symbol table lies outside the file")
        .note("have", fmt::format("{} bytes at {}, strings of {} bytes at {}", symbols.sh_size,
                                  symbols.sh_offset, strings.sh_size, strings.sh_offset))
        .note("need", fmt::format("within {} bytes", code.size()));
  uint64_t count = symbols.sh_size / sizeof(Elf64_Sym);
  for (uint64_t i = 1; i < count; ++i) { // the first is empty by definition
    auto symbol = at<Elf64_Sym>(symbols.sh_offset + i * sizeof(Elf64_Sym));
    auto name = stringAt(strings.sh_offset, strings.sh_size, symbol.st_name);
    if (!name)
      return refuse("a symbol's name lies outside the string table")
          .note("have", fmt::format("offset {}", symbol.st_name))
          .note("need", fmt::format("less than {} characters within {} bytes", limits::keyBytes,
                                    strings.sh_size));
    LEVIN_RETURN_IF_ERROR(checkSymbol(symbol, *name));
  }
  return {};
}

Status CodeChecker::checkSections() {
  if (!fitsWithin(file.e_shoff, file.e_shnum * sizeof(Elf64_Shdr), code.size()))
    return refuse("the section headers lie outside the file")
        .note("have", fmt::format("{} at {}", file.e_shnum, file.e_shoff))
        .note("need", fmt::format("within {} bytes", code.size()));
  for (uint64_t i = 0; i < file.e_shnum; ++i) {
    auto section = at<Elf64_Shdr>(file.e_shoff + i * sizeof(Elf64_Shdr));
    if (section.sh_type == SHT_DYNSYM)
      return checkSymbols(section);
  }
  return refuse("the code has no table of dynamic symbols")
      .note("have", fmt::format("{} sections", file.e_shnum));
}

Status CodeChecker::run(const Executable &executable) {
  LEVIN_RETURN_IF_ERROR(checkFileHeader());
  LEVIN_RETURN_IF_ERROR(checkProgramHeaders());
  LEVIN_RETURN_IF_ERROR(checkDynamic());
  LEVIN_RETURN_IF_ERROR(checkSections());
  for (const Export &exported : executable.exports)
    if (!functions.contains(exported.name))
      return refuse("the code does not define the kernel '{}'", exported.name)
          .note("have", fmt::format("{} functions", functions.size()))
          .note("need", fmt::format("all {} exports", executable.exports.size()));
  return {};
}

} // namespace

Status checkCode(std::span<const std::byte> code, CodeKind kind, const Executable &executable,
                 const std::string &where) {
  if (kind != CodeKind::HostElf)
    return detail::checkDeviceCode(code, kind, executable, where);
  return CodeChecker(code, where).run(executable);
}

} // namespace levin::artifact
