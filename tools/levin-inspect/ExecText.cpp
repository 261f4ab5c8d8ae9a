// The artifact as exec IR, which levin-opt reads: what was compiled, seen from the file.
#include "tools/levin-inspect/Inspect.h"

#include <tuple>

namespace levin::inspect {

using namespace artifact;
using tool::Output;

// A name as a symbol of MLIR; quoted, since a dot or a dash may be in it.
static std::string symbol(const std::string &name) { return "@\"" + name + "\""; }

// Text as a string of MLIR.
static std::string quoted(const std::string &text) {
  std::string out = "\"";
  for (char c : text) {
    if (c == '"' || c == '\\')
      out += '\\';
    out += c;
  }
  return out + "\"";
}

static std::string list(const std::vector<uint64_t> &values) {
  return fmt::format("[{}]", fmt::join(values, ", "));
}

static std::string tensor(const TensorType &type) { return "tensor<" + textOf(type) + ">"; }

static void printKernels(const Manifest &m, Output &out) {
  out.write("module @kernels {\n");
  for (const Executable &executable : m.executables)
    for (const Export &exported : executable.exports) {
      out.print("  func.func private {}(", symbol(exported.name));
      for (size_t i = 0; i < exported.written.size(); ++i)
        out.print("{}memref<?xi8>{}", i ? ", " : "", exported.written[i] ? " {exec.written}" : "");
      out.write(")\n");
    }
  out.write("}\n");
}

// The value of a constant, if it is short enough to be looked at.
static std::string constantText(const Artifact &artifact, const Parameter &parameter,
                                const SegmentBytes &source) {
  constexpr uint64_t longest = 4096;
  bool isFloat = parameter.type.dtype >= DType::F16;
  if (source.size > longest || parameter.type.dtype == DType::I1)
    return fmt::format("dense<{}> // {} bytes at {} of segment {}", isFloat ? "0.0" : "0",
                       source.size, source.offset, source.segment);
  std::string hex;
  for (std::byte byte : artifact.segmentBytes(source.segment).subspan(source.offset, source.size))
    hex += fmt::format("{:02X}", static_cast<int>(byte));
  return "dense<\"0x" + hex + "\">";
}

static std::string pieceText(const Piece &piece) {
  if (piece.starts.empty())
    return fmt::format("<{}>", quoted(piece.key));
  return fmt::format("<{} at {} of {}>", quoted(piece.key), list(piece.starts), list(piece.sizes));
}

// Each parameter under its name, and its place under the same name with ".place".
static void printParameter(const Artifact &artifact, const Parameter &parameter, Output &out) {
  out.print("nn.parameter {} : {} = ", symbol(parameter.name), tensor(parameter.type));
  if (auto *bytes = std::get_if<SegmentBytes>(&parameter.source)) {
    out.print("{}\n", constantText(artifact, parameter, *bytes));
  } else {
    const Pieces &source = std::get<Pieces>(parameter.source);
    out.print("{} [", source.join == Join::Stack ? "stack" : "concat");
    for (size_t i = 0; i < source.pieces.size(); ++i)
      out.print("{}{}", i ? ", " : "", pieceText(source.pieces[i]));
    out.write("]\n");
  }
  out.print("exec.weight {} from {} panels {} at [{}, {}]\n", symbol(parameter.name + ".place"),
            symbol(parameter.name), parameter.panelRows, parameter.offset, parameter.size);
}

namespace {

// One program.  A reference to a part of a slice becomes a slice of its own.
class ProgramPrinter {
public:
  ProgramPrinter(const Manifest &m, const Entry &entry, Output &out)
      : m(m), entry(entry), program(m.programs[entry.program].ranks[0]), out(out) {}

  void print();

private:
  using Part = std::tuple<uint32_t, uint64_t, uint64_t>; // slice, offset, size

  static Part partOf(const Ref &ref) { return {ref.slice, ref.offset, ref.size}; }
  void printSlice(const std::string &name, uint32_t index, uint64_t offset, uint64_t size);
  void printParts();
  void addPart(const Ref &ref);
  void printBindings(const char *kind, const std::vector<Binding> &bindings);
  void printItem(const Item &item);
  std::string nameOfRef(const Ref &ref) const;

  const Manifest &m;
  const Entry &entry;
  const RankProgram &program;
  Output &out;
  std::map<Part, std::string> parts;
};

void ProgramPrinter::printSlice(const std::string &name, uint32_t index, uint64_t offset,
                                uint64_t size) {
  const Slice &slice = program.slices[index];
  out.print("  {} = exec.slice %{} [{}, {}] live [{}, {}]\n", name,
            nameOf(m.arenas[slice.arena].kind), slice.offset + offset, size, slice.firstCommand,
            slice.lastCommand);
}

void ProgramPrinter::addPart(const Ref &ref) {
  const Slice &slice = program.slices[ref.slice];
  if (ref.offset == 0 && ref.size == slice.size)
    return;
  auto [at, isNew] = parts.emplace(partOf(ref), fmt::format("%p{}", parts.size()));
  if (isNew)
    printSlice(at->second, ref.slice, ref.offset, ref.size);
}

void ProgramPrinter::printParts() {
  for (const Stream &stream : program.streams)
    for (const Item &item : stream.items) {
      if (auto *copy = std::get_if<Copy>(&item.command)) {
        addPart(copy->source);
        addPart(copy->target);
        continue;
      }
      for (const Ref &ref : std::get<Launch>(item.command).bindings)
        addPart(ref);
    }
}

std::string ProgramPrinter::nameOfRef(const Ref &ref) const {
  auto part = parts.find(partOf(ref));
  return part == parts.end() ? fmt::format("%s{}", ref.slice) : part->second;
}

void ProgramPrinter::printBindings(const char *kind, const std::vector<Binding> &bindings) {
  for (const Binding &binding : bindings) {
    out.print("  exec.bind {} \"{}\" %s{} : {}", kind, binding.name, binding.slices[0],
              tensor(binding.type));
    if (binding.role != Role::None)
      out.print(" role #nn.role<{}>", nameOf(binding.role));
    out.write("\n");
  }
}

void ProgramPrinter::printItem(const Item &item) {
  if (auto *copy = std::get_if<Copy>(&item.command)) {
    out.print("  exec.copy {} to {}", nameOfRef(copy->source), nameOfRef(copy->target));
  } else {
    const Launch &launch = std::get<Launch>(item.command);
    const Export &exported = m.executables[launch.executable].exports[launch.exportIndex];
    out.print("  exec.launch @kernels::{} grid [{}] (", symbol(exported.name),
              fmt::join(launch.grid, ", "));
    for (size_t i = 0; i < launch.bindings.size(); ++i)
      out.print("{}{}", i ? ", " : "", nameOfRef(launch.bindings[i]));
    out.write(")");
  }
  if (item.location)
    out.print(" // {}", m.debug.locations[*item.location]);
  out.write("\n");
}

void ProgramPrinter::print() {
  out.print("exec.program {}", symbol(entry.name));
  if (entry.tokens)
    out.print(" bucket [{}, {}, {}]", *entry.tokens, *entry.sequences, *entry.rows);
  out.write(" {\n");
  for (const Arena &arena : m.arenas)
    out.print("  %{} = exec.arena {} [{}]\n", nameOf(arena.kind), nameOf(arena.kind),
              arena.kind == ArenaKind::Workspace ? program.workspaceBytes : arena.size);
  for (uint32_t i = 0; i < program.slices.size(); ++i)
    printSlice(fmt::format("%s{}", i), i, 0, program.slices[i].size);
  printParts();
  printBindings("input", entry.inputs);
  printBindings("state", entry.state);
  printBindings("output", entry.outputs);
  for (size_t s = 0; s < program.streams.size(); ++s) {
    if (program.streams.size() > 1)
      out.print("  // stream {}\n", s);
    for (const Item &item : program.streams[s].items)
      printItem(item);
  }
  out.write("}\n");
}

} // namespace

void printExec(const Artifact &artifact, Output &out) {
  const Manifest &m = artifact.manifest();
  printKernels(m, out);
  for (const Parameter &parameter : m.parameters)
    printParameter(artifact, parameter, out);
  for (const Entry &entry : m.entries)
    ProgramPrinter(m, entry, out).print();
}

} // namespace levin::inspect
