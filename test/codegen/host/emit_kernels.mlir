// RUN: levin-opt %s --levin-host-emit-kernels="target=host-x86_64-v4" | FileCheck %s
// RUN: levin-opt %s --levin-host-emit-kernels="templates=false" | FileCheck %s --check-prefix=GENERIC

// A row op with its elementwise producer: one loop over blocks of rows becomes the grid, and what
// lies between the ops never leaves the stack, with the template and without.
module @kernels {
  // CHECK-LABEL: func.func @residual_norm(
  // CHECK-SAME: host.method = "rows"
  // GENERIC-LABEL: func.func @residual_norm(
  // GENERIC-SAME: %[[X:.*]]: memref<256x192xf32>, %[[Y:.*]]: memref<256x192xf32>, %[[W:.*]]: memref<192xf32>, %[[OUT:.*]]: memref<256x192xf32>, %[[I:.*]]: index
  // GENERIC-SAME: host.grid = array<i64: 8, 1, 1>, host.method = "tiled"
  // GENERIC-NOT: tensor<
  // GENERIC-NOT: memref.alloc(
  // GENERIC: memref.subview %[[OUT]]
  // GENERIC: return
  func.func @residual_norm(%x: tensor<256x192xf32>, %y: tensor<256x192xf32>, %w: tensor<192xf32>) -> tensor<256x192xf32> {
    %r = nn.residual %x, %y {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<256x192xf32>
    %n = nn.rms_norm %r, %w {eps = 1.0e-5 : f64} : tensor<256x192xf32>, tensor<192xf32>
    return %n : tensor<256x192xf32>
  }

  // A product with packed weights goes to a template, unless they are off.
  // CHECK-LABEL: func.func @product(
  // CHECK-SAME: host.method = "matmul"
  // CHECK: vector.fma
  // GENERIC-LABEL: func.func @product(
  // GENERIC-SAME: host.method = "tiled"
  // GENERIC-NOT: vector.fma
  func.func @product(%x: tensor<64x192xf32>, %p: tensor<8x192x32xbf16>) -> tensor<64x256xf32> {
    %w = exec.unpack %p : tensor<8x192x32xbf16> -> tensor<256x192xbf16>
    %y = nn.linear %x, %w : tensor<64x192xf32>, tensor<256x192xbf16>
    return %y : tensor<64x256xf32>
  }

  // State is updated in place: it has one binding, and no copy of it is made.
  // GENERIC-LABEL: func.func @state(
  // GENERIC-SAME: memref<4x2x16x16xf32>
  // GENERIC-SAME: host.method = "plain"
  // GENERIC-NOT: memref.alloca() {{.*}}: memref<4x2x16x16xf32>
  // GENERIC: return
  func.func @state(%q: tensor<5x2x16xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x16x16xf32>,
                   %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
      -> (tensor<5x32xf32>, tensor<4x2x16x16xf32>) {
    %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
      : (tensor<5x2x16xf32>, tensor<5x2x16xf32>, tensor<5x2x16xf32>, tensor<2xf32>,
         tensor<4x2x16x16xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
      -> (tensor<5x32xf32>, tensor<4x2x16x16xf32>)
    return %o, %s : tensor<5x32xf32>, tensor<4x2x16x16xf32>
  }
}
