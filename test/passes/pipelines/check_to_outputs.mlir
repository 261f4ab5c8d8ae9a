// RUN: levin-opt %s --levin-check-to-outputs | FileCheck %s

// CHECK-LABEL: @f() -> (tensor<i64> {nn.name = "violations_0"}, tensor<i64> {nn.name = "violations_1"})
func.func @f() {
  %a = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = arith.constant dense<[1.0, 2.5]> : tensor<2xf32>
  // CHECK: %[[EQ:.*]] = linalg.generic
  // CHECK: arith.cmpf une
  // CHECK: arith.addi
  check.expect_eq %a, %b : tensor<2xf32>
  // CHECK: %[[CLOSE:.*]] = linalg.generic
  // CHECK: math.absf
  // CHECK: arith.cmpf ugt
  check.expect_close %a, %b {atol = 0.1 : f64, rtol = 0.0 : f64} : tensor<2xf32>
  // CHECK: return %[[EQ]], %[[CLOSE]] : tensor<i64>, tensor<i64>
  return
}

// CHECK-LABEL: @none
// CHECK-NEXT: return
func.func @none() {
  return
}
