// Hand-shaped kernels for the fused groups that carry most of the time.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_KERNELTEMPLATE_H
#define LEVIN_CODEGEN_HOST_KERNELS_KERNELTEMPLATE_H

#include "codegen/host/HostTarget.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <array>
#include <cstdint>

namespace levin::host {

/// Replaces the compiled decomposition of a kernel where it matches.
///
/// A kernel is one fused group on static tensors: its arguments are tensors, its body nn, moe,
/// exec.unpack, arith and math ops, and it returns the results.  The template writes the code of
/// one grid point, in the memref, vector, scf, arith and math dialects.  Points run in any order
/// and concurrently.  Values agree with the decomposition up to rounding; rows that the ops leave
/// unspecified may hold anything.
class KernelTemplate {
public:
  virtual ~KernelTemplate() = default;

  /// Names the template in plans and remarks.
  virtual llvm::StringRef name() const = 0;

  /// Whether this template can compile `kernel`, for every target.
  virtual bool matches(mlir::func::FuncOp kernel) const = 0;

  /// How often a launch calls the kernel, for x, y and z; the same for every target.
  virtual std::array<int64_t, 3> grid(mlir::func::FuncOp kernel) const = 0;

  /// Writes the body of `function`, whose entry block is empty and has as arguments one memref
  /// (static shape, row-major) for each argument of `kernel`, then one for each result that no
  /// stateful op ties to an argument, then x, y and z.  Tied results are stored through the
  /// argument.  Scratch memory is memref.alloca with a static shape.
  virtual mlir::LogicalResult emit(mlir::func::FuncOp kernel, mlir::func::FuncOp function,
                                   const HostTarget &target) const = 0;
};

/// Every template, in the order in which they are tried.
llvm::ArrayRef<const KernelTemplate *> hostKernelTemplates();

} // namespace levin::host

#endif // LEVIN_CODEGEN_HOST_KERNELS_KERNELTEMPLATE_H
