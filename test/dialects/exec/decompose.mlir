// RUN: levin-opt %s --levin-decompose | FileCheck %s --check-prefix=IR
// RUN: levin-opt %s --levin-decompose %to_llvm | %run | FileCheck %s

// IR-LABEL: func.func @pack
// IR-NOT: exec.
// IR: return
func.func @pack(%w: tensor<3x2xf32>) -> tensor<2x2x2xf32> {
  %0 = exec.pack %w : tensor<3x2xf32> -> tensor<2x2x2xf32>
  return %0 : tensor<2x2x2xf32>
}
func.func @unpack(%p: tensor<2x2x2xf32>) -> tensor<3x2xf32> {
  %0 = exec.unpack %p : tensor<2x2x2xf32> -> tensor<3x2xf32>
  return %0 : tensor<3x2xf32>
}

func.func @main() {
  %w = arith.constant dense<[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]> : tensor<3x2xf32>
  %0 = call @pack(%w) : (tensor<3x2xf32>) -> tensor<2x2x2xf32>
  %1 = call @unpack(%0) : (tensor<2x2x2xf32>) -> tensor<3x2xf32>
  %p0 = tensor.cast %0 : tensor<2x2x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p0) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[\[}}1, 3],
  // CHECK-NEXT: [2, 4]],
  // CHECK-NEXT: {{\[\[}}5, 0],
  // CHECK-NEXT: [6, 0]]]
  %p1 = tensor.cast %1 : tensor<3x2xf32> to tensor<*xf32>
  call @printMemrefF32(%p1) : (tensor<*xf32>) -> ()
  // CHECK: data =
  // CHECK-NEXT: {{\[\[}}1, 2],
  // CHECK-NEXT: [3, 4],
  // CHECK-NEXT: [5, 6]]
  return
}
func.func private @printMemrefF32(tensor<*xf32>)
