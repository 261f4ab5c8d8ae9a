// The manifest of an artifact as plain structs.
//
// The compiler fills them and write() stores them; read() fills them again after every check, and
// execution uses nothing else.  artifact.fbs is the same on disk; docs/artifact.md describes it.
#ifndef LEVIN_RUNTIME_ARTIFACT_MANIFEST_H
#define LEVIN_RUNTIME_ARTIFACT_MANIFEST_H

#include "runtime/base/Digest.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace levin::artifact {

inline constexpr uint16_t formatMajor = 1, formatMinor = 0;

/// What a reader must have (bits).
enum Feature : uint64_t { HostCode = 1, ExternalWeights = 2, CudaCode = 4 };
inline constexpr uint64_t knownFeatures = HostCode | ExternalWeights | CudaCode;

enum class DType : uint8_t {
  Invalid,
  I1,
  I8,
  U8,
  I16,
  I32,
  I64,
  U64,
  F16,
  BF16,
  F32,
  F64,
  F8E4M3 // finite: no infinities, one NaN of each sign
};
/// Bytes of one element (I1 takes one); 0 for Invalid.
uint64_t byteSize(DType type);
/// "f32" and so on, as MLIR names it ("ui8" for U8, "ui64" for U64).
const char *nameOf(DType type);

struct TensorType {
  DType dtype = DType::Invalid;
  std::vector<uint64_t> shape; // row-major; empty for a scalar
  bool operator==(const TensorType &) const = default;
};
/// Bytes of a tensor whose type was checked, hence without overflow.
uint64_t byteSize(const TensorType &type);
/// "4x8xf32".
std::string textOf(const TensorType &type);

struct Producer {
  std::string compiler;
  std::vector<uint8_t> sourceDigest;
  std::vector<std::pair<std::string, std::string>> options; // keys ascend
  bool operator==(const Producer &) const = default;
};

/// Bytes within the file, after the manifest.  Offsets count from the segment base.
struct Segment {
  uint64_t offset = 0, size = 0;
  uint32_t alignment = 4096;
  Digest digest{};
  bool operator==(const Segment &) const = default;
};

/// A safetensors file beside the artifact (or in the folder a caller names).
struct WeightFile {
  std::string name;
  uint64_t size = 0;
  Digest digest{};
  bool operator==(const WeightFile &) const = default;
};

/// A file of the model's folder that travels inside: "tokenizer.json", "golden.json", ...
struct Asset {
  std::string name;
  uint32_t segment = 0;
  bool operator==(const Asset &) const = default;
};

/// A tensor of a safetensors file, or the box of it that begins at `starts`.
struct Piece {
  uint32_t file = 0;
  std::string key;
  DType dtype = DType::Invalid;
  std::vector<uint64_t> shape;         // of the whole tensor in the file
  std::vector<uint64_t> starts, sizes; // both empty: all of it
  bool operator==(const Piece &) const = default;
};
enum class Join : uint8_t { Invalid, Concat, Stack };
/// No pieces: the parameter has no values but random ones, which whoever runs it must ask for.
struct Pieces {
  Join join = Join::Concat;
  std::vector<Piece> pieces;
  bool operator==(const Pieces &) const = default;
};
struct SegmentBytes {
  uint32_t segment = 0;
  uint64_t offset = 0, size = 0;
  bool operator==(const SegmentBytes &) const = default;
};
/// `type` is what the source makes, cast to its dtype.  With panelRows = P > 0 the last two
/// dimensions [n, k] are stored as [ceil(n / P), k, P], rows past n zero.  `size` counts the bytes
/// as stored.
struct Parameter {
  std::string name;
  TensorType type;
  std::variant<Pieces, SegmentBytes> source;
  uint32_t panelRows = 0;
  uint64_t offset = 0, size = 0; // place in the parameter arena
  bool operator==(const Parameter &) const = default;
};

/// A box of a binding that the copy engine of a GPU moves: the arguments of cuTensorMapEncodeTiled.
struct TensorMap {
  uint32_t binding = 0; // the number of bindings: the scratch bytes of the export
  DType dtype = DType::Invalid;
  uint32_t swizzle = 0;          // bytes: 0, 32, 64 or 128
  uint64_t offset = 0;           // bytes from the begin of the binding
  std::vector<uint64_t> extents; // elements, innermost first
  std::vector<uint64_t> strides; // bytes, of all dimensions but the first
  std::vector<uint32_t> box;     // elements
  bool operator==(const TensorMap &) const = default;
};
/// A kernel of the device.  Its parameters, in order: every tensor map, the address of every
/// binding of the export, that of the scratch bytes if the export has any, every scalar.
struct DeviceLaunch {
  std::string symbol;
  std::array<uint32_t, 3> grid{1, 1, 1}, block{1, 1, 1}, cluster{1, 1, 1};
  uint32_t blocksPerProcessor = 0; // not 0: grid[0] is this times the card's multiprocessors
  uint32_t sharedBytes = 0;        // dynamic
  std::vector<int64_t> scalars;
  std::vector<TensorMap> tensorMaps;
  bool concurrent = false;   // beside the launches before it, from the begin of the export
  bool programmatic = false; // may start before the launch before it ends; waits in the kernel
  uint32_t registers = 0, staticSharedBytes = 0, spillBytes = 0; // as the assembler reports them
  bool operator==(const DeviceLaunch &) const = default;
};
/// A product by cuBLASLt instead of a kernel: output[m, n] = input[m, k] weight[n, k]^T, row-major,
/// summed in float32.
struct LibraryProduct {
  uint64_t m = 0, n = 0, k = 0;
  uint32_t input = 0, weight = 0, output = 0; // bindings
  DType inputType = DType::Invalid, weightType = DType::Invalid, outputType = DType::Invalid;
  bool operator==(const LibraryProduct &) const = default;
};
/// Code that can be launched.  On the host it is void f(void *const *bindings, int64_t x, int64_t
/// y, int64_t z); on a GPU a few launches, or a product.
struct Export {
  std::string name;
  std::vector<bool> written; // one for each binding
  uint32_t minAlignment = 64;
  uint64_t stackBytes = 0;
  std::vector<DeviceLaunch> launches; // one after the other, but for concurrent ones
  uint64_t scratchBytes = 0;          // of one region that all exports share; garbage at the begin
  std::optional<LibraryProduct> product;
  bool operator==(const Export &) const = default;
};
enum class CodeKind : uint8_t { Invalid, HostElf, Cubin, Ptx };
struct Variant {
  std::string target; // "host-x86_64-v4", "cuda-sm_90a", "cuda-ptx_90a"
  CodeKind kind = CodeKind::HostElf;
  uint32_t segment = 0;
  std::vector<std::string> cpuFeatures; // what a machine must have, as /proc/cpuinfo names it
  bool operator==(const Variant &) const = default;
};
struct Executable {
  std::vector<Export> exports;
  std::vector<Variant> variants; // best first; every variant has all exports
  bool operator==(const Executable &) const = default;
};

enum class ArenaKind : uint8_t { Invalid, Parameters, State, Workspace };
/// "parameters" and so on, as the exec dialect names it.
const char *nameOf(ArenaKind kind);
/// One of each kind.  Parameters and state are shared by all programs; workspace is that of the
/// program that needs most.
struct Arena {
  ArenaKind kind = ArenaKind::Invalid;
  uint64_t size = 0;
  uint32_t alignment = 64;
  bool operator==(const Arena &) const = default;
};

/// Bytes of an arena, alive from command `firstCommand` to `lastCommand` (workspace only; the
/// slices of inputs and outputs live as long as the program).  Commands are numbered stream by
/// stream.
struct Slice {
  uint64_t offset = 0, size = 0;
  uint32_t arena = 0, firstCommand = 0, lastCommand = 0;
  bool operator==(const Slice &) const = default;
};
struct Ref {
  uint64_t offset = 0, size = 0; // within the slice
  uint32_t slice = 0;
  bool operator==(const Ref &) const = default;
};

struct Launch {
  uint32_t executable = 0, exportIndex = 0;
  std::array<uint32_t, 3> grid{1, 1, 1};
  std::vector<Ref> bindings;
  bool operator==(const Launch &) const = default;
};
struct Copy {
  Ref source, target;
  bool operator==(const Copy &) const = default;
};
struct Item {
  std::variant<Launch, Copy> command;
  std::optional<uint32_t> location; // index into debug.locations
  bool operator==(const Item &) const = default;
};
struct Stream {
  std::vector<Item> items;
  bool operator==(const Stream &) const = default;
};
struct RankProgram {
  std::vector<Stream> streams;
  std::vector<Slice> slices;
  /// Bytes of workspace in use, and the most of them alive at one command.  The hash of exchanges
  /// is 0 in a program that has none.
  uint64_t workspaceBytes = 0, peakBytes = 0, orderHash = 0;
  bool operator==(const RankProgram &) const = default;
};
struct Program {
  std::string name;
  std::vector<RankProgram> ranks;
  bool operator==(const Program &) const = default;
};

enum class Role : uint8_t {
  Invalid,
  None,
  Ids,
  Starts,
  Slots,
  Past,
  Rows,
  State,
  Logits,
  Pages // of the cache blocks of each sequence
};
/// "ids" and so on, as the nn dialect names it; "none".
const char *nameOf(Role role);
struct Binding {
  std::string name;
  Role role = Role::None;
  TensorType type;
  std::vector<uint32_t> slices; // one a rank
  bool operator==(const Binding &) const = default;
};
/// A step entry has tokens, sequences and rows; a plain function has none of the three.
struct Entry {
  std::string name;
  uint32_t program = 0;
  std::optional<uint64_t> tokens, sequences, rows;
  std::vector<Binding> inputs, outputs, state;
  bool operator==(const Entry &) const = default;
};

/// The model behind the step entries; zeros where there is none.  With pages, a step has an input
/// of role Pages [sequences, blocks], and some of its state is [pages, ..].
struct Model {
  std::string family;
  uint64_t vocabulary = 0, slots = 0, maxContext = 0;
  std::optional<int32_t> beginToken;
  std::vector<int32_t> endTokens;
  uint64_t layers = 0, parameters = 0;
  uint64_t pages = 0, pageTokens = 0; // of the caches that all sequences share
  bool operator==(const Model &) const = default;
};

struct Debug {
  std::vector<std::string> locations;
  std::string pipeline;
  bool operator==(const Debug &) const = default;
};

struct Manifest {
  uint64_t features = 0;
  Producer producer;
  uint32_t worldSize = 1;
  std::vector<Segment> segments;
  std::vector<WeightFile> weightFiles;
  std::vector<Asset> assets;
  std::vector<Parameter> parameters;
  std::vector<Executable> executables;
  std::vector<Arena> arenas;
  std::vector<Program> programs;
  std::vector<Entry> entries;
  Model model;
  Debug debug;
  bool operator==(const Manifest &) const = default;
};

/// The feature bits of what `manifest` holds.
uint64_t featuresInUse(const Manifest &manifest);

} // namespace levin::artifact

#endif // LEVIN_RUNTIME_ARTIFACT_MANIFEST_H
