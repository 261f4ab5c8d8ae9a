// One case for each constraint of the ops and attributes.
// RUN: levin-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<4xi32>) {
  // expected-error @+1 {{'check.expect_close' op compares elements of type 'i32', expected floats; use check.expect_eq (C1)}}
  check.expect_close %x, %x {atol = 0.0 : f64, rtol = 0.0 : f64} : tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'check.expect_close' op has atol -1.000000e+00 : f64, expected at least 0 (C2)}}
  check.expect_close %x, %x {atol = -1.0 : f64, rtol = 0.0 : f64} : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'check.expect_close' op has rtol 0x7FF8000000000000 : f64, expected at least 0 (C2)}}
  check.expect_close %x, %x {atol = 0.0 : f64, rtol = 0x7FF8000000000000 : f64} : tensor<4xf32>
  return
}
