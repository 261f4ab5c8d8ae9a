// How far two tensors are apart.
#ifndef LEVIN_TOOLS_LEVIN_RUN_DIFFERENCE_H
#define LEVIN_TOOLS_LEVIN_RUN_DIFFERENCE_H

#include "runtime/artifact/Manifest.h"

#include <cstddef>
#include <cstdint>
#include <span>

namespace levin::run {

/// Sums over pairs of values.  NaN beside a number, or infinities that differ, count as infinite.
class Difference {
public:
  void add(double value, double expected);
  /// Adds all values of two tensors of `type`.
  void add(artifact::DType type, std::span<const std::byte> values,
           std::span<const std::byte> expected);

  /// |a - b|_2 / |b|_2; |a - b|_2 where b is 0.
  double relative() const;
  /// The largest |a - b|, divided by the largest |b|; not divided where b is 0.
  double largest() const;
  uint64_t count() const { return values; }

private:
  double square = 0, norm = 0, furthest = 0, greatest = 0;
  uint64_t values = 0;
};

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_DIFFERENCE_H
