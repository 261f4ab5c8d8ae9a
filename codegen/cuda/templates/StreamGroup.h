// What the templates that stream matrices (gemv, expert_gemv) share.
#ifndef LEVIN_CODEGEN_CUDA_TEMPLATES_STREAMGROUP_H
#define LEVIN_CODEGEN_CUDA_TEMPLATES_STREAMGROUP_H

#include "codegen/cuda/templates/GemmGroup.h"

namespace levin::cuda {

/// The parts of `kernel` if its matrices are in a format that kernels/weight_stream.cuh reads.
std::optional<GemmGroup> analyseStream(mlir::func::FuncOp kernel);

/// How many tokens a kernel may have: `narrow` bf16 ones, or `quantised` where the matrices are.
/// More are faster as tiles of a large product; where there is none for their format, 32.
int64_t mostStreamed(const GemmGroup &group, int64_t narrow, int64_t quantised);

/// How a warp reads its matrices: names are those of kernels/weight_stream.cuh.
struct StreamShape {
  int64_t matrices = 1, tiles = 1, rowTiles = 1, depthWarps = 8, depth = 4;
  int64_t resident = 2; // CTAs that a processor must have room for

  int64_t rows() const { return 16 * rowTiles; }
  uint32_t threads() const { return static_cast<uint32_t>(32 * depthWarps); }
  /// Of the partial sums.
  uint32_t sharedBytes() const {
    return static_cast<uint32_t>(4 * depthWarps * matrices * 8 * tiles * (rows() + 4));
  }
};

/// A shape for `rows` input rows at a time, at most 32, that fits the registers.
StreamShape streamShape(const GemmGroup &group, int64_t rows);

/// "levin::kernels::Bf16Matrix" and so on.
std::string matrixFormat(const GemmGroup &group);

/// The initialisers of a levin::kernels::MatrixData for each matrix: "{b1, nullptr}, {b2, ..}".
std::string matrixArguments(const GemmGroup &group);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_TEMPLATES_STREAMGROUP_H
