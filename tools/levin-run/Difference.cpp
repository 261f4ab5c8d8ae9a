#include "tools/levin-run/Difference.h"

#include "runtime/base/Half.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

namespace levin::run {

using artifact::DType;

template <typename T> static T valueAt(const std::byte *place) {
  T value;
  std::memcpy(&value, place, sizeof(T));
  return value;
}

static double fp8ToDouble(uint8_t bits) {
  int exponent = (bits >> 3) & 15, fraction = bits & 7;
  double magnitude = exponent == 0           ? std::ldexp(fraction, -9)
                     : (bits & 0x7f) == 0x7f ? std::numeric_limits<double>::quiet_NaN()
                                             : std::ldexp(8 + fraction, exponent - 10);
  return bits & 0x80 ? -magnitude : magnitude;
}

static double numberAt(DType type, const std::byte *place) {
  switch (type) {
  case DType::I1:
  case DType::U8:
    return valueAt<uint8_t>(place);
  case DType::I8:
    return valueAt<int8_t>(place);
  case DType::I16:
    return valueAt<int16_t>(place);
  case DType::I32:
    return valueAt<int32_t>(place);
  case DType::I64:
    return static_cast<double>(valueAt<int64_t>(place));
  case DType::U64:
    return static_cast<double>(valueAt<uint64_t>(place));
  case DType::F16:
    return static_cast<double>(f16ToFloat(valueAt<uint16_t>(place)));
  case DType::BF16:
    return static_cast<double>(bf16ToFloat(valueAt<uint16_t>(place)));
  case DType::F32:
    return static_cast<double>(valueAt<float>(place));
  case DType::F64:
    return valueAt<double>(place);
  case DType::F8E4M3:
    return fp8ToDouble(valueAt<uint8_t>(place));
  case DType::Invalid:
    break;
  }
  return 0;
}

void Difference::add(double value, double expected) {
  ++values;
  if (std::isnan(value) && std::isnan(expected))
    return;
  if (std::isinf(expected) || !std::isfinite(value) || std::isnan(expected)) {
    if (value != expected)
      square = furthest = std::numeric_limits<double>::infinity();
    return;
  }
  double difference = std::abs(value - expected);
  square += difference * difference;
  norm += expected * expected;
  furthest = std::max(furthest, difference);
  greatest = std::max(greatest, std::abs(expected));
}

void Difference::add(DType type, std::span<const std::byte> values,
                     std::span<const std::byte> expected) {
  size_t size = byteSize(type);
  for (size_t at = 0; size > 0 && at + size <= std::min(values.size(), expected.size()); at += size)
    add(numberAt(type, values.data() + at), numberAt(type, expected.data() + at));
}

double Difference::relative() const { return std::sqrt(norm > 0 ? square / norm : square); }

double Difference::largest() const { return greatest > 0 ? furthest / greatest : furthest; }

} // namespace levin::run
