#ifndef LEVIN_NN_NNDIALECT_TD
#define LEVIN_NN_NNDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"

def NN_Dialect : Dialect {
  let name = "nn";
  let summary = "The layers of a model: what is computed, not when or where.";
  let description = [{
    Activations are tensors with one token in each row.  A batch is ragged: the
    tokens of all sequences lie end to end, and four small tensors say how.

    * `starts`, one more entry than sequences: sequence s holds the rows
      `starts[s] .. starts[s+1]-1`; rows from `starts[S]` on are padding;
    * `slots[s]`: the place of sequence s in every state tensor;
    * `past[s]`: how many tokens of it were fed before.  At 0 the op starts
      from fresh state, whatever the slot holds.

    Caches may be shared by all sequences instead, in pages: `pages[s, b]` is then
    the page of block b of sequence s.

    A sequence without rows is left alone.  Elementwise arithmetic stays in
    `arith` and `math` on tensors.

    Function arguments and results carry `nn.role` (what they are in a step) and
    `nn.name` (how a caller names them).
  }];
  let cppNamespace = "::levin::nn";
  let useDefaultAttributePrinterParser = 1;
  let hasRegionArgAttrVerify = 1;
  let hasRegionResultAttrVerify = 1;
}

#endif
