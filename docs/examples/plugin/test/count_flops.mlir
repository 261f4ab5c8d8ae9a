// RUN: levin-opt %s --load-plugin=%plugin --count-flops 2>&1 | FileCheck %s

// CHECK: remark: 2 products, 320 multiply-adds
func.func @f(%x: tensor<5x8xf32>, %w: tensor<4x8xf32>, %v: tensor<8x4xf32>) -> tensor<5x8xf32> {
  %0 = nn.linear %x, %w : tensor<5x8xf32>, tensor<4x8xf32>
  %1 = nn.silu %0 : tensor<5x4xf32>
  %2 = nn.linear %1, %v : tensor<5x4xf32>, tensor<8x4xf32>
  return %2 : tensor<5x8xf32>
}

// CHECK: remark: 1 products, 480 multiply-adds
func.func @experts(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w: tensor<4x6x8xbf16>) -> tensor<10x6xf32> {
  %0 = moe.grouped_linear %x, %w by %o : tensor<10x8xf32>, tensor<4x6x8xbf16>, tensor<5xi32>
  return %0 : tensor<10x6xf32>
}

// CHECK: remark: 1 products, 0 multiply-adds, 1 of dynamic shape not counted
func.func @dynamic(%x: tensor<?x8xf32>, %w: tensor<4x8xf32>) -> tensor<?x4xf32> {
  %0 = nn.linear %x, %w : tensor<?x8xf32>, tensor<4x8xf32>
  return %0 : tensor<?x4xf32>
}
