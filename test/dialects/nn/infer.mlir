// Result types follow from the operands, dynamic extents too.
// RUN: levin-opt %s --mlir-print-op-generic | FileCheck %s

func.func @f(%x: tensor<?x8xf32>, %y: tensor<5x8xf16>, %w: tensor<6x8xbf16>, %r: tensor<2xi32>,
             %d: tensor<?xi32>) {
  // CHECK: "nn.take_rows"{{.*}} -> tensor<2x8xf32>
  %0 = nn.take_rows %x, %r : tensor<?x8xf32>, tensor<2xi32>
  // CHECK: "nn.take_rows"{{.*}} -> tensor<?x8xf16>
  %1 = nn.take_rows %y, %d : tensor<5x8xf16>, tensor<?xi32>
  // CHECK: "nn.linear"{{.*}} -> tensor<?x6xf32>
  %2 = nn.linear %x, %w : tensor<?x8xf32>, tensor<6x8xbf16>
  // CHECK: "nn.linear"{{.*}} -> tensor<5x6xf16>
  %3 = nn.linear %y, %w : tensor<5x8xf16>, tensor<6x8xbf16>
  return
}
