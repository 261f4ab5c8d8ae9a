#include "dialects/check/Check.h"

using namespace mlir;

namespace levin::check {

LogicalResult ExpectCloseOp::verify() {
  Type element = cast<RankedTensorType>(getActual().getType()).getElementType();
  if (!isa<FloatType>(element)) // (C1)
    return emitOpError("compares elements of type ")
           << element << ", expected floats; use check.expect_eq (C1)";
  for (auto [name, attr] : {std::pair{"atol", getAtolAttr()}, std::pair{"rtol", getRtolAttr()}})
    if (!(attr.getValueAsDouble() >= 0)) // (C2)
      return emitOpError("has ") << name << " " << attr << ", expected at least 0 (C2)";
  return success();
}

} // namespace levin::check
