#ifndef LEVIN_INTERFACES_PASSES_TD
#define LEVIN_INTERFACES_PASSES_TD

include "mlir/Pass/PassBase.td"

def DecomposePass : Pass<"levin-decompose"> {
  let summary = "Replaces every op by its meaning in upstream dialects.";
  let description = [{
    Each op with a decomposition is replaced by it, and so are the ops that come
    of that, until none is left.  Shapes must be static.  From

    ```mlir
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %y = nn.sigmoid %x : tensor<4xf32>
      return %y : tensor<4xf32>
    }
    ```

    it makes

    ```mlir
    #map = affine_map<(d0) -> (d0)>
    func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
      %0 = tensor.empty() : tensor<4xf32>
      %1 = linalg.generic {indexing_maps = [#map, #map], iterator_types = ["parallel"]}
          ins(%x : tensor<4xf32>) outs(%0 : tensor<4xf32>) {
      ^bb0(%in: f32, %out: f32):
        %2 = arith.negf %in : f32
        %3 = math.exp %2 : f32
        %cst = arith.constant 1.000000e+00 : f32
        %4 = arith.addf %3, %cst : f32
        %5 = arith.divf %cst, %4 : f32
        linalg.yield %5 : f32
      } -> tensor<4xf32>
      return %1 : tensor<4xf32>
    }
    ```

    Example: `test/dialects/nn/decompose.mlir`.
  }];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect"];
}

#endif
