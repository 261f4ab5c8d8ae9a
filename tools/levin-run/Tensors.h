// Tensors from the command line and from files.
#ifndef LEVIN_TOOLS_LEVIN_RUN_TENSORS_H
#define LEVIN_TOOLS_LEVIN_RUN_TENSORS_H

#include "tools/levin-run/Library.h"

#include <string>
#include <vector>

namespace levin::run {

struct Tensor {
  levin_dtype dtype = LEVIN_F32;
  std::vector<uint64_t> shape;
  std::vector<std::byte> data; // row-major

  uint64_t elements() const;
  /// Element `index` as a number.
  double at(uint64_t index) const;
};

/// Reads what stands after "name=": "@x.npy", "@x.safetensors:tensor", "@x.safetensors" with one
/// tensor, or numbers "1,2,3", which take the type and shape of `wanted`.
/// LV2003 for files, LV2002 for numbers.
Result<Tensor> readTensor(const std::string &value, const levin_binding_info &wanted);

/// Writes a .npy (one tensor) or .safetensors file, by the end of its name.  LV2004.
Status writeTensor(const std::string &path, const std::string &name, const Tensor &tensor);

/// The tensor as people read it: type, shape, and values, of large ones the first and last few.
std::string tensorText(const std::string &name, const Tensor &tensor);

/// "f32[2, 3]".
std::string typeText(levin_dtype dtype, std::span<const uint64_t> shape);

} // namespace levin::run

#endif // LEVIN_TOOLS_LEVIN_RUN_TENSORS_H
