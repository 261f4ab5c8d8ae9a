#ifndef LEVIN_NN_NNATTENTIONOPS_TD
#define LEVIN_NN_NNATTENTIONOPS_TD

// Included by NNOps.td: the ops that see heads, sequences and state.

def NN_SplitHeadsOp : NN_LayerOp<"split_heads"> {
  let summary = "Splits the columns of a joint projection into heads.";
  let description = [{
    With result p of H_p heads of size D, in order p = 0, 1, ..:
    * plain: the columns are those of result 0, then those of result 1, ..;
      within one, head h has columns hD to hD+D-1;
    * `interleaved`: the columns are head 0 of every result, then head 1 of
      every result, ..

    Constraints:
      * (C1) the heads of all results have the size D and together the columns
        of `input`.
      * (C2) every result has the rows and the element type of `input`.
      * (C3) `interleaved` results have equally many heads.

    ```mlir
    func.func @f(%x: tensor<5x48xf32>) -> tensor<5x2x8xf32> {
      %q, %k, %v = nn.split_heads %x interleaved : tensor<5x48xf32>
        -> tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>
      return %q : tensor<5x2x8xf32>
    }
    ```
  }];
  let arguments = (ins Arg<NN_Rows, "[tokens, all heads x D]">:$input, UnitAttr:$interleaved);
  let results = (outs Res<Variadic<NN_Heads>, "[tokens, heads, D]">:$heads);
  let assemblyFormat = [{
    $input (`interleaved` $interleaved^)? attr-dict `:` type($input) `->` type($heads)
  }];
  let hasVerifier = 1;
}

def NN_RotaryOp : NN_LayerOp<"rotary", [AllTypesMatch<["input", "output"]>]> {
  let summary = "Rotates pairs of channels by an angle that grows with the position.";
  let description = [{
    Row `starts[s] + i` has position `past[s] + i`.  For j < width/2 (NeoX pairing),
    with the inverse frequency `f_j = 1 / theta^(2j/width)` and the angle
    `a = position f_j` both rounded to float32, as the models were trained:

        output[.., j]           = input[.., j] cos a - input[.., j + width/2] sin a
        output[.., j + width/2] = input[.., j + width/2] cos a + input[.., j] sin a

    Position and frequency are multiplied in float32, as models were trained;
    the angle is reduced in float64.  Channels from `width` on pass.  Padding
    rows are unspecified.

    Constraints:
      * (C1) `width` is even, at least 2 and at most the head size.
      * (C2) `theta` is positive.
      * (C3) `starts` has one entry more than `past`.

    ```mlir
    func.func @f(%x: tensor<5x2x8xf32>, %starts: tensor<3xi32>, %past: tensor<2xi32>) -> tensor<5x2x8xf32> {
      %y = nn.rotary %x batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
        : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
      return %y : tensor<5x2x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Heads, "[tokens, heads, D]">:$input,
    Arg<NN_Indices, "first row of each sequence, and the end">:$starts,
    Arg<NN_Indices, "tokens fed before">:$past,
    F64Attr:$theta, I64Attr:$width);
  let results = (outs Res<NN_Heads, "[tokens, heads, D]">:$output);
  let assemblyFormat = [{
    $input `batch` `(` $starts `,` $past `)` attr-dict `:` type($input) `,` type($starts) `,` type($past)
  }];
  let hasVerifier = 1;
}

def NN_LightningAttentionOp : NN_LayerOp<"lightning_attention", [
    DeclareOpInterfaceMethods<StatefulOpInterface>]> {
  let summary = "Linear attention with a decay for each head, over a ragged batch.";
  let description = [{
    For each sequence s and head h, with the state
    `S = state[slots[s], h]` (or 0 where `past[s]` is 0), for its rows t
    in order:

        S        = exp(-slopes[h]) S + k[t, h]^T v[t, h]
        out[t,h] = q[t, h] S

    and S is stored back.  `output` holds the heads of a token side by side.
    Rows of no sequence are unspecified.  Source: MiniMax-01, section 2.2, in
    the recurrent form.

    Constraints:
      * (C1) `q`, `k` and `v` have one shape [tokens, H, D].
      * (C2) `output` is [tokens, H x D].
      * (C3) `state` is float32 [slots, H, D, D].
      * (C4) `slopes` has H entries.
      * (C5) `starts` has one entry more than `slots` and `past`, which agree.

    ```mlir
    func.func @f(%q: tensor<5x2x8xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>,
                 %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
        -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>) {
      %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state
        batch(%starts, %slots, %past)
        : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
           tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
        -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
      return %o, %s : tensor<5x16xf32>, tensor<4x2x8x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Heads, "queries [tokens, H, D]">:$q,
    Arg<NN_Heads, "keys [tokens, H, D]">:$k,
    Arg<NN_Heads, "values [tokens, H, D]">:$v,
    Arg<1DTensorOf<[F32]>, "decay rate of each head [H]">:$slopes,
    Arg<TensorRankOf<[F32], [4]>, "[slots, H, D, D]">:$state,
    Arg<NN_Indices, "first row of each sequence, and the end">:$starts,
    Arg<NN_Indices, "slot of each sequence">:$slots,
    Arg<NN_Indices, "tokens fed before">:$past);
  let results = (outs
    Res<NN_Rows, "[tokens, H x D]">:$output,
    Res<TensorRankOf<[F32], [4]>, "the state, updated in place">:$new_state);
  let assemblyFormat = [{
    $q `,` $k `,` $v `,` $slopes `state` $state
    `batch` `(` $starts `,` $slots `,` $past `)` attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def NN_AttentionOp : NN_LayerOp<"attention", [
    DeclareOpInterfaceMethods<StatefulOpInterface>]> {
  let summary = "Causal softmax attention with grouped queries and a key-value cache, over a ragged batch.";
  let description = [{
    Row `t = starts[s] + i` has position `p = past[s] + i`.  Its keys and values
    are stored at position p of slot `slots[s]`: with block size B,

        keys  [slot, g, p / B, :, p mod B] = k[t, g, :]
        values[slot, g, p / B, p mod B, :] = v[t, g, :]

    (keys lie transposed in blocks, so that scores read them in order).  Then for
    each query head h, which reads KV head `g = h / (H / G)`:

        w_j       = softmax over positions j <= p of scale q[t, h] . key_j
        out[t, h] = sum_j w_j value_j

    statistics in float32.  `output` holds the heads of a token side by side.
    Rows of no sequence are unspecified; positions from blocks x B on are the
    caller's error and are not stored.

    Constraints:
      * (C1) `q` is [tokens, H, D], `k` and `v` are [tokens, G, D], and G divides H.
      * (C2) `output` is [tokens, H x D].
      * (C3) `keys` is [slots, G, blocks, D, B] and `values` [slots, G, blocks, B, D].
      * (C4) `starts` has one entry more than `slots` and `past`, which agree.
      * (C5) `scale` is positive.

    ```mlir
    func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>,
                 %keys: tensor<4x2x3x8x16xf32>, %values: tensor<4x2x3x16x8xf32>,
                 %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
        -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>) {
      %o, %nk, %nv = nn.attention %q, %k, %k cache(%keys, %values)
        batch(%starts, %slots, %past) {scale = 0.35 : f64}
        : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>,
           tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>,
           tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
        -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
      return %o, %nk, %nv : tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Heads, "queries [tokens, H, D]">:$q,
    Arg<NN_Heads, "keys [tokens, G, D]">:$k,
    Arg<NN_Heads, "values [tokens, G, D]">:$v,
    Arg<TensorRankOf<[AnyFloat], [5]>, "[slots, G, blocks, D, B]">:$keys,
    Arg<TensorRankOf<[AnyFloat], [5]>, "[slots, G, blocks, B, D]">:$values,
    Arg<NN_Indices, "first row of each sequence, and the end">:$starts,
    Arg<NN_Indices, "slot of each sequence">:$slots,
    Arg<NN_Indices, "tokens fed before">:$past,
    F64Attr:$scale);
  let results = (outs
    Res<NN_Rows, "[tokens, H x D]">:$output,
    Res<TensorRankOf<[AnyFloat], [5]>, "the keys, updated in place">:$new_keys,
    Res<TensorRankOf<[AnyFloat], [5]>, "the values, updated in place">:$new_values);
  let assemblyFormat = [{
    $q `,` $k `,` $v `cache` `(` $keys `,` $values `)`
    `batch` `(` $starts `,` $slots `,` $past `)` attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

// What caches in pages may be stored in.
def NN_PagePool : TensorRankOf<[F32, BF16, F16, F8E4M3FN], [4]>;

def NN_PagedAttentionOp : NN_LayerOp<"paged_attention", [
    DeclareOpInterfaceMethods<StatefulOpInterface>]> {
  let summary = "Causal softmax attention over a cache in pages that all sequences share.";
  let description = [{
    As `nn.attention`, with caches that lie in pages of B tokens: position p of
    sequence s is row p mod B of page `P = pages[s, p / B]`,

        keys  [P, g, p mod B, :] = k[t, g, :]
        values[P, g, p mod B, :] = v[t, g, :]

    (keys are not transposed).  Scores, statistics and sums are in float32.  What
    is stored is rounded to the elements of the caches, to the nearest and to
    even; in f8E4M3FN, which has no infinity, numbers beyond 448 become 448 of
    their sign, and a NaN stays one.

    Rows of no sequence are unspecified.  Positions from M x B on are the caller's
    error and are not stored.  So is a number that is no page: nothing is stored
    there, and reading it gives another page's numbers.

    Constraints:
      * (C1) `q` is [tokens, H, D], `k` and `v` are [tokens, G, D], and G divides H.
      * (C2) `output` is [tokens, H x D].
      * (C3) `keys` and `values` have one type, [pages, G, B, D].
      * (C4) `starts` has one entry more than `past`, and `pages` a row for each
        entry of `past`.
      * (C5) `scale` is positive.

    ```mlir
    func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %keys: tensor<9x2x16x8xbf16>,
                 %starts: tensor<3xi32>, %pages: tensor<2x4xi32>, %past: tensor<2xi32>)
        -> (tensor<5x32xf32>, tensor<9x2x16x8xbf16>, tensor<9x2x16x8xbf16>) {
      %o, %nk, %nv = nn.paged_attention %q, %k, %k cache(%keys, %keys)
        batch(%starts, %pages, %past) {scale = 0.35 : f64}
        : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>,
           tensor<9x2x16x8xbf16>, tensor<9x2x16x8xbf16>,
           tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>)
        -> (tensor<5x32xf32>, tensor<9x2x16x8xbf16>, tensor<9x2x16x8xbf16>)
      return %o, %nk, %nv : tensor<5x32xf32>, tensor<9x2x16x8xbf16>, tensor<9x2x16x8xbf16>
    }
    ```
  }];
  let arguments = (ins
    Arg<NN_Heads, "queries [tokens, H, D]">:$q,
    Arg<NN_Heads, "keys [tokens, G, D]">:$k,
    Arg<NN_Heads, "values [tokens, G, D]">:$v,
    Arg<NN_PagePool, "[pages, G, B, D]">:$keys,
    Arg<NN_PagePool, "[pages, G, B, D]">:$values,
    Arg<NN_Indices, "first row of each sequence, and the end">:$starts,
    Arg<2DTensorOf<[I32]>, "page of each block of a sequence [S, M]">:$pages,
    Arg<NN_Indices, "tokens fed before">:$past,
    F64Attr:$scale);
  let results = (outs
    Res<NN_Rows, "[tokens, H x D]">:$output,
    Res<NN_PagePool, "the keys, updated in place">:$new_keys,
    Res<NN_PagePool, "the values, updated in place">:$new_values);
  let assemblyFormat = [{
    $q `,` $k `,` $v `cache` `(` $keys `,` $values `)`
    `batch` `(` $starts `,` $pages `,` $past `)` attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

#endif
