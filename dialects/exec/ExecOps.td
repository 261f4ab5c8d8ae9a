#ifndef LEVIN_EXEC_EXECOPS_TD
#define LEVIN_EXEC_EXECOPS_TD

include "dialects/exec/ExecDialect.td"
include "dialects/interfaces/DecomposableOpInterface.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/RegionKindInterface.td"
include "mlir/IR/SymbolInterfaces.td"

class Exec_Op<string mnemonic, list<Trait> traits = []>
    : Op<Exec_Dialect, mnemonic, traits>;

//===-- while values are tensors ----------------------------------------------===//

def Exec_PackOp : Exec_Op<"pack", [Pure, DeclareOpInterfaceMethods<DecomposableOpInterface>]> {
  let summary = "Lays a matrix out in panels of rows.";
  let description = [{
    `panels[.., i, k, r] = matrix[.., i P + r, k]` with P the last dimension of the
    result; rows past the matrix are 0.  A matrix kernel then reads one panel in
    order.  Packing a parameter happens once, while it is loaded.

    Constraints:
      * (C1) from [.., n, k] the result is [.., ceil(n / P), k, P].

    ```mlir
    func.func @f(%w: tensor<40x8xbf16>) -> tensor<2x8x32xbf16> {
      %p = exec.pack %w : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
      return %p : tensor<2x8x32xbf16>
    }
    ```
  }];
  let arguments = (ins Arg<AnyStaticShapeTensor, "[.., n, k]">:$matrix);
  let results = (outs Res<AnyStaticShapeTensor, "[.., ceil(n / P), k, P]">:$panels);
  let assemblyFormat = "$matrix attr-dict `:` type($matrix) `->` type($panels)";
  let hasVerifier = 1;
}

def Exec_UnpackOp : Exec_Op<"unpack", [Pure, DeclareOpInterfaceMethods<DecomposableOpInterface>]> {
  let summary = "Reads a matrix back from panels of rows.";
  let description = [{
    The inverse of `exec.pack`: `matrix[.., i P + r, k] = panels[.., i, k, r]`.  A
    kernel that gets a packed weight begins with it, so that what the kernel means
    does not depend on the layout; matrix kernels read the panels as they lie.

    Constraints:
      * (C1) from [.., p, k, P] the result is [.., n, k] with ceil(n / P) = p.

    ```mlir
    func.func @f(%p: tensor<2x8x32xbf16>) -> tensor<40x8xbf16> {
      %w = exec.unpack %p : tensor<2x8x32xbf16> -> tensor<40x8xbf16>
      return %w : tensor<40x8xbf16>
    }
    ```
  }];
  let arguments = (ins Arg<AnyStaticShapeTensor, "[.., ceil(n / P), k, P]">:$panels);
  let results = (outs Res<AnyStaticShapeTensor, "[.., n, k]">:$matrix);
  let assemblyFormat = "$panels attr-dict `:` type($panels) `->` type($matrix)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

def Exec_DispatchOp : Exec_Op<"dispatch", [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Calls a kernel on tensors.";
  let description = [{
    `tied[r]` is the operand whose memory result r shares (it is updated in
    place), or -1.

    Constraints:
      * (C1) `kernel` names a function of the module `@kernels`.
      * (C2) `tied` has one entry for each result, -1 or the number of an operand of
        the same type.
      * (C3) the kernel has the call's type, as long as it works on tensors.

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
  }];
  let arguments = (ins SymbolRefAttr:$kernel,
    Arg<Variadic<AnyStaticShapeTensor>, "what the kernel reads or updates">:$inputs,
    DenseI64ArrayAttr:$tied);
  let results = (outs Res<Variadic<AnyStaticShapeTensor>, "what it makes">:$outputs);
  let assemblyFormat = [{
    $kernel `(` $inputs `)` `tied` $tied attr-dict `:` functional-type($inputs, $outputs)
  }];
  let hasVerifier = 1;
}

//===-- the program ------------------------------------------------------------===//

def Exec_WeightOp : Exec_Op<"weight", [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A parameter's place in the parameter arena, and its layout there.";
  let description = [{
    Constraints:
      * (C1) `parameter` names an `nn.parameter`.
      * (C2) `place` is an offset and a size, neither negative.
      * (C3) `panel_rows` is at least 0; 0 keeps the parameter's own layout.

    ```mlir
    nn.parameter @w : tensor<40x8xbf16> = concat [<"w">]
    exec.weight @w.panels32 from @w panels 32 at [0, 1024]
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, FlatSymbolRefAttr:$parameter,
    I64Attr:$panel_rows, DenseI64ArrayAttr:$place);
  let assemblyFormat = "$sym_name `from` $parameter `panels` $panel_rows `at` $place attr-dict";
  let hasVerifier = 1;
}

def Exec_ProgramOp : Exec_Op<"program", [
    Symbol, IsolatedFromAbove, SingleBlock, NoTerminator, NoRegionArguments]> {
  let summary = "One entry point: its memory, bindings and commands, in order.";
  let description = [{
    `bucket` is [tokens, sequences, rows] of a step, or absent for a plain
    function.

    ```mlir
    exec.program @p bucket [8, 2, 2] {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 0]
      exec.bind input "x" %s : tensor<16xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, OptionalAttr<DenseI64ArrayAttr>:$bucket);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = "$sym_name (`bucket` $bucket^)? attr-dict-with-keyword $body";
}

def Exec_ArenaOp : Exec_Op<"arena", [HasParent<"ProgramOp">]> {
  let summary = "Memory of one kind and life.";
  let description = [{
    Constraints:
      * (C1) `extent` is one size in bytes, not negative.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
    }
    ```
  }];
  let arguments = (ins Exec_ArenaKindAttr:$kind, DenseI64ArrayAttr:$extent);
  let results = (outs Res<Exec_ArenaType, "the arena", [MemAlloc<Exec_MemoryResource>]>:$arena);
  let assemblyFormat = "`` $kind $extent attr-dict";
  let hasVerifier = 1;
}

def Exec_SliceOp : Exec_Op<"slice", [Pure, HasParent<"ProgramOp">]> {
  let summary = "Bytes of an arena, alive from one command to another.";
  let description = [{
    `place` is [offset, size] in bytes; `live` the numbers of the first and the
    last command that may touch the slice.

    Constraints:
      * (C1) `place` lies inside the arena.
      * (C2) `live` does not end before it begins.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 3]
    }
    ```
  }];
  let arguments = (ins Arg<Exec_ArenaType, "the arena">:$arena,
    DenseI64ArrayAttr:$place, DenseI64ArrayAttr:$live);
  let results = (outs Res<Exec_SliceType, "its bytes">:$slice);
  let assemblyFormat = "$arena $place `live` $live attr-dict";
  let hasVerifier = 1;
}

def Exec_BindOp : Exec_Op<"bind", [Exec_Command, HasParent<"ProgramOp">]> {
  let summary = "Makes a slice an input, an output or state of the entry.";
  let description = [{
    Constraints:
      * (C1) the slice holds at least the bytes of `type`.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 0]
      exec.bind output "y" %s : tensor<16xf32>
    }
    ```
  }];
  let arguments = (ins Exec_BindKindAttr:$kind, StrAttr:$name,
    Arg<Exec_SliceType, "where it lies">:$slice, TypeAttrOf<AnyStaticShapeTensor>:$type,
    OptionalAttr<AnyAttr>:$role);
  let assemblyFormat = "`` $kind $name $slice attr-dict `:` $type (`role` $role^)?";
  let hasVerifier = 1;
}

def Exec_LaunchOp : Exec_Op<"launch", [Exec_Command, HasParent<"ProgramOp">]> {
  let summary = "Runs a kernel once for each point of a grid.";
  let description = [{
    The binding i is written if the kernel's argument i has `exec.written`.

    Constraints:
      * (C1) `grid` has three positive extents.

    ```mlir
    module @kernels {
      func.func @k(%x: memref<16xf32> {exec.written}) {
        return
      }
    }
    exec.program @p {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 0]
      exec.launch @kernels::@k grid [2, 1, 1] (%s)
    }
    ```
  }];
  let arguments = (ins SymbolRefAttr:$kernel, DenseI64ArrayAttr:$grid,
    Arg<Variadic<Exec_SliceType>, "one for each argument of the kernel">:$bindings);
  let assemblyFormat = "$kernel `grid` $grid `(` $bindings `)` attr-dict";
  let hasVerifier = 1;
}

def Exec_CopyOp : Exec_Op<"copy", [Exec_Command, HasParent<"ProgramOp">]> {
  let summary = "Copies the bytes of one slice to another.";
  let description = [{
    The slices do not overlap and have one size.

    ```mlir
    exec.program @p {
      %a = exec.arena workspace [4096]
      %s = exec.slice %a [0, 64] live [0, 0]
      %t = exec.slice %a [64, 64] live [0, 0]
      exec.copy %s to %t
    }
    ```
  }];
  let arguments = (ins Arg<Exec_SliceType, "read">:$source, Arg<Exec_SliceType, "written">:$target);
  let assemblyFormat = "$source `to` $target attr-dict";
}

#endif
