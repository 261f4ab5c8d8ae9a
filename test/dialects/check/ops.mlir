// Expectations survive printing, and every generic pass.
// RUN: levin-opt %s --verify-roundtrip --canonicalize --cse | FileCheck %s
// RUN: levin-opt %s --mlir-print-op-generic | levin-opt | FileCheck %s

// CHECK-LABEL: func.func @f
func.func @f(%a: tensor<4xi32>, %b: tensor<4xi32>, %x: tensor<4xf32>) {
  // CHECK: check.expect_eq %{{.*}}, %{{.*}} : tensor<4xi32>
  // CHECK: check.expect_eq %{{.*}}, %{{.*}} : tensor<4xi32>
  check.expect_eq %a, %b : tensor<4xi32>
  check.expect_eq %a, %b : tensor<4xi32>
  // CHECK: check.expect_close %{{.*}}, %{{.*}} {atol = 0.000000e+00 : f64, rtol = 1.000000e-05 : f64} : tensor<4xf32>
  check.expect_close %x, %x {atol = 0.0 : f64, rtol = 1.0e-5 : f64} : tensor<4xf32>
  return
}
