#ifndef LEVIN_CODEGEN_CUDA_PASSES_TD
#define LEVIN_CODEGEN_CUDA_PASSES_TD

include "mlir/Pass/PassBase.td"

def EmitKernelsPass : Pass<"levin-cuda-emit-kernels", "::mlir::ModuleOp"> {
  let summary = "Replaces each kernel on tensors by its launches on a GPU.";
  let description = [{
    Shows what `levin-compile` makes of a kernel before LLVM sees it: a
    `gpu.module` with one `gpu.func` for each launch, which has a buffer for each
    binding and one more for scratch bytes.  The module's attribute `cuda.method`
    says how the kernel was made, and each function's `cuda.grid` and
    `cuda.block` how it is launched.  A kernel that a CUDA template takes stays as
    it is, with the template's name in `cuda.method`.  From

    ```mlir
    module @kernels {
      func.func @twice(%x: tensor<1024xf32>) -> tensor<1024xf32> {
        %y = arith.addf %x, %x : tensor<1024xf32>
        return %y : tensor<1024xf32>
      }
    }
    ```

    it makes

    ```mlir
    module @kernels {
      gpu.module @k_twice_module attributes {cuda.method = "plain"} {
        gpu.func @k_twice(%x: memref<1024xf32>, %y: memref<1024xf32>) kernel
            attributes {cuda.block = array<i32: 256, 1, 1>, cuda.grid = array<i32: 4, 1, 1>} {
          %block = gpu.block_id x
          %size = gpu.block_dim x
          %first = arith.muli %block, %size : index
          %thread = gpu.thread_id x
          %i = arith.addi %first, %thread : index
          %a = memref.load %x[%i] : memref<1024xf32>
          %b = arith.addf %a, %a : f32
          memref.store %b, %y[%i] : memref<1024xf32>
          gpu.return
        }
      }
    }
    ```

    Example: `test/codegen/cuda/emit_kernels.mlir`.
  }];
  let options = [
    Option<"target", "target", "std::string", "\"cuda-sm_90a\"", "The GPU to write for.">,
    Option<"templates", "templates", "bool", "true",
           "Whether templates and generated kernels may replace the decomposition.">,
    Option<"folder", "folder", "std::string", "\"\"",
           "A folder for the PTX text (or the source for nvcc) of each kernel; none if empty.">
  ];
  let dependentDialects = [
    "::mlir::affine::AffineDialect", "::mlir::arith::ArithDialect",
    "::mlir::bufferization::BufferizationDialect", "::mlir::gpu::GPUDialect",
    "::mlir::linalg::LinalgDialect", "::mlir::math::MathDialect", "::mlir::memref::MemRefDialect",
    "::mlir::scf::SCFDialect", "::mlir::tensor::TensorDialect", "::mlir::vector::VectorDialect"
  ];
}

#endif
