// Products of matrices in float32 arithmetic, dense and by expert, with an elementwise tail.
//
//   sum_p[r, c] = sum_k tokens[r, k] weight_p[e, c, k]        rows r of expert e, columns c < n
//
// For what the tensor cores cannot do without rounding: float32 operands, and any extents.  Sums
// run over k in order, by fused multiply-adds.
#ifndef LEVIN_CODEGEN_CUDA_KERNELS_GEMM_SIMT_CUH
#define LEVIN_CODEGEN_CUDA_KERNELS_GEMM_SIMT_CUH

#include "numeric.cuh"

namespace levin::kernels {

/// What is constant in the code: a block of 256 threads makes Rows x Columns results of 1 or 2
/// products.  Rows and Columns are multiples of 32, Columns of 64.  With Vectors, n and k are
/// multiples of 4.
template <int Products, int Rows, int Columns, bool Vectors> struct SimtShape {
  static constexpr int products = Products, rows = Rows, columns = Columns;
  static constexpr bool vectors = Vectors;
  static constexpr int threads = 256, depth = 8;
  static constexpr int threadRows = Rows / 16, threadColumns = Columns / 16;
  /// Blocks of a multiprocessor, for __launch_bounds__: as many as leave registers for the sums.
  static constexpr int resident = Products * threadRows * threadColumns > 32 ? 1 : 2;
  static constexpr int rowVector = threadRows < 4 ? threadRows : 4;
  static constexpr int xStride = Rows + 4, wStride = Products * Columns + 4;
};

/// What a product is of.  `offsets` are null for dense products: one expert that has all rows.
struct SimtProblem {
  const int *offsets; // [experts + 1]
  int experts;
  int rows; // of tokens and results
  int n, k;
};

namespace detail {

/// Which rows a block has: tile `tile` of all tiles of all experts.  False if there are fewer.
template <class Shape>
__device__ __forceinline__ bool simtTile(const SimtProblem &problem, int tile, int &expert,
                                         int &begin, int &end) {
  expert = 0;
  begin = tile * Shape::rows;
  end = problem.rows;
  if (!problem.offsets)
    return begin < end;
  for (; expert < problem.experts; ++expert) {
    begin = min(max(problem.offsets[expert], 0), problem.rows);
    end = min(problem.offsets[expert + 1], problem.rows);
    const int tiles = (max(end - begin, 0) + Shape::rows - 1) / Shape::rows;
    if (tile < tiles) {
      begin += tile * Shape::rows;
      return true;
    }
    tile -= tiles;
  }
  return false;
}

/// A thread's share of a panel of `Rows` rows and 8 of k: four of k in every 128th row.
template <int Rows, bool Vectors, class T> struct SimtPanel {
  static constexpr int parts = (Rows + 127) / 128;
  float values[parts][4];

  /// Rows from `count` on, and k from `depth` on, are zeros.  `rows` is the first row's begin.
  __device__ __forceinline__ void load(const T *rows, int count, int64_t stride, int k, int depth) {
    const int at = k + threadIdx.x % 2 * 4;
#pragma unroll
    for (int part = 0; part < parts; ++part) {
      const int row = part * 128 + threadIdx.x / 2;
#pragma unroll
      for (int i = 0; i < 4; ++i)
        values[part][i] = 0.0f;
      if (row >= count || row >= Rows)
        continue;
      const T *from = rows + row * stride + at;
      if constexpr (Vectors) {
        if (at < depth)
          loadVector<4>(from, values[part]);
      } else {
#pragma unroll
        for (int i = 0; i < 4; ++i)
          if (at + i < depth)
            values[part][i] = widen(from[i]);
      }
    }
  }
  /// Stores transposed: [8 of k][stride], rows from `first` on.
  __device__ __forceinline__ void store(float *panel, int stride, int first) const {
#pragma unroll
    for (int part = 0; part < parts; ++part) {
      const int row = part * 128 + threadIdx.x / 2;
      if (row < Rows)
#pragma unroll
        for (int i = 0; i < 4; ++i)
          panel[(threadIdx.x % 2 * 4 + i) * stride + first + row] = values[part][i];
    }
  }
};

} // namespace detail

/// The body of a kernel of __launch_bounds__(Shape::threads, Shape::resident) and a grid of (blocks
/// of columns, tiles): at least one tile for each Shape::rows rows, begun, of each expert.
///   tokens   X [rows, k];  weights  W [experts, n, k] for each product
template <class Shape, class X, class W, class F>
__device__ __forceinline__ void simtProduct(const X *tokens, const W *firstWeights,
                                            const W *secondWeights, const Tail<F> &tail,
                                            const SimtProblem &problem) {
  static_assert(F::sumCount == Shape::products);
  constexpr int depth = Shape::depth, products = Shape::products, columns = Shape::columns;
  constexpr int rowVector = Shape::rowVector;
  __shared__ __align__(16) float xs[2][depth][Shape::xStride];
  __shared__ __align__(16) float ws[2][depth][Shape::wStride];
  int expert, begin, end;
  if (!detail::simtTile<Shape>(problem, static_cast<int>(blockIdx.y), expert, begin, end))
    return;
  const int n = problem.n, k = problem.k, first = static_cast<int>(blockIdx.x) * columns;
  const int rowCount = min(end - begin, Shape::rows), columnCount = min(n - first, columns);
  const int64_t weightBegin = (int64_t(expert) * n + first) * k;
  const X *x = tokens + int64_t(begin) * k;
  const W *const w[2] = {firstWeights + weightBegin, secondWeights + weightBegin};

  detail::SimtPanel<Shape::rows, Shape::vectors, X> xPanel;
  detail::SimtPanel<columns, Shape::vectors, W> wPanels[products];
  auto load = [&](int at) {
    xPanel.load(x, rowCount, k, at, k);
#pragma unroll
    for (int p = 0; p < products; ++p)
      wPanels[p].load(w[p], columnCount, k, at, k);
  };
  auto store = [&](int buffer) {
    xPanel.store(&xs[buffer][0][0], Shape::xStride, 0);
#pragma unroll
    for (int p = 0; p < products; ++p)
      wPanels[p].store(&ws[buffer][0][0], Shape::wStride, p * columns);
  };

  // A thread's rows are vectors of rowVector, 16 rowVector apart; its columns vectors of 4.
  const int threadRow = threadIdx.x / 16, threadColumn = threadIdx.x % 16;
  float sums[products][Shape::threadRows][Shape::threadColumns] = {};
  load(0);
  store(0);
  __syncthreads();
  int buffer = 0;
  for (int at = 0; at < k; at += depth) {
    const bool more = at + depth < k;
    if (more)
      load(at + depth);
#pragma unroll
    for (int i = 0; i < depth; ++i) {
      float a[Shape::threadRows], b[products][Shape::threadColumns];
#pragma unroll
      for (int r = 0; r < Shape::threadRows; r += rowVector) {
        float part[rowVector];
        loadVector<rowVector>(&xs[buffer][i][r * 16 + threadRow * rowVector], part);
#pragma unroll
        for (int j = 0; j < rowVector; ++j)
          a[r + j] = part[j];
      }
#pragma unroll
      for (int p = 0; p < products; ++p)
#pragma unroll
        for (int c = 0; c < Shape::threadColumns; c += 4) {
          float part[4];
          loadVector<4>(&ws[buffer][i][p * columns + c * 16 + threadColumn * 4], part);
#pragma unroll
          for (int j = 0; j < 4; ++j)
            b[p][c + j] = part[j];
        }
#pragma unroll
      for (int p = 0; p < products; ++p)
#pragma unroll
        for (int r = 0; r < Shape::threadRows; ++r)
#pragma unroll
          for (int c = 0; c < Shape::threadColumns; ++c)
            sums[p][r][c] = fmaf(a[r], b[p][c], sums[p][r][c]);
    }
    if (more)
      store(buffer ^ 1);
    __syncthreads();
    buffer ^= 1;
  }

#pragma unroll
  for (int r = 0; r < Shape::threadRows; ++r) {
    const int row = r / rowVector * rowVector * 16 + threadRow * rowVector + r % rowVector;
    if (row >= rowCount)
      continue;
#pragma unroll
    for (int c = 0; c < Shape::threadColumns; c += 4) {
      const int column = c * 16 + threadColumn * 4;
      if constexpr (Shape::vectors) {
        float values[products][4];
#pragma unroll
        for (int p = 0; p < products; ++p)
#pragma unroll
          for (int j = 0; j < 4; ++j)
            values[p][j] = sums[p][r][c + j];
        if (column < columnCount)
          finish<F, 4>(tail, begin + row, n, first + column, values);
      } else {
#pragma unroll
        for (int j = 0; j < 4; ++j) {
          float values[products][1];
#pragma unroll
          for (int p = 0; p < products; ++p)
            values[p][0] = sums[p][r][c + j];
          if (column + j < columnCount)
            finish<F, 1>(tail, begin + row, n, first + column + j, values);
        }
      }
    }
  }
}

/// Copies rows: `dispatched[places[t, c]] = tokens[t]`, for places that are not negative.  One
/// block a token.
template <class X>
__device__ __forceinline__ void simtDispatch(const X *tokens, const int *places, X *dispatched,
                                             int choices, int width, int rows) {
  const int token = static_cast<int>(blockIdx.x);
  for (int c = 0; c < choices; ++c) {
    const int place = places[int64_t(token) * choices + c];
    if (place >= 0 && place < rows)
      for (int i = threadIdx.x; i < width; i += blockDim.x)
        dispatched[int64_t(place) * width + i] = tokens[int64_t(token) * width + i];
  }
}

} // namespace levin::kernels

#endif // LEVIN_CODEGEN_CUDA_KERNELS_GEMM_SIMT_CUH
