// RUN: levin-opt %s -split-input-file -verify-diagnostics --levin-cuda-emit-kernels="folder=%t" > %t.mlir

module @kernels {
  func.func @double(%x: tensor<8xf64>) -> tensor<8xf64> {
    // expected-error @below {{'math.exp' op of 'f64' has no code on the GPU; mathematical functions exist for f32, so compute in f32 and convert}}
    %0 = math.exp %x : tensor<8xf64>
    return %0 : tensor<8xf64>
  }
}

// -----

module @kernels {
  func.func @remainder(%x: tensor<8xf32>, %y: tensor<8xf32>) -> tensor<8xf32> {
    // expected-error @below {{'arith.remf' op of 'f32' has no code on the GPU}}
    %0 = arith.remf %x, %y : tensor<8xf32>
    return %0 : tensor<8xf32>
  }
}
