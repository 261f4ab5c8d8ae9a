#include "runtime/artifact/WriteManifest.h"

#include "runtime/artifact/artifact_generated.h"

namespace levin::artifact {

namespace {

template <typename T>
using Tables = flatbuffers::Offset<flatbuffers::Vector<flatbuffers::Offset<T>>>;

// From plain structs to the flatbuffer.  Nothing is shared, and children are written in the order
// of the structs, so equal manifests give equal bytes.
class Writer {
public:
  std::string finish(const Manifest &from);

private:
  template <typename Struct> auto writeAll(const std::vector<Struct> &from) {
    std::vector<decltype(write(from.front()))> tables;
    tables.reserve(from.size());
    for (const Struct &element : from)
      tables.push_back(write(element));
    return builder.CreateVector(tables);
  }
  template <typename T> auto numbers(const std::vector<T> &from) {
    return builder.CreateVector(from);
  }
  auto text(const std::string &from) { return builder.CreateString(from); }

  flatbuffers::Offset<fb::Option> write(const std::pair<std::string, std::string> &from);
  flatbuffers::Offset<fb::WeightFile> write(const WeightFile &from);
  flatbuffers::Offset<fb::Asset> write(const Asset &from);
  flatbuffers::Offset<fb::TensorType> write(const TensorType &from);
  flatbuffers::Offset<fb::Piece> write(const Piece &from);
  flatbuffers::Offset<fb::Parameter> write(const Parameter &from);
  flatbuffers::Offset<fb::TensorMap> write(const TensorMap &from);
  flatbuffers::Offset<fb::DeviceLaunch> write(const DeviceLaunch &from);
  flatbuffers::Offset<fb::LibraryProduct> write(const LibraryProduct &from);
  flatbuffers::Offset<fb::Export> write(const Export &from);
  flatbuffers::Offset<fb::CpuFeature> write(const std::string &from);
  flatbuffers::Offset<fb::Variant> write(const Variant &from);
  flatbuffers::Offset<fb::Executable> write(const Executable &from);
  flatbuffers::Offset<fb::Arena> write(const Arena &from);
  flatbuffers::Offset<void> write(const Launch &from);
  flatbuffers::Offset<fb::Item> write(const Item &from);
  flatbuffers::Offset<fb::Stream> write(const Stream &from);
  flatbuffers::Offset<fb::RankProgram> write(const RankProgram &from);
  flatbuffers::Offset<fb::Program> write(const Program &from);
  flatbuffers::Offset<fb::Binding> write(const Binding &from);
  flatbuffers::Offset<fb::Entry> write(const Entry &from);
  flatbuffers::Offset<fb::Producer> write(const Producer &from);
  flatbuffers::Offset<fb::Model> write(const Model &from);
  flatbuffers::Offset<fb::Debug> write(const Debug &from);

  flatbuffers::FlatBufferBuilder builder;
};

fb::Digest toDigest(const Digest &from) {
  return fb::Digest(flatbuffers::span<const uint8_t, 32>(from.data(), from.size()));
}

fb::Ref toRef(const Ref &from) { return fb::Ref(from.offset, from.size, from.slice, 0); }

fb::Extent toExtent(const std::array<uint32_t, 3> &from) {
  return fb::Extent(from[0], from[1], from[2]);
}

template <typename T> flatbuffers::Optional<T> toOptional(const std::optional<T> &from) {
  return from ? flatbuffers::Optional<T>(*from) : flatbuffers::nullopt;
}

// --- files and types -----------------------------------------------------------------------------

flatbuffers::Offset<fb::Option> Writer::write(const std::pair<std::string, std::string> &from) {
  auto key = text(from.first), value = text(from.second);
  return fb::CreateOption(builder, key, value);
}

flatbuffers::Offset<fb::WeightFile> Writer::write(const WeightFile &from) {
  auto name = text(from.name);
  fb::Digest digest = toDigest(from.digest);
  return fb::CreateWeightFile(builder, name, from.size, &digest);
}

flatbuffers::Offset<fb::Asset> Writer::write(const Asset &from) {
  auto name = text(from.name);
  return fb::CreateAsset(builder, name, from.segment);
}

flatbuffers::Offset<fb::TensorType> Writer::write(const TensorType &from) {
  auto shape = numbers(from.shape);
  return fb::CreateTensorType(builder, static_cast<fb::DType>(from.dtype), shape);
}

// --- parameters ----------------------------------------------------------------------------------

flatbuffers::Offset<fb::Piece> Writer::write(const Piece &from) {
  auto key = text(from.key);
  auto shape = numbers(from.shape), starts = numbers(from.starts), sizes = numbers(from.sizes);
  return fb::CreatePiece(builder, from.file, key, static_cast<fb::DType>(from.dtype), shape, starts,
                         sizes);
}

flatbuffers::Offset<fb::Parameter> Writer::write(const Parameter &from) {
  auto name = text(from.name);
  auto type = write(from.type);
  flatbuffers::Offset<void> source;
  fb::Source kind;
  if (auto *pieces = std::get_if<Pieces>(&from.source)) {
    kind = fb::Source::Pieces;
    auto all = writeAll(pieces->pieces);
    source = fb::CreatePieces(builder, static_cast<fb::Join>(pieces->join), all).Union();
  } else {
    kind = fb::Source::SegmentBytes;
    const SegmentBytes &bytes = std::get<SegmentBytes>(from.source);
    source = fb::CreateSegmentBytes(builder, bytes.segment, bytes.offset, bytes.size).Union();
  }
  return fb::CreateParameter(builder, name, type, kind, source, from.panelRows, from.offset,
                             from.size);
}

// --- kernels and memory --------------------------------------------------------------------------

flatbuffers::Offset<fb::TensorMap> Writer::write(const TensorMap &from) {
  auto extents = numbers(from.extents), strides = numbers(from.strides);
  auto box = numbers(from.box);
  return fb::CreateTensorMap(builder, from.binding, static_cast<fb::DType>(from.dtype),
                             from.swizzle, from.offset, extents, strides, box);
}

flatbuffers::Offset<fb::DeviceLaunch> Writer::write(const DeviceLaunch &from) {
  auto symbol = text(from.symbol);
  auto scalars = numbers(from.scalars);
  auto maps = writeAll(from.tensorMaps);
  fb::Extent grid = toExtent(from.grid), block = toExtent(from.block),
             cluster = toExtent(from.cluster);
  return fb::CreateDeviceLaunch(builder, symbol, &grid, &block, &cluster, from.blocksPerProcessor,
                                from.sharedBytes, scalars, maps, from.concurrent, from.programmatic,
                                from.registers, from.staticSharedBytes, from.spillBytes);
}

flatbuffers::Offset<fb::LibraryProduct> Writer::write(const LibraryProduct &from) {
  return fb::CreateLibraryProduct(builder, from.m, from.n, from.k, from.input, from.weight,
                                  from.output, static_cast<fb::DType>(from.inputType),
                                  static_cast<fb::DType>(from.weightType),
                                  static_cast<fb::DType>(from.outputType));
}

flatbuffers::Offset<fb::Export> Writer::write(const Export &from) {
  auto name = text(from.name);
  auto written = builder.CreateVector(from.written);
  auto launches = writeAll(from.launches);
  flatbuffers::Offset<fb::LibraryProduct> product;
  if (from.product)
    product = write(*from.product);
  return fb::CreateExport(builder, name, written, from.minAlignment, from.stackBytes, launches,
                          from.scratchBytes, product);
}

flatbuffers::Offset<fb::CpuFeature> Writer::write(const std::string &from) {
  auto name = text(from);
  return fb::CreateCpuFeature(builder, name);
}

flatbuffers::Offset<fb::Variant> Writer::write(const Variant &from) {
  auto target = text(from.target);
  auto features = writeAll(from.cpuFeatures);
  return fb::CreateVariant(builder, target, static_cast<fb::CodeKind>(from.kind), from.segment,
                           features);
}

flatbuffers::Offset<fb::Executable> Writer::write(const Executable &from) {
  auto exports = writeAll(from.exports);
  auto variants = writeAll(from.variants);
  return fb::CreateExecutable(builder, exports, variants);
}

flatbuffers::Offset<fb::Arena> Writer::write(const Arena &from) {
  return fb::CreateArena(builder, static_cast<fb::ArenaKind>(from.kind), from.size, from.alignment);
}

// --- programs ------------------------------------------------------------------------------------

flatbuffers::Offset<void> Writer::write(const Launch &from) {
  auto grid = builder.CreateVector(from.grid.data(), from.grid.size());
  std::vector<fb::Ref> refs;
  refs.reserve(from.bindings.size());
  for (const Ref &ref : from.bindings)
    refs.push_back(toRef(ref));
  auto bindings = builder.CreateVectorOfStructs(refs);
  return fb::CreateLaunch(builder, from.executable, from.exportIndex, grid, bindings).Union();
}

flatbuffers::Offset<fb::Item> Writer::write(const Item &from) {
  flatbuffers::Offset<void> command;
  fb::Command kind;
  if (auto *launch = std::get_if<Launch>(&from.command)) {
    kind = fb::Command::Launch;
    command = write(*launch);
  } else {
    kind = fb::Command::Copy;
    const Copy &copy = std::get<Copy>(from.command);
    fb::Ref source = toRef(copy.source), target = toRef(copy.target);
    command = fb::CreateCopy(builder, &source, &target).Union();
  }
  return fb::CreateItem(builder, kind, command, toOptional(from.location));
}

flatbuffers::Offset<fb::Stream> Writer::write(const Stream &from) {
  auto items = writeAll(from.items);
  return fb::CreateStream(builder, items);
}

flatbuffers::Offset<fb::RankProgram> Writer::write(const RankProgram &from) {
  auto streams = writeAll(from.streams);
  std::vector<fb::Slice> all;
  all.reserve(from.slices.size());
  for (const Slice &slice : from.slices)
    all.emplace_back(slice.offset, slice.size, slice.arena, slice.firstCommand, slice.lastCommand,
                     0);
  auto slices = builder.CreateVectorOfStructs(all);
  return fb::CreateRankProgram(builder, streams, slices, from.workspaceBytes, from.peakBytes,
                               from.orderHash);
}

flatbuffers::Offset<fb::Program> Writer::write(const Program &from) {
  auto name = text(from.name);
  auto ranks = writeAll(from.ranks);
  return fb::CreateProgram(builder, name, ranks);
}

// --- entries -------------------------------------------------------------------------------------

flatbuffers::Offset<fb::Binding> Writer::write(const Binding &from) {
  auto name = text(from.name);
  auto type = write(from.type);
  auto slices = numbers(from.slices);
  return fb::CreateBinding(builder, name, static_cast<fb::Role>(from.role), type, slices);
}

flatbuffers::Offset<fb::Entry> Writer::write(const Entry &from) {
  auto name = text(from.name);
  auto inputs = writeAll(from.inputs), outputs = writeAll(from.outputs),
       state = writeAll(from.state);
  return fb::CreateEntry(builder, name, from.program, toOptional(from.tokens),
                         toOptional(from.sequences), toOptional(from.rows), inputs, outputs, state);
}

flatbuffers::Offset<fb::Producer> Writer::write(const Producer &from) {
  auto compiler = text(from.compiler);
  auto digest = numbers(from.sourceDigest);
  auto options = writeAll(from.options);
  return fb::CreateProducer(builder, compiler, digest, options);
}

flatbuffers::Offset<fb::Model> Writer::write(const Model &from) {
  auto family = text(from.family);
  auto endTokens = numbers(from.endTokens);
  return fb::CreateModel(builder, family, from.vocabulary, from.slots, from.maxContext,
                         toOptional(from.beginToken), endTokens, from.layers, from.parameters,
                         from.pages, from.pageTokens);
}

flatbuffers::Offset<fb::Debug> Writer::write(const Debug &from) {
  std::vector<flatbuffers::Offset<flatbuffers::String>> all;
  for (const std::string &location : from.locations)
    all.push_back(text(location));
  auto locations = builder.CreateVector(all);
  auto pipeline = text(from.pipeline);
  return fb::CreateDebug(builder, locations, pipeline);
}

std::string Writer::finish(const Manifest &from) {
  std::vector<fb::Segment> all;
  all.reserve(from.segments.size());
  for (const Segment &segment : from.segments)
    all.emplace_back(segment.offset, segment.size, segment.alignment, 0, toDigest(segment.digest));
  auto producer = write(from.producer);
  auto segments = builder.CreateVectorOfStructs(all);
  auto weightFiles = writeAll(from.weightFiles);
  auto assets = writeAll(from.assets);
  auto parameters = writeAll(from.parameters);
  auto executables = writeAll(from.executables);
  auto arenas = writeAll(from.arenas);
  auto programs = writeAll(from.programs);
  auto entries = writeAll(from.entries);
  auto model = write(from.model);
  auto debug = write(from.debug);
  fb::Version version(formatMajor, formatMinor);
  fb::FinishManifestBuffer(builder, fb::CreateManifest(builder, &version,
                                                       static_cast<fb::Feature>(from.features),
                                                       producer, from.worldSize, segments,
                                                       weightFiles, assets, parameters, executables,
                                                       arenas, programs, entries, model, debug));
  return std::string(reinterpret_cast<const char *>(builder.GetBufferPointer()), builder.GetSize());
}

} // namespace

std::string encodeManifest(const Manifest &manifest) { return Writer().finish(manifest); }

} // namespace levin::artifact
