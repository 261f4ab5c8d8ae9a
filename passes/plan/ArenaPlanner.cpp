#include "passes/plan/ArenaPlanner.h"

#include "runtime/base/Checked.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>

namespace levin::plan {
namespace {

using Order = std::vector<uint32_t>;

bool aliveTogether(const Lifetime &a, const Lifetime &b) {
  return a.first <= b.last && b.first <= a.last;
}

// Buffers that are placed, by offset.
struct Placed {
  uint64_t offset, end;
  uint32_t buffer;
};

// The start of the smallest gap of at least `size` bytes between `taken` (sorted by offset), or
// the end of all of them.
uint64_t bestGap(const std::vector<Placed> &taken, uint64_t size) {
  uint64_t cursor = 0, best = 0, bestWaste = UINT64_MAX;
  for (const Placed &block : taken) {
    if (block.offset > cursor && block.offset - cursor >= size &&
        block.offset - cursor - size < bestWaste) {
      best = cursor;
      bestWaste = block.offset - cursor - size;
    }
    cursor = std::max(cursor, block.end);
  }
  return bestWaste == UINT64_MAX ? cursor : best;
}

Placement placeInOrder(std::span<const Lifetime> buffers, const std::vector<uint64_t> &sizes,
                       const Order &order) {
  Placement result;
  result.offsets.assign(buffers.size(), 0);
  std::vector<Placed> placed, conflicts;
  for (uint32_t buffer : order) {
    conflicts.clear();
    for (const Placed &block : placed)
      if (aliveTogether(buffers[block.buffer], buffers[buffer]))
        conflicts.push_back(block);
    uint64_t offset = bestGap(conflicts, sizes[buffer]);
    Placed block{offset, offset + sizes[buffer], buffer};
    placed.insert(
        std::upper_bound(placed.begin(), placed.end(), block,
                         [](const Placed &a, const Placed &b) { return a.offset < b.offset; }),
        block);
    result.offsets[buffer] = offset;
    result.size = std::max(result.size, block.end);
  }
  return result;
}

// The aligned sizes, or nothing if their sum could overflow an offset.
std::optional<std::vector<uint64_t>> alignedSizes(std::span<const Lifetime> buffers,
                                                  uint64_t alignment) {
  std::vector<uint64_t> sizes;
  uint64_t sum = 0;
  for (const Lifetime &buffer : buffers) {
    auto size = checkedAlign(buffer.size, alignment);
    auto total = size ? checkedAdd(sum, *size) : std::nullopt;
    if (!total || *total > uint64_t(INT64_MAX))
      return std::nullopt;
    sizes.push_back(*size);
    sum = *total;
  }
  return sizes;
}

} // namespace

std::optional<Placement> placeBuffers(std::span<const Lifetime> buffers, uint64_t alignment) {
  auto sizes = alignedSizes(buffers, alignment);
  if (!sizes)
    return std::nullopt;
  auto length = [&](uint32_t b) { return uint64_t(buffers[b].last) - buffers[b].first; };
  using Before = std::function<bool(uint32_t, uint32_t)>;
  const Before rules[] = {
      [&](uint32_t a, uint32_t b) { return (*sizes)[a] > (*sizes)[b]; },
      [&](uint32_t a, uint32_t b) { return buffers[a].first < buffers[b].first; },
      [&](uint32_t a, uint32_t b) { return length(a) > length(b); },
  };
  std::optional<Placement> best;
  for (const Before &rule : rules) {
    Order order(buffers.size());
    std::iota(order.begin(), order.end(), 0);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return rule(a, b) || (!rule(b, a) && a < b); });
    Placement placement = placeInOrder(buffers, *sizes, order);
    if (!best || placement.size < best->size)
      best = std::move(placement);
  }
  return best;
}

uint64_t lowerBound(std::span<const Lifetime> buffers, uint64_t alignment) {
  auto sizes = alignedSizes(buffers, alignment);
  if (!sizes)
    return UINT64_MAX;
  std::map<uint64_t, std::pair<uint64_t, uint64_t>> events; // at a command: bytes born, bytes gone
  for (size_t i = 0; i < buffers.size(); ++i) {
    events[buffers[i].first].first += (*sizes)[i];
    events[uint64_t(buffers[i].last) + 1].second += (*sizes)[i];
  }
  uint64_t alive = 0, most = 0;
  for (const auto &[command, change] : events) {
    alive = alive + change.first - change.second;
    most = std::max(most, alive);
  }
  return most;
}

} // namespace levin::plan
