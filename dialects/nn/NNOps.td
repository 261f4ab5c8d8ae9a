#ifndef LEVIN_NN_NNOPS_TD
#define LEVIN_NN_NNOPS_TD

include "dialects/nn/NNAttrs.td"
include "dialects/interfaces/DecomposableOpInterface.td"
include "mlir/IR/OpAsmInterface.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class NN_Op<string mnemonic, list<Trait> traits = []>
    : Op<NN_Dialect, mnemonic, traits>;

// An op whose meaning is a decomposition.
class NN_LayerOp<string mnemonic, list<Trait> traits = []>
    : NN_Op<mnemonic, [Pure, DeclareOpInterfaceMethods<DecomposableOpInterface>] # traits>;

// An op on each element, all operands and the result of one type.
class NN_ElementwiseOp<string mnemonic, list<Trait> traits = []>
    : NN_LayerOp<mnemonic, [SameOperandsAndResultType,
        DeclareOpInterfaceMethods<ElementwiseOpInterface>] # traits>;

def NN_Rows : 2DTensorOf<[AnyFloat]>;      // one token a row
def NN_Heads : 3DTensorOf<[AnyFloat]>;     // [tokens, heads, head size]
def NN_Matrix : 2DTensorOf<[AnyFloat]>;
def NN_Vector : 1DTensorOf<[AnyFloat]>;
def NN_Indices : 1DTensorOf<[I32]>;

//===-- parameters ---------------------------------------------------------===//

def NN_ParameterOp : NN_Op<"parameter", [Symbol]> {
  let summary = "Declares a named weight and how it is made from a checkpoint.";
  let description = [{
    The pieces are read, joined and cast to the element type while the program
    is loaded.  Without a `join` the parameter is the constant `value`.

    Constraints:
      * (C1) there is either a join with at least one piece, or a `value`.
      * (C2) `value` has the parameter's type.
      * (C3) the type has a static shape and float or integer elements.

    ```mlir
    nn.parameter @wq : tensor<8x4xbf16> = concat [<"q_proj.weight">]
    nn.parameter @slopes : tensor<2xf32> = dense<[0.5, 0.25]>
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<AnyRankedTensor>:$type,
    OptionalAttr<NN_JoinAttr>:$join, OptionalAttr<NN_PieceArrayAttr>:$pieces,
    OptionalAttr<ElementsAttr>:$value);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
}

def NN_UseOp : NN_Op<"use", [
    Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The value of a parameter.";
  let description = [{
    Constraints:
      * (C1) `parameter` names an `nn.parameter` of the module.
      * (C2) the result has the parameter's type.

    ```mlir
    nn.parameter @w : tensor<8x4xbf16> = concat [<"q_proj.weight">]
    func.func @f() -> tensor<8x4xbf16> {
      %w = nn.use @w : tensor<8x4xbf16>
      return %w : tensor<8x4xbf16>
    }
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$parameter);
  let results = (outs Res<AnyRankedTensor, "the parameter">:$value);
  let assemblyFormat = "$parameter attr-dict `:` type($value)";
}

def NN_DequantizeOp : NN_LayerOp<"dequantize"> {
  let summary = "Widens the integers of a quantised matrix, each group of columns by its scale.";
  let description = [{
    `output[.., n, k] = scales[.., n, k / group] q[.., n, k]` with signed integers q:
    elements of i8, or of 4 bits, two to each ui8, that of the even column in the
    low half (8 to 15 stand for -8 to -1).  A kernel that gets a quantised weight
    begins with it, so that what the kernel means does not depend on the storage.

    Constraints:
      * (C1) `group` is at least 1 and divides the columns of `output`.
      * (C2) `q` has the shape of `output`; in ui8 it has half of its columns.
      * (C3) `scales` has the shape of `output` with one column for each group.

    ```mlir
    func.func @f(%q: tensor<16x128xui8>, %s: tensor<16x2xbf16>) -> tensor<16x256xf32> {
      %w = nn.dequantize %q, %s {group = 128 : i64} : tensor<16x128xui8>, tensor<16x2xbf16> -> tensor<16x256xf32>
      return %w : tensor<16x256xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<RankedTensorOf<[I8, UI8]>, "[.., n, k], or [.., n, k / 2] of pairs">:$q,
    Arg<RankedTensorOf<[F32, BF16, F16]>, "[.., n, k / group]">:$scales,
    I64Attr:$group);
  let results = (outs Res<RankedTensorOf<[F32, BF16, F16]>, "[.., n, k]">:$output);
  let assemblyFormat = [{
    $q `,` $scales attr-dict `:` type($q) `,` type($scales) `->` type($output)
  }];
  let hasVerifier = 1;
}

//===-- rows ---------------------------------------------------------------===//

def NN_EmbedOp : NN_LayerOp<"embed"> {
  let summary = "Looks up one row of a table for each token.";
  let description = [{
    `rows[t] = table[ids[t]]`, cast to the element type of `rows`.  An id
    outside the table reads row 0: callers check ids, padding need not be set.

    Constraints:
      * (C1) `rows` has as many rows as `ids` entries and the columns of `table`.

    ```mlir
    func.func @f(%ids: tensor<3xi32>, %t: tensor<16x8xbf16>) -> tensor<3x8xf32> {
      %x = nn.embed %ids, %t : tensor<3xi32>, tensor<16x8xbf16> -> tensor<3x8xf32>
      return %x : tensor<3x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Indices, "a token id for each row">:$ids,
    Arg<NN_Matrix, "[vocabulary, columns]">:$table);
  let results = (outs Res<NN_Rows, "[tokens, columns]">:$rows);
  let assemblyFormat = [{
    $ids `,` $table attr-dict `:` type($ids) `,` type($table) `->` type($rows)
  }];
  let hasVerifier = 1;
}

def NN_TakeRowsOp : NN_LayerOp<"take_rows", [InferTypeOpAdaptor]> {
  let summary = "Copies chosen rows.";
  let description = [{
    `taken[r] = input[indices[r]]`.  An index outside the input reads row 0.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>, %r: tensor<2xi32>) -> tensor<2x8xf32> {
      %y = nn.take_rows %x, %r : tensor<5x8xf32>, tensor<2xi32>
      return %y : tensor<2x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Rows, "where rows are taken from">:$input,
    Arg<NN_Indices, "the row to take for each result row">:$indices);
  let results = (outs Res<NN_Rows, "[indices, columns]">:$taken);
  let assemblyFormat = "$input `,` $indices attr-dict `:` type($input) `,` type($indices)";
}

def NN_LinearOp : NN_LayerOp<"linear", [InferTypeOpAdaptor]> {
  let summary = "Multiplies each row by a matrix, and adds a bias if there is one.";
  let description = [{
    `output[t, n] = sum_k input[t, k] weight[n, k] (+ bias[n])`, summed in
    float32.

    Constraints:
      * (C1) `weight` has as many columns as `input`.
      * (C2) `bias` has one entry for each row of `weight`.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>, %w: tensor<16x8xbf16>) -> tensor<5x16xf32> {
      %y = nn.linear %x, %w : tensor<5x8xf32>, tensor<16x8xbf16>
      return %y : tensor<5x16xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Rows, "[tokens, k]">:$input,
    Arg<NN_Matrix, "[n, k], one output column in each row">:$weight,
    Arg<Optional<NN_Vector>, "[n]">:$bias);
  let results = (outs Res<NN_Rows, "[tokens, n]">:$output);
  let assemblyFormat = [{
    $input `,` $weight (`bias` $bias^)? attr-dict `:` type($input) `,` type($weight) (`,` type($bias)^)?
  }];
  let hasVerifier = 1;
}

def NN_RmsNormOp : NN_LayerOp<"rms_norm", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Divides each row by its root mean square and scales the columns.";
  let description = [{
    `output[t, c] = weight[c] input[t, c] / sqrt(mean_c(input[t, c]^2) + eps)`,
    statistics in float32, cast before the weight.

    Constraints:
      * (C1) `weight` has one entry for each column.
      * (C2) `eps` is positive.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>, %w: tensor<8xf32>) -> tensor<5x8xf32> {
      %y = nn.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<5x8xf32>, tensor<8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Rows, "[tokens, columns]">:$input,
    Arg<NN_Vector, "[columns]">:$weight, F64Attr:$eps);
  let results = (outs Res<NN_Rows, "[tokens, columns]">:$output);
  let assemblyFormat = "$input `,` $weight attr-dict `:` type($input) `,` type($weight)";
  let hasVerifier = 1;
}

def NN_LayerNormOp : NN_LayerOp<"layer_norm", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Shifts each row to mean zero and variance one, then scales and shifts the columns.";
  let description = [{
    `output[t, c] = weight[c] (input[t, c] - m) / sqrt(v + eps) + bias[c]` with
    m and v the mean and variance of row t, both in float32.

    Constraints:
      * (C1) `weight` and `bias` have one entry for each column.
      * (C2) `eps` is positive.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>, %w: tensor<8xf32>) -> tensor<5x8xf32> {
      %y = nn.layer_norm %x, %w, %w {eps = 1.0e-5 : f64} : tensor<5x8xf32>, tensor<8xf32>, tensor<8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Rows, "[tokens, columns]">:$input,
    Arg<NN_Vector, "[columns]">:$weight,
    Arg<NN_Vector, "[columns]">:$bias, F64Attr:$eps);
  let results = (outs Res<NN_Rows, "[tokens, columns]">:$output);
  let assemblyFormat = [{
    $input `,` $weight `,` $bias attr-dict `:` type($input) `,` type($weight) `,` type($bias)
  }];
  let hasVerifier = 1;
}

def NN_MaskTailOp : NN_LayerOp<"mask_tail", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Sets the last columns to minus infinity.";
  let description = [{
    `output[t, c] = input[t, c]` for c < `live`, else -inf: logits of vocabulary
    rows that were never trained must not win.

    Constraints:
      * (C1) `live` is between 1 and the number of columns.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.mask_tail %x {live = 6 : i64} : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins Arg<NN_Rows, "[tokens, columns]">:$input, I64Attr:$live);
  let results = (outs Res<NN_Rows, "[tokens, columns]">:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
  let hasFolder = 1;
  let hasVerifier = 1;
}

//===-- elements -----------------------------------------------------------===//

def NN_SiluOp : NN_ElementwiseOp<"silu"> {
  let summary = "x times its sigmoid, element by element.";
  let description = [{
    `output = input / (1 + exp(-input))`.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.silu %x : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins Arg<AnyRankedTensor, "any shape">:$input);
  let results = (outs Res<AnyRankedTensor, "the shape of `input`">:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_SigmoidOp : NN_ElementwiseOp<"sigmoid"> {
  let summary = "The logistic function, element by element.";
  let description = [{
    `output = 1 / (1 + exp(-input))`.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.sigmoid %x : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins Arg<AnyRankedTensor, "any shape">:$input);
  let results = (outs Res<AnyRankedTensor, "the shape of `input`">:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_GeluOp : NN_ElementwiseOp<"gelu"> {
  let summary = "The exact Gaussian error linear unit, element by element.";
  let description = [{
    `output = input (1 + erf(input / sqrt(2))) / 2`.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.gelu %x : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins Arg<AnyRankedTensor, "any shape">:$input);
  let results = (outs Res<AnyRankedTensor, "the shape of `input`">:$output);
  let assemblyFormat = "$input attr-dict `:` type($input)";
}

def NN_ResidualOp : NN_ElementwiseOp<"residual"> {
  let summary = "Adds a layer's input and output, each times a constant.";
  let description = [{
    `output = alpha input + beta layer`, the residual connection of DeepNorm
    (alpha above 1 keeps deep post-norm models stable).

    ```mlir
    func.func @f(%h: tensor<5x8xf32>, %a: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.residual %h, %a {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<AnyRankedTensor, "what the layer was given">:$input,
    Arg<AnyRankedTensor, "what the layer made of it">:$layer,
    F64Attr:$alpha, F64Attr:$beta);
  let results = (outs Res<AnyRankedTensor, "the sum">:$output);
  let assemblyFormat = "$input `,` $layer attr-dict `:` type($input)";
}

include "dialects/nn/NNAttentionOps.td"

#endif
