// RUN: levin-opt %s --levin-specialise="tokens=8 sequences=2 rows=2 slots=6 blocks=5 pages=11" | FileCheck %s
// RUN: levin-opt %s --levin-specialise="tokens=8 sequences=2 rows=2 slots=6 blocks=5" | FileCheck %s --check-prefix=ALL

// A pool has its own number of pages; the state of another layer has a slot for each sequence.
// CHECK-LABEL: @step_8_2_2(
// CHECK-SAME: tensor<2x5xi32> {nn.role = #nn.role<pages>}
// CHECK-SAME: tensor<11x1x16x8xf32>
// CHECK-SAME: tensor<11x1x16x8xf32>
// CHECK-SAME: tensor<6x1x8x8xf32>
// ALL: tensor<30x1x16x8xf32>
func.func @step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}, %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                %slots: tensor<?xi32> {nn.role = #nn.role<slots>}, %past: tensor<?xi32> {nn.role = #nn.role<past>},
                %rows: tensor<?xi32> {nn.role = #nn.role<rows>}, %pages: tensor<?x?xi32> {nn.role = #nn.role<pages>},
                %keys: tensor<?x1x16x8xf32> {nn.role = #nn.role<state>, nn.name = "keys"},
                %values: tensor<?x1x16x8xf32> {nn.role = #nn.role<state>, nn.name = "values"},
                %state: tensor<?x1x8x8xf32> {nn.role = #nn.role<state>, nn.name = "state"}, %q: tensor<8x1x8xf32>)
    -> (tensor<8x8xf32>, tensor<?x1x16x8xf32> {nn.role = #nn.role<state>, nn.name = "keys"},
        tensor<?x1x16x8xf32> {nn.role = #nn.role<state>, nn.name = "values"},
        tensor<?x1x8x8xf32> {nn.role = #nn.role<state>, nn.name = "state"}) {
  %o, %nk, %nv = nn.paged_attention %q, %q, %q cache(%keys, %values) batch(%starts, %pages, %past) {scale = 0.5 : f64}
    : (tensor<8x1x8xf32>, tensor<8x1x8xf32>, tensor<8x1x8xf32>, tensor<?x1x16x8xf32>,
       tensor<?x1x16x8xf32>, tensor<?xi32>, tensor<?x?xi32>, tensor<?xi32>)
    -> (tensor<8x8xf32>, tensor<?x1x16x8xf32>, tensor<?x1x16x8xf32>)
  return %o, %nk, %nv, %state : tensor<8x8xf32>, tensor<?x1x16x8xf32>, tensor<?x1x16x8xf32>, tensor<?x1x8x8xf32>
}
