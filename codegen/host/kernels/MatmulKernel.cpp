// Dense products of one input, with an elementwise epilogue.
//
// Grid: (blocks of rows, groups of panels).  A point packs its rows once for each stretch of k and
// runs over its panels; see Gemm.
#include "codegen/host/kernels/KernelTemplate.h"
#include "codegen/host/kernels/ProductGroup.h"
#include "codegen/host/kernels/Templates.h"

namespace levin::host::kernels {

namespace {
class MatmulKernel : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "matmul"; }

  bool matches(mlir::func::FuncOp kernel) const override {
    auto group = analyseProducts(kernel);
    return group && !group->offsets;
  }

  std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const override {
    GemmGrid grid = plan(*analyseProducts(kernel));
    return {grid.rowBlocks, grid.panelGroups, 1};
  }

  mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                           const HostTarget &target) const override;

private:
  static GemmGrid plan(const ProductGroup &group) {
    return planGemm(group.m, group.n, group.k, static_cast<int64_t>(group.products.size()));
  }
};
} // namespace

mlir::LogicalResult MatmulKernel::emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                                       const HostTarget &target) const {
  ProductGroup group = *analyseProducts(kernel);
  GemmGrid grid = plan(group);
  // Few rows are cut into equal tiles; a block of many is a multiple of the largest tile.
  int64_t tileRows = maxTileRows(target);
  if (grid.rowBlocks == 1)
    tileRows = ceilDiv(group.m, ceilDiv(group.m, tileRows));
  int64_t remainder = group.m % tileRows;

  Emit e(function, target);
  unsigned bindings = function.getNumArguments() - 3;
  Value x = function.getArgument(bindings), y = function.getArgument(bindings + 1);
  Value zero = e.index(0);
  Gemm gemm(e, group.n, group.k, e.flat(function.getArgument(group.input)),
            factorsOf(e, group, function, zero), std::min(group.m, grid.rowBlock), grid.panelGroup,
            tileRows, remainder);
  Value row = e.mul(x, grid.rowBlock), panel = e.mul(y, grid.panelGroup);
  Value rows = grid.rowBlocks == 1 ? e.index(group.m)
                                   : e.min(e.index(grid.rowBlock), e.sub(e.index(group.m), row));
  int64_t panelCount = ceilDiv(group.n, panelWidth);
  Value panels = panelCount % grid.panelGroup == 0
                     ? e.index(grid.panelGroup)
                     : e.min(e.index(grid.panelGroup), e.sub(e.index(panelCount), panel));
  gemm.emit(row, rows, panel, panels, [&](Value r, Value column, Value mask, ArrayRef<Value> sums) {
    emitResults(e, group, kernel, function, r, column, mask, sums);
  });
  e.finish();
  return mlir::success();
}

const KernelTemplate &matmulKernel() {
  static const MatmulKernel kernel;
  return kernel;
}

} // namespace levin::host::kernels
