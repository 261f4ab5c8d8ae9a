// Data types of stored tensors, named as safetensors names them.
#ifndef LEVIN_RUNTIME_WEIGHTS_DTYPE_H
#define LEVIN_RUNTIME_WEIGHTS_DTYPE_H

#include <cstdint>
#include <optional>
#include <string_view>

namespace levin::weights {

enum class DType : uint8_t { F64, F32, F16, BF16, I64, I32, I16, I8, U8, BOOL };

/// "F32" and so on.
std::string_view nameOf(DType type);
/// The type that safetensors calls `name`, or nothing.
std::optional<DType> dtypeFromName(std::string_view name);
/// Bytes of one element.
uint64_t byteSize(DType type);

} // namespace levin::weights

#endif // LEVIN_RUNTIME_WEIGHTS_DTYPE_H
