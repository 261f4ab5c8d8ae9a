#ifndef LEVIN_INTERFACES_DECOMPOSABLEOPINTERFACE_TD
#define LEVIN_INTERFACES_DECOMPOSABLEOPINTERFACE_TD

include "mlir/IR/OpBase.td"

def DecomposableOpInterface : OpInterface<"DecomposableOpInterface"> {
  let description = [{
    An op whose meaning is code: it can be replaced by ops that say the same,
    at last by upstream `linalg`, `tensor`, `scf`, `arith` and `math`.  The host
    target compiles the decomposition, and every faster kernel of every target
    is tested against it.  There is no second definition.
  }];
  let cppNamespace = "::levin";
  let methods = [
    InterfaceMethod<[{
        Builds ops at `builder`'s insertion point that compute the results of
        this op, and returns their values.  Shapes must be static.
      }],
      "::mlir::FailureOr<::llvm::SmallVector<::mlir::Value>>", "decompose",
      (ins "::mlir::OpBuilder &":$builder)>
  ];
}

def ElementwiseOpInterface : OpInterface<"ElementwiseOpInterface"> {
  let description = [{
    An op that computes each element of its one result from the elements at the
    same place of its operands.  The body is built for scalars and for vectors
    alike, so that it can become the epilogue of a kernel.
  }];
  let cppNamespace = "::levin";
  let methods = [
    InterfaceMethod<[{
        Builds the result for one element (or one vector of elements) of each
        operand.  All operands have the same float type or vector of it.
      }],
      "::mlir::Value", "buildElement",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::ValueRange":$operands)>
  ];
}

def StatefulOpInterface : OpInterface<"StatefulOpInterface"> {
  let description = [{
    An op that updates state in place: some of its results are the new contents
    of some of its operands and share their memory.
  }];
  let cppNamespace = "::levin";
  let methods = [
    InterfaceMethod<"The operand whose memory result `result` shares, if any.",
      "::std::optional<unsigned>", "getTiedOperand", (ins "unsigned":$result)>
  ];
}

#endif
