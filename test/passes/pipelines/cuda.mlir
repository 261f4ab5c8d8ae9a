// RUN: levin-opt %s --levin-cuda-pipeline="tokens=8,1 sequences=2,1 rows=2,1 slots=3 blocks=4 activations=bf16 caches=bf16" | FileCheck %s
// RUN: levin-opt %s --levin-cuda-pipeline="tokens=8,1 sequences=2,1 rows=2,1 slots=3 blocks=4" | FileCheck %s --check-prefix=F32

// The step of host.mlir for a GPU: matrices as they are stored, rows of experts gathered by the product that
// reads them, bf16 between kernels, and everything at multiples of 256 bytes.

// CHECK-LABEL: module @kernels
// CHECK: func.func @embed_8x8(%{{.*}}: tensor<8xi32>, %{{.*}}: tensor<64x8xbf16>) -> tensor<8x8xbf16>
// CHECK: func.func @linear_silu_8x48x8(%{{.*}}: tensor<8x8xbf16>, %{{.*}}: tensor<48x8xbf16>) -> tensor<8x48xbf16>
// CHECK: func.func @split_heads_lightning_attention_8x16(%{{.*}}: tensor<8x48xbf16>, %{{.*}}: tensor<2xf32>, %{{.*}}: tensor<3x2x8x8xf32>, {{.*}} -> (tensor<8x16xbf16>, tensor<3x2x8x8xf32>)
// CHECK: func.func @linear_8x4x8(%{{.*}}: tensor<8x8xbf16>, %{{.*}}: tensor<4x8xf32>) -> tensor<8x4xf32>
// CHECK: func.func @route_8x2(%{{.*}}: tensor<8x4xf32>
// CHECK: func.func @dispatch_grouped_linear_grouped_linear_silu_mulf_16x4x6x8
// CHECK-SAME: (%{{.*}}: tensor<8x8xbf16>, %{{.*}}: tensor<8x2xi32>, %{{.*}}: tensor<4x6x8xbf16>, %{{.*}}: tensor<5xi32>, %{{.*}}: tensor<4x6x8xbf16>) -> tensor<16x6xbf16>
// CHECK-NEXT: arith.extf
// CHECK-NEXT: moe.dispatch
// CHECK: func.func @split_heads_rotary_rotary_paged_attention_8x16(%{{.*}}: tensor<8x32xbf16>, %{{.*}}: tensor<3xi32>, %{{.*}}: tensor<2xi32>, %{{.*}}: tensor<3x1x64x8xbf16>, %{{.*}}: tensor<3x1x64x8xbf16>, %{{.*}}: tensor<2x1xi32>) -> (tensor<8x16xbf16>, tensor<3x1x64x8xbf16>, tensor<3x1x64x8xbf16>)
// CHECK: func.func @take_rows_rms_norm_2x8(%{{.*}}: tensor<8x8xbf16>, {{.*}} -> tensor<2x8xf32>
// CHECK: func.func @linear_mask_tail_2x64x8(%{{.*}}: tensor<2x8xf32>, %{{.*}}: tensor<64x8xbf16>) -> tensor<2x64xf32>
// CHECK-NOT: exec.pack
// CHECK: exec.weight @embed.plain from @embed panels 0 at [0, 1024]
// CHECK: exec.weight @norm2.plain from @norm2 panels 0 at [1024, 32]
// CHECK: exec.weight @wqkv.plain from @wqkv panels 0 at [1280, 768]
// CHECK: exec.program @step_8_2_2 bucket [8, 2, 2]
// CHECK: exec.bind input "pages" %{{.*}} : tensor<2x1xi32> role #nn.role<pages>
// CHECK: exec.bind state "layer1.keys" %{{.*}} : tensor<3x1x64x8xbf16>

// F32-LABEL: module @kernels
// F32-NOT: extf
// F32: func.func @dispatch_grouped_linear_grouped_linear_silu_mulf_16x4x6x8
// F32-NOT: extf
// F32: exec.program

nn.parameter @embed : tensor<64x8xbf16> = concat [<"embed">]
nn.parameter @wqkv : tensor<48x8xbf16> = concat [<"qkv">]
nn.parameter @wg : tensor<16x8xbf16> = concat [<"g">]
nn.parameter @wo : tensor<8x16xbf16> = concat [<"o">]
nn.parameter @slopes : tensor<2xf32> = dense<[0.5, 0.25]>
nn.parameter @norm : tensor<16xf32> = concat [<"norm">]
nn.parameter @norm2 : tensor<8xf32> = concat [<"norm2">]
nn.parameter @gate : tensor<4x8xf32> = concat [<"gate">]
nn.parameter @w1 : tensor<4x6x8xbf16> = stack [<"w1a">, <"w1b">, <"w1c">, <"w1d">]
nn.parameter @w3 : tensor<4x6x8xbf16> = stack [<"w3a">, <"w3b">, <"w3c">, <"w3d">]
nn.parameter @wqkv1 : tensor<32x8xbf16> = concat [<"q1">, <"k1">, <"v1">]
nn.parameter @wo1 : tensor<8x16xbf16> = concat [<"o1">]
nn.parameter @w2 : tensor<4x8x6xbf16> = stack [<"w2a">, <"w2b">, <"w2c">, <"w2d">]
nn.parameter @head : tensor<64x8xbf16> = concat [<"head">]
func.func @step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}, %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
   %slots: tensor<?xi32> {nn.role = #nn.role<slots>}, %past: tensor<?xi32> {nn.role = #nn.role<past>}, %rows: tensor<?xi32> {nn.role = #nn.role<rows>},
   %s0: tensor<?x2x8x8xf32> {nn.role = #nn.role<state>, nn.name = "layer0.state"}, %k1: tensor<?x1x?x8x16xf32> {nn.role = #nn.role<state>, nn.name = "layer1.keys"}, %v1: tensor<?x1x?x16x8xf32> {nn.role = #nn.role<state>, nn.name = "layer1.values"})
   -> (tensor<?x64xf32> {nn.role = #nn.role<logits>}, tensor<?x2x8x8xf32> {nn.role = #nn.role<state>, nn.name = "layer0.state"}, tensor<?x1x?x8x16xf32> {nn.role = #nn.role<state>, nn.name = "layer1.keys"}, tensor<?x1x?x16x8xf32> {nn.role = #nn.role<state>, nn.name = "layer1.values"}) {
  %t = nn.use @embed : tensor<64x8xbf16>
  %x = nn.embed %ids, %t : tensor<?xi32>, tensor<64x8xbf16> -> tensor<?x8xf32>
  %n2 = nn.use @norm2 : tensor<8xf32>
  %xn = nn.rms_norm %x, %n2 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %w = nn.use @wqkv : tensor<48x8xbf16>
  %qkv0 = nn.linear %xn, %w : tensor<?x8xf32>, tensor<48x8xbf16>
  %qkv = nn.silu %qkv0 : tensor<?x48xf32>
  %q, %k, %v = nn.split_heads %qkv interleaved : tensor<?x48xf32> -> tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>
  %sl = nn.use @slopes : tensor<2xf32>
  %o, %ns = nn.lightning_attention %q, %k, %v, %sl state %s0 batch(%starts, %slots, %past)
        : (tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<?x2x8xf32>, tensor<2xf32>, tensor<?x2x8x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>) -> (tensor<?x16xf32>, tensor<?x2x8x8xf32>)
  %n = nn.use @norm : tensor<16xf32>
  %on = nn.rms_norm %o, %n {eps = 1.0e-5 : f64} : tensor<?x16xf32>, tensor<16xf32>
  %wg = nn.use @wg : tensor<16x8xbf16>
  %g0 = nn.linear %xn, %wg : tensor<?x8xf32>, tensor<16x8xbf16>
  %g = nn.sigmoid %g0 : tensor<?x16xf32>
  %og = arith.mulf %on, %g : tensor<?x16xf32>
  %wo = nn.use @wo : tensor<8x16xbf16>
  %a = nn.linear %og, %wo : tensor<?x16xf32>, tensor<8x16xbf16>
  %h = nn.residual %xn, %a {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<?x8xf32>
  %hn = nn.rms_norm %h, %n2 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %gw = nn.use @gate : tensor<4x8xf32>
  %sc = nn.linear %hn, %gw : tensor<?x8xf32>, tensor<4x8xf32>
  %rw, %rr, %ro = moe.route %sc batch(%starts) {choices = 2 : i64, normalize} : tensor<?x4xf32>, tensor<?xi32>
  %d = moe.dispatch %hn by %rr : tensor<?x8xf32>, tensor<?x2xi32>
  %w1 = nn.use @w1 : tensor<4x6x8xbf16>
  %w3 = nn.use @w3 : tensor<4x6x8xbf16>
  %w2 = nn.use @w2 : tensor<4x8x6xbf16>
  %e = moe.experts %d by %ro gate %w1 up %w3 down %w2 : tensor<?x8xf32>, tensor<5xi32>, tensor<4x6x8xbf16>, tensor<4x6x8xbf16>, tensor<4x8x6xbf16>
  %c = moe.combine %e by %rr weighted %rw : tensor<?x8xf32>, tensor<?x2xi32>, tensor<?x2xf32>
  %h2 = nn.residual %hn, %c {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<?x8xf32>
  %wqkv1 = nn.use @wqkv1 : tensor<32x8xbf16>
  %qkv1 = nn.linear %h2, %wqkv1 : tensor<?x8xf32>, tensor<32x8xbf16>
  %q1, %kk1, %vv1 = nn.split_heads %qkv1 : tensor<?x32xf32> -> tensor<?x2x8xf32>, tensor<?x1x8xf32>, tensor<?x1x8xf32>
  %rq = nn.rotary %q1 batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<?x2x8xf32>, tensor<?xi32>, tensor<?xi32>
  %rk = nn.rotary %kk1 batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<?x1x8xf32>, tensor<?xi32>, tensor<?xi32>
  %o1, %nk, %nv = nn.attention %rq, %rk, %vv1 cache(%k1, %v1) batch(%starts, %slots, %past) {scale = 0.35 : f64}
    : (tensor<?x2x8xf32>, tensor<?x1x8xf32>, tensor<?x1x8xf32>, tensor<?x1x?x8x16xf32>,
       tensor<?x1x?x16x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x16xf32>, tensor<?x1x?x8x16xf32>, tensor<?x1x?x16x8xf32>)
  %wo1 = nn.use @wo1 : tensor<8x16xbf16>
  %a1 = nn.linear %o1, %wo1 : tensor<?x16xf32>, tensor<8x16xbf16>
  %h3 = nn.residual %h2, %a1 {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<?x8xf32>
  %tk = nn.take_rows %h3, %rows : tensor<?x8xf32>, tensor<?xi32>
  %tn = nn.rms_norm %tk, %n2 {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %hw = nn.use @head : tensor<64x8xbf16>
  %l = nn.linear %tn, %hw : tensor<?x8xf32>, tensor<64x8xbf16>
  %lm = nn.mask_tail %l {live = 60 : i64} : tensor<?x64xf32>
  return %lm, %ns, %nk, %nv : tensor<?x64xf32>, tensor<?x2x8x8xf32>, tensor<?x1x?x8x16xf32>, tensor<?x1x?x16x8xf32>
}
