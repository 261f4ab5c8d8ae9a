// RUN: levin-opt %s --levin-fuse-match | FileCheck %s

// CHECK-LABEL: @kinds
func.func @kinds(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %n: tensor<8xf32>) -> tensor<4x8xf32> {
  // CHECK: nn.linear {{.*}} {fuse.kind = "matmul"}
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK: nn.silu {{.*}} {fuse.kind = "elementwise"}
  %b = nn.silu %a : tensor<4x8xf32>
  // CHECK: arith.addf {{.*}} {fuse.kind = "elementwise"}
  %c = arith.addf %b, %x : tensor<4x8xf32>
  // CHECK: nn.rms_norm {{.*}}fuse.kind = "row"
  %d = nn.rms_norm %c, %n {eps = 1.0e-5 : f64} : tensor<4x8xf32>, tensor<8xf32>
  // CHECK: nn.mask_tail {{.*}}fuse.kind = "column"
  %e = nn.mask_tail %d {live = 6 : i64} : tensor<4x8xf32>
  return %e : tensor<4x8xf32>
}

// What every kernel repeats has no kind; what is returned must be made by a kernel.
// CHECK-LABEL: @repeated
func.func @repeated(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>) {
  // CHECK: arith.constant {fuse.kind = "other"} dense<1
  %one = arith.constant dense<1.0> : tensor<4xf32>
  // CHECK: arith.constant dense<2
  %two = arith.constant dense<2.0> : tensor<4xf32>
  %zero = arith.constant 0.0 : f32
  // CHECK: tensor.empty()
  // CHECK-NOT: fuse.kind
  // CHECK: linalg.fill
  %e = tensor.empty() : tensor<4xf32>
  %f = linalg.fill ins(%zero : f32) outs(%e : tensor<4xf32>) -> tensor<4xf32>
  // CHECK: linalg.add {fuse.kind = "other"}
  %s = linalg.add ins(%x, %two : tensor<4xf32>, tensor<4xf32>) outs(%f : tensor<4xf32>) -> tensor<4xf32>
  return %s, %one : tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: @attention
func.func @attention(%x: tensor<5x48xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>,
                     %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>) {
  // CHECK: nn.split_heads {{.*}}fuse.kind = "view"
  %q, %k, %v = nn.split_heads %x interleaved
    : tensor<5x48xf32> -> tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>
  // CHECK: nn.lightning_attention {{.*}}fuse.kind = "lightning"
  %o, %s = nn.lightning_attention %q, %k, %v, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
       tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return %o, %s : tensor<5x16xf32>, tensor<4x2x8x8xf32>
}
