// RUN: levin-opt %s --verify-roundtrip | FileCheck %s
// RUN: levin-opt %s --mlir-print-op-generic | levin-opt | FileCheck %s

// CHECK: nn.parameter @joined : tensor<4x8xbf16> = concat [<"a">, <"b" at [6, 0] of [2, 8]>]
nn.parameter @joined : tensor<4x8xbf16> = concat [<"a">, <"b" at [6, 0] of [2, 8]>]
// CHECK: nn.parameter @stacked : tensor<2x4x8xf32> = stack [<"e.0">, <"e.1">]
nn.parameter @stacked : tensor<2x4x8xf32> = stack [<"e.0">, <"e.1">]
// CHECK: nn.parameter @slopes : tensor<2xf32> = dense<[5.000000e-01, 2.500000e-01]>
nn.parameter @slopes : tensor<2xf32> = dense<[0.5, 0.25]>
// CHECK: nn.parameter @zero : tensor<3xi32> = dense<0> {nn.note = "kept"}
nn.parameter @zero : tensor<3xi32> = dense<0> {nn.note = "kept"}

// CHECK-LABEL: func.func @use
// CHECK: nn.use @slopes : tensor<2xf32>
func.func @use() -> tensor<2xf32> {
  %0 = nn.use @slopes : tensor<2xf32>
  return %0 : tensor<2xf32>
}

// CHECK-LABEL: func.func @roles
// CHECK-SAME: {nn.role = #nn.role<ids>}
// CHECK-SAME: {nn.name = "layer0.state", nn.role = #nn.role<state>}
// CHECK-SAME: -> (tensor<4x2xf32> {nn.name = "layer0.state", nn.role = #nn.role<state>})
func.func @roles(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                 %state: tensor<4x2xf32> {nn.role = #nn.role<state>, nn.name = "layer0.state"})
    -> (tensor<4x2xf32> {nn.role = #nn.role<state>, nn.name = "layer0.state"}) {
  return %state : tensor<4x2xf32>
}

// CHECK-LABEL: func.func @rows
func.func @rows(%ids: tensor<?xi32>, %table: tensor<16x8xbf16>, %w: tensor<6x8xbf16>,
                %b: tensor<6xf32>, %n: tensor<8xf32>, %r: tensor<?xi32>) -> tensor<?x6xf32> {
  // CHECK: nn.embed %{{.*}}, %{{.*}} : tensor<?xi32>, tensor<16x8xbf16> -> tensor<?x8xf32>
  %0 = nn.embed %ids, %table : tensor<?xi32>, tensor<16x8xbf16> -> tensor<?x8xf32>
  // CHECK: nn.take_rows %{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<?xi32>
  %1 = nn.take_rows %0, %r : tensor<?x8xf32>, tensor<?xi32>
  // CHECK: nn.rms_norm %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %2 = nn.rms_norm %1, %n {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  // CHECK: nn.layer_norm %{{.*}}, %{{.*}}, %{{.*}} {eps = 1.000000e-05 : f64}
  %3 = nn.layer_norm %2, %n, %n {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  // CHECK: nn.linear %{{.*}}, %{{.*}} : tensor<?x8xf32>, tensor<6x8xbf16>
  %4 = nn.linear %3, %w : tensor<?x8xf32>, tensor<6x8xbf16>
  // CHECK: nn.linear %{{.*}}, %{{.*}} bias %{{.*}} : tensor<?x8xf32>, tensor<6x8xbf16>, tensor<6xf32>
  %5 = nn.linear %3, %w bias %b : tensor<?x8xf32>, tensor<6x8xbf16>, tensor<6xf32>
  // CHECK: nn.residual %{{.*}}, %{{.*}} {alpha = 2.000000e+00 : f64, beta = 1.000000e+00 : f64} : tensor<?x6xf32>
  %6 = nn.residual %4, %5 {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<?x6xf32>
  // CHECK: nn.silu %{{.*}} : tensor<?x6xf32>
  %7 = nn.silu %6 : tensor<?x6xf32>
  // CHECK: nn.sigmoid %{{.*}} : tensor<?x6xf32>
  %8 = nn.sigmoid %7 : tensor<?x6xf32>
  // CHECK: nn.gelu %{{.*}} : tensor<?x6xf32>
  %9 = nn.gelu %8 : tensor<?x6xf32>
  // CHECK: nn.mask_tail %{{.*}} {live = 5 : i64} : tensor<?x6xf32>
  %10 = nn.mask_tail %9 {live = 5 : i64} : tensor<?x6xf32>
  return %10 : tensor<?x6xf32>
}

// CHECK-LABEL: func.func @heads
func.func @heads(%x: tensor<?x48xf32>, %starts: tensor<?xi32>, %past: tensor<?xi32>)
    -> tensor<?x2x8xf32> {
  // CHECK: nn.split_heads %{{.*}} interleaved : tensor<?x48xf32> -> tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>
  %q, %k, %v = nn.split_heads %x interleaved : tensor<?x48xf32>
    -> tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>
  // CHECK: nn.split_heads %{{.*}} : tensor<?x48xf32> -> tensor<?x4x8xf32>, tensor<?x2x8xf32>
  %a, %b = nn.split_heads %x : tensor<?x48xf32> -> tensor<?x4x8xf32>, tensor<?x2x8xf32>
  // CHECK: nn.rotary %{{.*}} batch(%{{.*}}, %{{.*}}) {theta = 1.000000e+04 : f64, width = 4 : i64} : tensor<?x2x8xf32>, tensor<?xi32>, tensor<?xi32>
  %0 = nn.rotary %q batch(%starts, %past) {theta = 1.0e4 : f64, width = 4 : i64}
    : tensor<?x2x8xf32>, tensor<?xi32>, tensor<?xi32>
  return %0 : tensor<?x2x8xf32>
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<?x4x8xf32>, %k: tensor<?x2x8xf32>, %slopes: tensor<4xf32>,
                     %state: tensor<?x4x8x8xf32>, %keys: tensor<?x2x?x8x16xf32>,
                     %values: tensor<?x2x?x16x8xf32>, %starts: tensor<?xi32>,
                     %slots: tensor<?xi32>, %past: tensor<?xi32>) {
  // CHECK: nn.lightning_attention %{{.*}}, %{{.*}}, %{{.*}}, %{{.*}} state %{{.*}} batch(%{{.*}}, %{{.*}}, %{{.*}}) :
  %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<?x4x8xf32>, tensor<?x4x8xf32>, tensor<?x4x8xf32>, tensor<4xf32>,
       tensor<?x4x8x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x32xf32>, tensor<?x4x8x8xf32>)
  // CHECK: nn.attention %{{.*}}, %{{.*}}, %{{.*}} cache(%{{.*}}, %{{.*}}) batch(%{{.*}}, %{{.*}}, %{{.*}}) {scale = 3.500000e-01 : f64}
  %a, %nk, %nv = nn.attention %q, %k, %k cache(%keys, %values) batch(%starts, %slots, %past)
    {scale = 0.35 : f64}
    : (tensor<?x4x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x?x8x16xf32>,
       tensor<?x2x?x16x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x32xf32>, tensor<?x2x?x8x16xf32>, tensor<?x2x?x16x8xf32>)
  return
}

// CHECK-LABEL: func.func @paged_attention
func.func @paged_attention(%q: tensor<?x4x8xf32>, %k: tensor<?x2x8xf32>, %keys: tensor<?x2x64x8xf8E4M3FN>,
                           %values: tensor<?x2x64x8xf8E4M3FN>, %starts: tensor<?xi32>, %pages: tensor<?x?xi32>,
                           %past: tensor<?xi32>)
    -> (tensor<?x32xf32>, tensor<?x2x64x8xf8E4M3FN>, tensor<?x2x64x8xf8E4M3FN>) {
  // CHECK: nn.paged_attention %{{.*}}, %{{.*}}, %{{.*}} cache(%{{.*}}, %{{.*}}) batch(%{{.*}}, %{{.*}}, %{{.*}}) {scale = 3.500000e-01 : f64}
  %o, %nk, %nv = nn.paged_attention %q, %k, %k cache(%keys, %values) batch(%starts, %pages, %past) {scale = 0.35 : f64}
    : (tensor<?x4x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x64x8xf8E4M3FN>,
       tensor<?x2x64x8xf8E4M3FN>, tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>)
    -> (tensor<?x32xf32>, tensor<?x2x64x8xf8E4M3FN>, tensor<?x2x64x8xf8E4M3FN>)
  return %o, %nk, %nv : tensor<?x32xf32>, tensor<?x2x64x8xf8E4M3FN>, tensor<?x2x64x8xf8E4M3FN>
}

// CHECK-LABEL: func.func @dequantize
func.func @dequantize(%q: tensor<2x3x8xi8>, %p: tensor<3x4xui8>, %s: tensor<2x3x2xbf16>, %t: tensor<3x1xf32>)
    -> (tensor<2x3x8xf32>, tensor<3x8xbf16>) {
  // CHECK: nn.dequantize %{{.*}}, %{{.*}} {group = 4 : i64} : tensor<2x3x8xi8>, tensor<2x3x2xbf16> -> tensor<2x3x8xf32>
  %a = nn.dequantize %q, %s {group = 4 : i64} : tensor<2x3x8xi8>, tensor<2x3x2xbf16> -> tensor<2x3x8xf32>
  // CHECK: nn.dequantize %{{.*}}, %{{.*}} {group = 8 : i64} : tensor<3x4xui8>, tensor<3x1xf32> -> tensor<3x8xbf16>
  %b = nn.dequantize %p, %t {group = 8 : i64} : tensor<3x4xui8>, tensor<3x1xf32> -> tensor<3x8xbf16>
  return %a, %b : tensor<2x3x8xf32>, tensor<3x8xbf16>
}
