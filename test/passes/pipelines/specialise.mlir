// RUN: levin-opt %s --levin-specialise="tokens=8,1 sequences=2,1 rows=3,1 slots=6 blocks=5" | FileCheck %s

nn.parameter @table : tensor<64x8xbf16> = concat [<"t">]

// CHECK-NOT: @step(
// CHECK-LABEL: @step_8_2_3(
// CHECK-SAME: tensor<8xi32> {nn.role = #nn.role<ids>}
// CHECK-SAME: tensor<3xi32> {nn.role = #nn.role<starts>}
// CHECK-SAME: tensor<2xi32> {nn.role = #nn.role<slots>}
// CHECK-SAME: tensor<2xi32> {nn.role = #nn.role<past>}
// CHECK-SAME: tensor<3xi32> {nn.role = #nn.role<rows>}
// CHECK-SAME: tensor<6x1x5x8x16xf32>
// CHECK-SAME: tensor<6x1x5x16x8xf32>
// CHECK-SAME: -> (tensor<3x8xf32>
// CHECK: nn.embed {{.*}} -> tensor<8x8xf32>
// CHECK: nn.split_heads {{.*}} -> tensor<8x1x8xf32>
// CHECK: nn.attention {{.*}} -> (tensor<8x8xf32>, tensor<6x1x5x8x16xf32>, tensor<6x1x5x16x8xf32>)
// CHECK: tensor.empty() : tensor<8x8xf32>
// CHECK: linalg.exp {{.*}} -> tensor<8x8xf32>
// CHECK: nn.take_rows {{.*}} : tensor<8x8xf32>, tensor<3xi32>
// CHECK: return {{.*}} : tensor<3x8xf32>, tensor<6x1x5x8x16xf32>
// CHECK-LABEL: @step_1_1_1(
func.func @step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                %slots: tensor<?xi32> {nn.role = #nn.role<slots>},
                %past: tensor<?xi32> {nn.role = #nn.role<past>},
                %rows: tensor<?xi32> {nn.role = #nn.role<rows>},
                %keys: tensor<?x1x?x8x16xf32> {nn.role = #nn.role<state>, nn.name = "keys"},
                %values: tensor<?x1x?x16x8xf32> {nn.role = #nn.role<state>, nn.name = "values"})
    -> (tensor<?x8xf32> {nn.role = #nn.role<logits>},
        tensor<?x1x?x8x16xf32> {nn.role = #nn.role<state>, nn.name = "keys"},
        tensor<?x1x?x16x8xf32> {nn.role = #nn.role<state>, nn.name = "values"}) {
  %t = nn.use @table : tensor<64x8xbf16>
  %x = nn.embed %ids, %t : tensor<?xi32>, tensor<64x8xbf16> -> tensor<?x8xf32>
  %q = nn.split_heads %x : tensor<?x8xf32> -> tensor<?x1x8xf32>
  %o, %nk, %nv = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<?x1x8xf32>, tensor<?x1x8xf32>, tensor<?x1x8xf32>, tensor<?x1x?x8x16xf32>,
       tensor<?x1x?x16x8xf32>, tensor<?xi32>, tensor<?xi32>, tensor<?xi32>)
    -> (tensor<?x8xf32>, tensor<?x1x?x8x16xf32>, tensor<?x1x?x16x8xf32>)
  %c0 = arith.constant 0 : index
  %n = tensor.dim %o, %c0 : tensor<?x8xf32>
  %e = tensor.empty(%n) : tensor<?x8xf32>
  %y = linalg.exp ins(%o : tensor<?x8xf32>) outs(%e : tensor<?x8xf32>) -> tensor<?x8xf32>
  %z = nn.take_rows %y, %rows : tensor<?x8xf32>, tensor<?xi32>
  return %z, %nk, %nv : tensor<?x8xf32>, tensor<?x1x?x8x16xf32>, tensor<?x1x?x16x8xf32>
}
