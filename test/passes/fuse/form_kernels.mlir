// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group --levin-fuse-pack \
// RUN:   --levin-fuse-form-kernels --levin-fuse-verify | FileCheck %s

// CHECK-LABEL: module @kernels
// CHECK-NOT: fuse.
// CHECK: func.func @linear_silu_4x8x8(%{{.*}}: tensor<1x8x32xbf16>, %{{.*}}: tensor<4x8xf32>)
// CHECK:   exec.unpack
// CHECK:   nn.linear
// CHECK:   nn.silu
// CHECK: func.func @residual_4x8(
// CHECK:   alpha = 2.0
// CHECK: func.func @exp_4x8(
// CHECK: func.func @residual_4x8_2(
// CHECK:   alpha = 3.0
// CHECK: func.func @linear_sigmoid_4x8x8({{.*}} -> (tensor<4x8xf32>, tensor<4x8xf32>)
// CHECK: func.func @lightning_attention_5x16(
// CHECK: func.func @mulf_4(
// CHECK:   arith.constant dense<3.0
// CHECK-NOT: func.func @mulf_4_2

nn.parameter @w : tensor<8x8xbf16> = concat [<"w">]
nn.parameter @v : tensor<8x8xbf16> = concat [<"v">]

// Layers share a kernel; its parameters differ.
// CHECK-LABEL: func.func @layers
// CHECK: %[[W:.*]] = exec.pack
// CHECK: %[[V:.*]] = exec.pack
// CHECK: %[[A:.*]] = exec.dispatch @kernels::@linear_silu_4x8x8(%[[W]], %{{.*}}) tied [-1]
// CHECK: %[[B:.*]] = exec.dispatch @kernels::@linear_silu_4x8x8(%[[V]], %[[A]]) tied [-1]
// CHECK: return %[[B]]
func.func @layers(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = nn.use @w : tensor<8x8xbf16>
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xbf16>
  %b = nn.silu %a : tensor<4x8xf32>
  %v = nn.use @v : tensor<8x8xbf16>
  %c = nn.linear %b, %v : tensor<4x8xf32>, tensor<8x8xbf16>
  %d = nn.silu %c : tensor<4x8xf32>
  return %d : tensor<4x8xf32>
}

// Another kernel of the same ops and extents gets a number.
// CHECK-LABEL: func.func @clash
// CHECK: exec.dispatch @kernels::@residual_4x8(
// CHECK: exec.dispatch @kernels::@residual_4x8_2(
func.func @clash(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %a = nn.residual %x, %y {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<4x8xf32>
  %t = tensor.empty() : tensor<4x8xf32>
  %u = linalg.exp ins(%a : tensor<4x8xf32>) outs(%t : tensor<4x8xf32>) -> tensor<4x8xf32>
  %b = nn.residual %u, %y {alpha = 3.0 : f64, beta = 1.0 : f64} : tensor<4x8xf32>
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// What others need of a group are further results.
// CHECK-LABEL: func.func @several
// CHECK: %[[R:.*]]:2 = exec.dispatch @kernels::@linear_{{.*}} tied [-1, -1]
func.func @several(%x: tensor<4x8xf32>) -> (tensor<4x8xf32>, tensor<4x8xf32>) {
  %w = nn.use @w : tensor<8x8xbf16>
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xbf16>
  %b = nn.sigmoid %a : tensor<4x8xf32>
  return %a, %b : tensor<4x8xf32>, tensor<4x8xf32>
}

// State is updated in place.
// CHECK-LABEL: func.func @state
// CHECK: exec.dispatch @kernels::@lightning_attention_5x16({{.*}}) tied [-1, 2]
func.func @state(%q: tensor<5x2x8xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>,
                 %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>) {
  %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
       tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return %o, %s : tensor<5x16xf32>, tensor<4x2x8x8xf32>
}

// Constants go into the kernels that need them.
// CHECK-LABEL: func.func @constants
// CHECK-NOT: arith.constant
// CHECK: exec.dispatch @kernels::@mulf_4
func.func @constants(%x: tensor<4xf32>) -> tensor<4xf32> {
  %three = arith.constant dense<3.0> : tensor<4xf32>
  %y = arith.mulf %x, %three : tensor<4xf32>
  return %y : tensor<4xf32>
}
