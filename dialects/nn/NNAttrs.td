#ifndef LEVIN_NN_NNATTRS_TD
#define LEVIN_NN_NNATTRS_TD

include "dialects/nn/NNDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

def NN_Role : I32Enum<"Role", "What an argument or result is in a step.", [
    I32EnumCase<"Ids", 0, "ids">, I32EnumCase<"Starts", 1, "starts">,
    I32EnumCase<"Slots", 2, "slots">, I32EnumCase<"Past", 3, "past">,
    I32EnumCase<"Rows", 4, "rows">, I32EnumCase<"State", 5, "state">,
    I32EnumCase<"Logits", 6, "logits">, I32EnumCase<"Pages", 7, "pages">]> {
  let cppNamespace = "::levin::nn";
}

def NN_RoleAttr : EnumAttr<NN_Dialect, NN_Role, "role"> {
  let summary = "What an argument or result is in a step.";
  let description = [{
    `ids [N]`, `starts [S+1]`, `slots [S]`, `past [S]` and `rows [R]` (the rows
    whose logits are wanted) are int32.  `state` is a tensor with
    one slot a sequence in its first dimension, or a pool of pages; `pages [S, M]`
    (int32) says which pages hold the blocks of each sequence.  `logits` is the
    result [R, V].

    ```mlir
    func.func @f(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}) {
      return
    }
    ```
  }];
  let assemblyFormat = "`<` $value `>`";
}

def NN_Join : I32Enum<"Join", "How the pieces of a parameter are put together.", [
    I32EnumCase<"Concat", 0, "concat">, I32EnumCase<"Stack", 1, "stack">]> {
  let cppNamespace = "::levin::nn";
}

def NN_JoinAttr : EnumAttr<NN_Dialect, NN_Join, "join"> {
  let summary = "How the pieces of a parameter are put together.";
  let description = [{
    `concat` joins along the first dimension, `stack` gives each piece a new
    first dimension of one before.

    ```mlir
    nn.parameter @w : tensor<2x4xf32> = stack [<"a">, <"b">]
    ```
  }];
  let assemblyFormat = "$value";
}

def NN_PieceAttr : AttrDef<NN_Dialect, "Piece"> {
  let summary = "A tensor of the checkpoint, or a box of one.";
  let mnemonic = "piece";
  let description = [{
    `key` names a tensor of the safetensors files.  With `starts` and `sizes`
    only the box that begins at `starts` is meant.

    ```mlir
    nn.parameter @w : tensor<2x4xf32> = concat [<"a" at [6, 0] of [2, 4]>]
    ```
  }];
  let parameters = (ins
    StringRefParameter<"tensor name in the checkpoint">:$key,
    OptionalArrayRefParameter<"int64_t", "first element of the box">:$starts,
    OptionalArrayRefParameter<"int64_t", "extent of the box">:$sizes);
  let assemblyFormat = "`<` $key (`at` ` ` `[` $starts^ `]` `of` ` ` `[` $sizes `]`)? `>`";
  let genVerifyDecl = 1;
}

def NN_PieceArrayAttr : TypedArrayAttrBase<NN_PieceAttr, "list of #nn.piece">;

#endif
