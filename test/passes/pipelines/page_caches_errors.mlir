// RUN: levin-opt %s --levin-page-caches -split-input-file -verify-diagnostics
// RUN: not levin-opt %s --levin-page-caches=type=f16 -split-input-file 2>&1 | FileCheck %s

// CHECK: levin-page-caches: page-tokens is 64, pages 0 and type 'f16', expected at least 1, at least 0, and f32, bf16 or f8

func.func @computed(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32> {nn.role = #nn.role<slots>},
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  %other = nn.silu %keys : tensor<3x2x5x8x16xf32>
  // expected-error@+1 {{'nn.attention' op has a cache that is no state of the step, or that others than attentions read; it cannot lie in pages}}
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%other, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  return %o, %ok, %ov : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}

// -----

func.func @read(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32> {nn.role = #nn.role<slots>},
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  // expected-error@+1 {{'nn.attention' op has a cache that is no state of the step, or that others than attentions read; it cannot lie in pages}}
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  %other = nn.silu %keys : tensor<3x2x5x8x16xf32>
  return %o, %ok, %ov : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}

// -----

func.func @lengths(%starts: tensor<2xi32> {nn.role = #nn.role<starts>}, %slots: tensor<1xi32> {nn.role = #nn.role<slots>},
                %past: tensor<1xi32> {nn.role = #nn.role<past>}, %q: tensor<4x2x8xf32> {nn.role = #nn.role<rows>},
                %keys: tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
                %values: tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"},
                %short: tensor<3x2x4x8x16xf32> {nn.role = #nn.role<state>, nn.name = "sk"},
                %brief: tensor<3x2x4x16x8xf32> {nn.role = #nn.role<state>, nn.name = "sv"})
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32> {nn.role = #nn.role<state>, nn.name = "k"},
        tensor<3x2x5x16x8xf32> {nn.role = #nn.role<state>, nn.name = "v"}) {
  %o, %ok, %ov = nn.attention %q, %q, %q cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x5x8x16xf32>,
       tensor<3x2x5x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>)
  // expected-error@+1 {{'nn.attention' op keeps 64 tokens of a sequence, an earlier one 80; caches that share pages keep equally many}}
  %p, %pk, %pv = nn.attention %q, %q, %q cache(%short, %brief) batch(%starts, %slots, %past) {scale = 0.5 : f64}
    : (tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<4x2x8xf32>, tensor<3x2x4x8x16xf32>,
       tensor<3x2x4x16x8xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<4x16xf32>, tensor<3x2x4x8x16xf32>, tensor<3x2x4x16x8xf32>)
  return %o, %ok, %ov : tensor<4x16xf32>, tensor<3x2x5x8x16xf32>, tensor<3x2x5x16x8xf32>
}
