#ifndef LEVIN_PASSES_FUSE_PASSES_TD
#define LEVIN_PASSES_FUSE_PASSES_TD

include "mlir/Pass/PassBase.td"

def FuseMatchPass : Pass<"levin-fuse-match", "::mlir::ModuleOp"> {
  let summary = "Marks every op with the kind of kernel work it is.";
  let description = [{
    Writes `fuse.kind`, which `levin-fuse-group` reads:

    | kind | ops |
    |---|---|
    | `matmul` | `nn.linear`, `moe.grouped_linear` |
    | `attention` | `nn.attention`, `nn.paged_attention` |
    | `lightning` | `nn.lightning_attention` |
    | `view`, `rotary` | `nn.split_heads`, `nn.rotary` |
    | `row` | `nn.rms_norm`, `nn.layer_norm`: one row of the result from one row |
    | `column` | `nn.mask_tail` |
    | `elementwise` | one element from the elements at the same place |
    | `gather` | `nn.embed`, `nn.take_rows`, `moe.dispatch` |
    | `route`, `combine` | `moe.route`, `moe.combine` |
    | `other` | everything else |

    Constants, fills, scalars and `nn.dequantize` get no kind: they are repeated in
    every kernel that needs them.  From

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = nn.silu %x : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    it makes

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = nn.silu %x {fuse.kind = "elementwise"} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    Example: `test/passes/fuse/match.mlir`.
  }];
}

def FuseGroupPass : Pass<"levin-fuse-group", "::mlir::ModuleOp"> {
  let summary = "Decides which ops become one kernel.";
  let description = [{
    Writes `fuse.group`, a number for each kernel to be.  The rules of the host:

    * a matmul takes the elementwise ops that follow it on its shape, and
      `nn.mask_tail`; other operands of these may be any value of that shape;
    * two matmuls of one input whose results an elementwise op combines are one
      group (the gate and the up projection of a feed-forward layer);
    * a row op takes the elementwise ops before and after it on its shape, and
      the `nn.take_rows` whose rows it gets;
    * an attention takes the split and the rotations that only it uses;
    * gathers and `moe.combine` take the elementwise ops that follow;
    * elementwise ops on one shape are one group; every other op is its own.

    With `fused-gather`, for targets whose grouped products read their rows from
    where they lie, a `moe.dispatch` also joins the products of experts that
    alone read it.

    A group never waits for a value that waits for the group.  Every decision is
    a remark named `Fuse` of the category `fuse`, passed or missed with its
    reason.  From

    ```mlir
    func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
      %a = nn.linear %x, %w {fuse.kind = "matmul"} : tensor<4x8xf32>, tensor<8x8xf32>
      %y = nn.silu %a {fuse.kind = "elementwise"} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    it makes

    ```mlir
    func.func @f(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
      %a = nn.linear %x, %w {fuse.group = 0 : i64, fuse.kind = "matmul"} : tensor<4x8xf32>, tensor<8x8xf32>
      %y = nn.silu %a {fuse.group = 0 : i64, fuse.kind = "elementwise"} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    Example: `test/passes/fuse/group.mlir`.
  }];
  let options = [
    Option<"fusedGather", "fused-gather", "bool", "false",
      "Products of experts take the moe.dispatch that only they read.">
  ];
}

def FuseNarrowPass : Pass<"levin-fuse-narrow", "::mlir::ModuleOp"> {
  let summary = "Stores values that cross kernels in a narrower float type.";
  let description = [{
    In a step, a float32 tensor that one group makes and others read is rounded
    to `type` at the end of the first and widened at the begin of each of the
    others: kernels compute in float32 and store half as much.  Readers in its
    own group still get the value that was not rounded.  These keep float32:

    * what `moe.route` reads and makes;
    * state, decay rates, and the weights of norms;
    * results of the function, and what the group that makes the logits reads;
    * all values of functions that are no step: they say themselves in which type
      they are.

    From

    ```mlir
    func.func @step(%x: tensor<4x8xf32>, %w: tensor<8x8xbf16>, %n: tensor<8xf32>, %v: tensor<16x8xbf16>)
        -> (tensor<4x16xf32> {nn.role = #nn.role<logits>}) {
      %a = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<8x8xbf16>
      %b = nn.rms_norm %a, %n {eps = 1.0e-5 : f64, fuse.group = 1 : i64} : tensor<4x8xf32>, tensor<8xf32>
      %c = nn.linear %b, %v {fuse.group = 2 : i64} : tensor<4x8xf32>, tensor<16x8xbf16>
      return %c : tensor<4x16xf32>
    }
    ```

    it makes

    ```mlir
    func.func @step(%x: tensor<4x8xf32>, %w: tensor<8x8xbf16>, %n: tensor<8xf32>, %v: tensor<16x8xbf16>)
        -> (tensor<4x16xf32> {nn.role = #nn.role<logits>}) {
      %a = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<8x8xbf16>
      %s = arith.truncf %a {fuse.group = 0 : i64} : tensor<4x8xf32> to tensor<4x8xbf16>
      %l = arith.extf %s {fuse.group = 1 : i64} : tensor<4x8xbf16> to tensor<4x8xf32>
      %b = nn.rms_norm %l, %n {eps = 1.0e-5 : f64, fuse.group = 1 : i64} : tensor<4x8xf32>, tensor<8xf32>
      %c = nn.linear %b, %v {fuse.group = 2 : i64} : tensor<4x8xf32>, tensor<16x8xbf16>
      return %c : tensor<4x16xf32>
    }
    ```

    Example: `test/passes/fuse/narrow.mlir`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect"];
  let options = [
    Option<"type", "type", "std::string", "\"bf16\"", "bf16, or f32 to change nothing.">
  ];
}

def FusePackPass : Pass<"levin-fuse-pack", "::mlir::ModuleOp"> {
  let summary = "Lets matrix kernels read parameters in panels.";
  let description = [{
    A parameter that is the matrix of `nn.linear` or `moe.grouped_linear` is
    packed once, while it is loaded; the kernel unpacks it again, so that what
    it means stays the same.  From

    ```mlir
    nn.parameter @w : tensor<40x8xbf16> = concat [<"w">]
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x40xf32> {
      %w = nn.use @w : tensor<40x8xbf16>
      %y = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<40x8xbf16>
      return %y : tensor<4x40xf32>
    }
    ```

    it makes

    ```mlir
    nn.parameter @w : tensor<40x8xbf16> = concat [<"w">]
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x40xf32> {
      %w = nn.use @w : tensor<40x8xbf16>
      %p = exec.pack %w : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
      %u = exec.unpack %p {fuse.group = 0 : i64} : tensor<2x8x32xbf16> -> tensor<40x8xbf16>
      %y = nn.linear %x, %u {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<40x8xbf16>
      return %y : tensor<4x40xf32>
    }
    ```

    Example: `test/passes/fuse/pack.mlir`.
  }];
  let dependentDialects = ["::levin::exec::ExecDialect"];
  let options = [
    Option<"panelRows", "panel-rows", "int64_t", "32", "Rows of the matrix in one panel.">
  ];
}

def FuseFormKernelsPass : Pass<"levin-fuse-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Turns every group into a kernel and a dispatch of it.";
  let description = [{
    Kernels are functions of the module `@kernels`; equal ones are shared by all
    layers and buckets.  A kernel is named after its ops and extents.  The
    results of a kernel are the values that others need; one that updates an
    input in place is tied to it.  From

    ```mlir
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %a = nn.silu %x {fuse.group = 0 : i64, fuse.kind = "elementwise"} : tensor<4x8xf32>
      %y = nn.sigmoid %a {fuse.group = 0 : i64, fuse.kind = "elementwise"} : tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    it makes

    ```mlir
    module @kernels {
      func.func @silu_sigmoid_4x8(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
        %a = nn.silu %x : tensor<4x8xf32>
        %y = nn.sigmoid %a : tensor<4x8xf32>
        return %y : tensor<4x8xf32>
      }
    }
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
      %y = exec.dispatch @kernels::@silu_sigmoid_4x8(%x) tied [-1]
        : (tensor<4x8xf32>) -> tensor<4x8xf32>
      return %y : tensor<4x8xf32>
    }
    ```

    Example: `test/passes/fuse/form_kernels.mlir`.
  }];
  let dependentDialects = ["::levin::exec::ExecDialect"];
}

def FuseVerifyPass : Pass<"levin-fuse-verify", "::mlir::ModuleOp"> {
  let summary = "Refuses work outside kernels, and kernels that cannot be compiled alone.";
  let description = [{
    Closes the fuse phase.

    * (F1) functions hold only `nn.use`, `exec.pack` of one, `exec.dispatch` and
      the return;
    * (F2) no attribute of the phase is left;
    * (F3) a kernel has static tensors as arguments and results, one block, and
      no `nn.use`;
    * (F4) `tied` of a dispatch says what the kernel does: a result that updates
      an argument in place is tied to it, and no other is;
    * (F5) every kernel is dispatched.

    Example: `test/passes/fuse/verify_errors.mlir`.
  }];
  let dependentDialects = ["::levin::exec::ExecDialect"];
}

#endif
