// The integers of a step: ids, starts, slots, past, rows.
#ifndef LEVIN_RUNTIME_SESSION_STEPVALUES_H
#define LEVIN_RUNTIME_SESSION_STEPVALUES_H

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace levin {

/// Writes i32 values one after the other.
class IntegerWriter {
public:
  explicit IntegerWriter(std::span<std::byte> bytes) : bytes(bytes) {}

  uint64_t written() const { return count; }

  void put(int32_t value) {
    assert((count + 1) * sizeof(value) <= bytes.size() && "the plan overfills a bucket");
    std::memcpy(bytes.data() + count * sizeof(value), &value, sizeof(value));
    ++count;
  }
  /// Writes `value` to all places that are left.
  void fill(int32_t value) {
    while ((count + 1) * sizeof(value) <= bytes.size())
      put(value);
  }

private:
  std::span<std::byte> bytes;
  uint64_t count = 0;
};

/// Element `index` of i32 values.
inline int32_t integerAt(std::span<const std::byte> bytes, uint64_t index) {
  int32_t value = 0;
  std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
  return value;
}

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_STEPVALUES_H
