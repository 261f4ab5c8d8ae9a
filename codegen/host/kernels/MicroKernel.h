// The innermost matrix product.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H
#define LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H

#include "codegen/host/kernels/Emit.h"

namespace levin::host::kernels {

/// Columns of a panel of a packed weight.
inline constexpr int64_t panelWidth = 32;

/// How many rows the micro-kernel takes at most: with two vectors of a panel beside them and one
/// broadcast element, their sums fill the registers.
int64_t maxTileRows(const HostTarget &target);

/// C[rows, 32] += A[rows, depth] B[depth, 32], all of them parts of flat buffers.
struct MicroTile {
  int64_t rows; // 1 to maxTileRows
  Value depth;
  bool depthUnrolls; // `depth` is known to be a multiple of 8
  Value a, aBegin;   // float32
  int64_t aStride;   // from row to row
  Value b, bBegin;   // any float type; from k to k it is panelWidth elements
  bool streams;      // b is read once: it comes from memory
  Value c, cBegin;   // float32 scratch
  int64_t cStride;
};

void emitMicroKernel(Emit &e, const MicroTile &tile);

/// Calls the micro-kernel for `rows` rows, at most `maxRows`: in tiles of `tileRows`, then a
/// ladder of smaller ones.  Rows are those of `tile`, moved on for each tile; if
/// `rowsRemainder` is given, it is what is known of `rows` mod `tileRows` besides 0.
void emitTiles(Emit &e, MicroTile tile, Value rows, int64_t maxRows, int64_t tileRows,
               std::optional<int64_t> rowsRemainder);

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H
