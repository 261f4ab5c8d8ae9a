#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <algorithm>

namespace levin::artifact::detail {

namespace {

constexpr ErrorCode memory = ErrorCode::ArtifactMemory;
constexpr ErrorCode badLaunch = ErrorCode::ArtifactLaunch;

// The commands of one rank's program, checked one by one.
class CommandChecker {
public:
  CommandChecker(const Manifest &manifest, const RankProgram &program)
      : manifest(manifest), program(program) {}

  Status run(const Path &path);

private:
  Status checkSlice(const Slice &slice, const Path &path) const;
  Status checkSizes(const Path &path) const;
  Status checkItem(const Item &item, uint64_t number, const Path &path) const;
  Status checkLaunch(const Launch &launch, uint64_t number, const Path &path) const;
  Status checkGrid(const Launch &launch, const Path &path) const;
  Status checkCopy(const Copy &copy, uint64_t number, const Path &path) const;
  Status checkRef(const Ref &ref, bool written, uint64_t number, const Path &path) const;
  Status checkBindingAlignment(const Ref &ref, uint32_t alignment, const Path &path) const;
  Status checkOverlaps(const Launch &launch, const Export &exported, const Path &path) const;

  const Arena &arenaOf(const Ref &ref) const {
    return manifest.arenas[program.slices[ref.slice].arena];
  }
  // Within the arena, as checkSlice and checkRef showed.
  uint64_t placeOf(const Ref &ref) const { return program.slices[ref.slice].offset + ref.offset; }

  const Manifest &manifest;
  const RankProgram &program;
  uint64_t commands = 0;
};

Status CommandChecker::checkSizes(const Path &path) const {
  const Arena *workspace = findArena(manifest, ArenaKind::Workspace);
  uint64_t size = workspace ? workspace->size : 0;
  if (program.workspaceBytes > size)
    return path.refuse(memory, "the program needs more workspace than there is")
        .note("have", fmt::format("{} bytes", program.workspaceBytes))
        .note("need", fmt::format("at most {}", size));
  if (program.peakBytes > program.workspaceBytes)
    return path.refuse(memory, "the peak exceeds the workspace")
        .note("have", fmt::format("{} bytes", program.peakBytes))
        .note("need", fmt::format("at most {}", program.workspaceBytes));
  if (program.orderHash != 0)
    return path.refuse(ErrorCode::ArtifactFeature, "the program exchanges data between ranks")
        .note("have", fmt::format("order hash {:#x}", program.orderHash))
        .note("need", "0: this build runs programs of one rank");
  return {};
}

Status CommandChecker::checkSlice(const Slice &slice, const Path &path) const {
  LEVIN_RETURN_IF_ERROR(
      checkIndex(slice.arena, manifest.arenas.size(), "arenas", Path(path, "arena")));
  const Arena &arena = manifest.arenas[slice.arena];
  bool workspace = arena.kind == ArenaKind::Workspace;
  uint64_t room = workspace ? program.workspaceBytes : arena.size;
  if (!fitsWithin(slice.offset, slice.size, room))
    return path.refuse(memory, "the slice leaves the {} arena", nameOf(arena.kind))
        .note("have", rangeText(slice.offset, slice.size))
        .note("need", fmt::format("within {} bytes", room));
  if (slice.offset % 64 != 0)
    return path.refuse(memory, "the slice is not aligned")
        .note("have", fmt::format("offset {}", slice.offset))
        .note("need", "a multiple of 64");
  uint64_t end = std::max<uint64_t>(commands, 1);
  if (workspace && (slice.firstCommand > slice.lastCommand || slice.lastCommand >= end))
    return path.refuse(memory, "the slice's life is impossible")
        .note("have", fmt::format("commands {} to {}", slice.firstCommand, slice.lastCommand))
        .note("need", fmt::format("first <= last < {}", end));
  return {};
}

Status CommandChecker::checkRef(const Ref &ref, bool written, uint64_t number,
                                const Path &path) const {
  LEVIN_RETURN_IF_ERROR(
      checkIndex(ref.slice, program.slices.size(), "slices", Path(path, "slice")));
  const Slice &slice = program.slices[ref.slice];
  if (ref.size == 0 || !fitsWithin(ref.offset, ref.size, slice.size))
    return path.refuse(memory, "the reference leaves slice {}", ref.slice)
        .note("have", rangeText(ref.offset, ref.size))
        .note("need", fmt::format("1 byte or more within {}", slice.size));
  if (placeOf(ref) % 64 != 0)
    return path.refuse(memory, "the reference is not aligned")
        .note("have", fmt::format("byte {} of the arena", placeOf(ref)))
        .note("need", "a multiple of 64");
  ArenaKind kind = arenaOf(ref).kind;
  if (written && kind == ArenaKind::Parameters)
    return path.refuse(memory, "a parameter is written")
        .note("have", fmt::format("a write to slice {}", ref.slice))
        .note("need", "a slice of the state or workspace arena");
  if (kind == ArenaKind::Workspace && (number < slice.firstCommand || number > slice.lastCommand))
    return path.refuse(memory, "slice {} is not alive here", ref.slice)
        .note("have", fmt::format("command {}", number))
        .note("need", fmt::format("commands {} to {}", slice.firstCommand, slice.lastCommand));
  return {};
}

Status CommandChecker::checkBindingAlignment(const Ref &ref, uint32_t alignment,
                                             const Path &path) const {
  if (placeOf(ref) % alignment == 0 && arenaOf(ref).alignment % alignment == 0)
    return {};
  return path.refuse(badLaunch, "the binding is aligned less than the kernel needs")
      .note("have",
            fmt::format("byte {} of an arena aligned to {}", placeOf(ref), arenaOf(ref).alignment))
      .note("need", fmt::format("multiples of {}", alignment));
}

Status CommandChecker::checkGrid(const Launch &launch, const Path &path) const {
  auto [x, y, z] = launch.grid;
  auto points = checkedProduct<uint32_t>(launch.grid);
  if (points && *points != 0 && *points <= limits::gridPoints)
    return {};
  return path.refuse(badLaunch, "the grid is impossible")
      .note("have", fmt::format("{} x {} x {}", x, y, z))
      .note("need", fmt::format("1 to {} points", limits::gridPoints));
}

// In order of place, no binding may reach into a later one if either is written.
Status CommandChecker::checkOverlaps(const Launch &launch, const Export &exported,
                                     const Path &path) const {
  struct Range {
    uint32_t arena;
    uint64_t begin, end;
    size_t binding;
    bool written;
  };
  std::vector<Range> ranges;
  ranges.reserve(launch.bindings.size());
  for (size_t i = 0; i < launch.bindings.size(); ++i) {
    const Ref &ref = launch.bindings[i];
    uint64_t begin = placeOf(ref);
    ranges.push_back({program.slices[ref.slice].arena, begin, begin + ref.size, i,
                      static_cast<bool>(exported.written[i])});
  }
  std::sort(ranges.begin(), ranges.end(), [](const Range &a, const Range &b) {
    return std::tie(a.arena, a.begin, a.binding) < std::tie(b.arena, b.begin, b.binding);
  });
  const Range *reach = nullptr, *writtenReach = nullptr; // which ends last, in this arena
  for (const Range &range : ranges) {
    if (reach && reach->arena != range.arena)
      reach = writtenReach = nullptr;
    const Range *other = range.written ? reach : writtenReach;
    if (other && other->end > range.begin)
      return path
          .refuse(badLaunch, "bindings {} and {} overlap and one is written",
                  std::min(other->binding, range.binding), std::max(other->binding, range.binding))
          .note("have", fmt::format("{} and {}", rangeText(other->begin, other->end - other->begin),
                                    rangeText(range.begin, range.end - range.begin)))
          .note("need", "a written binding apart from all others");
    if (!reach || range.end > reach->end)
      reach = &range;
    if (range.written && (!writtenReach || range.end > writtenReach->end))
      writtenReach = &range;
  }
  return {};
}

Status CommandChecker::checkLaunch(const Launch &launch, uint64_t number, const Path &path) const {
  LEVIN_RETURN_IF_ERROR(checkIndex(launch.executable, manifest.executables.size(), "executables",
                                   Path(path, "executable")));
  const Executable &executable = manifest.executables[launch.executable];
  LEVIN_RETURN_IF_ERROR(checkIndex(launch.exportIndex, executable.exports.size(), "exports",
                                   Path(path, "export_index")));
  const Export &exported = executable.exports[launch.exportIndex];
  if (launch.bindings.size() != exported.written.size())
    return path.refuse(badLaunch, "'{}' is launched with another number of bindings", exported.name)
        .note("have", fmt::format("{}", launch.bindings.size()))
        .note("need", fmt::format("{}", exported.written.size()));
  LEVIN_RETURN_IF_ERROR(checkGrid(launch, Path(path, "grid")));
  for (size_t i = 0; i < launch.bindings.size(); ++i) {
    Path at(path, "bindings", i);
    LEVIN_RETURN_IF_ERROR(checkRef(launch.bindings[i], exported.written[i], number, at));
    LEVIN_RETURN_IF_ERROR(checkBindingAlignment(launch.bindings[i], exported.minAlignment, at));
  }
  LEVIN_RETURN_IF_ERROR(checkOverlaps(launch, exported, path));
  std::vector<uint64_t> sizes;
  for (const Ref &ref : launch.bindings)
    sizes.push_back(ref.size);
  return checkDeviceBindings(exported, sizes, path);
}

Status CommandChecker::checkCopy(const Copy &copy, uint64_t number, const Path &path) const {
  LEVIN_RETURN_IF_ERROR(checkRef(copy.source, false, number, Path(path, "source")));
  LEVIN_RETURN_IF_ERROR(checkRef(copy.target, true, number, Path(path, "target")));
  if (copy.source.size != copy.target.size)
    return path.refuse(memory, "the copy's sides have two sizes")
        .note("have", fmt::format("{} bytes to {}", copy.source.size, copy.target.size))
        .note("need", "equal sizes");
  uint64_t source = placeOf(copy.source), target = placeOf(copy.target);
  bool apart = source + copy.source.size <= target || target + copy.target.size <= source;
  if (&arenaOf(copy.source) == &arenaOf(copy.target) && !apart)
    return path.refuse(memory, "the copy's sides overlap")
        .note("have", fmt::format("{} and {}", rangeText(source, copy.source.size),
                                  rangeText(target, copy.target.size)))
        .note("need", "ranges apart");
  return {};
}

Status CommandChecker::checkItem(const Item &item, uint64_t number, const Path &path) const {
  if (item.location)
    LEVIN_RETURN_IF_ERROR(checkIndex(*item.location, manifest.debug.locations.size(), "locations",
                                     Path(path, "location")));
  if (auto *launch = std::get_if<Launch>(&item.command))
    return checkLaunch(*launch, number, path);
  return checkCopy(std::get<Copy>(item.command), number, path);
}

Status CommandChecker::run(const Path &path) {
  if (program.streams.size() > limits::streams)
    return path.refuse(ErrorCode::ArtifactLimit, "the program has too many streams")
        .note("have", fmt::format("{}", program.streams.size()))
        .note("need", fmt::format("at most {}", limits::streams));
  for (const Stream &stream : program.streams)
    commands += stream.items.size();
  LEVIN_RETURN_IF_ERROR(checkSizes(path));
  for (size_t i = 0; i < program.slices.size(); ++i)
    LEVIN_RETURN_IF_ERROR(checkSlice(program.slices[i], Path(path, "slices", i)));
  uint64_t number = 0;
  for (size_t s = 0; s < program.streams.size(); ++s) {
    Path stream(path, "streams", s);
    const std::vector<Item> &items = program.streams[s].items;
    for (size_t i = 0; i < items.size(); ++i)
      LEVIN_RETURN_IF_ERROR(checkItem(items[i], number++, Path(stream, "items", i)));
  }
  return {};
}

} // namespace

Status checkCommands(const Manifest &manifest) {
  Names names;
  for (size_t p = 0; p < manifest.programs.size(); ++p) {
    Path path("programs", p);
    const Program &program = manifest.programs[p];
    LEVIN_RETURN_IF_ERROR(names.add(program.name, Path(path, "name")));
    if (program.ranks.size() != manifest.worldSize)
      return path
          .refuse(ErrorCode::ArtifactIndex, "'{}' has {} ranks", program.name, program.ranks.size())
          .note("have", fmt::format("{}", program.ranks.size()))
          .note("need", fmt::format("{}, the world size", manifest.worldSize));
    for (size_t r = 0; r < program.ranks.size(); ++r)
      LEVIN_RETURN_IF_ERROR(CommandChecker(manifest, program.ranks[r]).run(Path(path, "ranks", r)));
  }
  return {};
}

} // namespace levin::artifact::detail
