// RUN: levin-opt %s --verify-roundtrip | FileCheck %s
// RUN: levin-opt %s --mlir-print-op-generic | levin-opt | FileCheck %s

// CHECK-LABEL: func.func @layer
func.func @layer(%x: tensor<?x8xf32>, %scores: tensor<?x4xf32>, %starts: tensor<?xi32>,
                 %up: tensor<4x6x8xbf16>, %down: tensor<4x8x6xbf16>) -> tensor<?x8xf32> {
  // CHECK: moe.route %{{.*}} batch(%{{.*}}) {choices = 2 : i64, normalize} : tensor<?x4xf32>, tensor<?xi32>
  %w, %rows, %offsets = moe.route %scores batch(%starts) {choices = 2 : i64, normalize}
    : tensor<?x4xf32>, tensor<?xi32>
  // CHECK: moe.dispatch %{{.*}} by %{{.*}} : tensor<?x8xf32>, tensor<?x2xi32>
  %0 = moe.dispatch %x by %rows : tensor<?x8xf32>, tensor<?x2xi32>
  // CHECK: moe.grouped_linear %{{.*}}, %{{.*}} by %{{.*}} : tensor<?x8xf32>, tensor<4x6x8xbf16>, tensor<5xi32>
  %1 = moe.grouped_linear %0, %up by %offsets : tensor<?x8xf32>, tensor<4x6x8xbf16>, tensor<5xi32>
  // CHECK: moe.experts %{{.*}} by %{{.*}} gate %{{.*}} up %{{.*}} down %{{.*}} :
  %2 = moe.experts %0 by %offsets gate %up up %up down %down
    : tensor<?x8xf32>, tensor<5xi32>, tensor<4x6x8xbf16>, tensor<4x6x8xbf16>, tensor<4x8x6xbf16>
  // CHECK: moe.combine %{{.*}} by %{{.*}} weighted %{{.*}} : tensor<?x8xf32>, tensor<?x2xi32>, tensor<?x2xf32>
  %3 = moe.combine %2 by %rows weighted %w : tensor<?x8xf32>, tensor<?x2xi32>, tensor<?x2xf32>
  return %3 : tensor<?x8xf32>
}
