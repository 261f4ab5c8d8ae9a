#include "runtime/session/Program.h"

#include "runtime/base/Checked.h"

#include <algorithm>
#include <cstring>

namespace levin {

static Result<std::byte *> addressOf(const artifact::Ref &ref,
                                     std::span<const std::span<std::byte>> slices) {
  if (ref.slice >= slices.size() || !fitsWithin(ref.offset, ref.size, slices[ref.slice].size()))
    return makeError(ErrorCode::ArtifactMemory, "a reference leaves slice {}", ref.slice)
        .note("have", fmt::format("{} bytes at {}", ref.size, ref.offset));
  return slices[ref.slice].data() + ref.offset;
}

Status BoundProgram::bindCopy(const artifact::Copy &copy, Command &command) {
  LEVIN_ASSIGN_OR_RETURN(std::byte * source, addressOf(copy.source, slices));
  LEVIN_ASSIGN_OR_RETURN(std::byte * target, addressOf(copy.target, slices));
  if (copy.source.size != copy.target.size)
    return makeError(ErrorCode::ArtifactMemory, "a copy changes the length")
        .note("have", fmt::format("{} and {} bytes", copy.source.size, copy.target.size));
  bindings.insert(bindings.end(), {source, target});
  command.bytes = copy.source.size;
  return {};
}

Status BoundProgram::bindLaunch(const artifact::Launch &launch,
                                std::span<const artifact::Executable> described,
                                std::span<const hal::HostExecutable> executables,
                                Command &command) {
  if (launch.executable >= executables.size() ||
      launch.exportIndex >= executables[launch.executable].size())
    return makeError(ErrorCode::ArtifactLaunch, "a launch names a kernel that is not there");
  command.kernel = executables[launch.executable].kernel(launch.exportIndex);
  command.alignment =
      std::max(1u, described[launch.executable].exports[launch.exportIndex].minAlignment);
  for (int d = 0; d < 3; ++d)
    command.grid[d] = launch.grid[d];
  auto points = checkedProduct<uint64_t>(command.grid);
  if (!points || *points >= uint64_t(1) << 40)
    return makeError(ErrorCode::ArtifactLaunch, "a grid is too large")
        .note("need", "fewer than 2^40 points");
  for (const artifact::Ref &ref : launch.bindings) {
    LEVIN_ASSIGN_OR_RETURN(std::byte * address, addressOf(ref, slices));
    bindings.push_back(address);
  }
  ++launchCount;
  return {};
}

Result<BoundProgram> BoundProgram::bind(const artifact::Manifest &manifest,
                                        const artifact::Program &program, const Arenas &arenas,
                                        std::span<const hal::HostExecutable> executables) {
  if (program.ranks.size() != 1)
    return makeError(ErrorCode::ArtifactFeature, "program '{}' is for {} ranks", program.name,
                     program.ranks.size())
        .note("need", "1, on this target");
  const artifact::RankProgram &rank = program.ranks[0];
  BoundProgram bound;
  for (const artifact::Slice &slice : rank.slices) {
    if (slice.arena >= arenas.size() ||
        !fitsWithin(slice.offset, slice.size, arenas[slice.arena].size()))
      return makeError(ErrorCode::ArtifactMemory, "a slice of program '{}' leaves its arena",
                       program.name);
    bound.slices.push_back(arenas[slice.arena].subspan(slice.offset, slice.size));
  }
  // Streams without events between them touch disjoint bytes (the artifact was checked), so one
  // after the other is an order they allow.
  for (const artifact::Stream &stream : rank.streams) {
    for (const artifact::Item &item : stream.items) {
      Command command;
      command.firstBinding = static_cast<uint32_t>(bound.bindings.size());
      if (const auto *copy = std::get_if<artifact::Copy>(&item.command))
        LEVIN_RETURN_IF_ERROR(bound.bindCopy(*copy, command));
      else
        LEVIN_RETURN_IF_ERROR(bound.bindLaunch(std::get<artifact::Launch>(item.command),
                                               manifest.executables, executables, command));
      command.bindingCount = static_cast<uint32_t>(bound.bindings.size()) - command.firstBinding;
      bound.commands.push_back(command);
    }
  }
  return bound;
}

void BoundProgram::execute(const Command &command, hal::ThreadPool &pool) const {
  void *const *arguments = bindings.data() + command.firstBinding;
  if (!command.kernel) {
    std::memmove(arguments[1], arguments[0], command.bytes);
    return;
  }
  uint64_t width = command.grid[0], height = command.grid[1];
  pool.forEach(width * height * command.grid[2], [&](uint64_t point) {
    command.kernel(arguments, static_cast<int64_t>(point % width),
                   static_cast<int64_t>(point / width % height),
                   static_cast<int64_t>(point / width / height));
  });
}

void BoundProgram::run(hal::ThreadPool &pool) const {
  for (const Command &command : commands)
    execute(command, pool);
}

Status BoundProgram::runChecked(hal::ThreadPool &pool) const {
  for (size_t i = 0; i < commands.size(); ++i) {
    const Command &command = commands[i];
    for (uint32_t b = 0; b < command.bindingCount; ++b) {
      auto address = reinterpret_cast<uintptr_t>(bindings[command.firstBinding + b]);
      if (command.kernel && address % command.alignment != 0)
        return makeError(ErrorCode::ArtifactLaunch, "binding {} of command {} is not aligned", b, i)
            .note("need", fmt::format("a multiple of {} bytes", command.alignment));
    }
    execute(command, pool);
  }
  return {};
}

} // namespace levin
