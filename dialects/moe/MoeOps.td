#ifndef LEVIN_MOE_MOEOPS_TD
#define LEVIN_MOE_MOEOPS_TD

include "dialects/moe/MoeDialect.td"
include "dialects/interfaces/DecomposableOpInterface.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Moe_Op<string mnemonic, list<Trait> traits = []>
    : Op<Moe_Dialect, mnemonic, [Pure, DeclareOpInterfaceMethods<DecomposableOpInterface>] # traits>;

def Moe_Rows : 2DTensorOf<[AnyFloat]>;
def Moe_Stack : 3DTensorOf<[AnyFloat]>;
def Moe_Offsets : 1DTensorOf<[I32]>;
def Moe_Places : 2DTensorOf<[I32]>;

def Moe_RouteOp : Moe_Op<"route", [InferTypeOpAdaptor]> {
  let summary = "Chooses experts for each token by a softmax over its scores.";
  let description = [{
    With `p = softmax(scores[t])` in float32, token t chooses the `choices`
    experts of highest p, ties to the lowest index; `weights[t, c]` is p of its
    c-th choice, divided by the sum over its choices if `normalize`.  Rows are
    then given out by expert, within one by token, and within one token by choice:
    `rows[t, c]` is the row of token t for its c-th choice, and expert e has the
    rows `offsets[e] .. offsets[e+1]-1`.  Tokens from `starts[S]` on are padding:
    they get no row (-1) and weight 0.

    Constraints:
      * (C1) `choices` is between 1 and the number of experts.

    ```mlir
    func.func @f(%x: tensor<5x4xf32>, %starts: tensor<3xi32>) -> tensor<5x2xi32> {
      %w, %rows, %offsets = moe.route %x batch(%starts) {choices = 2 : i64, normalize}
        : tensor<5x4xf32>, tensor<3xi32>
      return %rows : tensor<5x2xi32>
    }
    ```
  }];
  let arguments = (ins
    Arg<Moe_Rows, "[tokens, experts]">:$scores,
    Arg<Moe_Offsets, "first row of each sequence, and the end">:$starts,
    I64Attr:$choices, UnitAttr:$normalize);
  let results = (outs
    Res<2DTensorOf<[F32]>, "[tokens, choices]">:$weights,
    Res<Moe_Places, "[tokens, choices]">:$rows,
    Res<Moe_Offsets, "[experts + 1]">:$offsets);
  let assemblyFormat = [{
    $scores `batch` `(` $starts `)` attr-dict `:` type($scores) `,` type($starts)
  }];
  let hasVerifier = 1;
}

def Moe_DispatchOp : Moe_Op<"dispatch", [InferTypeOpAdaptor]> {
  let summary = "Copies each token's row once for each expert that the token chose.";
  let description = [{
    `dispatched[rows[t, c]] = tokens[t]` for each token t and choice c with a row.
    Rows of one expert lie together; rows that nobody was given are unspecified.

    Constraints:
      * (C1) `rows` has as many rows as `tokens`.

    ```mlir
    func.func @f(%x: tensor<5x8xf32>, %rows: tensor<5x2xi32>) -> tensor<10x8xf32> {
      %y = moe.dispatch %x by %rows : tensor<5x8xf32>, tensor<5x2xi32>
      return %y : tensor<10x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<Moe_Rows, "one token in each row">:$tokens,
    Arg<Moe_Places, "[tokens, choices], from moe.route">:$rows);
  let results = (outs Res<Moe_Rows, "[tokens x choices, columns]">:$dispatched);
  let assemblyFormat = "$tokens `by` $rows attr-dict `:` type($tokens) `,` type($rows)";
  let hasVerifier = 1;
}

def Moe_GroupedLinearOp : Moe_Op<"grouped_linear", [InferTypeOpAdaptor]> {
  let summary = "Multiplies each expert's rows by that expert's matrix.";
  let description = [{
    `output[r, n] = sum_k input[r, k] weight[e, n, k]` for the rows r of expert
    e, `offsets[e] <= r < offsets[e+1]`, summed in float32.  Rows of no expert
    are unspecified.

    Constraints:
      * (C1) `weight` is [experts, n, k] with as many columns k as `input`.
      * (C2) `offsets` has one entry more than there are experts.

    ```mlir
    func.func @f(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w: tensor<4x6x8xbf16>) -> tensor<10x6xf32> {
      %y = moe.grouped_linear %x, %w by %o : tensor<10x8xf32>, tensor<4x6x8xbf16>, tensor<5xi32>
      return %y : tensor<10x6xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<Moe_Rows, "rows by expert [rows, k]">:$input,
    Arg<Moe_Stack, "[experts, n, k]">:$weight,
    Arg<Moe_Offsets, "[experts + 1], from moe.route">:$offsets);
  let results = (outs Res<Moe_Rows, "[rows, n]">:$output);
  let assemblyFormat = [{
    $input `,` $weight `by` $offsets attr-dict `:` type($input) `,` type($weight) `,` type($offsets)
  }];
  let hasVerifier = 1;
}

def Moe_ExpertsOp : Moe_Op<"experts", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Applies each expert's gated feed-forward layer to its rows.";
  let description = [{
    For the rows x of expert e: `output = W2_e (silu(W1_e x) * (W3_e x))`.
    Rows of no expert are unspecified.

    Constraints:
      * (C1) `w1` and `w3` are [experts, f, d] and `w2` is [experts, d, f], with d
        the columns of `input`.
      * (C2) `offsets` has one entry more than there are experts.

    ```mlir
    func.func @f(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w1: tensor<4x6x8xbf16>,
                 %w2: tensor<4x8x6xbf16>) -> tensor<10x8xf32> {
      %y = moe.experts %x by %o gate %w1 up %w1 down %w2
        : tensor<10x8xf32>, tensor<5xi32>, tensor<4x6x8xbf16>, tensor<4x6x8xbf16>, tensor<4x8x6xbf16>
      return %y : tensor<10x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<Moe_Rows, "rows by expert [rows, d]">:$input,
    Arg<Moe_Offsets, "[experts + 1], from moe.route">:$offsets,
    Arg<Moe_Stack, "gate projections [experts, f, d]">:$w1,
    Arg<Moe_Stack, "up projections [experts, f, d]">:$w3,
    Arg<Moe_Stack, "down projections [experts, d, f]">:$w2);
  let results = (outs Res<Moe_Rows, "[rows, d]">:$output);
  let assemblyFormat = [{
    $input `by` $offsets `gate` $w1 `up` $w3 `down` $w2 attr-dict
    `:` type($input) `,` type($offsets) `,` type($w1) `,` type($w3) `,` type($w2)
  }];
  let hasVerifier = 1;
}

def Moe_CombineOp : Moe_Op<"combine", [InferTypeOpAdaptor]> {
  let summary = "Sums the experts' results of each token by its weights.";
  let description = [{
    `tokens[t] = sum_c weights[t, c] expert_rows[rows[t, c]]` over the choices c
    with a row, in order; a token without rows gets 0.

    Constraints:
      * (C1) `weights` and `rows` have one shape [tokens, choices].

    ```mlir
    func.func @f(%y: tensor<10x8xf32>, %rows: tensor<5x2xi32>, %w: tensor<5x2xf32>) -> tensor<5x8xf32> {
      %x = moe.combine %y by %rows weighted %w : tensor<10x8xf32>, tensor<5x2xi32>, tensor<5x2xf32>
      return %x : tensor<5x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<Moe_Rows, "rows by expert [rows, columns]">:$expert_rows,
    Arg<Moe_Places, "[tokens, choices], from moe.route">:$rows,
    Arg<2DTensorOf<[F32]>, "[tokens, choices], from moe.route">:$weights);
  let results = (outs Res<Moe_Rows, "[tokens, columns]">:$tokens);
  let assemblyFormat = [{
    $expert_rows `by` $rows `weighted` $weights attr-dict
    `:` type($expert_rows) `,` type($rows) `,` type($weights)
  }];
  let hasVerifier = 1;
}

#endif
