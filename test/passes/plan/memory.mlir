// RUN: levin-opt %s --levin-plan-memory --levin-plan-verify -split-input-file | FileCheck %s
// RUN: levin-opt %s --levin-plan-memory=alignment=256 --levin-plan-verify=alignment=256 -split-input-file \
// RUN:   | FileCheck %s --check-prefix=WIDE
// RUN: not levin-opt %s --levin-plan-memory=alignment=48 -split-input-file 2>&1 | FileCheck %s --check-prefix=BAD

// BAD: levin-plan-memory: alignment is 48, expected a power of two from 8 to 4096

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}

// A value lives until its last reader; then others take its place.
// WIDE-LABEL: exec.program @chain
// WIDE: exec.arena workspace [768]
// CHECK-LABEL: exec.program @chain
// CHECK: %[[W:.*]] = exec.arena workspace [192]
// CHECK: %[[X:.*]] = exec.slice %[[W]] [{{[0-9]+}}, 16] live [0, 3]
// CHECK: %[[A:.*]] = exec.slice %[[W]] [[PLACE:\[[0-9]+, 16\]]] live [0, 1]
// CHECK: %[[B:.*]] = exec.slice %[[W]] [{{[0-9]+}}, 16] live [1, 2]
// CHECK: %[[C:.*]] = exec.slice %[[W]] [[PLACE]] live [2, 3]
// CHECK: %[[Y:.*]] = exec.slice %[[W]] [{{[0-9]+}}, 16] live [3, 3]
// CHECK: exec.bind input "arg0" %[[X]] : tensor<4xf32>
// CHECK: exec.bind output "result0" %[[Y]] : tensor<4xf32>
// CHECK: exec.launch @kernels::@k grid [1, 1, 1]{{ ?}}(%[[X]], %[[A]])
// CHECK: exec.launch @kernels::@k grid [1, 1, 1]{{ ?}}(%[[A]], %[[B]])
func.func @chain(%x: tensor<4xf32>) -> tensor<4xf32> {
  %a = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  %b = exec.dispatch @kernels::@k(%a) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  %c = exec.dispatch @kernels::@k(%b) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  %y = exec.dispatch @kernels::@k(%c) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// A result that is an argument, and one returned twice, are copied.
// CHECK-LABEL: exec.program @copies
// CHECK: exec.bind output "result0" %[[R0:.*]] : tensor<4xf32>
// CHECK: exec.bind output "result1" %[[R1:.*]] : tensor<4xf32>
// CHECK: exec.bind output "result2" %[[R2:.*]] : tensor<4xf32>
// CHECK: exec.launch @kernels::@k grid [1, 1, 1]{{ ?}}(%[[X:.*]], %[[R1]])
// CHECK: exec.copy %[[X]] to %[[R0]]
// CHECK: exec.copy %[[R1]] to %[[R2]]
func.func @copies(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %y = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return %x, %y, %y : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// CHECK-LABEL: exec.program @nothing
// CHECK: exec.arena workspace [0]
func.func @nothing() {
  return
}

// -----

// Parameters are laid out once for all programs, in each layout that is used.
// CHECK: exec.weight @w.panels32 from @w panels 32 at [0, 512]
// CHECK: exec.weight @w.plain from @w panels 0 at [512, 128]
// WIDE: exec.weight @w.panels32 from @w panels 32 at [0, 512]
// WIDE: exec.weight @w.plain from @w panels 0 at [512, 128]
// WIDE: exec.arena parameters [768]
// CHECK-NOT: exec.weight
// CHECK-LABEL: exec.program @first
// CHECK: exec.arena parameters [640]
// CHECK-LABEL: exec.program @second
// CHECK: exec.arena parameters [640]
nn.parameter @w : tensor<8x8xbf16> = concat [<"w">]
module @kernels {
  func.func @p(%w: tensor<1x8x32xbf16>) -> tensor<4xf32> {
    %y = arith.constant dense<0.0> : tensor<4xf32>
    return %y : tensor<4xf32>
  }
  func.func @q(%w: tensor<8x8xbf16>) -> tensor<4xf32> {
    %y = arith.constant dense<0.0> : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
func.func @first() -> tensor<4xf32> {
  %w = nn.use @w : tensor<8x8xbf16>
  %p = exec.pack %w : tensor<8x8xbf16> -> tensor<1x8x32xbf16>
  %y = exec.dispatch @kernels::@p(%p) tied [-1] : (tensor<1x8x32xbf16>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
func.func @second() -> tensor<4xf32> {
  %w = nn.use @w : tensor<8x8xbf16>
  %y = exec.dispatch @kernels::@q(%w) tied [-1] : (tensor<8x8xbf16>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}
