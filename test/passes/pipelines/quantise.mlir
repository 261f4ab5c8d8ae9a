// RUN: levin-opt %s --levin-quantise="expert-bits=4 expert-group=32 linear-bits=8" | FileCheck %s
// RUN: levin-opt %s --levin-quantise="expert-bits=4" --remarks-filter=quantise --remark-format=emitRemark 2>&1 \
// RUN:   | FileCheck %s --check-prefix=REMARK
// RUN: levin-opt %s --levin-quantise="expert-bits=4 linear-bits=8" --levin-fuse-match --levin-fuse-group \
// RUN:   --levin-fuse-pack --levin-fuse-form-kernels --levin-fuse-verify | FileCheck %s --check-prefix=FUSE
// RUN: not levin-opt %s --levin-quantise="expert-bits=5" 2>&1 | FileCheck %s --check-prefix=BITS

// BITS: levin-quantise: 5 bits in groups of 128, expected 0, 4 or 8 bits and groups of at least 1

// 192 columns: groups of 128 become groups of 64.
// CHECK: nn.parameter @w : tensor<48x192xi8> = concat [<"quantised.w">] {nn.source = {group = 64 : i64, pieces = [#nn.piece<"w">], type = tensor<48x192xbf16>}}
// CHECK: nn.parameter @w.scales : tensor<48x3xbf16> = concat [<"quantised.w.scales">] {nn.scales}
nn.parameter @w : tensor<48x192xbf16> = concat [<"w">]
// CHECK: nn.parameter @router : tensor<4x192xbf16> = concat [<"router">]
nn.parameter @router : tensor<4x192xbf16> = concat [<"router">]
// CHECK: nn.parameter @e : tensor<2x64x96xui8> = concat [<"quantised.e">] {nn.source = {group = 32 : i64, pieces = [#nn.piece<"e0">, #nn.piece<"e1">], type = tensor<2x64x192xbf16>}}
// CHECK: nn.parameter @e.scales : tensor<2x64x6xbf16>
nn.parameter @e : tensor<2x64x192xbf16> = stack [<"e0">, <"e1">]
// REMARK: 'odd' stays as it is: no group of 16 or more divides its 40 columns
// CHECK: nn.parameter @odd : tensor<2x8x40xf32> = stack [<"o0">, <"o1">]
nn.parameter @odd : tensor<2x8x40xf32> = stack [<"o0">, <"o1">]
// CHECK: nn.parameter @tied : tensor<16x192xbf16> = concat [<"tied">]
nn.parameter @tied : tensor<16x192xbf16> = concat [<"tied">]
// CHECK: nn.parameter @head : tensor<16x192xbf16> = concat [<"head">]
nn.parameter @head : tensor<16x192xbf16> = concat [<"head">]

// CHECK-LABEL: func.func @step
// FUSE-LABEL: module @kernels
// FUSE: func.func @linear_silu_4x48x192(%{{.*}}: tensor<4x192xf32>, %{{.*}}: tensor<48x192xi8>, %{{.*}}: tensor<48x3xbf16>)
// FUSE-NEXT: nn.dequantize
// FUSE-NEXT: nn.linear
// FUSE: func.func @grouped_linear_8x2x64x192(%{{.*}}: tensor<8x192xf32>, %{{.*}}: tensor<2x64x96xui8>, %{{.*}}: tensor<2x64x3xbf16>, %{{.*}}: tensor<3xi32>)
func.func @step(%x: tensor<4x192xf32>, %d: tensor<8x192xf32>, %o: tensor<8x40xf32>, %starts: tensor<2xi32>,
                %ids: tensor<4xi32>, %offsets: tensor<3xi32>)
    -> (tensor<4x48xf32>, tensor<4x2xi32>, tensor<8x64xf32>, tensor<8x8xf32>, tensor<4x192xf32>, tensor<4x16xf32>,
        tensor<4x16xf32> {nn.role = #nn.role<logits>}) {
  // CHECK: %[[Q:.*]] = nn.use @w : tensor<48x192xi8>
  // CHECK: %[[S:.*]] = nn.use @w.scales : tensor<48x3xbf16>
  // CHECK: %[[W:.*]] = nn.dequantize %[[Q]], %[[S]] {group = 64 : i64} : tensor<48x192xi8>, tensor<48x3xbf16> -> tensor<48x192xf32>
  // CHECK: nn.linear %{{.*}}, %[[W]]
  %w = nn.use @w : tensor<48x192xbf16>
  %y = nn.linear %x, %w : tensor<4x192xf32>, tensor<48x192xbf16>
  %z = nn.silu %y : tensor<4x48xf32>
  %r = nn.use @router : tensor<4x192xbf16>
  %scores = nn.linear %x, %r : tensor<4x192xf32>, tensor<4x192xbf16>
  %weights, %rows, %more = moe.route %scores batch(%starts) {choices = 2 : i64} : tensor<4x4xf32>, tensor<2xi32>
  // CHECK: %[[E:.*]] = nn.dequantize {{.*}} : tensor<2x64x96xui8>, tensor<2x64x6xbf16> -> tensor<2x64x192xf32>
  // CHECK: moe.grouped_linear %{{.*}}, %[[E]] by
  %e = nn.use @e : tensor<2x64x192xbf16>
  %m = moe.grouped_linear %d, %e by %offsets : tensor<8x192xf32>, tensor<2x64x192xbf16>, tensor<3xi32>
  %odd = nn.use @odd : tensor<2x8x40xf32>
  %n = moe.grouped_linear %o, %odd by %offsets : tensor<8x40xf32>, tensor<2x8x40xf32>, tensor<3xi32>
  %t = nn.use @tied : tensor<16x192xbf16>
  %emb = nn.embed %ids, %t : tensor<4xi32>, tensor<16x192xbf16> -> tensor<4x192xf32>
  %u = nn.linear %x, %t : tensor<4x192xf32>, tensor<16x192xbf16>
  %h = nn.use @head : tensor<16x192xbf16>
  %l = nn.linear %x, %h : tensor<4x192xf32>, tensor<16x192xbf16>
  %logits = nn.mask_tail %l {live = 15 : i64} : tensor<4x16xf32>
  return %z, %rows, %m, %n, %emb, %u, %logits : tensor<4x48xf32>, tensor<4x2xi32>, tensor<8x64xf32>, tensor<8x8xf32>,
    tensor<4x192xf32>, tensor<4x16xf32>, tensor<4x16xf32>
}
