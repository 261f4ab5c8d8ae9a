// Where kernels find heads that are columns of a projection.
#ifndef LEVIN_CODEGEN_CUDA_TEMPLATES_HEADVIEW_H
#define LEVIN_CODEGEN_CUDA_TEMPLATES_HEADVIEW_H

#include "mlir/IR/Value.h"

#include <cstdint>
#include <optional>

namespace levin::cuda::templates {

/// Row t of head h begins at element t * row + h * head + offset of a binding.
struct HeadView {
  unsigned argument = 0; // of the kernel, which is also the number of its binding
  int64_t row = 0, head = 0, offset = 0;
};

/// The number of `value` if it is an argument.
std::optional<unsigned> argumentNumber(mlir::Value value);

/// What an arith.extf widens, or `value` itself.
mlir::Value beforeExtension(mlir::Value value);

/// The view of `heads` [tokens, heads, D] if it is an argument or part of an nn.split_heads of one,
/// widened or not.
std::optional<HeadView> traceHeads(mlir::Value heads);

} // namespace levin::cuda::templates

#endif // LEVIN_CODEGEN_CUDA_TEMPLATES_HEADVIEW_H
