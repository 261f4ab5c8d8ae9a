// A block of a matrix product, with what is computed from its sums.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_GEMM_H
#define LEVIN_CODEGEN_HOST_KERNELS_GEMM_H

#include "codegen/host/kernels/MicroKernel.h"

#include <optional>

namespace levin::host::kernels {

/// How the matrix of a product lies in memory, as B[k, n].
enum class WeightLayout {
  Panels,  // [ceil(n / 32), k, 32]
  Rows,    // [n, k]
  Columns, // [k, n]
};

/// The matrix of a product: an argument of the kernel.
struct WeightSource {
  unsigned argument;
  WeightLayout layout;
  int64_t n, k;
};

/// Where `weight` ([.., n, k]) comes from: an argument, or the unpacked panels of one.
std::optional<WeightSource> traceWeight(Value weight);

/// How a product is cut into grid points; the same for every target.
struct GemmGrid {
  int64_t rowBlock, rowBlocks;
  int64_t panelGroup, panelGroups;
};

/// A cut of `products` products [m, k] x [k, n] that keeps up to about 16 threads busy, reuses
/// what a point packs, and makes no point too small for its launch.
GemmGrid planGemm(int64_t m, int64_t n, int64_t k, int64_t products);

/// Products of the same rows with matrices of one shape.
class Gemm {
public:
  struct Factor {
    Value flat;  // the matrix
    Value begin; // its first element
    WeightLayout layout;
  };

  /// `maxRows` and `maxPanels` bound what `emit` is asked for.  `input` is flat float32 of rows of
  /// k.  The rows of a block are taken in tiles of `tileRows` and a remainder of
  /// `rowsRemainder` (nothing: any number).
  Gemm(Emit &e, int64_t n, int64_t k, Value input, ArrayRef<Factor> factors, int64_t maxRows,
       int64_t maxPanels, int64_t tileRows, std::optional<int64_t> rowsRemainder);

  /// For the rows [row, row + rows) and the columns of the panels [panel, panel + panels):
  /// computes the sums of every product, then calls `epilogue` for each vector of them.
  using Epilogue = function_ref<void(Value row, Value column, Value mask, ArrayRef<Value> sums)>;
  void emit(Value row, Value rows, Value panel, Value panels, Epilogue epilogue);

private:
  Emit &e;
  int64_t n, k, maxRows, maxPanels, tileRows;
  std::optional<int64_t> rowsRemainder;
  int64_t depth;  // rows of B taken at once
  bool copyInput; // pack a block of the input, so that its rows share no cache set
  Value input, inputBlock, panelBlock;
  SmallVector<Factor> factors;
  SmallVector<Value> sums; // a block of sums for each product

  int64_t sumStride() const { return maxPanels * panelWidth; }
  void emitClear(Value rows);
  void emitCopyInput(Value row, Value rows, Value k0, Value count);
  void emitPackRows(const Factor &factor, Value first, Value k0, Value count);
  void emitPackPanel(const Factor &factor, Value panel, Value k0, Value count);
  void emitDepthBlock(Value row, Value rows, Value panel, Value panels, Value k0, Value count);
};

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_GEMM_H
