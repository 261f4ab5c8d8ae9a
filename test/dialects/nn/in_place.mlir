// Bufferization updates state in place: nothing is allocated or copied inside the loops.
// RUN: levin-opt %s --levin-decompose --canonicalize --cse \
// RUN:   --one-shot-bufferize="bufferize-function-boundaries function-boundary-type-conversion=identity-layout-map" \
// RUN:   --canonicalize --cse --canonicalize | FileCheck %s --implicit-check-not=memref.alloc --implicit-check-not=memref.copy

// CHECK-LABEL: func.func @lightning
// CHECK-SAME: %[[STATE:[^:]*]]: memref<4x2x8x8xf32>
// CHECK: memref.alloc() {{.*}} : memref<5x16xf32>
// CHECK: memref.alloc() {{.*}} : memref<8xf32>
// CHECK: scf.for
// CHECK: memref.copy %{{.*}}, %{{.*}} : memref<8xf32>
// CHECK: return %{{.*}}, %[[STATE]]
func.func @lightning(%q: tensor<5x2x8xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>,
                     %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>) {
  %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
       tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return %o, %s : tensor<5x16xf32>, tensor<4x2x8x8xf32>
}

// Two copies: the row's keys and values.  The scratch is a row of scores and one of sums.
// CHECK-LABEL: func.func @attention
// CHECK-SAME: %[[KEYS:[^:]*]]: memref<4x2x3x8x16xf32>, %[[VALUES:[^:]*]]: memref<4x2x3x16x8xf32>
// CHECK: memref.alloc() {{.*}} : memref<5x32xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<48xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<8xf32>
// CHECK: scf.for
// CHECK: memref.copy %{{.*}}, %{{.*}} : memref<8xf32
// CHECK: memref.copy %{{.*}}, %{{.*}} : memref<8xf32
// CHECK: return %{{.*}}, %[[KEYS]], %[[VALUES]]
func.func @attention(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>,
                     %keys: tensor<4x2x3x8x16xf32>, %values: tensor<4x2x3x16x8xf32>,
                     %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>) {
  %o, %nk, %nv = nn.attention %q, %k, %k cache(%keys, %values) batch(%starts, %slots, %past)
    {scale = 0.35 : f64}
    : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<4x2x3x8x16xf32>,
       tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return %o, %nk, %nv : tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>
}

// The same in pages, and a block of keys that is turned.
// CHECK-LABEL: func.func @paged
// CHECK-SAME: %[[KEYS:[^:]*]]: memref<9x2x16x8xf32>, %[[VALUES:[^:]*]]: memref<9x2x16x8xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<5x32xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<64xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<8x16xf32>
// CHECK-DAG: memref.alloc() {{.*}} : memref<8xf32>
// CHECK: scf.for
// CHECK: memref.copy %{{.*}}, %{{.*}} : memref<8xf32
// CHECK: memref.copy %{{.*}}, %{{.*}} : memref<8xf32
// CHECK: return %{{.*}}, %[[KEYS]], %[[VALUES]]
func.func @paged(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %keys: tensor<9x2x16x8xf32>,
                 %values: tensor<9x2x16x8xf32>, %starts: tensor<3xi32>, %pages: tensor<2x4xi32>,
                 %past: tensor<2xi32>)
    -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>) {
  %o, %nk, %nv = nn.paged_attention %q, %k, %k cache(%keys, %values) batch(%starts, %pages, %past)
    {scale = 0.35 : f64}
    : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>,
       tensor<9x2x16x8xf32>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>)
    -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return %o, %nk, %nv : tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>
}
