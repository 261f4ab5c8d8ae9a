// The innermost matrix product.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H
#define LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H

#include "codegen/host/kernels/Emit.h"

#include <optional>

namespace levin::host::kernels {

/// Columns of a panel of a packed weight.
inline constexpr int64_t panelWidth = 32;

/// How many rows the micro-kernel takes at most: with two vectors of B beside them and one
/// broadcast element, their sums fill the registers.
int64_t maxTileRows(const HostTarget &target);

/// C[rows, columns] += A[rows, depth] B[depth, columns], all of them parts of flat buffers.
struct MicroTile {
  int64_t rows = 1;         // 1 to maxTileRows
  int64_t columns = 0;      // a multiple of the vector lanes
  Value depth;              // rows of b
  bool depthUnrolls = true; // `depth` is known to be a multiple of 8
  bool streams = false;     // b is read once: it comes from memory
  Value a, aBegin;          // float32
  int64_t aStride = 0;      // from row to row
  Value b, bBegin;          // any float type
  int64_t bStride = 0;      // from k to k
  Value c, cBegin;          // float32
  int64_t cStride = 0;      // from row to row

  /// Columns of B lie in groups of `bGroup`, whose first elements are `bGroupStride` apart; 0: all
  /// lie side by side.  A group holds whole vectors.
  int64_t bGroup = 0, bGroupStride = 0;

  bool overwrite = false; // C = A B
  Value scale;            // C = scale C + A B, if set
};

/// The product for exactly `tile.rows` rows.
void emitMicroKernel(Emit &e, const MicroTile &tile);

/// The product for `rows` rows, in equal tiles and one for the rest.
void emitProduct(Emit &e, const HostTarget &target, const MicroTile &tile, int64_t rows);

/// The product for `rows` rows, at most `maxRows`: in tiles of `tileRows`, then one of
/// `rowsRemainder` if rows are left; if nothing is known of how many are, a ladder of tiles.
void emitTiles(Emit &e, const MicroTile &tile, Value rows, int64_t maxRows, int64_t tileRows,
               std::optional<int64_t> rowsRemainder);

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_MICROKERNEL_H
