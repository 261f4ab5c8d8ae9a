// What the kernels on heads and sequences share.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_HEADS_H
#define LEVIN_CODEGEN_HOST_KERNELS_HEADS_H

#include "codegen/host/kernels/Emit.h"

#include "llvm/ADT/DenseMap.h"

#include <optional>

namespace levin::host::kernels {

/// Where the heads [tokens, heads, D] of a value lie in an argument of the kernel: row t of head h
/// begins at element t * rowStride + h * headStride + offset.
struct HeadView {
  unsigned argument = 0;
  int64_t rowStride = 0, headStride = 0, offset = 0;

  /// The first element of head `head` in row `row`.
  Value at(Emit &e, Value row, Value head) const {
    return e.add(e.add(e.mul(row, rowStride), e.mul(head, headStride)), offset);
  }
};

/// The view of `heads` if it is a float32 argument or part of a nn.split_heads of one.
std::optional<HeadView> traceHeads(Value heads);

/// `target` with vectors that heads of `size` channels (a multiple of 8) are whole numbers of.
HostTarget targetForHeads(HostTarget target, int64_t size);

/// The number of `value` if it is an argument.
std::optional<unsigned> argumentNumber(Value value);

/// The rows [first, last) of sequence `sequence`, inside `tokens`.
struct SequenceRows {
  Value first, last;
};
SequenceRows loadSequenceRows(Emit &e, Value starts, Value sequence, int64_t tokens);

/// Copies `count` elements as float32, times `factor` (a vector) if it is set.
void emitCopy(Emit &e, Value from, Value fromBegin, Value to, Value toBegin, int64_t count,
              Value factor = {});

/// Fills `count` float32 with `value`.  `count` is a multiple of the vector lanes.
void emitFill(Emit &e, Value to, Value toBegin, int64_t count, double value);

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_HEADS_H
