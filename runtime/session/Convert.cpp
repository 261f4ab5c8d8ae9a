#include "runtime/session/Convert.h"

#include "runtime/base/Half.h"

#include <algorithm>
#include <cstring>
#include <type_traits>
#include <utility>

namespace levin {

using artifact::DType;

namespace {

struct Half {
  uint16_t bits;
};
struct BFloat {
  uint16_t bits;
};

template <typename T>
constexpr bool isFloating =
    std::is_floating_point_v<T> || std::is_same_v<T, Half> || std::is_same_v<T, BFloat>;

double widen(double value) { return value; }
float widen(float value) { return value; }
float widen(Half value) { return f16ToFloat(value.bits); }
float widen(BFloat value) { return bf16ToFloat(value.bits); }

template <typename To, typename From> To narrowFloat(From value) {
  if constexpr (std::is_same_v<To, Half>)
    return {floatToF16(static_cast<float>(value))};
  else if constexpr (std::is_same_v<To, BFloat>)
    return {floatToBf16(static_cast<float>(value))};
  else
    return static_cast<To>(value);
}

template <typename From, typename To>
bool convertTyped(const std::byte *source, std::byte *target, uint64_t count) {
  bool fits = true;
  for (uint64_t i = 0; i < count; ++i) {
    From from;
    To to{};
    std::memcpy(&from, source + i * sizeof(From), sizeof(From));
    if constexpr (isFloating<From> && isFloating<To>) {
      to = narrowFloat<To>(widen(from));
    } else if constexpr (std::is_integral_v<From> && std::is_integral_v<To>) {
      fits &= std::in_range<To>(from);
      to = static_cast<To>(from);
    } else {
      return false;
    }
    std::memcpy(target + i * sizeof(To), &to, sizeof(To));
  }
  return fits;
}

/// Calls `use` with a value of the C++ type of `type`.
template <typename F> bool withType(DType type, F &&use) {
  switch (type) {
  case DType::I8:
    return use(int8_t{});
  case DType::U8:
    return use(uint8_t{});
  case DType::I16:
    return use(int16_t{});
  case DType::I32:
    return use(int32_t{});
  case DType::I64:
    return use(int64_t{});
  case DType::U64:
    return use(uint64_t{});
  case DType::F16:
    return use(Half{});
  case DType::BF16:
    return use(BFloat{});
  case DType::F32:
    return use(float{});
  case DType::F64:
    return use(double{});
  case DType::F8E4M3: // of caches; no weight has it
  case DType::I1:
  case DType::Invalid:
    break;
  }
  return false;
}

bool isFloat(DType type) {
  return type == DType::F16 || type == DType::BF16 || type == DType::F32 || type == DType::F64;
}

template <typename T>
void packPanelTyped(const std::byte *rows, uint64_t rowCount, uint64_t columns, uint64_t panelRows,
                    std::byte *panel) {
  // Blocks of columns keep the lines of all rows in the first cache.
  constexpr uint64_t block = 16;
  const T *from = reinterpret_cast<const T *>(rows);
  T *to = reinterpret_cast<T *>(panel);
  for (uint64_t first = 0; first < columns; first += block) {
    uint64_t last = std::min(columns, first + block);
    for (uint64_t row = 0; row < rowCount; ++row)
      for (uint64_t column = first; column < last; ++column)
        to[column * panelRows + row] = from[row * columns + column];
    for (uint64_t column = first; column < last && rowCount < panelRows; ++column)
      std::fill(to + column * panelRows + rowCount, to + (column + 1) * panelRows, T(0));
  }
}

} // namespace

bool canConvert(DType from, DType to) {
  if (from == to)
    return from != DType::Invalid;
  if (from == DType::I1 || to == DType::I1 || from == DType::Invalid || to == DType::Invalid ||
      from == DType::F8E4M3 || to == DType::F8E4M3)
    return false;
  return isFloat(from) == isFloat(to);
}

bool convert(DType from, const std::byte *source, DType to, std::byte *target, uint64_t count) {
  if (from == to) {
    std::memcpy(target, source, static_cast<size_t>(count * artifact::byteSize(to)));
    return true;
  }
  return withType(from, [&](auto fromValue) {
    return withType(to, [&](auto toValue) {
      return convertTyped<decltype(fromValue), decltype(toValue)>(source, target, count);
    });
  });
}

void packPanel(const std::byte *rows, uint64_t rowCount, uint64_t columns, uint64_t panelRows,
               uint64_t elementSize, std::byte *panel) {
  switch (elementSize) {
  case 1:
    return packPanelTyped<uint8_t>(rows, rowCount, columns, panelRows, panel);
  case 2:
    return packPanelTyped<uint16_t>(rows, rowCount, columns, panelRows, panel);
  case 4:
    return packPanelTyped<uint32_t>(rows, rowCount, columns, panelRows, panel);
  default:
    return packPanelTyped<uint64_t>(rows, rowCount, columns, panelRows, panel);
  }
}

} // namespace levin
