#include "runtime/weights/DType.h"

#include <array>

namespace levin::weights {

namespace {
struct Row {
  DType type;
  std::string_view name;
  uint8_t bytes;
};
} // namespace

static constexpr std::array<Row, 10> rows{{
    {DType::F64, "F64", 8},
    {DType::F32, "F32", 4},
    {DType::F16, "F16", 2},
    {DType::BF16, "BF16", 2},
    {DType::I64, "I64", 8},
    {DType::I32, "I32", 4},
    {DType::I16, "I16", 2},
    {DType::I8, "I8", 1},
    {DType::U8, "U8", 1},
    {DType::BOOL, "BOOL", 1},
}};

std::string_view nameOf(DType type) { return rows[static_cast<size_t>(type)].name; }

uint64_t byteSize(DType type) { return rows[static_cast<size_t>(type)].bytes; }

std::optional<DType> dtypeFromName(std::string_view name) {
  for (const Row &row : rows)
    if (row.name == name)
      return row.type;
  return std::nullopt;
}

} // namespace levin::weights
