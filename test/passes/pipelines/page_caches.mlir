// RUN: levin-opt %s --levin-page-caches="page-tokens=64 pages=7 type=bf16" | FileCheck %s
// RUN: levin-opt %s --levin-page-caches="page-tokens=32 type=f8" | FileCheck %s --check-prefix=ALL

// 5 blocks of 16 tokens are 2 pages of 64 for each sequence, and 3 of 32: 9 for the 3 slots.
// CHECK-LABEL: func.func @step(
// CHECK-SAME: %[[STARTS:.*]]: tensor<2xi32> {nn.role = #nn.role<starts>}, %[[SLOTS:[^:]*]]: tensor<1xi32>
// CHECK-SAME: %[[PAGES:[^:]*]]: tensor<1x2xi32> {nn.role = #nn.role<pages>}, %[[K:[^:]*]]: tensor<7x2x64x8xbf16> {nn.name = "k", nn.role = #nn.role<state>}, %[[V:[^:]*]]: tensor<7x2x64x8xbf16>
// CHECK-SAME: -> (tensor<4x16xf32>, tensor<7x2x64x8xbf16> {nn.name = "k"
// CHECK: nn.paged_attention %{{.*}}, %{{.*}}, %{{.*}} cache(%[[K]], %[[V]]) batch(%[[STARTS]], %[[PAGES]], %{{.*}}) {scale = 5.000000e-01 : f64}
// CHECK-NOT: nn.attention
// ALL-LABEL: func.func @step(
// ALL-SAME: tensor<1x3xi32> {nn.role = #nn.role<pages>}, %{{[^:]*}}: tensor<9x2x32x8xf8E4M3FN>
func.func @step(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32> {nn.role = #nn.role<slots>},
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  return %o, %ok, %ov : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}

// A cache may pass through several attentions.
// CHECK-LABEL: func.func @twice(
// CHECK: %{{.*}}, %[[K1:.*]], %[[V1:.*]] = nn.paged_attention
// CHECK: nn.paged_attention %{{.*}}, %{{.*}}, %{{.*}} cache(%[[K1]], %[[V1]])
func.func @twice(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32> {nn.role = #nn.role<slots>},
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  %p, %pk, %pv = nn.attention %q, %q, %q cache(%ok, %ov) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  return %p, %pk, %pv : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}

// A function that is no step makes its own caches.
// CHECK-LABEL: func.func @plain(
// CHECK: nn.attention
func.func @plain(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32>,
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  return %o, %ok, %ov : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}
