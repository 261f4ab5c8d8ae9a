// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group | FileCheck %s
// RUN: levin-opt %s --levin-fuse-match --levin-fuse-group --remarks-filter=fuse \
// RUN:   --remark-format=emitRemark 2>&1 | FileCheck %s --check-prefix=REMARK

// CHECK-LABEL: @epilogue
func.func @epilogue(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %h: tensor<4x8xf32>) -> tensor<4x8xf32> {
  // CHECK: nn.linear {{.*}}fuse.group = 0
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK: nn.silu {{.*}}fuse.group = 0
  // REMARK: [Passed] Fuse {{.*}}'nn.silu' into the kernel of 'nn.linear'
  %b = nn.silu %a : tensor<4x8xf32>
  // CHECK: nn.residual {{.*}}fuse.group = 0
  %c = nn.residual %h, %b {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<4x8xf32>
  return %c : tensor<4x8xf32>
}

// One pass over the input for both products.
// CHECK-LABEL: @dual
func.func @dual(%x: tensor<4x8xf32>, %w1: tensor<6x8xf32>, %w3: tensor<6x8xf32>,
                %w2: tensor<8x6xf32>) -> tensor<4x8xf32> {
  // CHECK: nn.linear {{.*}}fuse.group = 0
  %gate = nn.linear %x, %w1 : tensor<4x8xf32>, tensor<6x8xf32>
  // CHECK: nn.linear {{.*}}fuse.group = 0
  %up = nn.linear %x, %w3 : tensor<4x8xf32>, tensor<6x8xf32>
  // CHECK: nn.silu {{.*}}fuse.group = 0
  %open = nn.silu %gate : tensor<4x6xf32>
  // CHECK: arith.mulf {{.*}}fuse.group = 0
  %y = arith.mulf %open, %up : tensor<4x6xf32>
  // CHECK: nn.linear {{.*}}fuse.group = 1
  %z = nn.linear %y, %w2 : tensor<4x6xf32>, tensor<8x6xf32>
  return %z : tensor<4x8xf32>
}

// CHECK-LABEL: @rows
func.func @rows(%x: tensor<4x8xf32>, %y: tensor<4x8xf32>, %n: tensor<8xf32>, %i: tensor<2xi32>)
    -> (tensor<4x8xf32>, tensor<2x8xf32>) {
  // CHECK: nn.residual {{.*}}fuse.group = 0
  %a = nn.residual %x, %y {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<4x8xf32>
  // CHECK: nn.rms_norm {{.*}}fuse.group = 0
  %b = nn.rms_norm %a, %n {eps = 1.0e-5 : f64} : tensor<4x8xf32>, tensor<8xf32>
  // CHECK: arith.mulf {{.*}}fuse.group = 0
  %c = arith.mulf %b, %x : tensor<4x8xf32>
  // CHECK: nn.take_rows {{.*}}fuse.group = 1
  %d = nn.take_rows %c, %i : tensor<4x8xf32>, tensor<2xi32>
  // CHECK: nn.rms_norm {{.*}}fuse.group = 1
  %e = nn.rms_norm %d, %n {eps = 1.0e-5 : f64} : tensor<2x8xf32>, tensor<8xf32>
  return %c, %e : tensor<4x8xf32>, tensor<2x8xf32>
}

// A row op does not follow a matmul: its first element needs the whole row.
// CHECK-LABEL: @no_row_epilogue
func.func @no_row_epilogue(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %n: tensor<8xf32>) -> tensor<4x8xf32> {
  // CHECK: nn.linear {{.*}}fuse.group = 0
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK: nn.rms_norm {{.*}}fuse.group = 1
  // REMARK: [Missed] Fuse {{.*}}'nn.rms_norm' not into the kernel of 'nn.linear': its kernel takes no row ops
  %b = nn.rms_norm %a, %n {eps = 1.0e-5 : f64} : tensor<4x8xf32>, tensor<8xf32>
  return %b : tensor<4x8xf32>
}

// The product cannot join the first matmul: that would wait for the second, which reads it.
// CHECK-LABEL: @circle
func.func @circle(%x: tensor<4x8xf32>, %w: tensor<8x8xf32>, %n: tensor<8xf32>) -> tensor<4x8xf32> {
  // CHECK: nn.linear {{.*}}fuse.group = 0
  %a = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  // CHECK: nn.rms_norm {{.*}}fuse.group = 1
  %b = nn.rms_norm %a, %n {eps = 1.0e-5 : f64} : tensor<4x8xf32>, tensor<8xf32>
  // CHECK: moe.dispatch {{.*}}fuse.group = 2
  %i = arith.constant dense<[[0], [1], [2], [3]]> : tensor<4x1xi32>
  %c = moe.dispatch %b by %i : tensor<4x8xf32>, tensor<4x1xi32>
  // CHECK: linalg.exp {{.*}}fuse.group = 3
  %empty = tensor.empty() : tensor<4x8xf32>
  %d = linalg.exp ins(%c : tensor<4x8xf32>) outs(%empty : tensor<4x8xf32>) -> tensor<4x8xf32>
  // CHECK: arith.mulf {{.*}}fuse.group = 4
  // REMARK: 'arith.mulf' not into the kernel of 'linalg.exp': its kernel takes no elementwise ops
  // REMARK: 'arith.mulf' not into the kernel of 'nn.linear': another operand waits for that kernel
  %e = arith.mulf %a, %d : tensor<4x8xf32>
  return %e : tensor<4x8xf32>
}

// CHECK-LABEL: @attention
func.func @attention(%x: tensor<5x32xf32>, %keys: tensor<4x1x3x8x16xf32>, %values: tensor<4x1x3x16x8xf32>,
                     %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x1x3x8x16xf32>, tensor<4x1x3x16x8xf32>) {
  // CHECK: nn.split_heads {{.*}}fuse.group = 0
  %q, %k, %v = nn.split_heads %x : tensor<5x32xf32> -> tensor<5x2x8xf32>, tensor<5x1x8xf32>, tensor<5x1x8xf32>
  // CHECK: nn.rotary {{.*}}fuse.group = 0
  %rq = nn.rotary %q batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  // CHECK: nn.rotary {{.*}}fuse.group = 0
  %rk = nn.rotary %k batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<5x1x8xf32>, tensor<3xi32>, tensor<2xi32>
  // CHECK: nn.attention {{.*}}fuse.group = 0
  %o, %nk, %nv = nn.attention %rq, %rk, %v cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.35 : f64}
    : (tensor<5x2x8xf32>, tensor<5x1x8xf32>, tensor<5x1x8xf32>, tensor<4x1x3x8x16xf32>,
       tensor<4x1x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x1x3x8x16xf32>, tensor<4x1x3x16x8xf32>)
  return %o, %nk, %nv : tensor<5x16xf32>, tensor<4x1x3x8x16xf32>, tensor<4x1x3x16x8xf32>
}

// A split that others read too stays a kernel of its own.
// CHECK-LABEL: @shared_split
func.func @shared_split(%x: tensor<5x48xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>,
                        %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<5x2x8xf32>, tensor<5x16xf32>, tensor<4x2x8x8xf32>) {
  // CHECK: nn.split_heads {{.*}}fuse.group = 0
  %q, %k, %v = nn.split_heads %x interleaved
    : tensor<5x48xf32> -> tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>
  // CHECK: nn.lightning_attention {{.*}}fuse.group = 1
  %o, %s = nn.lightning_attention %q, %k, %v, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
       tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return %q, %o, %s : tensor<5x2x8xf32>, tensor<5x16xf32>, tensor<4x2x8x8xf32>
}
