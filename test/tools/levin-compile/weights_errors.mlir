// Weights that are absent or have another shape or type, told before any code is made.
// RUN: rm -rf %t && mkdir -p %t
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: %python %S/Inputs/make_weights.py %t/w.safetensors w:I32:8x8
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=DTYPE
// RUN: %python %S/Inputs/make_weights.py %t/w.safetensors w:F32:8x9
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=SHAPE
// RUN: %python %S/Inputs/make_weights.py %t/w.safetensors w:F32:0x8
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=EMPTY
// RUN: %python %S/Inputs/make_weights.py %t/w.safetensors w:F32:8x8
// RUN: %python %S/Inputs/make_weights.py %t/v.safetensors w:F32:8x8
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: rm %t/v.safetensors && echo garbage > %t/v.safetensors
// RUN: not levin-compile %s --weights %t -o %t/a.lvn --quiet 2>&1 | FileCheck %s --check-prefix=GARBAGE
// RUN: not ls %t/a.lvn
// The plan needs no weights.
// RUN: levin-compile %s --weights %t --plan-only --quiet | FileCheck %s --check-prefix=PLAN

// MISSING: error LV1012: tensor 'w' of parameter 'w' is missing
// MISSING: fix: name the folder that holds the weights with --weights DIR
// DTYPE: error LV1015: tensor 'w' cannot become parameter 'w'
// DTYPE: have: i32
// DTYPE: need: a float type
// SHAPE: error LV1014: the pieces of parameter 'w' make another shape
// SHAPE: have: 8x9
// SHAPE: need: 8x8
// EMPTY: error LV1014: a piece of parameter 'w' is empty
// EMPTY: have: 'w' is 0x8
// TWICE: error LV1013: tensor 'w' is in two files
// TWICE: have: v.safetensors and w.safetensors
// GARBAGE: error LV1010
// PLAN: weights 1.0 KiB | state 0 B | workspace {{.*}} of

nn.parameter @w : tensor<8x8xf32> = concat [<"w">]
func.func @f(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %w = nn.use @w : tensor<8x8xf32>
  %y = nn.linear %x, %w : tensor<4x8xf32>, tensor<8x8xf32>
  return %y : tensor<4x8xf32>
}
