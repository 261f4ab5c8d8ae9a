// RUN: levin-opt %s --levin-cast-weights=dtype=bf16 | FileCheck %s
// RUN: levin-opt %s --levin-cast-weights | FileCheck %s --check-prefix=AUTO
// RUN: not levin-opt %s --levin-cast-weights=dtype=int4 2>&1 | FileCheck %s --check-prefix=UNKNOWN

// UNKNOWN: dtype is 'int4', expected auto, f32, bf16 or f16

// CHECK: nn.parameter @matrix : tensor<8x8xbf16>
// AUTO: nn.parameter @matrix : tensor<8x8xf32>
nn.parameter @matrix : tensor<8x8xf32> = concat [<"a">]
// CHECK: nn.parameter @norm : tensor<8xf32>
nn.parameter @norm : tensor<8xf32> = concat [<"b">]
// Read by arithmetic too, which needs one type.
// CHECK: nn.parameter @mixed : tensor<8x8xf32>
nn.parameter @mixed : tensor<8x8xf32> = concat [<"c">]
// CHECK: nn.parameter @constant : tensor<8x8xf32>
nn.parameter @constant : tensor<8x8xf32> = dense<1.0>
// CHECK: nn.parameter @integers : tensor<8x8xi32>
nn.parameter @integers : tensor<8x8xi32> = concat [<"d">]

// CHECK-LABEL: @f
func.func @f(%x: tensor<8x8xf32>) -> (tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>) {
  // CHECK: nn.use @matrix : tensor<8x8xbf16>
  %w = nn.use @matrix : tensor<8x8xf32>
  %a = nn.linear %x, %w : tensor<8x8xf32>, tensor<8x8xf32>
  %n = nn.use @norm : tensor<8xf32>
  %b = nn.rms_norm %a, %n {eps = 1.0e-5 : f64} : tensor<8x8xf32>, tensor<8xf32>
  %m = nn.use @mixed : tensor<8x8xf32>
  %c = nn.linear %b, %m : tensor<8x8xf32>, tensor<8x8xf32>
  %d = arith.addf %c, %m : tensor<8x8xf32>
  %k = nn.use @constant : tensor<8x8xf32>
  %e = nn.linear %d, %k : tensor<8x8xf32>, tensor<8x8xf32>
  return %d, %e, %b : tensor<8x8xf32>, tensor<8x8xf32>, tensor<8x8xf32>
}
