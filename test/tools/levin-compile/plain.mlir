// A plain function: parameters, constants, an artifact that is the same each time.
// RUN: rm -rf %t && mkdir -p %t
// RUN: %python %S/Inputs/make_weights.py %t/plain.safetensors w:F32:8x8
// RUN: levin-compile %s --weights %t -o %t/a.lvn --target host-x86_64-v3 2> %t/progress
// RUN: FileCheck %s --check-prefix=PROGRESS --input-file %t/progress
// RUN: levin-compile %s --weights %t -o %t/b.lvn --target host-x86_64-v3 --threads 1 --quiet
// RUN: cmp %t/a.lvn %t/b.lvn
// RUN: levin-inspect %t/a.lvn | FileCheck %s
// RUN: not test -e %t/a.lvn.weights
// RUN: mkdir %t/elsewhere && levin-compile %s --weights %t -o %t/elsewhere/c.lvn --target host-x86_64-v3 --quiet
// RUN: cmp %t/a.lvn %t/elsewhere/c.lvn
// RUN: test -e %t/elsewhere/c.lvn.weights/plain.safetensors

// PROGRESS: import {{.*}}plain.mlir: 1 functions
// PROGRESS: lower {{.*}}1 programs, 1 kernels
// PROGRESS: plan {{.*}}weights
// PROGRESS: codegen {{.*}}1 kernels
// PROGRESS: weights {{.*}}1 files
// PROGRESS: write

// CHECK: compiler{{ +}}levin-compile
// CHECK: option{{ +}}--target=host-x86_64-v3
// CHECK-NOT: {{/tmp|/home|/root}}
// CHECK: f

nn.parameter @w : tensor<8x8xf32> = concat [<"w">]
nn.parameter @c : tensor<8xf32> = dense<0.5>
func.func @f(%x: tensor<4x8xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
  %w = nn.use @w : tensor<8x8xf32>
  %c = nn.use @c : tensor<8xf32>
  %a = nn.linear %x, %w bias %c : tensor<4x8xf32>, tensor<8x8xf32>, tensor<8xf32>
  %y = nn.silu %a : tensor<4x8xf32>
  return %y : tensor<4x8xf32>
}
