// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group=fused-gather=true | FileCheck %s
// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group=fused-gather=true --remarks-filter=fuse \
// RUN:   --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK
// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group | FileCheck %s --check-prefix=HOST

// Both products read their rows from where they lie; the product back reads rows in order.
// CHECK-LABEL: @experts
// HOST-LABEL: @experts
func.func @experts(%x: tensor<4x8xf32>, %rows: tensor<4x2xi32>, %offsets: tensor<4xi32>,
                   %w1: tensor<3x6x8xf32>, %w3: tensor<3x6x8xf32>, %w2: tensor<3x8x6xf32>)
    -> tensor<8x8xf32> {
  // CHECK: moe.dispatch {{.*}}fuse.group = 0
  // HOST: moe.dispatch {{.*}}fuse.group = 0
  // REMARK: [Passed] Fuse {{.*}}'moe.dispatch' into the kernel of 'moe.grouped_linear'
  %d = moe.dispatch %x by %rows : tensor<4x8xf32>, tensor<4x2xi32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 0
  // HOST: moe.grouped_linear {{.*}}fuse.group = 1
  %gate = moe.grouped_linear %d, %w1 by %offsets : tensor<8x8xf32>, tensor<3x6x8xf32>, tensor<4xi32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 0
  %up = moe.grouped_linear %d, %w3 by %offsets : tensor<8x8xf32>, tensor<3x6x8xf32>, tensor<4xi32>
  // CHECK: nn.silu {{.*}}fuse.group = 0
  %open = nn.silu %gate : tensor<8x6xf32>
  // CHECK: arith.mulf {{.*}}fuse.group = 0
  %y = arith.mulf %open, %up : tensor<8x6xf32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 1
  %z = moe.grouped_linear %y, %w2 by %offsets : tensor<8x6xf32>, tensor<3x8x6xf32>, tensor<4xi32>
  return %z : tensor<8x8xf32>
}

// Rows that are needed elsewhere too are written.
// CHECK-LABEL: @shared
func.func @shared(%x: tensor<4x8xf32>, %rows: tensor<4x2xi32>, %offsets: tensor<4xi32>, %w: tensor<3x6x8xf32>)
    -> (tensor<8x6xf32>, tensor<8x8xf32>) {
  // CHECK: moe.dispatch {{.*}}fuse.group = 0
  // REMARK: [Missed] Fuse {{.*}}'moe.dispatch' not into {{.*}}: others than one kernel of grouped products read it
  %d = moe.dispatch %x by %rows : tensor<4x8xf32>, tensor<4x2xi32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 1
  %y = moe.grouped_linear %d, %w by %offsets : tensor<8x8xf32>, tensor<3x6x8xf32>, tensor<4xi32>
  return %y, %d : tensor<8x6xf32>, tensor<8x8xf32>
}

// Two kernels of products: neither takes the rows.
// CHECK-LABEL: @two
func.func @two(%x: tensor<4x8xf32>, %rows: tensor<4x2xi32>, %offsets: tensor<4xi32>,
               %w: tensor<3x6x8xf32>, %v: tensor<3x4x8xf32>) -> (tensor<8x6xf32>, tensor<8x4xf32>) {
  // CHECK: moe.dispatch {{.*}}fuse.group = 0
  %d = moe.dispatch %x by %rows : tensor<4x8xf32>, tensor<4x2xi32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 1
  %y = moe.grouped_linear %d, %w by %offsets : tensor<8x8xf32>, tensor<3x6x8xf32>, tensor<4xi32>
  // CHECK: moe.grouped_linear {{.*}}fuse.group = 2
  %z = moe.grouped_linear %d, %v by %offsets : tensor<8x8xf32>, tensor<3x4x8xf32>, tensor<4xi32>
  return %y, %z : tensor<8x6xf32>, tensor<8x4xf32>
}
