// Sections as tables for people.
#include "tools/levin-inspect/Inspect.h"

#include "tools/common/Format.h"

#include <algorithm>

namespace levin::inspect {

using namespace artifact;
using tool::humanBytes;
using tool::humanCount;
using tool::Output;
using tool::Table;

static constexpr auto right = Table::Align::Right;

static void title(Output &out, std::string_view text) { out.print("{}\n", text); }

static void print(Output &out, const Table &table) { out.print("{}\n", table.text()); }

// The pipeline's phases; the passes of each are on indented lines, which --json shows too.
static void printPhases(std::string_view pipeline, Output &out) {
  if (pipeline.empty())
    return;
  title(out, "pipeline");
  for (size_t at = 0; at < pipeline.size();) {
    size_t end = std::min(pipeline.find('\n', at), pipeline.size());
    if (end > at && pipeline[at] != ' ')
      out.print("{}\n", pipeline.substr(at, end - at));
    at = end + 1;
  }
  out.write("\n");
}

static void printModel(const Manifest &m, Output &out) {
  Table model;
  model.column("").column("");
  model.row({"family", m.model.family});
  model.row({"layers", fmt::format("{}", m.model.layers)});
  model.row({"parameters", humanCount(m.model.parameters)});
  model.row({"vocabulary", humanCount(m.model.vocabulary)});
  model.row({"context", humanCount(m.model.maxContext)});
  model.row({"slots", humanCount(m.model.slots)});
  if (m.model.beginToken)
    model.row({"begin token", fmt::format("{}", *m.model.beginToken)});
  std::string ends;
  for (int32_t token : m.model.endTokens)
    ends += fmt::format("{}{}", ends.empty() ? "" : " ", token);
  model.row({"end tokens", ends.empty() ? "none" : ends});
  title(out, "model");
  print(out, model);
}

static void printSummary(const Artifact &artifact, Output &out) {
  const Manifest &m = artifact.manifest();
  const Header &header = artifact.header();
  Table table;
  table.column("").column("");
  table.row({"file", fmt::format("{} ({})", artifact.path(), humanBytes(header.fileBytes))});
  table.row({"format", fmt::format("{}.{}", header.major, header.minor)});
  table.row({"identity", toHex(artifact.manifestDigest())});
  table.row({"compiler", m.producer.compiler});
  if (m.producer.sourceDigest.size() == 32) {
    Digest source;
    std::copy(m.producer.sourceDigest.begin(), m.producer.sourceDigest.end(), source.begin());
    table.row({"source", toHex(source)});
  }
  for (const auto &[key, value] : m.producer.options)
    table.row({"option", fmt::format("--{}={}", key, value)});
  title(out, "artifact");
  print(out, table);
  printPhases(m.debug.pipeline, out);
  if (m.model.slots != 0)
    printModel(m, out);
}

static void printFunction(const Entry &entry, Output &out) {
  title(out, fmt::format("function {}", entry.name));
  Table table;
  table.column("").column("name").column("type");
  for (const Binding &binding : entry.inputs)
    table.row({"input", binding.name, textOf(binding.type)});
  for (const Binding &binding : entry.outputs)
    table.row({"output", binding.name, textOf(binding.type)});
  print(out, table);
}

static void printEntries(const Artifact &artifact, Output &out) {
  const Manifest &m = artifact.manifest();
  Table steps;
  steps.column("step").column("tokens", right).column("sequences", right).column("rows", right);
  steps.column("commands", right).column("workspace", right);
  const Entry *first = nullptr;
  for (const Entry &entry : m.entries) {
    if (!entry.tokens) {
      printFunction(entry, out);
      continue;
    }
    first = first ? first : &entry;
    steps.row({entry.name, humanCount(*entry.tokens), humanCount(*entry.sequences),
               humanCount(*entry.rows), humanCount(commandCount(m, entry)),
               humanBytes(m.programs[entry.program].ranks[0].workspaceBytes)});
  }
  if (!first)
    return;
  title(out, "steps");
  print(out, steps);
  if (first->state.empty())
    return;
  Table state;
  state.column("state").column("type").column("size", right);
  for (const Binding &binding : first->state)
    state.row({binding.name, textOf(binding.type), humanBytes(byteSize(binding.type))});
  print(out, state);
}

static void printMemory(const Artifact &artifact, Output &out) {
  const Manifest &m = artifact.manifest();
  Table table;
  table.column("memory").column("size", right).column("alignment", right);
  uint64_t total = 0;
  for (const Arena &arena : m.arenas) {
    table.row({nameOf(arena.kind), humanBytes(arena.size), fmt::format("{}", arena.alignment)});
    total += arena.size;
  }
  table.row({"total", humanBytes(total)});
  print(out, table);
  if (m.model.slots != 0)
    for (const Arena &arena : m.arenas)
      if (arena.kind == ArenaKind::State)
        out.print("state of one sequence: {}\n\n", humanBytes(arena.size / m.model.slots));
  Table programs;
  programs.column("program").column("workspace", right).column("peak", right);
  programs.column("slices", right);
  for (const Program &program : m.programs) {
    const RankProgram &rank = program.ranks[0];
    programs.row({program.name, humanBytes(rank.workspaceBytes), humanBytes(rank.peakBytes),
                  humanCount(rank.slices.size())});
  }
  print(out, programs);
}

static std::string bindingsText(const Export &exported) {
  size_t written = std::count(exported.written.begin(), exported.written.end(), true);
  return fmt::format("{} ({} written)", exported.written.size(), written);
}

static std::string extentText(const std::array<uint32_t, 3> &extent) {
  std::string text = fmt::format("{}", extent[0]);
  for (size_t i = 1; i < 3 && (extent[1] > 1 || extent[2] > 1); ++i)
    text += fmt::format("x{}", extent[i]);
  return text;
}

// The kernels of a GPU: a row for each launch.
static void printDeviceKernels(const Executable &executable, Output &out) {
  Table table;
  table.column("kernel").column("launch").column("grid", right).column("block", right);
  table.column("cluster", right).column("registers", right).column("shared", right);
  table.column("spills", right).column("scratch", right);
  for (const Export &exported : executable.exports) {
    if (exported.product)
      table.row(
          {exported.name, "cuBLASLt",
           fmt::format("{}x{}x{}", exported.product->m, exported.product->n, exported.product->k),
           "", "", "", "", "", ""});
    for (const DeviceLaunch &launch : exported.launches) {
      bool first = &launch == exported.launches.data();
      table.row({first ? exported.name : "", launch.symbol + (launch.concurrent ? " (beside)" : ""),
                 launch.blocksPerProcessor ? fmt::format("{} each", launch.blocksPerProcessor)
                                           : extentText(launch.grid),
                 extentText(launch.block), extentText(launch.cluster),
                 fmt::format("{}", launch.registers),
                 humanBytes(uint64_t(launch.sharedBytes) + launch.staticSharedBytes),
                 humanBytes(launch.spillBytes), first ? humanBytes(exported.scratchBytes) : ""});
    }
  }
  print(out, table);
}

static void printKernels(const Artifact &artifact, Output &out) {
  for (const Executable &executable : artifact.manifest().executables) {
    if (executable.variants.front().kind != CodeKind::HostElf) {
      printDeviceKernels(executable, out);
      for (const Variant &variant : executable.variants)
        out.print("{}: {}\n", variant.target,
                  humanBytes(artifact.segmentBytes(variant.segment).size()));
      out.print("This is code for a GPU: it can read and write all memory that its process has "
                "there.  Run only what\nyou compiled or what a key that you trust has signed "
                "(--require-signature).\n\n");
      continue;
    }
    Table table;
    table.column("kernel").column("bindings").column("stack", right);
    std::vector<std::map<std::string, uint64_t>> sizes;
    for (const Variant &variant : executable.variants) {
      table.column(variant.target, right);
      sizes.push_back(codeSizes(artifact.segmentBytes(variant.segment)));
    }
    for (const Export &exported : executable.exports) {
      std::vector<std::string> cells = {exported.name, bindingsText(exported),
                                        humanBytes(exported.stackBytes)};
      for (const auto &target : sizes)
        cells.push_back(humanBytes(target.at(exported.name)));
      table.row(cells);
    }
    print(out, table);
    for (const Variant &variant : executable.variants)
      out.print("{} needs: {}\n", variant.target, fmt::join(variant.cpuFeatures, " "));
    out.print("This is native code: it can do what the process that loads it can.  Run only what "
              "you compiled\nor what a key that you trust has signed (--require-signature).\n\n");
  }
}

static void printParameters(const Artifact &artifact, Output &out) {
  Table table;
  table.column("parameter").column("type").column("panels", right).column("offset", right);
  table.column("size", right).column("source");
  for (const Parameter &parameter : artifact.manifest().parameters)
    table.row({parameter.name, textOf(parameter.type),
               parameter.panelRows ? fmt::format("{}", parameter.panelRows) : "",
               fmt::format("{}", parameter.offset), humanBytes(parameter.size),
               sourceText(parameter)});
  print(out, table);
}

static void printWeights(const Artifact &artifact, Output &out) {
  Table table;
  table.column("weight file").column("size", right).column("sha256");
  for (const WeightFile &file : artifact.manifest().weightFiles)
    table.row({file.name, humanBytes(file.size), toHex(file.digest)});
  print(out, table);
}

static void printAssets(const Artifact &artifact, Output &out) {
  Table table;
  table.column("asset").column("size", right).column("segment", right);
  for (const Asset &asset : artifact.manifest().assets)
    table.row({asset.name, humanBytes(artifact.segmentBytes(asset.segment).size()),
               fmt::format("{}", asset.segment)});
  print(out, table);
}

static void printSegments(const Artifact &artifact, Output &out) {
  Table table;
  table.column("segment", right).column("file offset", right).column("size", right);
  table.column("sha256");
  size_t number = 0;
  for (const Segment &segment : artifact.manifest().segments)
    table.row({fmt::format("{}", number++),
               fmt::format("{}", artifact.header().segmentsOffset + segment.offset),
               humanBytes(segment.size), toHex(segment.digest)});
  print(out, table);
}

// "slice 3 [0, 64]", without the range if it is all of the slice.
static std::string refText(const RankProgram &program, const Ref &ref) {
  const Slice &slice = program.slices[ref.slice];
  if (ref.offset == 0 && ref.size == slice.size)
    return fmt::format("{}", ref.slice);
  return fmt::format("{}[{}, {}]", ref.slice, ref.offset, ref.size);
}

static std::string commandText(const Manifest &m, const RankProgram &program, const Item &item) {
  if (auto *copy = std::get_if<Copy>(&item.command))
    return fmt::format("copy {} to {}", refText(program, copy->source),
                       refText(program, copy->target));
  const Launch &launch = std::get<Launch>(item.command);
  const Export &exported = m.executables[launch.executable].exports[launch.exportIndex];
  std::string text =
      fmt::format("{} {}x{}x{} (", exported.name, launch.grid[0], launch.grid[1], launch.grid[2]);
  for (size_t i = 0; i < launch.bindings.size(); ++i)
    text += fmt::format("{}{}{}", i ? ", " : "", exported.written[i] ? "=" : "",
                        refText(program, launch.bindings[i]));
  return text + ")";
}

static void printCommands(const Artifact &artifact, Output &out) {
  const Manifest &m = artifact.manifest();
  for (const Entry &entry : m.entries) {
    const RankProgram &program = m.programs[entry.program].ranks[0];
    title(out, fmt::format("commands of {} (slices; = is written)", entry.name));
    Table table;
    table.column("", right).column("stream", right).column("command").column("from");
    size_t number = 0;
    for (size_t s = 0; s < program.streams.size(); ++s)
      for (const Item &item : program.streams[s].items)
        table.row({fmt::format("{}", number++), fmt::format("{}", s), commandText(m, program, item),
                   item.location ? m.debug.locations[*item.location] : ""});
    print(out, table);
  }
}

void printSection(const Artifact &artifact, std::string_view section, Output &out) {
  using Printer = void (*)(const Artifact &, Output &);
  static const std::map<std::string_view, Printer> printers = {
      {"summary", printSummary},       {"entries", printEntries},   {"memory", printMemory},
      {"kernels", printKernels},       {"weights", printWeights},   {"assets", printAssets},
      {"parameters", printParameters}, {"segments", printSegments}, {"commands", printCommands}};
  printers.at(section)(artifact, out);
}

} // namespace levin::inspect
