// Rotary position encoding of one head in one row.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_ROTARY_H
#define LEVIN_CODEGEN_HOST_KERNELS_ROTARY_H

#include "codegen/host/kernels/Heads.h"

namespace levin::host::kernels {

/// Rotates the first `width` of `size` channels; width 0 rotates none.
class Rotary {
public:
  Rotary(Emit &e, double theta, int64_t width, int64_t size);

  /// Makes the cosines and sines of `position` (an index) current.
  void setPosition(Value position);

  /// Writes the `size` channels at `from`, rotated and times `factor`, to `to` (flat float32).
  void emit(Value from, Value fromBegin, Value to, Value toBegin, double factor);

private:
  Emit &e;
  int64_t half, size, lanes; // lanes: of vectors that divide half
  SmallVector<float> frequencies;
  Value cosines, sines; // scratch [half]
};

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_ROTARY_H
