#include "runtime/hal/HostMemory.h"

#include "runtime/base/Checked.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <system_error>
#include <utility>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 // Linux 5.14
#endif

namespace levin::hal {

uint64_t machineMemory() {
  uint64_t bytes = static_cast<uint64_t>(std::max(0l, ::sysconf(_SC_PHYS_PAGES))) *
                   static_cast<uint64_t>(std::max(0l, ::sysconf(_SC_PAGE_SIZE)));
  for (const char *path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t limit = 0; // stays 0 if the file says "max"
    if (file >> limit && limit != 0)
      bytes = std::min(bytes, limit);
  }
  return bytes;
}

MemoryBudget::MemoryBudget(uint64_t bytes)
    : total(bytes != 0 ? bytes : machineMemory()), remaining(total) {}

Status MemoryBudget::take(uint64_t bytes, std::string_view purpose) {
  if (bytes > remaining)
    return makeError(ErrorCode::PlanDoesNotFit, "{} and what is there already exceed the memory",
                     purpose)
        .note("have", fmt::format("{} of {} bytes left", remaining, total))
        .note("need", fmt::format("{} bytes", bytes))
        .note("fix", "compile with fewer --slots, a smaller --max-context or smaller --buckets, or "
                     "use a machine with more memory");
  remaining -= bytes;
  return {};
}

HostMemory::~HostMemory() {
  if (base)
    ::munmap(base, length);
}

HostMemory::HostMemory(HostMemory &&other) noexcept
    : base(std::exchange(other.base, nullptr)), length(std::exchange(other.length, 0)) {}

HostMemory &HostMemory::operator=(HostMemory &&other) noexcept {
  std::swap(base, other.base);
  std::swap(length, other.length);
  return *this;
}

Result<HostMemory> HostMemory::allocate(uint64_t bytes, std::string_view purpose,
                                        MemoryBudget &budget, bool prefault) {
  constexpr size_t hugePage = size_t(2) << 20;
  HostMemory memory;
  if (bytes == 0)
    return memory;
  LEVIN_RETURN_IF_ERROR(budget.take(bytes, purpose));
  auto length = narrow<size_t>(bytes);
  void *base = MAP_FAILED;
  int error = ENOMEM;
  if (length) {
    base = ::mmap(nullptr, *length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    error = errno;
  }
  if (base != MAP_FAILED) {
    memory.base = static_cast<std::byte *>(base);
    memory.length = *length;
    if (*length >= 4 * hugePage)
      ::madvise(base, *length, MADV_HUGEPAGE); // fewer TLB misses; refusal does not matter
    // EINVAL: an older system, where pages come with their first use.
    if (!prefault || ::madvise(base, *length, MADV_POPULATE_WRITE) == 0 || errno == EINVAL)
      return memory;
    error = errno;
  }
  return makeError(ErrorCode::OutOfMemory, "cannot get memory for the {}: {}", purpose,
                   std::generic_category().message(error))
      .note("need", fmt::format("{} bytes", bytes))
      .note("fix", "end other programs, or raise the limit (ulimit -v)");
}

} // namespace levin::hal
