#ifndef LEVIN_CODEGEN_HOST_PASSES_TD
#define LEVIN_CODEGEN_HOST_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitKernelsPass : Pass<"levin-host-emit-kernels", "::mlir::ModuleOp"> {
  let summary = "Replaces each kernel on tensors by the loops of one of its grid points.";
  let description = [{
    Shows what `levin-compile` makes of a kernel before LLVM sees it.  The function
    gets one memref for each binding and the point x, y, z; the attribute
    `host.grid` says how many points a launch has and `host.method` which
    template wrote it, or `tiled` or `plain` for the decomposition.  From

    ```mlir
    module @kernels {
      func.func @twice(%x: tensor<4xf32>) -> tensor<4xf32> {
        %y = arith.addf %x, %x : tensor<4xf32>
        return %y : tensor<4xf32>
      }
    }
    ```

    it makes

    ```mlir
    module @kernels {
      func.func @twice(%x: memref<4xf32>, %y: memref<4xf32>, %i: index, %j: index, %k: index)
          attributes {host.grid = array<i64: 1, 1, 1>, host.method = "plain"} {
        linalg.generic {indexing_maps = [affine_map<(d0) -> (d0)>, affine_map<(d0) -> (d0)>],
                        iterator_types = ["parallel"]} ins(%x : memref<4xf32>) outs(%y : memref<4xf32>) {
        ^bb0(%a: f32, %b: f32):
          %s = arith.addf %a, %a : f32
          linalg.yield %s : f32
        }
        return
      }
    }
    ```

    Example: `test/codegen/host/emit_kernels.mlir`.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"host-x86_64-v3\"",
           "The processor level to write vectors for.">,
    Option<"templates", "templates", "bool", "true",
           "Whether kernel templates may replace the decomposition.">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect", "::mlir::linalg::LinalgDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif
