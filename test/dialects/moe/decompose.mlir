// A whole layer worked out by hand; ../meaning has many more against plain Python.
// RUN: levin-opt %s --levin-decompose | FileCheck %s --check-prefix=IR
// RUN: levin-opt %s --levin-decompose %to_llvm | %run | FileCheck %s

// IR-LABEL: func.func @layer
// IR-NOT: moe.
// IR: return
func.func @layer(%x: tensor<3x1xf32>, %scores: tensor<3x3xf32>, %starts: tensor<2xi32>,
                 %w: tensor<3x1x1xf32>)
    -> (tensor<3x1xf32>, tensor<3x2xf32>, tensor<3x2xi32>, tensor<4xi32>) {
  %weights, %rows, %offsets = moe.route %scores batch(%starts) {choices = 2 : i64, normalize}
    : tensor<3x3xf32>, tensor<2xi32>
  %0 = moe.dispatch %x by %rows : tensor<3x1xf32>, tensor<3x2xi32>
  %1 = moe.grouped_linear %0, %w by %offsets : tensor<6x1xf32>, tensor<3x1x1xf32>, tensor<4xi32>
  %2 = moe.combine %1 by %rows weighted %weights : tensor<6x1xf32>, tensor<3x2xi32>, tensor<3x2xf32>
  return %2, %weights, %rows, %offsets
    : tensor<3x1xf32>, tensor<3x2xf32>, tensor<3x2xi32>, tensor<4xi32>
}

func.func @main() {
  // Token 0: experts 2 and 0 with odds 3 to 1.  Token 1: a tie of all, so experts 0 and 1.  Token
  // 2 is padding.  Expert e multiplies by 10^e.
  %x = arith.constant dense<[[1.0], [2.0], [0x7FC00000]]> : tensor<3x1xf32>
  %scores = arith.constant dense<[[0.0, -50.0, 1.0986123], [5.0, 5.0, 5.0],
                                  [0x7FC00000, 0x7FC00000, 0x7FC00000]]> : tensor<3x3xf32>
  %starts = arith.constant dense<[0, 2]> : tensor<2xi32>
  %w = arith.constant dense<[[[1.0]], [[10.0]], [[100.0]]]> : tensor<3x1x1xf32>
  %0:4 = call @layer(%x, %scores, %starts, %w)
    : (tensor<3x1xf32>, tensor<3x3xf32>, tensor<2xi32>, tensor<3x1x1xf32>)
    -> (tensor<3x1xf32>, tensor<3x2xf32>, tensor<3x2xi32>, tensor<4xi32>)
  %p0 = tensor.cast %0#0 : tensor<3x1xf32> to tensor<*xf32>
  call @printMemrefF32(%p0) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}75.25],
  // CHECK-NEXT: [11],
  // CHECK-NEXT: [0]]
  %p1 = tensor.cast %0#1 : tensor<3x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p1) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}0.75, 0.25],
  // CHECK-NEXT: [0.5, 0.5],
  // CHECK-NEXT: [0, 0]]
  %p2 = tensor.cast %0#2 : tensor<3x2xi32> to tensor<*xi32>
  call @printMemrefI32(%p2) : (tensor<*xi32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}3, 0],
  // CHECK-NEXT: [1, 2],
  // CHECK-NEXT: [-1, -1]]
  %p3 = tensor.cast %0#3 : tensor<4xi32> to tensor<*xi32>
  call @printMemrefI32(%p3) : (tensor<*xi32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: [0, 2, 3, 4]
  return
}
func.func private @printMemrefF32(tensor<*xf32>)
func.func private @printMemrefI32(tensor<*xi32>)
