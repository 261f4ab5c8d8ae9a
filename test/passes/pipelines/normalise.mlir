// RUN: levin-opt %s --levin-normalise | FileCheck %s

// CHECK-LABEL: @experts
// CHECK-SAME: %[[X:.*]]: tensor<10x8xf32>, %[[O:.*]]: tensor<5xi32>, %[[W1:.*]]: tensor<4x6x8xbf16>, %[[W3:.*]]: tensor<4x6x8xbf16>, %[[W2:.*]]: tensor<4x8x6xbf16>
// CHECK: %[[GATE:.*]] = moe.grouped_linear %[[X]], %[[W1]] by %[[O]]
// CHECK: %[[UP:.*]] = moe.grouped_linear %[[X]], %[[W3]] by %[[O]]
// CHECK: %[[OPEN:.*]] = nn.silu %[[GATE]]
// CHECK: %[[BOTH:.*]] = arith.mulf %[[OPEN]], %[[UP]]
// CHECK: %[[Y:.*]] = moe.grouped_linear %[[BOTH]], %[[W2]] by %[[O]]
// CHECK: return %[[Y]]
func.func @experts(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w1: tensor<4x6x8xbf16>,
                   %w3: tensor<4x6x8xbf16>, %w2: tensor<4x8x6xbf16>) -> tensor<10x8xf32> {
  %y = moe.experts %x by %o gate %w1 up %w3 down %w2
    : tensor<10x8xf32>, tensor<5xi32>, tensor<4x6x8xbf16>, tensor<4x6x8xbf16>, tensor<4x8x6xbf16>
  return %y : tensor<10x8xf32>
}

// CHECK-LABEL: @masks
// CHECK-NEXT: nn.mask_tail {{.*}}live = 6
// CHECK-NEXT: return
func.func @masks(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
  %a = nn.mask_tail %x {live = 8 : i64} : tensor<5x8xf32>
  %b = nn.mask_tail %a {live = 6 : i64} : tensor<5x8xf32>
  return %b : tensor<5x8xf32>
}
