// Result types follow from the operands, dynamic extents too.
// RUN: levin-opt %s --mlir-print-op-generic | FileCheck %s

func.func @f(%x: tensor<5x8xbf16>, %s: tensor<5x4xf32>, %d: tensor<?x4xf32>, %starts: tensor<3xi32>,
             %w: tensor<4x6x8xf32>, %o: tensor<5xi32>) {
  // CHECK: "moe.route"{{.*}} -> (tensor<5x2xf32>, tensor<5x2xi32>, tensor<5xi32>)
  %0, %rows, %offsets = moe.route %s batch(%starts) {choices = 2 : i64} : tensor<5x4xf32>, tensor<3xi32>
  // CHECK: "moe.route"{{.*}} -> (tensor<?x1xf32>, tensor<?x1xi32>, tensor<5xi32>)
  %1:3 = moe.route %d batch(%starts) {choices = 1 : i64} : tensor<?x4xf32>, tensor<3xi32>
  // CHECK: "moe.dispatch"{{.*}} -> tensor<10x8xbf16>
  %2 = moe.dispatch %x by %rows : tensor<5x8xbf16>, tensor<5x2xi32>
  // CHECK: "moe.grouped_linear"{{.*}} -> tensor<10x6xbf16>
  %3 = moe.grouped_linear %2, %w by %o : tensor<10x8xbf16>, tensor<4x6x8xf32>, tensor<5xi32>
  // CHECK: "moe.combine"{{.*}} -> tensor<5x6xbf16>
  %4 = moe.combine %3 by %rows weighted %0 : tensor<10x6xbf16>, tensor<5x2xi32>, tensor<5x2xf32>
  return
}
