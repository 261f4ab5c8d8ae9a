// RUN: levin-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @nothing_masked
// CHECK-SAME: (%[[X:.*]]: tensor<5x8xf32>)
// CHECK-NEXT: return %[[X]]
func.func @nothing_masked(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
  %0 = nn.mask_tail %x {live = 8 : i64} : tensor<5x8xf32>
  return %0 : tensor<5x8xf32>
}

// CHECK-LABEL: func.func @masked
// CHECK: nn.mask_tail
func.func @masked(%x: tensor<5x8xf32>) -> tensor<5x8xf32> {
  %0 = nn.mask_tail %x {live = 7 : i64} : tensor<5x8xf32>
  return %0 : tensor<5x8xf32>
}

// All layers are pure: what no one reads goes.
// CHECK-LABEL: func.func @unused
// CHECK-NEXT: return
func.func @unused(%x: tensor<5x8xf32>) {
  %0 = nn.silu %x : tensor<5x8xf32>
  return
}
