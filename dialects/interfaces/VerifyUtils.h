// What verifiers of several dialects share.
#ifndef LEVIN_DIALECTS_INTERFACES_VERIFYUTILS_H
#define LEVIN_DIALECTS_INTERFACES_VERIFYUTILS_H

#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Value.h"

namespace levin {

/// Whether two extents can be the same at run time: a dynamic one fits every other.
inline bool mayAgree(int64_t a, int64_t b) {
  return mlir::ShapedType::isDynamic(a) || mlir::ShapedType::isDynamic(b) || a == b;
}

/// Extent `dim` of a ranked value, or ShapedType::kDynamic.
inline int64_t extentOf(mlir::Value value, unsigned dim) {
  return llvm::cast<mlir::RankedTensorType>(value.getType()).getDimSize(dim);
}

/// `a` times `b`, dynamic if one of them is.
inline int64_t timesExtent(int64_t a, int64_t b) {
  using mlir::ShapedType;
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) ? ShapedType::kDynamic : a * b;
}

/// `a` plus `b`, dynamic if one of them is.
inline int64_t plusExtent(int64_t a, int64_t b) {
  using mlir::ShapedType;
  return ShapedType::isDynamic(a) || ShapedType::isDynamic(b) ? ShapedType::kDynamic : a + b;
}

/// An extent as a message writes it: a number or `?`.
inline std::string extentText(int64_t extent) {
  return mlir::ShapedType::isDynamic(extent) ? "?" : std::to_string(extent);
}

} // namespace levin

#endif // LEVIN_DIALECTS_INTERFACES_VERIFYUTILS_H
