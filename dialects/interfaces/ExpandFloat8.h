// Conversions of f8E4M3FN as integer arithmetic, for targets without instructions for it.
#ifndef LEVIN_DIALECTS_INTERFACES_EXPANDFLOAT8_H
#define LEVIN_DIALECTS_INTERFACES_EXPANDFLOAT8_H

#include "mlir/IR/PatternMatch.h"

namespace levin {

/// Adds patterns that write `arith.extf` from f8E4M3FN to float32 and `arith.truncf` back, of
/// numbers or vectors, in arithmetic on 32-bit integers and floats.  They round to the nearest and
/// to even; what rounds beyond 448 becomes NaN, as the type has no infinity.
void populateExpandFloat8Patterns(mlir::RewritePatternSet &patterns);

} // namespace levin

#endif // LEVIN_DIALECTS_INTERFACES_EXPANDFLOAT8_H
