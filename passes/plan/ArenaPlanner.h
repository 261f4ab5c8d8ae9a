// Places buffers with known lifetimes in one block of memory.  Plain C++, no MLIR.
#ifndef LEVIN_PASSES_PLAN_ARENAPLANNER_H
#define LEVIN_PASSES_PLAN_ARENAPLANNER_H

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace levin::plan {

/// A buffer of `size` bytes that is alive from command `first` to command `last`, both included.
struct Lifetime {
  uint64_t size = 0;
  uint32_t first = 0, last = 0;
};

struct Placement {
  std::vector<uint64_t> offsets; // one for each buffer, multiples of the alignment
  uint64_t size = 0;             // bytes of the block, a multiple of the alignment
};

/// Places `buffers` so that no two that are alive together overlap.  Buffers are taken by size or
/// by lifetime, each into the smallest gap that holds it; the best of these orders wins, so the
/// result depends on the input only.  Nothing if sizes exceed 63 bits; `alignment` is a power of
/// two.
std::optional<Placement> placeBuffers(std::span<const Lifetime> buffers, uint64_t alignment);

/// The largest sum of aligned sizes alive at one command: no placement is smaller.
uint64_t lowerBound(std::span<const Lifetime> buffers, uint64_t alignment);

} // namespace levin::plan

#endif // LEVIN_PASSES_PLAN_ARENAPLANNER_H
