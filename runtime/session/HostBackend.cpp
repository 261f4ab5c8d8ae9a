// A session on the processor.
#include "runtime/session/Backend.h"

#include "runtime/hal/HostMemory.h"
#include "runtime/session/Model.h"
#include "runtime/session/Program.h"
#include "runtime/session/Session.h"

#include <algorithm>
#include <cstring>

namespace levin {

using artifact::ArenaKind;
using artifact::Binding;

namespace {

class HostBackend final : public Backend {
public:
  HostBackend(hal::ThreadPool &pool, bool validate) : pool(pool), validate(validate) {}

  Status prepare(const Model &model, const SessionOptions &options);

  Status begin(uint32_t program) override {
    if (validate)
      std::memset(workspace.data(), 0xff, workspace.size());
    return {};
  }
  std::span<std::byte> input(uint32_t program, const Binding &binding) override {
    return programs[program].slice(binding.slices[0]);
  }
  Status run(uint32_t program, const Wanted &) override;
  Result<std::span<const std::byte>> read(uint32_t program, const Binding &binding, uint64_t offset,
                                          uint64_t bytes) override {
    return std::span<const std::byte>(
        programs[program].slice(binding.slices[0]).subspan(offset, bytes));
  }
  uint64_t launches(uint32_t program) const override { return programs[program].launches(); }

private:
  hal::ThreadPool &pool;
  bool validate;
  hal::HostMemory state, workspace;
  std::vector<BoundProgram> programs;
  uint64_t kernelStack = 0; // bytes that the hungriest kernel needs
};

Status HostBackend::prepare(const Model &model, const SessionOptions &options) {
  const artifact::Manifest &manifest = model.manifest();
  uint64_t machine = hal::machineMemory(), parameters = model.parameters().size();
  uint64_t left = machine > parameters ? machine - parameters : 1;
  hal::MemoryBudget budget(options.maxMemory != 0 ? options.maxMemory : left);
  LEVIN_ASSIGN_OR_RETURN(
      state, hal::HostMemory::allocate(model.arenaBytes(ArenaKind::State), "state", budget));
  LEVIN_ASSIGN_OR_RETURN(
      workspace,
      hal::HostMemory::allocate(model.arenaBytes(ArenaKind::Workspace), "workspace", budget));
  Arenas arenas;
  for (const artifact::Arena &arena : manifest.arenas)
    arenas.push_back(arena.kind == ArenaKind::Parameters ? model.parameters()
                     : arena.kind == ArenaKind::State    ? state.bytes()
                                                         : workspace.bytes());
  for (const artifact::Program &program : manifest.programs) {
    LEVIN_ASSIGN_OR_RETURN(BoundProgram bound,
                           BoundProgram::bind(manifest, program, arenas, model.executables()));
    programs.push_back(std::move(bound));
  }
  for (const artifact::Executable &executable : manifest.executables)
    for (const artifact::Export &symbol : executable.exports)
      kernelStack = std::max(kernelStack, symbol.stackBytes);
  return {};
}

Status HostBackend::run(uint32_t program, const Wanted &) {
  constexpr size_t reserve = size_t(64) << 10; // for what a kernel calls and a signal handler
  if (hal::stackLeft() < kernelStack + reserve)
    return makeError(ErrorCode::OutOfMemory, "the calling thread's stack is too small")
        .note("have", fmt::format("{} bytes left", hal::stackLeft()))
        .note("need", fmt::format("{} bytes", kernelStack + reserve))
        .note("fix", "call from a thread with a larger stack");
  if (validate)
    return programs[program].runChecked(pool);
  programs[program].run(pool);
  return {};
}

} // namespace

Result<std::unique_ptr<Backend>> makeHostBackend(const Model &model, const SessionOptions &options,
                                                 hal::ThreadPool &pool) {
  auto backend = std::make_unique<HostBackend>(pool, options.validate);
  LEVIN_RETURN_IF_ERROR(backend->prepare(model, options));
  return std::unique_ptr<Backend>(std::move(backend));
}

} // namespace levin
