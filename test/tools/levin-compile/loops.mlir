// What a loop carries survives its turns, whichever way a turn makes it.
// RUN: rm -rf %t && mkdir -p %t
// RUN: levin-compile %s -o %t/loops.lvn --quiet
// RUN: levin-run check %t/loops.lvn 2>&1 | FileCheck %s

// CHECK: 6 passed, 0 failed

// Each turn computes its value anew and reads the one before.
func.func @product() {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %n = arith.constant 3 : index
  %x = arith.constant dense<[[1, 2], [3, 4]]> : tensor<2x2xi32>
  %w = arith.constant dense<[[1, 1], [1, 0]]> : tensor<2x2xi32>
  %zero = arith.constant dense<0> : tensor<2x2xi32>
  %r = scf.for %i = %0 to %n step %1 iter_args(%a = %x) -> (tensor<2x2xi32>) {
    %b = linalg.matmul ins(%a, %w : tensor<2x2xi32>, tensor<2x2xi32>)
                       outs(%zero : tensor<2x2xi32>) -> tensor<2x2xi32>
    scf.yield %b : tensor<2x2xi32>
  }
  %expected = arith.constant dense<[[7, 4], [17, 10]]> : tensor<2x2xi32>
  check.expect_eq %r, %expected : tensor<2x2xi32>
  return
}

// A turn exchanges what it carries; the inputs stay as they were.
func.func @exchange() {
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %n = arith.constant 3 : index
  %x = nn.use @x : tensor<2xi32>
  %y = nn.use @y : tensor<2xi32>
  %r:2 = scf.for %i = %0 to %n step %1 iter_args(%a = %x, %b = %y) -> (tensor<2xi32>, tensor<2xi32>) {
    %c = arith.addi %a, %b : tensor<2xi32>
    scf.yield %b, %c : tensor<2xi32>, tensor<2xi32>
  }
  %a = arith.constant dense<[12, 24]> : tensor<2xi32>
  %b = arith.constant dense<[23, 46]> : tensor<2xi32>
  check.expect_eq %r#0, %a : tensor<2xi32>
  check.expect_eq %r#1, %b : tensor<2xi32>
  %ten = arith.constant dense<[10, 20]> : tensor<2xi32>
  check.expect_eq %x, %ten : tensor<2xi32>
  return
}
nn.parameter @x : tensor<2xi32> = dense<[10, 20]>
nn.parameter @y : tensor<2xi32> = dense<[1, 2]>

// A number that a loop returns goes from kernel to kernel.
func.func @number() {
  %n = nn.use @n : tensor<i32>
  %x = nn.use @x : tensor<2xi32>
  %first = tensor.extract %n[] : tensor<i32>
  %zero = arith.constant 0 : i32
  %one = arith.constant 1 : i32
  %r:2 = scf.while (%a = %x, %k = %first) : (tensor<2xi32>, i32) -> (i32, tensor<2xi32>) {
    %more = arith.cmpi sgt, %k, %zero : i32
    scf.condition(%more) %k, %a : i32, tensor<2xi32>
  } do {
  ^bb0(%k: i32, %a: tensor<2xi32>):
    %b = arith.addi %a, %x : tensor<2xi32>
    %left = arith.subi %k, %one : i32
    scf.yield %b, %left : tensor<2xi32>, i32
  }
  %sum = arith.constant dense<[50, 100]> : tensor<2xi32>
  check.expect_eq %r#1, %sum : tensor<2xi32>
  %rest = tensor.from_elements %r#0 : tensor<1xi32>
  %none = arith.constant dense<0> : tensor<1xi32>
  check.expect_eq %rest, %none : tensor<1xi32>
  return
}
nn.parameter @n : tensor<i32> = dense<4>
