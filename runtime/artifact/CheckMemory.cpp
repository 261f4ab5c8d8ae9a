// What bytes hold at each command: the life of slices, reads before writes, races.
#include "runtime/artifact/Checks.h"

#include <algorithm>
#include <map>
#include <queue>
#include <tuple>

namespace levin::artifact::detail {

namespace {

constexpr ErrorCode memory = ErrorCode::ArtifactMemory;

// A set of bytes, as ranges that neither touch nor overlap.
class ByteSet {
public:
  void add(uint64_t begin, uint64_t end) {
    auto at = ranges.upper_bound(begin);
    if (at != ranges.begin() && std::prev(at)->second >= begin) {
      --at;
      begin = at->first;
      end = std::max(end, at->second);
    }
    while (at != ranges.end() && at->first <= end) {
      end = std::max(end, at->second);
      at = ranges.erase(at);
    }
    ranges.emplace(begin, end);
  }

  // The first byte of [begin, end) that is not in the set, or `end`.
  uint64_t firstMissing(uint64_t begin, uint64_t end) const {
    auto at = ranges.upper_bound(begin);
    if (at == ranges.begin() || std::prev(at)->second <= begin)
      return begin;
    return std::min(end, std::prev(at)->second);
  }

private:
  std::map<uint64_t, uint64_t> ranges; // begin to end
};

// Calls `visit(ref, written, path)` for each reference of `item`, reads first.
template <typename Visit>
Status forEachRef(const Manifest &manifest, const Item &item, const Path &path, Visit visit) {
  if (auto *copy = std::get_if<Copy>(&item.command)) {
    LEVIN_RETURN_IF_ERROR(visit(copy->source, false, Path(path, "source")));
    return visit(copy->target, true, Path(path, "target"));
  }
  const Launch &launch = std::get<Launch>(item.command);
  const Export &exported = manifest.executables[launch.executable].exports[launch.exportIndex];
  for (bool written : {false, true})
    for (size_t i = 0; i < launch.bindings.size(); ++i)
      if (exported.written[i] == written)
        LEVIN_RETURN_IF_ERROR(visit(launch.bindings[i], written, Path(path, "bindings", i)));
  return {};
}

class MemoryChecker {
public:
  MemoryChecker(const Manifest &manifest, const Entry &entry, size_t entryNumber, size_t rank)
      : manifest(manifest), entry(entry), entryNumber(entryNumber), rank(rank),
        program(manifest.programs[entry.program].ranks[rank]) {}

  Status run(const Path &path) {
    LEVIN_RETURN_IF_ERROR(checkLife(path));
    if (program.streams.size() > 1)
      LEVIN_RETURN_IF_ERROR(checkRaces(path));
    return checkContents(path);
  }

private:
  Status checkLife(const Path &path) const;
  Status checkRaces(const Path &path) const;
  Status checkContents(const Path &path) const;
  Status checkOutputs(const std::vector<ByteSet> &known) const;

  bool isWorkspace(uint32_t slice) const {
    return manifest.arenas[program.slices[slice].arena].kind == ArenaKind::Workspace;
  }

  const Manifest &manifest;
  const Entry &entry;
  size_t entryNumber, rank;
  const RankProgram &program;
};

// --- life ----------------------------------------------------------------------------------------

// Workspace slices that are alive at one command are disjoint.  Walks the slices in the order in
// which they come alive and keeps those alive by place; there are few beside each other to compare.
Status MemoryChecker::checkLife(const Path &path) const {
  std::vector<uint32_t> order;
  for (uint32_t i = 0; i < program.slices.size(); ++i)
    if (isWorkspace(i) && program.slices[i].size != 0)
      order.push_back(i);
  std::sort(order.begin(), order.end(), [&](uint32_t a, uint32_t b) {
    return std::pair(program.slices[a].firstCommand, a) <
           std::pair(program.slices[b].firstCommand, b);
  });
  std::map<uint64_t, uint32_t> alive; // by offset
  using Death = std::pair<uint32_t, uint64_t>;
  std::priority_queue<Death, std::vector<Death>, std::greater<>> deaths;
  for (uint32_t index : order) {
    const Slice &slice = program.slices[index];
    for (; !deaths.empty() && deaths.top().first < slice.firstCommand; deaths.pop())
      alive.erase(deaths.top().second);
    auto after = alive.lower_bound(slice.offset);
    const uint32_t *other = nullptr;
    if (after != alive.end() && after->first < slice.offset + slice.size)
      other = &after->second;
    if (after != alive.begin()) {
      const Slice &before = program.slices[std::prev(after)->second];
      if (before.offset + before.size > slice.offset)
        other = &std::prev(after)->second;
    }
    if (other) {
      const Slice &first = program.slices[*other];
      return Path(path, "slices", index)
          .refuse(memory, "the slice overlaps slice {} while both are alive", *other)
          .note("have", fmt::format("{} from command {}, and {} until command {}",
                                    rangeText(slice.offset, slice.size), slice.firstCommand,
                                    rangeText(first.offset, first.size), first.lastCommand))
          .note("need", "places apart, or one life after the other");
    }
    alive.emplace(slice.offset, index);
    deaths.emplace(slice.lastCommand, slice.offset);
  }
  return {};
}

// --- contents ------------------------------------------------------------------------------------

// What is read was written before as part of the same slice, and inputs stay as the caller set
// them.  A binding that a kernel writes may be read by it too; that is the kernel's business.
Status MemoryChecker::checkContents(const Path &path) const {
  std::vector<ByteSet> known(program.slices.size());
  std::vector<bool> isInput(program.slices.size());
  for (const Binding &input : entry.inputs) {
    known[input.slices[rank]].add(0, byteSize(input.type));
    isInput[input.slices[rank]] = true;
  }
  auto visit = [&](const Ref &ref, bool written, const Path &at) -> Status {
    if (!isWorkspace(ref.slice))
      return {};
    if (written && isInput[ref.slice])
      return at.refuse(memory, "the input in slice {} is written", ref.slice)
          .note("need", "inputs that stay, so that a caller may run again");
    if (written) {
      known[ref.slice].add(ref.offset, ref.offset + ref.size);
      return {};
    }
    uint64_t end = ref.offset + ref.size;
    uint64_t missing = known[ref.slice].firstMissing(ref.offset, end);
    if (missing == end)
      return {};
    return at.refuse(memory, "bytes of slice {} are read before they are written", ref.slice)
        .note("have", fmt::format("a read of {}", rangeText(ref.offset, ref.size)))
        .note("need", fmt::format("an earlier write of byte {}", missing));
  };
  for (size_t s = 0; s < program.streams.size(); ++s) {
    Path stream(path, "streams", s);
    const std::vector<Item> &items = program.streams[s].items;
    for (size_t i = 0; i < items.size(); ++i)
      LEVIN_RETURN_IF_ERROR(forEachRef(manifest, items[i], Path(stream, "items", i), visit));
  }
  return checkOutputs(known);
}

Status MemoryChecker::checkOutputs(const std::vector<ByteSet> &known) const {
  for (size_t i = 0; i < entry.outputs.size(); ++i) {
    const Binding &output = entry.outputs[i];
    uint64_t end = byteSize(output.type);
    uint64_t missing = known[output.slices[rank]].firstMissing(0, end);
    if (missing != end)
      return Path(Path("entries", entryNumber), "outputs", i)
          .refuse(memory, "the output '{}' is never written", output.name)
          .note("have", fmt::format("{} bytes", missing))
          .note("need", fmt::format("{}", end));
  }
  return {};
}

// --- races ---------------------------------------------------------------------------------------

struct Access {
  uint32_t arena;
  uint64_t begin, end;
  size_t stream, item;
  bool written;
};

// Which accesses of one stream reach furthest, of those that began so far.
struct Reach {
  const Access *any = nullptr, *written = nullptr;
};

// There are no events yet, so nothing orders commands of different streams, and two of them that
// touch a byte race if one writes it.  Walks all accesses by place; of each stream it is enough to
// know how far it reaches.
Status MemoryChecker::checkRaces(const Path &path) const {
  std::vector<Access> accesses;
  for (size_t s = 0; s < program.streams.size(); ++s)
    for (size_t i = 0; i < program.streams[s].items.size(); ++i)
      LEVIN_RETURN_IF_ERROR(forEachRef(manifest, program.streams[s].items[i], path,
                                       [&](const Ref &ref, bool written, const Path &) -> Status {
                                         const Slice &slice = program.slices[ref.slice];
                                         uint64_t begin = slice.offset + ref.offset;
                                         accesses.push_back(
                                             {slice.arena, begin, begin + ref.size, s, i, written});
                                         return {};
                                       }));
  std::sort(accesses.begin(), accesses.end(), [](const Access &a, const Access &b) {
    return std::tie(a.arena, a.begin, a.stream, a.item, a.written) <
           std::tie(b.arena, b.begin, b.stream, b.item, b.written);
  });
  std::vector<Reach> reach(program.streams.size());
  for (const Access &access : accesses) {
    for (size_t s = 0; s < reach.size(); ++s) {
      const Access *other = access.written ? reach[s].any : reach[s].written;
      if (s == access.stream || !other || other->arena != access.arena ||
          other->end <= access.begin)
        continue;
      Path stream(path, "streams", access.stream);
      return Path(stream, "items", access.item)
          .refuse(ErrorCode::ArtifactRace,
                  "the command races with streams[{}].items[{}] in the {} arena", other->stream,
                  other->item, nameOf(manifest.arenas[access.arena].kind))
          .note("have", fmt::format("{} {}, and {} {} there", access.written ? "writes" : "reads",
                                    rangeText(access.begin, access.end - access.begin),
                                    other->written ? "writes" : "reads",
                                    rangeText(other->begin, other->end - other->begin)))
          .note("need", "one stream, or bytes apart: nothing orders two streams");
    }
    Reach &own = reach[access.stream];
    auto extend = [&](const Access *&furthest) {
      if (!furthest || furthest->arena != access.arena || furthest->end < access.end)
        furthest = &access;
    };
    extend(own.any);
    if (access.written)
      extend(own.written);
  }
  return {};
}

} // namespace

Status checkMemory(const Manifest &manifest) {
  for (size_t e = 0; e < manifest.entries.size(); ++e) {
    const Entry &entry = manifest.entries[e];
    Path program("programs", entry.program);
    for (size_t r = 0; r < manifest.programs[entry.program].ranks.size(); ++r)
      LEVIN_RETURN_IF_ERROR(MemoryChecker(manifest, entry, e, r).run(Path(program, "ranks", r)));
  }
  return {};
}

} // namespace levin::artifact::detail
