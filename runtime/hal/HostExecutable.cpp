#include "runtime/hal/HostExecutable.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010U // Linux 6.3
#endif

namespace levin::hal {

static constexpr ErrorCode bad = ErrorCode::ArtifactCode;

Result<size_t> chooseVariant(const artifact::Executable &executable, const CpuFeatures &machine) {
  std::string have, lacks;
  for (size_t i = 0; i < executable.variants.size(); ++i) {
    const artifact::Variant &variant = executable.variants[i];
    if (variant.kind != artifact::CodeKind::HostElf)
      continue;
    std::string missing = machine.missing(variant.cpuFeatures);
    if (missing.empty())
      return i;
    have += (have.empty() ? "" : ", ") + variant.target;
    lacks = missing; // of the last, which asks for least
  }
  return makeError(ErrorCode::ArtifactTarget, "the artifact holds no code for this machine")
      .note("have", have.empty() ? "no host code" : have)
      .note("need", lacks.empty() ? "host code" : "code without " + lacks)
      .note("fix", "levin-compile ... --target host-x86_64-v3, or --target host on this machine");
}

HostExecutable::~HostExecutable() {
  if (handle)
    ::dlclose(handle);
  if (fd >= 0)
    ::close(fd);
}

HostExecutable::HostExecutable(HostExecutable &&other) noexcept
    : fd(std::exchange(other.fd, -1)), handle(std::exchange(other.handle, nullptr)),
      kernels(std::move(other.kernels)) {}

HostExecutable &HostExecutable::operator=(HostExecutable &&other) noexcept {
  std::swap(fd, other.fd);
  std::swap(handle, other.handle);
  std::swap(kernels, other.kernels);
  return *this;
}

static Status writeAll(int fd, std::span<const std::byte> bytes, const std::string &name) {
  while (!bytes.empty()) {
    ssize_t put = ::write(fd, bytes.data(), bytes.size());
    if (put < 0 && errno == EINTR)
      continue;
    if (put < 0)
      return makeError(ErrorCode::OutOfMemory, "cannot copy the code of {}: {}", name,
                       std::generic_category().message(errno))
          .note("need", fmt::format("{} bytes", bytes.size()));
    bytes = bytes.subspan(static_cast<size_t>(put));
  }
  return {};
}

Result<HostExecutable> HostExecutable::load(std::span<const std::byte> elf,
                                            std::span<const artifact::Export> exports,
                                            const std::string &name) {
  HostExecutable executable;
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  executable.fd = ::memfd_create("levin-code", flags | MFD_EXEC);
  if (executable.fd < 0 && errno == EINVAL)
    executable.fd = ::memfd_create("levin-code", flags);
  if (executable.fd < 0)
    return makeError(bad, "cannot make a file in memory for the code of {}: {}", name,
                     std::generic_category().message(errno));
  LEVIN_RETURN_IF_ERROR(writeAll(executable.fd, elf, name));
  // Nobody can change the code between here and its use.
  ::fcntl(executable.fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);

  std::string path = fmt::format("/proc/self/fd/{}", executable.fd);
  executable.handle = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!executable.handle)
    return makeError(bad, "the code of {} cannot be loaded: {}", name, ::dlerror())
        .note("fix", "compile the artifact again; if that does not help, look whether /proc is "
                     "mounted and may hold executable files");
  for (const artifact::Export &symbol : exports) {
    void *address = ::dlsym(executable.handle, symbol.name.c_str());
    if (!address)
      return makeError(bad, "the code of {} does not define '{}'", name, symbol.name)
          .note("fix", "compile the artifact again");
    executable.kernels.push_back(reinterpret_cast<Kernel>(address));
  }
  return executable;
}

} // namespace levin::hal
