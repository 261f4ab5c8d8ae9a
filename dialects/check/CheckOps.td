#ifndef LEVIN_CHECK_CHECKOPS_TD
#define LEVIN_CHECK_CHECKOPS_TD

include "mlir/IR/OpBase.td"
include "mlir/IR/DialectBase.td"
include "mlir/Interfaces/SideEffectInterfaces.td"
include "dialects/interfaces/DecomposableOpInterface.td"

def Check_Dialect : Dialect {
  let name = "check";
  let summary = "Expectations that a test program states about its own values.";
  let description = [{
    A function that holds these ops is a test.  `levin-check-to-outputs` turns
    each into an output that counts violations; `levin-run check` runs every
    entry of an artifact and names the expectations that were not met.
  }];
  let cppNamespace = "::levin::check";
}

// What was checked must be checked: no pass may drop it.
def Check_Resource : Resource<"::levin::check::ExpectationResource">;
def Check_Effect : MemoryEffects<[MemWrite<Check_Resource>]>;

class Check_Op<string mnemonic, list<Trait> traits = []>
    : Op<Check_Dialect, mnemonic, [Check_Effect, SameTypeOperands] # traits>;

def Check_ExpectEqOp : Check_Op<"expect_eq"> {
  let summary = "Expects two tensors to be equal, element by element.";
  let description = [{
    Two NaNs are equal, 0 and -0 are too.

    ```mlir
    func.func @f(%a: tensor<4xi32>, %b: tensor<4xi32>) {
      check.expect_eq %a, %b : tensor<4xi32>
      return
    }
    ```
  }];
  let arguments = (ins Arg<AnyStaticShapeTensor, "what was computed">:$actual,
                       Arg<AnyStaticShapeTensor, "what it should be">:$expected);
  let assemblyFormat = "$actual `,` $expected attr-dict `:` type($actual)";
}

def Check_ExpectCloseOp : Check_Op<"expect_close"> {
  let summary = "Expects two float tensors to be close, element by element.";
  let description = [{
    `|actual - expected| <= atol + rtol |expected|`; anything with a NaN fails.

    Constraints:
      * (C1) the elements are floats.
      * (C2) `atol` and `rtol` are not negative.

    ```mlir
    func.func @f(%a: tensor<4xf32>, %b: tensor<4xf32>) {
      check.expect_close %a, %b {atol = 1.0e-6 : f64, rtol = 1.0e-5 : f64} : tensor<4xf32>
      return
    }
    ```
  }];
  let arguments = (ins Arg<AnyStaticShapeTensor, "what was computed">:$actual,
                       Arg<AnyStaticShapeTensor, "what it should be">:$expected,
                       F64Attr:$atol, F64Attr:$rtol);
  let assemblyFormat = "$actual `,` $expected attr-dict `:` type($actual)";
  let hasVerifier = 1;
}

#endif
