#include "runtime/artifact/ReadManifest.h"

#include "runtime/artifact/Limits.h"
#include "runtime/artifact/Path.h"
#include "runtime/artifact/artifact_generated.h"

#include <algorithm>

namespace levin::artifact {

namespace {

// The verifier of flatbuffers 2.0 does not look at how the elements of a vector, or structs, are
// aligned, and reading them where they are not is undefined.
template <typename T> Status checkAligned(const T *data, const Path &path) {
  if (reinterpret_cast<uintptr_t>(data) % alignof(T) == 0)
    return {};
  return path.refuse(ErrorCode::ArtifactManifest, "the manifest is not aligned")
      .note("have", fmt::format("address {} modulo 64", reinterpret_cast<uintptr_t>(data) % 64))
      .note("need", fmt::format("a multiple of {}", alignof(T)));
}

// A flatbuffer may refer to one table from many places, and a small file then stands for structs
// without end.  The writer shares nothing, so that all that is read, counted at each visit, takes
// at most the bytes of the file; a reader that has read more stops.
class Reader {
public:
  explicit Reader(uint64_t bytes) : budget(bytes) {}

  Status read(const fb::Manifest &from, Manifest &to);

private:
  Status spend(uint64_t bytes, const Path &path);

  // Tables, each by the overload of read() for its type.
  template <typename Table, typename Struct>
  Status readAll(const flatbuffers::Vector<flatbuffers::Offset<Table>> *from,
                 std::vector<Struct> &to, const Path &parent, const char *field);
  // Numbers.
  template <typename From, typename To>
  Status readAll(const flatbuffers::Vector<From> *from, std::vector<To> &to, const Path &path);
  Status readText(const flatbuffers::String *from, std::string &to, const Path &path);

  Status read(const fb::Option &from, std::pair<std::string, std::string> &to, const Path &path);
  Status read(const fb::WeightFile &from, WeightFile &to, const Path &path);
  Status read(const fb::Asset &from, Asset &to, const Path &path);
  Status read(const fb::TensorType &from, TensorType &to, const Path &path);
  Status read(const fb::Piece &from, Piece &to, const Path &path);
  Status read(const fb::Parameter &from, Parameter &to, const Path &path);
  Status read(const fb::TensorMap &from, TensorMap &to, const Path &path);
  Status read(const fb::DeviceLaunch &from, DeviceLaunch &to, const Path &path);
  Status read(const fb::Export &from, Export &to, const Path &path);
  Status read(const fb::CpuFeature &from, std::string &to, const Path &path);
  Status read(const fb::Variant &from, Variant &to, const Path &path);
  Status read(const fb::Executable &from, Executable &to, const Path &path);
  Status read(const fb::Arena &from, Arena &to, const Path &path);
  Status read(const fb::Item &from, Item &to, const Path &path);
  Status read(const fb::Stream &from, Stream &to, const Path &path);
  Status read(const fb::RankProgram &from, RankProgram &to, const Path &path);
  Status read(const fb::Program &from, Program &to, const Path &path);
  Status read(const fb::Binding &from, Binding &to, const Path &path);
  Status read(const fb::Entry &from, Entry &to, const Path &path);
  // The elements of a vector of structs.
  template <typename T>
  Result<std::span<const T>> structs(const flatbuffers::Vector<const T *> *from, const Path &path);
  Status readRef(const fb::Ref &from, Ref &to, const Path &path);
  Status readSegments(const fb::Manifest &from, Manifest &to);
  Status readProducer(const fb::Producer *from, Producer &to);
  Status readModel(const fb::Model *from, Model &to);
  Status readDebug(const fb::Debug *from, Debug &to);

  uint64_t budget;
};

Status Reader::spend(uint64_t bytes, const Path &path) {
  if (bytes > budget)
    return path.refuse(ErrorCode::ArtifactLimit, "the manifest uses the same bytes many times")
        .note("need", "fields that share nothing");
  budget -= bytes;
  return {};
}

template <typename Table, typename Struct>
Status Reader::readAll(const flatbuffers::Vector<flatbuffers::Offset<Table>> *from,
                       std::vector<Struct> &to, const Path &parent, const char *field) {
  uint32_t count = from ? from->size() : 0;
  // An element takes 4 bytes for its offset and 4 for the table's own head.
  LEVIN_RETURN_IF_ERROR(spend(uint64_t(8) * count, Path(parent, field)));
  to.resize(count);
  for (uint32_t i = 0; i < count; ++i)
    LEVIN_RETURN_IF_ERROR(read(*from->Get(i), to[i], Path(parent, field, i)));
  return {};
}

template <typename From, typename To>
Status Reader::readAll(const flatbuffers::Vector<From> *from, std::vector<To> &to,
                       const Path &path) {
  if (!from || from->size() == 0) // the writer does not align what is empty
    return {};
  LEVIN_RETURN_IF_ERROR(spend(uint64_t(from->size()) * sizeof(From), path));
  LEVIN_RETURN_IF_ERROR(checkAligned(reinterpret_cast<const From *>(from->Data()), path));
  to.assign(from->begin(), from->end());
  return {};
}

template <typename T>
Result<std::span<const T>> Reader::structs(const flatbuffers::Vector<const T *> *from,
                                           const Path &path) {
  if (!from || from->size() == 0)
    return std::span<const T>();
  LEVIN_RETURN_IF_ERROR(spend(uint64_t(from->size()) * sizeof(T), path));
  auto *data = reinterpret_cast<const T *>(from->Data());
  LEVIN_RETURN_IF_ERROR(checkAligned(data, path));
  return std::span<const T>(data, from->size());
}

Status Reader::readText(const flatbuffers::String *from, std::string &to, const Path &path) {
  if (!from)
    return {};
  LEVIN_RETURN_IF_ERROR(spend(uint64_t(from->size()) + 1, path));
  to.assign(from->c_str(), from->size());
  return {};
}

static void copyDigest(const fb::Digest &from, Digest &to) {
  std::copy(from.bytes()->begin(), from.bytes()->end(), to.begin());
}

static Status refuseZero(uint32_t found, const Path &path) {
  if (found == 0)
    return {};
  return path.refuse(ErrorCode::ArtifactEnum, "padding is not zero")
      .note("have", fmt::format("{:#x}", found))
      .note("need", "0");
}

template <typename T> static std::optional<T> optionalOf(flatbuffers::Optional<T> from) {
  return from.has_value() ? std::optional<T>(*from) : std::nullopt;
}

// --- files and types -----------------------------------------------------------------------------

Status Reader::read(const fb::Option &from, std::pair<std::string, std::string> &to,
                    const Path &path) {
  LEVIN_RETURN_IF_ERROR(readText(from.key(), to.first, path));
  return readText(from.value(), to.second, path);
}

Status Reader::read(const fb::WeightFile &from, WeightFile &to, const Path &path) {
  to.size = from.size();
  copyDigest(*from.digest(), to.digest);
  return readText(from.name(), to.name, path);
}

Status Reader::read(const fb::Asset &from, Asset &to, const Path &path) {
  to.segment = from.segment();
  return readText(from.name(), to.name, path);
}

Status Reader::read(const fb::TensorType &from, TensorType &to, const Path &path) {
  to.dtype = static_cast<DType>(from.dtype());
  return readAll(from.shape(), to.shape, path);
}

Status Reader::readSegments(const fb::Manifest &from, Manifest &to) {
  LEVIN_ASSIGN_OR_RETURN(auto segments, structs(from.segments(), Path("segments")));
  to.segments.reserve(segments.size());
  for (const fb::Segment &segment : segments) {
    LEVIN_RETURN_IF_ERROR(refuseZero(segment.zero(), Path("segments", to.segments.size())));
    to.segments.push_back({segment.offset(), segment.size(), segment.alignment(), {}});
    copyDigest(segment.digest(), to.segments.back().digest);
  }
  return {};
}

// --- parameters ----------------------------------------------------------------------------------

Status Reader::read(const fb::Piece &from, Piece &to, const Path &path) {
  to.file = from.file();
  to.dtype = static_cast<DType>(from.dtype());
  LEVIN_RETURN_IF_ERROR(readText(from.key(), to.key, path));
  LEVIN_RETURN_IF_ERROR(readAll(from.shape(), to.shape, path));
  LEVIN_RETURN_IF_ERROR(readAll(from.starts(), to.starts, path));
  return readAll(from.sizes(), to.sizes, path);
}

Status Reader::read(const fb::Parameter &from, Parameter &to, const Path &path) {
  LEVIN_RETURN_IF_ERROR(readText(from.name(), to.name, path));
  LEVIN_RETURN_IF_ERROR(read(*from.type(), to.type, Path(path, "type")));
  to.panelRows = from.panel_rows();
  to.offset = from.offset();
  to.size = from.size();
  if (const fb::Pieces *pieces = from.source_as_Pieces()) {
    Pieces &source = to.source.emplace<Pieces>();
    source.join = static_cast<Join>(pieces->join());
    return readAll(pieces->pieces(), source.pieces, Path(path, "source"), "pieces");
  }
  if (const fb::SegmentBytes *bytes = from.source_as_SegmentBytes()) {
    to.source = SegmentBytes{bytes->segment(), bytes->offset(), bytes->size()};
    return {};
  }
  return Path(path, "source")
      .refuse(ErrorCode::ArtifactEnum, "the kind of source is unknown")
      .note("have", fmt::format("{}", static_cast<int>(from.source_type())))
      .note("need", fmt::format("1 to {}", static_cast<int>(fb::Source::MAX)));
}

// --- kernels and memory --------------------------------------------------------------------------

Status Reader::read(const fb::TensorMap &from, TensorMap &to, const Path &path) {
  to.binding = from.binding();
  to.dtype = static_cast<DType>(from.dtype());
  to.swizzle = from.swizzle();
  to.offset = from.offset();
  LEVIN_RETURN_IF_ERROR(readAll(from.extents(), to.extents, path));
  LEVIN_RETURN_IF_ERROR(readAll(from.strides(), to.strides, path));
  return readAll(from.box(), to.box, path);
}

static Status readExtent(const fb::Extent &from, std::array<uint32_t, 3> &to, const Path &path) {
  LEVIN_RETURN_IF_ERROR(checkAligned(&from, path));
  to = {from.x(), from.y(), from.z()};
  return {};
}

Status Reader::read(const fb::DeviceLaunch &from, DeviceLaunch &to, const Path &path) {
  LEVIN_RETURN_IF_ERROR(readText(from.symbol(), to.symbol, path));
  LEVIN_RETURN_IF_ERROR(readExtent(*from.grid(), to.grid, Path(path, "grid")));
  LEVIN_RETURN_IF_ERROR(readExtent(*from.block(), to.block, Path(path, "block")));
  LEVIN_RETURN_IF_ERROR(readExtent(*from.cluster(), to.cluster, Path(path, "cluster")));
  to.blocksPerProcessor = from.blocks_per_processor();
  to.sharedBytes = from.shared_bytes();
  to.concurrent = from.concurrent();
  to.programmatic = from.programmatic();
  to.registers = from.registers();
  to.staticSharedBytes = from.static_shared_bytes();
  to.spillBytes = from.spill_bytes();
  LEVIN_RETURN_IF_ERROR(readAll(from.scalars(), to.scalars, path));
  return readAll(from.tensor_maps(), to.tensorMaps, path, "tensor_maps");
}

Status Reader::read(const fb::Export &from, Export &to, const Path &path) {
  to.minAlignment = from.min_alignment();
  to.stackBytes = from.stack_bytes();
  LEVIN_RETURN_IF_ERROR(readText(from.name(), to.name, path));
  LEVIN_RETURN_IF_ERROR(spend(from.written()->size(), path));
  LEVIN_RETURN_IF_ERROR(readAll(from.launches(), to.launches, path, "launches"));
  to.scratchBytes = from.scratch_bytes();
  if (const fb::LibraryProduct *product = from.product())
    to.product = {product->m(),
                  product->n(),
                  product->k(),
                  product->input(),
                  product->weight(),
                  product->output(),
                  static_cast<DType>(product->input_type()),
                  static_cast<DType>(product->weight_type()),
                  static_cast<DType>(product->output_type())};
  to.written.reserve(from.written()->size());
  for (uint8_t written : *from.written()) {
    if (written > 1)
      return Path(path, "written", to.written.size())
          .refuse(ErrorCode::ArtifactEnum, "{} is no truth value", written)
          .note("need", "0 or 1");
    to.written.push_back(written == 1);
  }
  return {};
}

Status Reader::read(const fb::CpuFeature &from, std::string &to, const Path &path) {
  return readText(from.name(), to, path);
}

Status Reader::read(const fb::Variant &from, Variant &to, const Path &path) {
  to.kind = static_cast<CodeKind>(from.kind());
  to.segment = from.segment();
  LEVIN_RETURN_IF_ERROR(readText(from.target(), to.target, path));
  return readAll(from.cpu_features(), to.cpuFeatures, path, "cpu_features");
}

Status Reader::read(const fb::Executable &from, Executable &to, const Path &path) {
  LEVIN_RETURN_IF_ERROR(readAll(from.exports(), to.exports, path, "exports"));
  return readAll(from.variants(), to.variants, path, "variants");
}

Status Reader::read(const fb::Arena &from, Arena &to, const Path &path) {
  to = {static_cast<ArenaKind>(from.kind()), from.size(), from.alignment()};
  return {};
}

// --- programs ------------------------------------------------------------------------------------

Status Reader::readRef(const fb::Ref &from, Ref &to, const Path &path) {
  to = {from.offset(), from.size(), from.slice()};
  return refuseZero(from.zero(), path);
}

Status Reader::read(const fb::Item &from, Item &to, const Path &path) {
  to.location = optionalOf(from.location());
  if (const fb::Launch *launch = from.command_as_Launch()) {
    Launch &command = to.command.emplace<Launch>();
    command.executable = launch->executable();
    command.exportIndex = launch->export_index();
    if (launch->grid()->size() != command.grid.size())
      return Path(path, "grid")
          .refuse(ErrorCode::ArtifactLaunch, "the grid has {} extents", launch->grid()->size())
          .note("have", fmt::format("{}", launch->grid()->size()))
          .note("need", fmt::format("{}", command.grid.size()));
    std::copy(launch->grid()->begin(), launch->grid()->end(), command.grid.begin());
    LEVIN_ASSIGN_OR_RETURN(auto bindings, structs(launch->bindings(), Path(path, "bindings")));
    command.bindings.resize(bindings.size());
    for (size_t i = 0; i < bindings.size(); ++i)
      LEVIN_RETURN_IF_ERROR(readRef(bindings[i], command.bindings[i], Path(path, "bindings", i)));
    return {};
  }
  if (const fb::Copy *copy = from.command_as_Copy()) {
    Copy &command = to.command.emplace<Copy>();
    LEVIN_RETURN_IF_ERROR(checkAligned(copy->source(), Path(path, "source")));
    LEVIN_RETURN_IF_ERROR(checkAligned(copy->target(), Path(path, "target")));
    LEVIN_RETURN_IF_ERROR(readRef(*copy->source(), command.source, Path(path, "source")));
    return readRef(*copy->target(), command.target, Path(path, "target"));
  }
  return Path(path, "command")
      .refuse(ErrorCode::ArtifactEnum, "the kind of command is unknown")
      .note("have", fmt::format("{}", static_cast<int>(from.command_type())))
      .note("need", fmt::format("1 to {}", static_cast<int>(fb::Command::MAX)));
}

Status Reader::read(const fb::Stream &from, Stream &to, const Path &path) {
  return readAll(from.items(), to.items, path, "items");
}

Status Reader::read(const fb::RankProgram &from, RankProgram &to, const Path &path) {
  to.workspaceBytes = from.workspace_bytes();
  to.peakBytes = from.peak_bytes();
  to.orderHash = from.order_hash();
  LEVIN_ASSIGN_OR_RETURN(auto slices, structs(from.slices(), Path(path, "slices")));
  to.slices.reserve(slices.size());
  for (const fb::Slice &slice : slices) {
    LEVIN_RETURN_IF_ERROR(refuseZero(slice.zero(), Path(path, "slices", to.slices.size())));
    to.slices.push_back(
        {slice.offset(), slice.size(), slice.arena(), slice.first_command(), slice.last_command()});
  }
  return readAll(from.streams(), to.streams, path, "streams");
}

Status Reader::read(const fb::Program &from, Program &to, const Path &path) {
  LEVIN_RETURN_IF_ERROR(readText(from.name(), to.name, path));
  return readAll(from.ranks(), to.ranks, path, "ranks");
}

// --- entries -------------------------------------------------------------------------------------

Status Reader::read(const fb::Binding &from, Binding &to, const Path &path) {
  to.role = static_cast<Role>(from.role());
  LEVIN_RETURN_IF_ERROR(readText(from.name(), to.name, path));
  LEVIN_RETURN_IF_ERROR(read(*from.type(), to.type, Path(path, "type")));
  return readAll(from.slices(), to.slices, path);
}

Status Reader::read(const fb::Entry &from, Entry &to, const Path &path) {
  to.program = from.program();
  to.tokens = optionalOf(from.tokens());
  to.sequences = optionalOf(from.sequences());
  to.rows = optionalOf(from.rows());
  LEVIN_RETURN_IF_ERROR(readText(from.name(), to.name, path));
  LEVIN_RETURN_IF_ERROR(readAll(from.inputs(), to.inputs, path, "inputs"));
  LEVIN_RETURN_IF_ERROR(readAll(from.outputs(), to.outputs, path, "outputs"));
  return readAll(from.state(), to.state, path, "state");
}

Status Reader::readProducer(const fb::Producer *from, Producer &to) {
  if (!from)
    return {};
  Path path("producer");
  LEVIN_RETURN_IF_ERROR(readText(from->compiler(), to.compiler, path));
  LEVIN_RETURN_IF_ERROR(readAll(from->source_digest(), to.sourceDigest, path));
  return readAll(from->options(), to.options, path, "options");
}

Status Reader::readModel(const fb::Model *from, Model &to) {
  if (!from)
    return {};
  Path path("model");
  to.vocabulary = from->vocabulary();
  to.slots = from->slots();
  to.maxContext = from->max_context();
  to.beginToken = optionalOf(from->begin_token());
  to.layers = from->layers();
  to.parameters = from->parameters();
  to.pages = from->pages();
  to.pageTokens = from->page_tokens();
  LEVIN_RETURN_IF_ERROR(readText(from->family(), to.family, path));
  return readAll(from->end_tokens(), to.endTokens, path);
}

Status Reader::readDebug(const fb::Debug *from, Debug &to) {
  if (!from)
    return {};
  Path path("debug");
  uint32_t count = from->locations() ? from->locations()->size() : 0;
  LEVIN_RETURN_IF_ERROR(spend(uint64_t(8) * count, path));
  to.locations.resize(count);
  for (uint32_t i = 0; i < count; ++i)
    LEVIN_RETURN_IF_ERROR(readText(from->locations()->Get(i), to.locations[i], path));
  return readText(from->pipeline(), to.pipeline, path);
}

Status Reader::read(const fb::Manifest &from, Manifest &to) {
  LEVIN_RETURN_IF_ERROR(checkAligned(from.version(), Path("version")));
  uint16_t major = from.version()->major(), minor = from.version()->minor();
  if (major != formatMajor)
    return Path("version")
        .refuse(ErrorCode::ArtifactVersion, "the manifest is of another format than its header")
        .note("have", fmt::format("format {}.{}", major, minor))
        .note("need", fmt::format("format {}.x", formatMajor));
  to.features = static_cast<uint64_t>(from.features());
  to.worldSize = from.world_size();
  LEVIN_RETURN_IF_ERROR(readProducer(from.producer(), to.producer));
  LEVIN_RETURN_IF_ERROR(readSegments(from, to));
  // Paths of top-level tables have no parent; readAll() would make one.
  auto readTables = [&](const auto *tables, auto &out, const char *field) -> Status {
    uint32_t count = tables ? tables->size() : 0;
    LEVIN_RETURN_IF_ERROR(spend(uint64_t(8) * count, Path(field)));
    out.resize(count);
    for (uint32_t i = 0; i < count; ++i)
      LEVIN_RETURN_IF_ERROR(read(*tables->Get(i), out[i], Path(field, i)));
    return {};
  };
  LEVIN_RETURN_IF_ERROR(readTables(from.weight_files(), to.weightFiles, "weight_files"));
  LEVIN_RETURN_IF_ERROR(readTables(from.assets(), to.assets, "assets"));
  LEVIN_RETURN_IF_ERROR(readTables(from.parameters(), to.parameters, "parameters"));
  LEVIN_RETURN_IF_ERROR(readTables(from.executables(), to.executables, "executables"));
  LEVIN_RETURN_IF_ERROR(readTables(from.arenas(), to.arenas, "arenas"));
  LEVIN_RETURN_IF_ERROR(readTables(from.programs(), to.programs, "programs"));
  LEVIN_RETURN_IF_ERROR(readTables(from.entries(), to.entries, "entries"));
  LEVIN_RETURN_IF_ERROR(readModel(from.model(), to.model));
  return readDebug(from.debug(), to.debug);
}

} // namespace

Result<Manifest> readManifest(std::span<const uint8_t> bytes) {
  flatbuffers::Verifier verifier(bytes.data(), bytes.size(), limits::depth, limits::tables,
                                 /*check_alignment=*/true);
  if (bytes.size() > limits::manifestBytes || !fb::VerifyManifestBuffer(verifier))
    return makeError(ErrorCode::ArtifactManifest, "the manifest is no valid flatbuffer")
        .note("have", fmt::format("{} bytes that match their digest", bytes.size()))
        .note("need", fmt::format("a '{}' of schema {}.{}", fb::ManifestIdentifier(), formatMajor,
                                  formatMinor))
        .note("fix", "compile the model again");
  Manifest manifest;
  LEVIN_RETURN_IF_ERROR(Reader(bytes.size()).read(*fb::GetManifest(bytes.data()), manifest));
  return manifest;
}

} // namespace levin::artifact
