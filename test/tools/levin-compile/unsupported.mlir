// What the host has no code for is named, with what to write instead.
// RUN: rm -rf %t && mkdir -p %t
// RUN: echo 'func.func @f(%%x: tensor<4xf64>) -> tensor<4xf64> { %%y = math.erf %%x : tensor<4xf64> return %%y : tensor<4xf64> }' > %t/function.mlir
// RUN: not levin-compile %t/function.mlir --quiet -o %t/x.lvn 2>&1 | FileCheck %s --check-prefix=FUNCTION
// FUNCTION: error LV1032: 'math.erf' op of 'f64' has no code on the host
// FUNCTION: where: {{.*}}function.mlir:1:

// RUN: echo 'func.func @f(%%x: tensor<9x4xf32>, %%i: tensor<6x1xi32>) -> tensor<6x1x4xf32> { %%r = tensor.gather %%x[%%i] gather_dims([0]) : (tensor<9x4xf32>, tensor<6x1xi32>) -> tensor<6x1x4xf32> return %%r : tensor<6x1x4xf32> }' > %t/gather.mlir
// RUN: not levin-compile %t/gather.mlir --quiet -o %t/x.lvn 2>&1 | FileCheck %s --check-prefix=GATHER
// GATHER: error LV1032: 'tensor.gather' op has no code on the host; write what it does as linalg.generic

// RUN: echo 'func.func @f(%%x: tensor<4294967296x4294967296x4xf32>) { return }' > %t/large.mlir
// RUN: not levin-compile %t/large.mlir --quiet -o %t/x.lvn 2>&1 | FileCheck %s --check-prefix=LARGE
// LARGE: error LV1032: value of type {{.*}} cannot be planned, expected a static tensor of numbers that fits into memory

// RUN: %python -c "n = range(1030); print('func.func @f(' + ', '.join('%%a' + str(i) + ': tensor<4xf32>' for i in n) + ') -> tensor<4xf32> {%%s0 = arith.addf %%a0, %%a1 : tensor<4xf32> ' + ' '.join('%%s' + str(i) + ' = arith.addf %%s' + str(i - 1) + ', %%a' + str(i) + ' : tensor<4xf32>' for i in n[1:]) + ' return %%s1029 : tensor<4xf32> }')" > %t/many.mlir
// RUN: not levin-compile %t/many.mlir --quiet -o %t/x.lvn 2>&1 | FileCheck %s --check-prefix=MANY
// MANY: error LV1032: reads and writes 1031 tensors, and a kernel may have 1024

// Arithmetic and functions of bfloat16 are made in float32.
// RUN: levin-compile %s --quiet -o %t/x.lvn --target host-x86_64-v3
// RUN: levin-run check %t/x.lvn --quiet
nn.parameter @x : tensor<3xbf16> = dense<[0.5, 1.0, 2.0]>
func.func @f() {
  %x = nn.use @x : tensor<3xbf16>
  %y = arith.addf %x, %x : tensor<3xbf16>
  %z = math.log10 %y : tensor<3xbf16>
  %w = arith.extf %z : tensor<3xbf16> to tensor<3xf32>
  %expected = arith.constant dense<[0.0, 0.30103, 0.60206]> : tensor<3xf32>
  check.expect_close %w, %expected {atol = 1.0e-6 : f64, rtol = 4.0e-3 : f64} : tensor<3xf32>
  return
}
