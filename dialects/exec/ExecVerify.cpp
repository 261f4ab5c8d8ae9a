// Verifiers of the exec ops.  The (Cn) are those of ExecOps.td; test/dialects/exec/errors.mlir has
// one case for each.
#include "dialects/exec/Exec.h"
#include "dialects/nn/NN.h"

#include "mlir/Interfaces/FunctionInterfaces.h"
#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace levin::exec {

/// (C1) of pack and unpack: [.., n, k] and [.., ceil(n / P), k, P].
static LogicalResult verifyPanels(Operation *op, RankedTensorType matrix, RankedTensorType panels) {
  int64_t rank = matrix.getRank();
  bool fits = rank >= 2 && panels.getRank() == rank + 1 &&
              matrix.getElementType() == panels.getElementType() && panels.getShape().back() > 0;
  if (fits) {
    ArrayRef<int64_t> m = matrix.getShape(), p = panels.getShape();
    fits = m.drop_back(2) == p.drop_back(3) && p[rank - 1] == m[rank - 1] &&
           p[rank - 2] == static_cast<int64_t>(llvm::divideCeil(m[rank - 2], p[rank]));
  }
  if (!fits)
    return op->emitOpError("goes between ")
           << matrix << " and " << panels
           << ", expected [.., n, k] and [.., ceil(n / P), k, P] of one element type (C1)";
  return success();
}

LogicalResult PackOp::verify() {
  return verifyPanels(*this, cast<RankedTensorType>(getMatrix().getType()),
                      cast<RankedTensorType>(getPanels().getType()));
}

LogicalResult UnpackOp::verify() {
  return verifyPanels(*this, cast<RankedTensorType>(getMatrix().getType()),
                      cast<RankedTensorType>(getPanels().getType()));
}

LogicalResult DispatchOp::verifySymbolUses(SymbolTableCollection &symbols) {
  SymbolRefAttr kernel = getKernelAttr();
  Operation *target = symbols.lookupNearestSymbolFrom(*this, kernel);
  auto function = dyn_cast_or_null<FunctionOpInterface>(target);
  if (!function || kernel.getRootReference() != "kernels" ||
      kernel.getNestedReferences().size() != 1) // (C1)
    return emitOpError("calls ") << kernel
                                 << ", which is no function of a module @kernels here (C1)";
  bool onTensors = llvm::all_of(function.getArgumentTypes(), llvm::IsaPred<TensorType>);
  if (onTensors && (function.getArgumentTypes() != getInputs().getTypes() ||
                    function.getResultTypes() != getOutputs().getTypes())) { // (C3)
    InFlightDiagnostic error = emitOpError("calls ")
                               << kernel << " with (" << getInputs().getTypes() << ") -> ("
                               << getOutputs().getTypes() << "), expected the kernel's type (C3)";
    error.attachNote(function.getLoc()) << "the kernel is (" << function.getArgumentTypes()
                                        << ") -> (" << function.getResultTypes() << ")";
    return error;
  }
  return success();
}

LogicalResult DispatchOp::verify() {
  ArrayRef<int64_t> tied = getTied();
  if (tied.size() != getOutputs().size()) // (C2)
    return emitOpError("ties ") << tied.size() << " results, expected an entry for each of "
                                << getOutputs().size() << " (C2)";
  for (auto [index, operand] : llvm::enumerate(tied)) {
    if (operand == -1)
      continue;
    Type type = getOutputs()[index].getType();
    if (operand < 0 || operand >= static_cast<int64_t>(getInputs().size()) ||
        getInputs()[operand].getType() != type) // (C2)
      return emitOpError("ties result ")
             << index << " of type " << type << " to operand " << operand
             << ", expected -1 or an operand of that type (C2)";
  }
  return success();
}

LogicalResult WeightOp::verifySymbolUses(SymbolTableCollection &symbols) {
  if (!symbols.lookupNearestSymbolFrom<nn::ParameterOp>(*this, getParameterAttr())) // (C1)
    return emitOpError("is from ")
           << getParameterAttr() << ", which is no nn.parameter; declare it in the module (C1)";
  return success();
}

/// Whether `place` is an offset and a size, neither negative, whose sum is no overflow.
static bool isPlace(ArrayRef<int64_t> place) {
  return place.size() == 2 && place[0] >= 0 && place[1] >= 0 &&
         place[1] <= std::numeric_limits<int64_t>::max() - place[0];
}

LogicalResult WeightOp::verify() {
  if (!isPlace(getPlace())) // (C2)
    return emitOpError("lies at [")
           << getPlace() << "], expected an offset and a size of at least 0 (C2)";
  if (static_cast<int64_t>(getPanelRows()) < 0) // (C3)
    return emitOpError("has panels of ")
           << static_cast<int64_t>(getPanelRows()) << " rows, expected at least 0 (C3)";
  return success();
}

LogicalResult ArenaOp::verify() {
  if (getExtent().size() != 1 || getExtent().front() < 0) // (C1)
    return emitOpError("has extent [")
           << getExtent() << "], expected one size in bytes of at least 0 (C1)";
  return success();
}

LogicalResult SliceOp::verify() {
  if (!isPlace(getPlace())) // (C1)
    return emitOpError("lies at [")
           << getPlace() << "], expected an offset and a size of at least 0 (C1)";
  auto arena = getArena().getDefiningOp<ArenaOp>();
  if (arena && arena.getExtent().size() == 1 &&
      getPlace()[0] + getPlace()[1] > arena.getExtent().front()) { // (C1)
    InFlightDiagnostic error = emitOpError("ends at byte ")
                               << getPlace()[0] + getPlace()[1] << ", expected at most "
                               << arena.getExtent().front() << ", the size of its arena (C1)";
    error.attachNote(arena.getLoc()) << "the arena";
    return error;
  }
  if (getLive().size() != 2 || getLive()[0] < 0 || getLive()[1] < getLive()[0]) // (C2)
    return emitOpError("is live in [")
           << getLive() << "], expected a first command and one not before it (C2)";
  return success();
}

LogicalResult BindOp::verify() {
  auto type = cast<RankedTensorType>(getType());
  if (!type.getElementType().isIntOrFloat()) // (C1)
    return emitOpError("binds ") << type << ", expected float or integer elements (C1)";
  int64_t bytes = llvm::divideCeil(type.getElementTypeBitWidth(), 8);
  for (int64_t extent : type.getShape())
    if (llvm::MulOverflow(bytes, extent, bytes)) // (C1)
      return emitOpError("binds ") << type << ", expected a size below 2^63 bytes (C1)";
  auto slice = getSlice().getDefiningOp<SliceOp>();
  if (slice && slice.getPlace().size() == 2 && slice.getPlace()[1] < bytes) { // (C1)
    InFlightDiagnostic error = emitOpError("binds ")
                               << type << " of " << bytes << " bytes, expected a slice that holds "
                               << "them, found one of " << slice.getPlace()[1] << " (C1)";
    error.attachNote(slice.getLoc()) << "the slice";
    return error;
  }
  return success();
}

LogicalResult LaunchOp::verify() {
  if (getGrid().size() != 3 || llvm::any_of(getGrid(), [](int64_t n) { return n < 1; })) // (C1)
    return emitOpError("has grid [") << getGrid() << "], expected three positive extents (C1)";
  return success();
}

} // namespace levin::exec
