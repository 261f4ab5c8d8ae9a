#ifndef LEVIN_PASSES_PIPELINES_PASSES_TD
#define LEVIN_PASSES_PIPELINES_PASSES_TD

include "mlir/Pass/PassBase.td"

def VerifyInputPass : Pass<"levin-verify-input", "::mlir::ModuleOp"> {
  let summary = "Refuses modules that the pipeline does not take, and says why.";
  let description = [{
    * (I1) the module holds functions, one of them public, and `nn.parameter`s,
      nothing else;
    * (I2) ops are of `nn`, `moe`, `check`, `func`, `arith`, `math`, `tensor`,
      `linalg` and `scf`;
    * (I3) a public function has a body of one block; its arguments and results
      are ranked tensors of up to 8 extents, none of them empty, of i1, i8, ui8,
      i16, i32, i64, ui64, f8E4M3FN, f16, bf16, f32 or f64;
    * (I4) names of functions, parameters, arguments and results have 1 to 128
      letters, digits, `.`, `_` and `-` (parameters and functions with dynamic
      extents 1 to 100) and are not `.` or `..`; those of one function's
      arguments, and of its results, differ; no function is called `kernels`;
    * (I5) a function with `nn.role`s is a step: it has one argument each of the
      roles `ids`, `starts`, `slots`, `past` and `rows`, all int32 of rank 1, may
      have one of the role `pages`, int32 of rank 2, has one result of the role
      `logits`, float32 of rank 2, and else only state;
    * (I6) a step with dynamic extents is the only step; other functions are
      static;
    * (I7) every state argument has an `nn.name` and one result of that name,
      role and type, and every state result such an argument;
    * (I12) the module's `nn.family` is such a name, and its `nn.begin_token` and
      `nn.end_tokens` are tokens of a step's vocabulary.

    With `final`, when calls are inlined, also

    * (I8) no call is left, and so none of a function without a body;
    * (I9) operands that say where sequences lie (`starts`, `slots`, `pages`, `past`) are
      arguments of that role, or constants with possible values: the runtime
      checks the values of such arguments before it runs a step;
    * (I10) operands that say where rows of experts lie come from `moe.route`,
      or are constants with possible values;
    * (I11) functions with `check` ops have no arguments, and hold them outside of
      loops and branches.

    Example: `test/passes/pipelines/verify_input_errors.mlir`.
  }];
  let options = [
    Option<"final", "final", "bool", "false", "Calls were inlined; checks what depends on that.">
  ];
}

def CheckToOutputsPass : Pass<"levin-check-to-outputs", "::mlir::ModuleOp"> {
  let summary = "Turns expectations into outputs that count violations.";
  let description = [{
    The expectation number i of a function becomes its output `violations_i`.
    From

    ```mlir
    func.func @f() {
      %a = arith.constant dense<1> : tensor<4xi32>
      check.expect_eq %a, %a : tensor<4xi32>
      return
    }
    ```

    it makes a function that returns `tensor<i64> {nn.name = "violations_0"}`,
    the number of elements that are not as expected.
    Example: `test/passes/pipelines/check_to_outputs.mlir`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::math::MathDialect", "::mlir::tensor::TensorDialect"];
}

def SpecialisePass : Pass<"levin-specialise", "::mlir::ModuleOp"> {
  let summary = "Makes one static step function for each bucket.";
  let description = [{
    A bucket is a number of tokens, of sequences and of wanted rows; the step
    function is copied for each under the name `step_TOKENS_SEQUENCES_ROWS` and
    its dynamic extents become those of the bucket.  In a state tensor the first
    extent is `slots` (in a cache of `nn.paged_attention` it is `pages`), and any
    other dynamic one `blocks`.  Types are inferred
    again op by op; what stays dynamic is an error.  With buckets [8, 2, 2] from

    ```mlir
    func.func @step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                    %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                    %slots: tensor<?xi32> {nn.role = #nn.role<slots>},
                    %past: tensor<?xi32> {nn.role = #nn.role<past>},
                    %rows: tensor<?xi32> {nn.role = #nn.role<rows>})
        -> tensor<?xi32> {
      return %ids : tensor<?xi32>
    }
    ```

    it makes

    ```mlir
    func.func @step_8_2_2(%ids: tensor<8xi32> {nn.role = #nn.role<ids>},
                          %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                          %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                          %past: tensor<2xi32> {nn.role = #nn.role<past>},
                          %rows: tensor<2xi32> {nn.role = #nn.role<rows>})
        -> tensor<8xi32> {
      return %ids : tensor<8xi32>
    }
    ```

    Example: `test/passes/pipelines/specialise.mlir`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::mlir::tensor::TensorDialect"];
  let options = [
    ListOption<"tokens", "tokens", "int64_t", "Tokens of each bucket.">,
    ListOption<"sequences", "sequences", "int64_t", "Sequences of each bucket.">,
    ListOption<"rows", "rows", "int64_t", "Rows of logits of each bucket.">,
    Option<"slots", "slots", "int64_t", "4", "Sequences whose state is kept.">,
    Option<"blocks", "blocks", "int64_t", "1", "Blocks of cache that one sequence may fill.">,
    Option<"pages", "pages", "int64_t", "0",
      "Pages of a cache that all sequences share; 0: as many as all slots may fill.">
  ];
}

def PageCachesPass : Pass<"levin-page-caches", "::mlir::ModuleOp"> {
  let summary = "Lets all sequences share the caches of softmax layers, in pages.";
  let description = [{
    In static steps, `nn.attention` on caches that are state becomes
    `nn.paged_attention`: keys and values [slots, G, blocks, D, B] become pools
    [pages, G, page-tokens, D] of elements of `type` under the same names, and the
    step gets the argument `pages` [sequences, M], where M pages hold the tokens
    that a sequence could have.  A sequence then takes memory for the tokens it
    has, not for those it might have.  With `page-tokens=64 pages=5 type=bf16` from

    ```mlir
    func.func @step(%q: tensor<4x2x8xf32>, %starts: tensor<2xi32> {nn.role = #nn.role<starts>},
                    %slots: tensor<1xi32> {nn.role = #nn.role<slots>}, %past: tensor<1xi32> {nn.role = #nn.role<past>},
                    %keys: tensor<3x2x8x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                    %values: tensor<3x2x8x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
        -> (tensor<4x16xf32>, tensor<3x2x8x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
            tensor<3x2x8x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
      %o, %k, %v = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
        : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x8x8x16xf32>,
           tensor<3x2x8x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
        -> (tensor<4x16xf32>, tensor<3x2x8x8x16xf32>, tensor<3x2x8x16x8xf32>)
      return %o, %k, %v : tensor<4x16xf32>, tensor<3x2x8x8x16xf32>, tensor<3x2x8x16x8xf32>
    }
    ```

    it makes

    ```mlir
    func.func @step(%q: tensor<4x2x8xf32>, %starts: tensor<2xi32> {nn.role = #nn.role<starts>},
                    %slots: tensor<1xi32> {nn.role = #nn.role<slots>}, %past: tensor<1xi32> {nn.role = #nn.role<past>},
                    %pages: tensor<1x2xi32> {nn.role = #nn.role<pages>},
                    %keys: tensor<5x2x64x8xbf16> {nn.role = #nn.role<state>, nn.name = "k"},
                    %values: tensor<5x2x64x8xbf16> {nn.role = #nn.role<state>, nn.name = "v"})
        -> (tensor<4x16xf32>, tensor<5x2x64x8xbf16> {nn.role = #nn.role<state>, nn.name = "k"},
            tensor<5x2x64x8xbf16> {nn.role = #nn.role<state>, nn.name = "v"}) {
      %o, %k, %v = nn.paged_attention %q, %q, %q cache(%keys, %values) batch(%starts, %pages, %past) {scale = 0.5 : f64}
        : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<5x2x64x8xbf16>,
           tensor<5x2x64x8xbf16>, tensor<2xi32>, tensor<1x2xi32>, tensor<1xi32>)
        -> (tensor<4x16xf32>, tensor<5x2x64x8xbf16>, tensor<5x2x64x8xbf16>)
      return %o, %k, %v : tensor<4x16xf32>, tensor<5x2x64x8xbf16>, tensor<5x2x64x8xbf16>
    }
    ```

    Example: `test/passes/pipelines/page_caches.mlir`.
  }];
  let options = [
    Option<"pageTokens", "page-tokens", "int64_t", "64", "Tokens in one page.">,
    Option<"pages", "pages", "int64_t", "0",
      "Pages of each pool; 0: as many as all slots may fill.">,
    Option<"type", "type", "std::string", "\"f32\"", "Elements of the pools: f32, bf16 or f8.">
  ];
}

def CastWeightsPass : Pass<"levin-cast-weights", "::mlir::ModuleOp"> {
  let summary = "Stores the matrices of linear layers, experts and embeddings in another float type.";
  let description = [{
    Parameters of rank 2 or more that are made from a checkpoint and read by
    `nn.linear`, `nn.embed`, `moe.grouped_linear` or `moe.experts` only are cast
    to `dtype` while they are loaded; norms and slopes keep their type.  With
    `dtype=bf16` from

    ```mlir
    nn.parameter @w : tensor<16x8xf32> = concat [<"w">]
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %w = nn.use @w : tensor<16x8xf32>
      %y = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xf32>
      return %y : tensor<4x16xf32>
    }
    ```

    it makes

    ```mlir
    nn.parameter @w : tensor<16x8xbf16> = concat [<"w">]
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %w = nn.use @w : tensor<16x8xbf16>
      %y = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
      return %y : tensor<4x16xf32>
    }
    ```

    Example: `test/passes/pipelines/cast_weights.mlir`.
  }];
  let options = [
    Option<"dtype", "dtype", "std::string", "\"auto\"",
      "auto (as the model says), f32, bf16 or f16.">
  ];
}

def NormalisePass : Pass<"levin-normalise", "::mlir::ModuleOp"> {
  let summary = "Writes composed layers as the ops that kernels are made of.";
  let description = [{
    `moe.experts` becomes its two grouped products in, `silu`, the product of
    both, and the grouped product out, so that grouping sees them; a mask that
    hides nothing vanishes.  From

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      %y = nn.mask_tail %x {live = 8 : i64} : tensor<5x8xf32>
      return %y : tensor<5x8xf32>
    }
    ```

    it makes

    ```mlir
    func.func @f(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
      return %x : tensor<5x8xf32>
    }
    ```

    Example: `test/passes/pipelines/normalise.mlir`.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect", "::levin::nn::NNDialect",
    "::levin::moe::MoeDialect"];
}

def QuantisePass : Pass<"levin-quantise", "::mlir::ModuleOp"> {
  let summary = "Stores matrices as small integers with a scale for each group of columns.";
  let description = [{
    A matrix that is made from a checkpoint and read by `moe.grouped_linear` only
    (an expert's), or by `nn.linear` only, becomes two parameters, integers and
    bfloat16 scales, which `nn.dequantize` joins.  Matrices whose results are
    logits or are routed by, and those that `nn.embed` reads too, stay.  Where the
    group does not divide the columns it is halved until it does, down to 16;
    below, the matrix stays, which a remark says.

    What the matrix was made of becomes its attribute `nn.source`;
    `levin-compile` reads it there, computes the tensors `quantised.NAME` and
    `quantised.NAME.scales` and writes them to a file of their own.  With
    `linear-bits=8 linear-group=4` from

    ```mlir
    nn.parameter @w : tensor<16x8xbf16> = concat [<"w">]
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %w = nn.use @w : tensor<16x8xbf16>
      %y = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xbf16>
      return %y : tensor<4x16xf32>
    }
    ```

    it makes

    ```mlir
    nn.parameter @w : tensor<16x8xi8> = concat [<"quantised.w">]
        {nn.source = {group = 4 : i64, pieces = [#nn.piece<"w">], type = tensor<16x8xbf16>}}
    nn.parameter @w.scales : tensor<16x2xbf16> = concat [<"quantised.w.scales">] {nn.scales}
    func.func @f(%x: tensor<4x8xf32>) -> tensor<4x16xf32> {
      %q = nn.use @w : tensor<16x8xi8>
      %s = nn.use @w.scales : tensor<16x2xbf16>
      %w = nn.dequantize %q, %s {group = 4 : i64} : tensor<16x8xi8>, tensor<16x2xbf16> -> tensor<16x8xf32>
      %y = nn.linear %x, %w : tensor<4x8xf32>, tensor<16x8xf32>
      return %y : tensor<4x16xf32>
    }
    ```

    Example: `test/passes/pipelines/quantise.mlir`.
  }];
  let options = [
    Option<"expertBits", "expert-bits", "int64_t", "0", "Of matrices of experts: 8, 4, or 0 to keep them.">,
    Option<"expertGroup", "expert-group", "int64_t", "128", "Columns that share a scale.">,
    Option<"linearBits", "linear-bits", "int64_t", "0", "Of other matrices: 8, 4, or 0 to keep them.">,
    Option<"linearGroup", "linear-group", "int64_t", "128", "Columns that share a scale.">
  ];
}

def VerifyStaticPass : Pass<"levin-verify-static", "::mlir::ModuleOp"> {
  let summary = "Refuses what must be gone once functions are specialised.";
  let description = [{
    Closes the specialise phase.

    * (S1) every tensor is static and has elements;
    * (S2) no `check` op and no `moe.experts` is left;
    * (S3) a function has one block.

    Example: `test/passes/pipelines/verify_static_errors.mlir`.
  }];
}

#endif
