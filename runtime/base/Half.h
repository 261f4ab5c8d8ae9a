// bfloat16 and IEEE half precision, to and from float.
//
// Rounding is to nearest, ties to even; overflow gives infinity; a NaN stays a (quiet) NaN.
#ifndef LEVIN_RUNTIME_BASE_HALF_H
#define LEVIN_RUNTIME_BASE_HALF_H

#include <bit>
#include <cstdint>

namespace levin {

constexpr float bf16ToFloat(uint16_t bits) {
  return std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

constexpr uint16_t floatToBf16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return static_cast<uint16_t>((bits >> 16) | 0x40u);
  uint32_t lowest = (bits >> 16) & 1u;
  return static_cast<uint16_t>((bits + 0x7fffu + lowest) >> 16);
}

constexpr float f16ToFloat(uint16_t bits) {
  uint32_t sign = static_cast<uint32_t>(bits & 0x8000u) << 16;
  uint32_t exponent = (bits >> 10) & 0x1fu;
  uint32_t fraction = bits & 0x3ffu;
  if (exponent == 0x1f) // infinity or NaN
    return std::bit_cast<float>(sign | 0x7f800000u | (fraction << 13));
  if (exponent != 0)
    return std::bit_cast<float>(sign | ((exponent + 112) << 23) | (fraction << 13));
  // Subnormal: fraction * 2^-24 is exact in float.
  float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return std::bit_cast<float>(sign | std::bit_cast<uint32_t>(magnitude));
}

constexpr uint16_t floatToF16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  uint16_t sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u)
    return static_cast<uint16_t>(sign | 0x7e00u | ((bits >> 13) & 0x1ffu));
  if (bits >= 0x477ff000u) // rounds to 2^16 or more
    return static_cast<uint16_t>(sign | 0x7c00u);
  if (bits < 0x38800000u) { // below 2^-14: subnormal or zero
    if (bits < 0x33000000u)
      return sign;
    uint32_t shift = 126 - (bits >> 23);
    uint32_t fraction = (bits & 0x7fffffu) | 0x800000u;
    uint32_t result = fraction >> shift;
    uint32_t rest = fraction & ((1u << shift) - 1);
    uint32_t half = 1u << (shift - 1);
    if (rest > half || (rest == half && (result & 1u)))
      ++result;
    return static_cast<uint16_t>(sign | result);
  }
  uint32_t lowest = (bits >> 13) & 1u;
  bits += 0xfffu + lowest;
  return static_cast<uint16_t>(sign | ((bits >> 13) - (112u << 10)));
}

} // namespace levin

#endif // LEVIN_RUNTIME_BASE_HALF_H
