// Kernels that are products of one input with matrices, and elementwise ops of them.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_PRODUCTGROUP_H
#define LEVIN_CODEGEN_HOST_KERNELS_PRODUCTGROUP_H

#include "codegen/host/kernels/Epilogue.h"
#include "codegen/host/kernels/Gemm.h"

namespace levin::host::kernels {

/// One product of the group.
struct Product {
  mlir::Operation *op;
  WeightSource weight;
  std::optional<unsigned> bias; // the argument that is added to every row
};

/// What a kernel consists of.
struct ProductGroup {
  SmallVector<Product> products;
  unsigned input = 0;              // argument [m, k]
  std::optional<unsigned> offsets; // argument [experts + 1] of grouped products
  int64_t m = 0, n = 0, k = 0, experts = 1;
};

/// The parts of `kernel` if it is nn.linear, linalg.matmul or moe.grouped_linear ops that share
/// their input and shape, and elementwise ops.
std::optional<ProductGroup> analyseProducts(mlir::func::FuncOp kernel);

/// The products of `group` on the buffers of `function`; matrices begin at `expert`.
SmallVector<Gemm::Factor> factorsOf(Emit &e, const ProductGroup &group, mlir::func::FuncOp function,
                                    Value expert);

/// Stores the results of `kernel` for a vector of columns of one row, given the sums.
void emitResults(Emit &e, const ProductGroup &group, mlir::func::FuncOp kernel,
                 mlir::func::FuncOp function, Value row, Value column, Value mask,
                 ArrayRef<Value> sums);

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_PRODUCTGROUP_H
