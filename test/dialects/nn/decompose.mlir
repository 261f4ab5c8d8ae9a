// Numbers worked out by hand; meaning/ has many more against plain Python.
// RUN: levin-opt %s --levin-decompose | FileCheck %s --check-prefix=IR
// RUN: levin-opt %s --levin-decompose %to_llvm | %run | FileCheck %s

// One reduction and one elementwise op, which is what tile-and-fuse wants.
// IR-LABEL: func.func @norm
// IR: linalg.generic {{.*}} iterator_types = ["parallel", "reduction"]
// IR: linalg.generic {{.*}} iterator_types = ["parallel", "parallel"]
// IR-NOT: nn.
// IR: return
func.func @norm(%x: tensor<2x2xf32>, %w: tensor<2xf32>) -> tensor<2x2xf32> {
  %0 = nn.rms_norm %x, %w {eps = 1.0e-12 : f64} : tensor<2x2xf32>, tensor<2xf32>
  return %0 : tensor<2x2xf32>
}

// State is carried through the loops and updated box by box.
// IR-LABEL: func.func @lightning
// IR-SAME: %[[STATE:[^ ]*]]: tensor<2x1x2x2xf32>,
// IR: scf.for {{.*}} iter_args({{.*}} = %[[STATE]]) ->
// IR: scf.for
// IR: tensor.extract_slice
// IR: scf.for
// IR: tensor.insert_slice
// IR: return
func.func @lightning(%x: tensor<4x1x2xf32>, %slopes: tensor<1xf32>, %state: tensor<2x1x2x2xf32>,
                     %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
    -> (tensor<4x2xf32>, tensor<2x1x2x2xf32>) {
  %o, %s = nn.lightning_attention %x, %x, %x, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<4x1x2xf32>, tensor<4x1x2xf32>, tensor<4x1x2xf32>, tensor<1xf32>,
       tensor<2x1x2x2xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<4x2xf32>, tensor<2x1x2x2xf32>)
  return %o, %s : tensor<4x2xf32>, tensor<2x1x2x2xf32>
}

func.func @attention(%q: tensor<3x2x1xf32>, %k: tensor<3x1x1xf32>, %v: tensor<3x1x1xf32>,
                     %keys: tensor<1x1x2x1x2xf32>, %values: tensor<1x1x2x2x1xf32>,
                     %starts: tensor<2xi32>, %slots: tensor<1xi32>, %past: tensor<1xi32>)
    -> (tensor<3x2xf32>, tensor<1x1x2x2x1xf32>) {
  %o, %nk, %nv = nn.attention %q, %k, %v cache(%keys, %values) batch(%starts, %slots, %past)
    {scale = 1.0 : f64}
    : (tensor<3x2x1xf32>, tensor<3x1x1xf32>, tensor<3x1x1xf32>, tensor<1x1x2x1x2xf32>,
       tensor<1x1x2x2x1xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<3x2xf32>, tensor<1x1x2x1x2xf32>, tensor<1x1x2x2x1xf32>)
  return %o, %nv : tensor<3x2xf32>, tensor<1x1x2x2x1xf32>
}

func.func @main() {
  // Rows [3, 4] and [0, 2] have mean squares 12.5 and 2.
  %x = arith.constant dense<[[3.0, 4.0], [0.0, 2.0]]> : tensor<2x2xf32>
  %w = arith.constant dense<[1.0, 10.0]> : tensor<2xf32>
  %0 = call @norm(%x, %w) : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
  %p0 = tensor.cast %0 : tensor<2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p0) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}0.848528, 11.3137],
  // CHECK-NEXT: [0, 14.1421]]

  // Decay 1/2.  Sequence 0 has rows [1, 0] and [1, 1] on top of a state of ones in slot 1;
  // sequence 1 begins with row [2, 0] in slot 0, whose old contents do not count; the last row is
  // padding.
  %h = arith.constant dense<[[[1.0, 0.0]], [[1.0, 1.0]], [[2.0, 0.0]], [[7.0, 7.0]]]> : tensor<4x1x2xf32>
  %slopes = arith.constant dense<0.693147180559945> : tensor<1xf32>
  %state = arith.constant dense<[[[[9.0, 9.0], [9.0, 9.0]]], [[[1.0, 1.0], [1.0, 1.0]]]]> : tensor<2x1x2x2xf32>
  %starts = arith.constant dense<[0, 2, 3]> : tensor<3xi32>
  %slots = arith.constant dense<[1, 0]> : tensor<2xi32>
  %past = arith.constant dense<[5, 0]> : tensor<2xi32>
  %1:2 = call @lightning(%h, %slopes, %state, %starts, %slots, %past)
    : (tensor<4x1x2xf32>, tensor<1xf32>, tensor<2x1x2x2xf32>, tensor<3xi32>, tensor<2xi32>,
       tensor<2xi32>) -> (tensor<4x2xf32>, tensor<2x1x2x2xf32>)
  %p1 = tensor.cast %1#0 : tensor<4x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p1) : (tensor<*xf32>) -> ()
  // After row 0 the state is [[1.5, .5], [.5, .5]], after row 1 [[1.75, 1.25], [1.25, 1.25]].
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}1.5, 0.5],
  // CHECK-NEXT: [3, 2.5],
  // CHECK-NEXT: [8, 0],
  // CHECK-NEXT: [0, 0]]
  %p2 = tensor.cast %1#1 : tensor<2x1x2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p2) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[\[\[}}4, 0],
  // CHECK-NEXT: [0, 0]]],
  // CHECK: {{\[\[\[}}1.75, 1.25],
  // CHECK-NEXT: [1.25, 1.25]]]]

  // Two query heads on one KV head, blocks of two, one position from before with key 0 and value
  // 4.  Queries of head 0 are 0, so it takes the mean; those of head 1 are so large that it takes
  // the value of the largest key.  Row 2 is padding.
  %q = arith.constant dense<[[[0.0], [100.0]], [[0.0], [100.0]], [[0.0], [0.0]]]> : tensor<3x2x1xf32>
  %k = arith.constant dense<[[[1.0]], [[-1.0]], [[9.0]]]> : tensor<3x1x1xf32>
  %v = arith.constant dense<[[[8.0]], [[6.0]], [[99.0]]]> : tensor<3x1x1xf32>
  %keys = arith.constant dense<[[[[[0.0, 0x7FC00000]], [[0x7FC00000, 0x7FC00000]]]]]> : tensor<1x1x2x1x2xf32>
  %values = arith.constant dense<[[[[[4.0], [0x7FC00000]], [[0x7FC00000], [-3.0]]]]]> : tensor<1x1x2x2x1xf32>
  %begin = arith.constant dense<[0, 2]> : tensor<2xi32>
  %slot = arith.constant dense<0> : tensor<1xi32>
  %fed = arith.constant dense<1> : tensor<1xi32>
  %2:2 = call @attention(%q, %k, %v, %keys, %values, %begin, %slot, %fed)
    : (tensor<3x2x1xf32>, tensor<3x1x1xf32>, tensor<3x1x1xf32>, tensor<1x1x2x1x2xf32>,
       tensor<1x1x2x2x1xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<3x2xf32>, tensor<1x1x2x2x1xf32>)
  %p3 = tensor.cast %2#0 : tensor<3x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p3) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}6, 8],
  // CHECK-NEXT: [6, 8],
  // CHECK-NEXT: [0, 0]]
  %p4 = tensor.cast %2#1 : tensor<1x1x2x2x1xf32> to tensor<*xf32>
  call @printMemrefF32(%p4) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[\[\[\[}}4],
  // CHECK-NEXT: [8]],
  // CHECK: {{\[\[}}6],
  // CHECK-NEXT: [-3]]]]]
  return
}
func.func private @printMemrefF32(tensor<*xf32>)
