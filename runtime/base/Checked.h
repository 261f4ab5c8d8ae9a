// Arithmetic on sizes that come from outside.
//
// Offsets and lengths of files, artifacts and JSON are never added or multiplied plainly: the sum
// may wrap and then pass a comparison.
#ifndef LEVIN_RUNTIME_BASE_CHECKED_H
#define LEVIN_RUNTIME_BASE_CHECKED_H

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <type_traits>
#include <utility>

namespace levin {

/// a + b, or nothing if it exceeds 64 bits.
constexpr std::optional<uint64_t> checkedAdd(uint64_t a, uint64_t b) {
  uint64_t sum = 0;
  if (__builtin_add_overflow(a, b, &sum))
    return std::nullopt;
  return sum;
}

/// a * b, or nothing if it exceeds 64 bits.
constexpr std::optional<uint64_t> checkedMul(uint64_t a, uint64_t b) {
  uint64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product))
    return std::nullopt;
  return product;
}

/// The product of all factors (1 if there is none), or nothing if it exceeds 64 bits.
/// A zero factor does not hide an overflow of the others.
template <typename T> constexpr std::optional<uint64_t> checkedProduct(std::span<const T> factors) {
  uint64_t product = 1;
  bool zero = false;
  for (T factor : factors) {
    if (factor < 0)
      return std::nullopt;
    if (factor == 0) {
      zero = true;
      continue;
    }
    auto next = checkedMul(product, static_cast<uint64_t>(factor));
    if (!next)
      return std::nullopt;
    product = *next;
  }
  return zero ? 0 : product;
}

/// `value` rounded up to a multiple of `alignment` (a power of two), or nothing on overflow.
constexpr std::optional<uint64_t> checkedAlign(uint64_t value, uint64_t alignment) {
  auto sum = checkedAdd(value, alignment - 1);
  if (!sum)
    return std::nullopt;
  return *sum & ~(alignment - 1);
}

/// Whether [offset, offset + length) lies within [0, size).
constexpr bool fitsWithin(uint64_t offset, uint64_t length, uint64_t size) {
  return offset <= size && length <= size - offset;
}

/// `value` as a To, or nothing if To cannot hold it.
template <typename To, typename From> constexpr std::optional<To> narrow(From value) {
  static_assert(std::is_integral_v<To> && std::is_integral_v<From>);
  if (!std::in_range<To>(value))
    return std::nullopt;
  return static_cast<To>(value);
}

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_CHECKED_H
