// Sections as JSON.
#include "tools/levin-inspect/Inspect.h"

#include <algorithm>

namespace levin::inspect {

using namespace artifact;
using OrderedJson = nlohmann::ordered_json;

static OrderedJson summary(const Artifact &artifact) {
  const Manifest &m = artifact.manifest();
  OrderedJson json = {{"file", artifact.path()},
                      {"bytes", artifact.header().fileBytes},
                      {"format", {artifact.header().major, artifact.header().minor}},
                      {"identity", toHex(artifact.manifestDigest())},
                      {"compiler", m.producer.compiler}};
  if (m.producer.sourceDigest.size() == 32) {
    Digest source;
    std::copy(m.producer.sourceDigest.begin(), m.producer.sourceDigest.end(), source.begin());
    json["source"] = toHex(source);
  }
  json["options"] = OrderedJson::object();
  for (const auto &[key, value] : m.producer.options)
    json["options"][key] = value;
  json["pipeline"] = m.debug.pipeline;
  json["native_code"] = (m.features & HostCode) != 0;
  if (m.model.slots == 0)
    return json;
  json["model"] = {{"family", m.model.family},          {"layers", m.model.layers},
                   {"parameters", m.model.parameters},  {"vocabulary", m.model.vocabulary},
                   {"max_context", m.model.maxContext}, {"slots", m.model.slots},
                   {"end_tokens", m.model.endTokens}};
  if (m.model.beginToken)
    json["model"]["begin_token"] = *m.model.beginToken;
  return json;
}

static OrderedJson type(const TensorType &type) {
  return {{"dtype", nameOf(type.dtype)}, {"shape", type.shape}};
}

static OrderedJson bindings(const std::vector<Binding> &from) {
  OrderedJson json = OrderedJson::array();
  for (const Binding &binding : from)
    json.push_back({{"name", binding.name},
                    {"role", nameOf(binding.role)},
                    {"type", type(binding.type)},
                    {"slices", binding.slices}});
  return json;
}

static OrderedJson entries(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const Entry &entry : artifact.manifest().entries) {
    OrderedJson one = {{"name", entry.name}};
    if (entry.tokens)
      one.update(
          {{"tokens", *entry.tokens}, {"sequences", *entry.sequences}, {"rows", *entry.rows}});
    one.update({{"program", artifact.manifest().programs[entry.program].name},
                {"inputs", bindings(entry.inputs)},
                {"outputs", bindings(entry.outputs)},
                {"state", bindings(entry.state)},
                {"commands", commandCount(artifact.manifest(), entry)}});
    json.push_back(std::move(one));
  }
  return json;
}

static OrderedJson memory(const Artifact &artifact) {
  OrderedJson arenas = OrderedJson::array(), programs = OrderedJson::array();
  uint64_t total = 0;
  for (const Arena &arena : artifact.manifest().arenas) {
    arenas.push_back(
        {{"kind", nameOf(arena.kind)}, {"bytes", arena.size}, {"alignment", arena.alignment}});
    total += arena.size;
  }
  for (const Program &program : artifact.manifest().programs)
    programs.push_back({{"name", program.name},
                        {"workspace_bytes", program.ranks[0].workspaceBytes},
                        {"peak_bytes", program.ranks[0].peakBytes},
                        {"slices", program.ranks[0].slices.size()}});
  return {{"arenas", arenas}, {"total_bytes", total}, {"programs", programs}};
}

static OrderedJson launchJson(const DeviceLaunch &launch) {
  OrderedJson maps = OrderedJson::array();
  for (const TensorMap &map : launch.tensorMaps)
    maps.push_back({{"binding", map.binding},
                    {"type", nameOf(map.dtype)},
                    {"swizzle", map.swizzle},
                    {"offset", map.offset},
                    {"extents", map.extents},
                    {"strides", map.strides},
                    {"box", map.box}});
  return {{"symbol", launch.symbol},
          {"grid", launch.grid},
          {"block", launch.block},
          {"cluster", launch.cluster},
          {"blocks_per_processor", launch.blocksPerProcessor},
          {"shared_bytes", launch.sharedBytes},
          {"static_shared_bytes", launch.staticSharedBytes},
          {"registers", launch.registers},
          {"spill_bytes", launch.spillBytes},
          {"concurrent", launch.concurrent},
          {"programmatic", launch.programmatic},
          {"scalars", launch.scalars},
          {"tensor_maps", maps}};
}

static OrderedJson exportJson(const Export &exported) {
  OrderedJson json = {{"name", exported.name},
                      {"written", exported.written},
                      {"min_alignment", exported.minAlignment},
                      {"stack_bytes", exported.stackBytes}};
  OrderedJson launches = OrderedJson::array();
  for (const DeviceLaunch &launch : exported.launches)
    launches.push_back(launchJson(launch));
  if (!launches.empty())
    json.update({{"scratch_bytes", exported.scratchBytes}, {"launches", launches}});
  if (const auto &product = exported.product)
    json["product"] = {{"m", product->m}, {"n", product->n}, {"k", product->k}};
  return json;
}

static OrderedJson kernels(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const Executable &executable : artifact.manifest().executables) {
    OrderedJson exports = OrderedJson::array(), variants = OrderedJson::array();
    for (const Export &exported : executable.exports)
      exports.push_back(exportJson(exported));
    for (const Variant &variant : executable.variants) {
      std::span<const std::byte> code = artifact.segmentBytes(variant.segment);
      OrderedJson json = {
          {"target", variant.target}, {"segment", variant.segment}, {"bytes", code.size()}};
      if (variant.kind == CodeKind::HostElf) {
        std::map<std::string, uint64_t> all = codeSizes(code);
        OrderedJson sizes = OrderedJson::object();
        for (const Export &exported : executable.exports)
          sizes[exported.name] = all.at(exported.name);
        json.update({{"cpu_features", variant.cpuFeatures}, {"code_bytes", sizes}});
      }
      variants.push_back(std::move(json));
    }
    json.push_back({{"exports", exports}, {"variants", variants}});
  }
  return json;
}

static OrderedJson source(const Parameter &parameter) {
  if (auto *bytes = std::get_if<SegmentBytes>(&parameter.source))
    return {{"segment", bytes->segment}, {"offset", bytes->offset}, {"bytes", bytes->size}};
  const Pieces &source = std::get<Pieces>(parameter.source);
  OrderedJson pieces = OrderedJson::array();
  for (const Piece &piece : source.pieces) {
    OrderedJson one = {
        {"file", piece.file}, {"key", piece.key}, {"type", type({piece.dtype, piece.shape})}};
    if (!piece.starts.empty())
      one.update({{"starts", piece.starts}, {"sizes", piece.sizes}});
    pieces.push_back(std::move(one));
  }
  return {{"join", source.join == Join::Stack ? "stack" : "concat"}, {"pieces", pieces}};
}

static OrderedJson parameters(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const Parameter &parameter : artifact.manifest().parameters)
    json.push_back({{"name", parameter.name},
                    {"type", type(parameter.type)},
                    {"panel_rows", parameter.panelRows},
                    {"offset", parameter.offset},
                    {"bytes", parameter.size},
                    {"source", source(parameter)}});
  return json;
}

static OrderedJson weights(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const WeightFile &file : artifact.manifest().weightFiles)
    json.push_back({{"name", file.name}, {"bytes", file.size}, {"sha256", toHex(file.digest)}});
  return json;
}

static OrderedJson assets(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const Asset &asset : artifact.manifest().assets)
    json.push_back({{"name", asset.name},
                    {"bytes", artifact.segmentBytes(asset.segment).size()},
                    {"segment", asset.segment}});
  return json;
}

static OrderedJson segments(const Artifact &artifact) {
  OrderedJson json = OrderedJson::array();
  for (const Segment &segment : artifact.manifest().segments)
    json.push_back({{"file_offset", artifact.header().segmentsOffset + segment.offset},
                    {"bytes", segment.size},
                    {"sha256", toHex(segment.digest)}});
  return json;
}

static OrderedJson place(const Ref &ref) {
  return {{"slice", ref.slice}, {"offset", ref.offset}, {"bytes", ref.size}};
}

static OrderedJson command(const Manifest &m, const Item &item) {
  OrderedJson json;
  if (auto *copy = std::get_if<Copy>(&item.command)) {
    json = {{"op", "copy"}, {"source", place(copy->source)}, {"target", place(copy->target)}};
  } else {
    const Launch &launch = std::get<Launch>(item.command);
    OrderedJson refs = OrderedJson::array();
    for (const Ref &ref : launch.bindings)
      refs.push_back(place(ref));
    json = {{"op", "launch"},
            {"kernel", m.executables[launch.executable].exports[launch.exportIndex].name},
            {"grid", launch.grid},
            {"bindings", refs}};
  }
  if (item.location)
    json["location"] = m.debug.locations[*item.location];
  return json;
}

static OrderedJson commands(const Artifact &artifact) {
  const Manifest &m = artifact.manifest();
  OrderedJson json = OrderedJson::object();
  for (const Entry &entry : m.entries) {
    const RankProgram &program = m.programs[entry.program].ranks[0];
    OrderedJson slices = OrderedJson::array(), streams = OrderedJson::array();
    for (const Slice &slice : program.slices)
      slices.push_back({{"arena", nameOf(m.arenas[slice.arena].kind)},
                        {"offset", slice.offset},
                        {"bytes", slice.size},
                        {"live", {slice.firstCommand, slice.lastCommand}}});
    for (const Stream &stream : program.streams) {
      OrderedJson items = OrderedJson::array();
      for (const Item &item : stream.items)
        items.push_back(command(m, item));
      streams.push_back(std::move(items));
    }
    json[entry.name] = {{"slices", slices}, {"streams", streams}};
  }
  return json;
}

OrderedJson sectionAsJson(const Artifact &artifact, std::string_view section) {
  using Maker = OrderedJson (*)(const Artifact &);
  static const std::map<std::string_view, Maker> makers = {
      {"summary", summary}, {"entries", entries},       {"memory", memory},
      {"kernels", kernels}, {"parameters", parameters}, {"weights", weights},
      {"assets", assets},   {"segments", segments},     {"commands", commands}};
  return makers.at(section)(artifact);
}

} // namespace levin::inspect
