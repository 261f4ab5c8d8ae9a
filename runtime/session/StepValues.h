// The integers of a step (ids, starts, slots, past, rows), stored as i32 or i64.
#ifndef LEVIN_RUNTIME_SESSION_STEPVALUES_H
#define LEVIN_RUNTIME_SESSION_STEPVALUES_H

#include "runtime/artifact/Manifest.h"

#include <cassert>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

namespace levin {

/// Writes integers one after the other.
class IntegerWriter {
public:
  IntegerWriter(std::span<std::byte> bytes, artifact::DType type)
      : bytes(bytes), wide(type == artifact::DType::I64) {}

  uint64_t written() const { return count; }
  uint64_t capacity() const { return bytes.size() / (wide ? 8 : 4); }

  void put(int64_t value) {
    assert(count < capacity() && "the plan put more into a bucket than it holds");
    if (wide) {
      std::memcpy(bytes.data() + count * 8, &value, 8);
    } else {
      int32_t narrow = static_cast<int32_t>(value);
      std::memcpy(bytes.data() + count * 4, &narrow, 4);
    }
    ++count;
  }
  /// Writes `value` to all places that are left.
  void fill(int64_t value) {
    while (count < capacity())
      put(value);
  }

private:
  std::span<std::byte> bytes;
  bool wide;
  uint64_t count = 0;
};

/// Element `index` of integers of type i32 or i64.
inline int64_t integerAt(std::span<const std::byte> bytes, artifact::DType type, uint64_t index) {
  int64_t wide = 0;
  int32_t narrow = 0;
  if (type == artifact::DType::I64) {
    std::memcpy(&wide, bytes.data() + index * 8, 8);
    return wide;
  }
  std::memcpy(&narrow, bytes.data() + index * 4, 4);
  return narrow;
}

} // namespace levin

#endif // LEVIN_RUNTIME_SESSION_STEPVALUES_H
