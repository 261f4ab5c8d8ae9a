// RUN: levin-opt %s --levin-fuse-narrow=type=bf16 --split-input-file | FileCheck %s
// RUN: levin-opt %s --levin-fuse-narrow=type=f32 --split-input-file | FileCheck %s --check-prefix=WIDE
// RUN: not levin-opt %s --levin-fuse-narrow=type=f8 --split-input-file 2>&1 | FileCheck %s --check-prefix=TYPE

// WIDE-NOT: bf16
// TYPE: levin-fuse-narrow: type is 'f8', expected bf16 or f32

// A value is stored once in bf16 and widened once in each kernel that reads it; its own kernel reads
// it as it was made.  What the logits are made from stays.
// CHECK-LABEL: @step
func.func @step(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %n: tensor<8xf32>, %v: tensor<16x8xf32>)
    -> (tensor<4x16xf32> {nn.role = #nn.role<logits>}) {
  // CHECK: %[[A:.*]] = nn.linear %{{.*}}, %{{.*}} {fuse.group = 0 : i64} : tensor<4x8xf32>
  %a = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK-NEXT: %[[SA:.*]] = arith.truncf %[[A]] {fuse.group = 0 : i64} : tensor<4x8xf32> to tensor<4x8xbf16>
  // CHECK-NEXT: %[[S:.*]] = nn.silu %[[A]] {fuse.group = 0 : i64}
  // CHECK-NEXT: %[[SS:.*]] = arith.truncf %[[S]] {fuse.group = 0 : i64}
  %s = nn.silu %a {fuse.group = 0 : i64} : tensor<4x8xf32>
  // CHECK-NEXT: %[[L1:.*]] = arith.extf %[[SS]] {fuse.group = 1 : i64} : tensor<4x8xbf16> to tensor<4x8xf32>
  // CHECK-NEXT: %[[B:.*]] = nn.rms_norm %[[L1]], %{{.*}} {eps = 1.000000e-05 : f64, fuse.group = 1 : i64}
  %b = nn.rms_norm %s, %n {eps = 1.0e-5 : f64, fuse.group = 1 : i64} : tensor<4x8xf32>, tensor<8xf32>
  // CHECK-NEXT: %[[SB:.*]] = arith.truncf %[[B]] {fuse.group = 1 : i64}
  // CHECK-NEXT: %[[L2:.*]] = arith.extf %[[SB]] {fuse.group = 2 : i64}
  // CHECK-NEXT: nn.linear %[[L2]]
  %c = nn.linear %b, %w {fuse.group = 2 : i64} : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK-NEXT: %[[L3:.*]] = arith.extf %[[SA]] {fuse.group = 2 : i64}
  // CHECK-NEXT: %[[D:.*]] = nn.residual %[[L3]]
  %d = nn.residual %a, %c {alpha = 2.0 : f64, beta = 1.0 : f64, fuse.group = 2 : i64} : tensor<4x8xf32>
  // CHECK-NEXT: nn.linear %[[D]], %{{.*}} {fuse.group = 3 : i64}
  // CHECK-NEXT: nn.mask_tail
  // CHECK-NEXT: return
  %e = nn.linear %d, %v {fuse.group = 3 : i64} : tensor<4x8xf32>, tensor<16x8xf32>
  %f = nn.mask_tail %e {live = 15 : i64, fuse.group = 3 : i64} : tensor<4x16xf32>
  return %f : tensor<4x16xf32>
}

// -----

// Routing, decays, states and norm weights stay in float32, and results of the function.
// CHECK-LABEL: @kept
func.func @kept(%x: tensor<4x8xf32>, %w: tensor<2x8xf32>, %starts: tensor<2xi32>, %slots: tensor<1xi32>,
                %past: tensor<1xi32>, %r: tensor<2xf32>, %v: tensor<8xf32>,
                %state: tensor<1x2x4x4xf32> {nn.role = #nn.role<state>, nn.name = "s"})
    -> (tensor<4x8xf32> {nn.role = #nn.role<logits>}, tensor<4x2xf32>,
        tensor<1x2x4x4xf32> {nn.role = #nn.role<state>, nn.name = "s"}) {
  // CHECK-NOT: bf16
  %scores = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<2x8xf32>
  %weights, %rows, %offsets = moe.route %scores batch(%starts) {choices = 1 : i64, fuse.group = 1 : i64}
    : tensor<4x2xf32>, tensor<2xi32>
  %slopes = nn.sigmoid %r {fuse.group = 2 : i64} : tensor<2xf32>
  %norm = nn.sigmoid %v {fuse.group = 3 : i64} : tensor<8xf32>
  %q = nn.split_heads %x {fuse.group = 4 : i64} : tensor<4x8xf32> -> tensor<4x2x4xf32>
  %o, %new = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past) {fuse.group = 4 : i64}
    : (tensor<4x2x4xf32>, tensor<4x2x4xf32>, tensor<4x2x4xf32>, tensor<2xf32>, tensor<1x2x4x4xf32>,
       tensor<2xi32>, tensor<1xi32>, tensor<1xi32>) -> (tensor<4x8xf32>, tensor<1x2x4x4xf32>)
  %again, %newer = nn.lightning_attention %q, %q, %q, %slopes state %new batch(%starts, %slots, %past) {fuse.group = 4 : i64}
    : (tensor<4x2x4xf32>, tensor<4x2x4xf32>, tensor<4x2x4xf32>, tensor<2xf32>, tensor<1x2x4x4xf32>,
       tensor<2xi32>, tensor<1xi32>, tensor<1xi32>) -> (tensor<4x8xf32>, tensor<1x2x4x4xf32>)
  // CHECK: arith.truncf %{{.*}} {fuse.group = 4 : i64} : tensor<4x8xf32> to tensor<4x8xbf16>
  // CHECK-NEXT: arith.extf %{{.*}} {fuse.group = 5 : i64}
  // CHECK-NEXT: nn.rms_norm
  %m = nn.rms_norm %again, %norm {eps = 1.0e-5 : f64, fuse.group = 5 : i64} : tensor<4x8xf32>, tensor<8xf32>
  // CHECK-NOT: bf16
  // CHECK: moe.combine
  %c = moe.combine %m by %rows weighted %weights {fuse.group = 6 : i64}
    : tensor<4x8xf32>, tensor<4x1xi32>, tensor<4x1xf32>
  return %c, %scores, %newer : tensor<4x8xf32>, tensor<4x2xf32>, tensor<1x2x4x4xf32>
}

// -----

// A function that is no step keeps its types.
// CHECK-LABEL: @plain
// CHECK-NOT: bf16
func.func @plain(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>) -> tensor<4x8xf32> {
  %a = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<8x8xf32>
  %b = nn.linear %a, %w {fuse.group = 1 : i64} : tensor<4x8xf32>, tensor<8x8xf32>
  return %b : tensor<4x8xf32>
}
