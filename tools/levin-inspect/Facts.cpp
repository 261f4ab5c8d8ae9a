// What both forms of output say.
#include "tools/levin-inspect/Inspect.h"

#include <elf.h>

#include <cstring>

namespace levin::inspect {

using namespace artifact;

const std::vector<std::string> &sectionNames() {
  static const std::vector<std::string> names = {"summary", "entries",    "memory",
                                                 "kernels", "parameters", "weights",
                                                 "assets",  "segments",   "commands"};
  return names;
}

// The loader has checked every range that is used here.
std::map<std::string, uint64_t> codeSizes(std::span<const std::byte> code) {
  auto read = [&](uint64_t offset, auto &value) {
    std::memcpy(&value, code.data() + offset, sizeof value);
  };
  std::map<std::string, uint64_t> sizes;
  Elf64_Ehdr file;
  read(0, file);
  for (uint64_t i = 0; i < file.e_shnum; ++i) {
    Elf64_Shdr symbols, strings;
    read(file.e_shoff + i * sizeof symbols, symbols);
    if (symbols.sh_type != SHT_DYNSYM)
      continue;
    read(file.e_shoff + symbols.sh_link * sizeof strings, strings);
    for (uint64_t at = sizeof(Elf64_Sym); at < symbols.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym symbol;
      read(symbols.sh_offset + at, symbol);
      const char *name = reinterpret_cast<const char *>(code.data()) + strings.sh_offset;
      sizes[name + symbol.st_name] = symbol.st_size;
    }
    break;
  }
  return sizes;
}

static std::string pieceText(const Piece &piece) {
  std::string text = piece.key;
  for (size_t d = 0; d < piece.starts.size(); ++d)
    text +=
        fmt::format("{}{}:{}", d ? ", " : " [", piece.starts[d], piece.starts[d] + piece.sizes[d]);
  return piece.starts.empty() ? text : text + "]";
}

std::string sourceText(const Parameter &parameter) {
  if (auto *bytes = std::get_if<SegmentBytes>(&parameter.source))
    return fmt::format("{} bytes of segment {}", bytes->size, bytes->segment);
  const Pieces &source = std::get<Pieces>(parameter.source);
  if (source.pieces.empty())
    return "random";
  if (source.pieces.size() == 1)
    return pieceText(source.pieces[0]);
  const char *join = source.join == Join::Stack ? "stack" : "concat";
  return fmt::format("{} of {}: {}, ...", join, source.pieces.size(), pieceText(source.pieces[0]));
}

uint64_t commandCount(const Manifest &manifest, const Entry &entry) {
  uint64_t count = 0;
  for (const Stream &stream : manifest.programs[entry.program].ranks[0].streams)
    count += stream.items.size();
  return count;
}

} // namespace levin::inspect
