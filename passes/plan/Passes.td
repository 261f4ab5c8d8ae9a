#ifndef LEVIN_PASSES_PLAN_PASSES_TD
#define LEVIN_PASSES_PLAN_PASSES_TD

include "mlir/Pass/PassBase.td"

def PlanMemoryPass : Pass<"levin-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Gives every value of every program its bytes, and turns functions into programs.";
  let description = [{
    Each public function of dispatches becomes an `exec.program`.  Three arenas
    hold everything:

    * `parameters`, the same for all programs: one `exec.weight` for each
      parameter and layout in use;
    * `state`, the same for all programs: one place for each state argument, by
      name.  A state result that is not updated in place is copied there;
    * `workspace`: a place for each other value for as long as it lives.  Inputs
      and outputs keep theirs for the whole run, so that a caller may run again
      without setting inputs again.

    A result tied to an operand shares its place; if the operand is needed
    later, or may not be written, it is copied first.  From

    ```mlir
    module @kernels {
      func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
        return %x : tensor<4xf32>
      }
    }
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```

    it makes, besides the kernels,

    ```mlir
    exec.program @f {
      %p = exec.arena parameters [0]
      %s = exec.arena state [0]
      %w = exec.arena workspace [128]
      %x = exec.slice %w [0, 16] live [0, 0]
      exec.bind input "arg0" %x : tensor<4xf32>
      %y = exec.slice %w [64, 16] live [0, 0]
      exec.bind output "result0" %y : tensor<4xf32>
      exec.launch @kernels::@k grid [1, 1, 1] (%x, %y)
    }
    ```

    The grid is what code generation replaces.  Example:
    `test/passes/plan/memory.mlir`.
  }];
  let dependentDialects = ["::levin::exec::ExecDialect"];
  let options = [
    Option<"alignment", "alignment", "int64_t", "64",
      "Where slices and weights begin, in bytes: a power of two from 8 to 4096.">
  ];
}

def PlanVerifyPass : Pass<"levin-plan-verify", "::mlir::ModuleOp"> {
  let summary = "Runs every program's commands on byte ranges and refuses a wrong plan.";
  let description = [{
    Closes the plan phase, and shares no code with the planner.  It walks the
    commands in order and keeps, for each byte of the workspace, which slice
    wrote it last.

    * (P1) slices and weights lie in their arena at multiples of `alignment`, and
      weights do not overlap;
    * (P2) what a command reads was last written as that slice;
    * (P3) a command touches a slice only while it is alive;
    * (P4) parameters are never written;
    * (P5) a launch has a binding for each argument and each result of its
      kernel that is not tied, of the right size;
    * (P6) an output holds its own bytes at the end;
    * (P7) all programs agree about the parameter and the state arena and about
      the place of each state, and states do not overlap;
    * (P8) the bindings of one launch do not overlap when one of them is written,
      nor do the two slices of a copy.

    Example: `test/passes/plan/verify_errors.mlir`.
  }];
  let dependentDialects = ["::levin::exec::ExecDialect"];
  let options = [
    Option<"alignment", "alignment", "int64_t", "64",
      "Where slices and weights begin, in bytes.">
  ];
}

#endif
