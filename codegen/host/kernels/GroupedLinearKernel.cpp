// Products of each expert's rows with that expert's matrix, with an elementwise epilogue.
//
// Grid: (groups of panels, experts, shares of an expert's rows).  Where an expert's rows lie is
// read when the kernel runs; an expert without rows costs its points a comparison.
#include "codegen/host/kernels/KernelTemplate.h"
#include "codegen/host/kernels/ProductGroup.h"
#include "codegen/host/kernels/Templates.h"

namespace levin::host::kernels {

namespace {
struct GroupedGrid {
  GemmGrid gemm;
  int64_t shares; // of the rows of one expert
};

class GroupedLinearKernel : public KernelTemplate {
public:
  llvm::StringRef name() const override { return "grouped_linear"; }

  bool matches(mlir::func::FuncOp kernel) const override {
    auto group = analyseProducts(kernel);
    return group && group->offsets && group->experts > 0;
  }

  std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const override {
    ProductGroup group = *analyseProducts(kernel);
    GroupedGrid grid = plan(group);
    return {grid.gemm.panelGroups, group.experts, grid.shares};
  }

  mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                           const HostTarget &target) const override;

private:
  // Experts get about equal parts of the rows; one that gets more loops over its share.
  static GroupedGrid plan(const ProductGroup &group) {
    int64_t rows = ceilDiv(group.m, group.experts);
    GemmGrid gemm = planGemm(rows, group.n, group.k, static_cast<int64_t>(group.products.size()));
    return {gemm, gemm.rowBlocks};
  }
};
} // namespace

mlir::LogicalResult GroupedLinearKernel::emit(mlir::func::FuncOp kernel,
                                              mlir::func::FuncOp function,
                                              const HostTarget &target) const {
  ProductGroup group = *analyseProducts(kernel);
  GroupedGrid grid = plan(group);
  Emit e(function, target);
  unsigned bindings = function.getNumArguments() - 3;
  Value x = function.getArgument(bindings), expert = function.getArgument(bindings + 1),
        z = function.getArgument(bindings + 2);

  Value offsets = function.getArgument(*group.offsets);
  Value begin = e.clamp(e.loadIndex(offsets, expert), 0, group.m);
  Value end = e.clamp(e.loadIndex(offsets, e.add(expert, 1)), 0, group.m);

  int64_t rowBlock = grid.gemm.rowBlock, panelGroup = grid.gemm.panelGroup;
  Gemm gemm(e, group.n, group.k, e.flat(function.getArgument(group.input)),
            factorsOf(e, group, function, expert), std::min(group.m, rowBlock), panelGroup,
            maxTileRows(target), std::nullopt);
  Value panel = e.mul(x, panelGroup);
  Value panels = e.min(e.index(panelGroup), e.sub(e.index(ceilDiv(group.n, panelWidth)), panel));
  e.loop(e.at(z, rowBlock, begin), end, rowBlock * grid.shares, [&](Value row) {
    Value rows = e.min(e.index(rowBlock), e.sub(end, row));
    gemm.emit(row, rows, panel, panels,
              [&](Value r, Value column, Value mask, ArrayRef<Value> sums) {
                emitResults(e, group, kernel, function, r, column, mask, sums);
              });
  });
  e.finish();
  return mlir::success();
}

const KernelTemplate &groupedLinearKernel() {
  static const GroupedLinearKernel kernel;
  return kernel;
}

} // namespace levin::host::kernels
