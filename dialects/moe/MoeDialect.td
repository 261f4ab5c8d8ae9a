#ifndef LEVIN_MOE_MOEDIALECT_TD
#define LEVIN_MOE_MOEDIALECT_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"

def Moe_Dialect : Dialect {
  let name = "moe";
  let summary = "Mixture of experts: routing, dispatch, expert layers, combination.";
  let description = [{
    A routing is three tensors: `weights` [tokens, choices], `rows` [tokens,
    choices] (where the copy of a token for a choice lies among the dispatched
    rows, or -1 for padding) and `offsets` [experts + 1] (where each expert's
    rows begin).  They are plain tensors and no type of their own, so that every
    pass and planner handles them like any other value.
  }];
  let cppNamespace = "::levin::moe";
}

#endif
