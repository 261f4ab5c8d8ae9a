// Expectations are compiled like everything else, and levin-run counts what does not hold.
// RUN: rm -rf %t && mkdir -p %t
// RUN: levin-compile %s -o %t/check.lvn --quiet
// RUN: not levin-run check %t/check.lvn 2>&1 | FileCheck %s
// RUN: levin-compile %s -o %t/generic.lvn --quiet --kernels generic
// RUN: not levin-run check %t/generic.lvn 2>&1 | FileCheck %s

// CHECK-DAG: ok {{.*}}violations_0
// CHECK-DAG: FAILED {{.*}}violations_1: 1 elements
// CHECK-DAG: ok {{.*}}violations_2
// CHECK-DAG: 2 passed, 1 failed
// CHECK-DAG: error LV7001: 1 of 3 expectations were not met

func.func private @twice(%x: tensor<2xf32>) -> tensor<2xf32> {
  %y = arith.addf %x, %x : tensor<2xf32>
  return %y : tensor<2xf32>
}
func.func @check() {
  %a = arith.constant dense<[1.0, 2.0]> : tensor<2xf32>
  %b = nn.sigmoid %a : tensor<2xf32>
  %expected = arith.constant dense<[0.7310586, 0.8807971]> : tensor<2xf32>
  check.expect_close %b, %expected {atol = 1.0e-6 : f64, rtol = 0.0 : f64} : tensor<2xf32>
  %d = arith.constant dense<[1, 2, 3]> : tensor<3xi32>
  %e = arith.constant dense<[1, 2, 4]> : tensor<3xi32>
  check.expect_eq %d, %e : tensor<3xi32>
  %t = func.call @twice(%a) : (tensor<2xf32>) -> tensor<2xf32>
  %four = arith.constant dense<[2.0, 4.0]> : tensor<2xf32>
  check.expect_eq %t, %four : tensor<2xf32>
  return
}
