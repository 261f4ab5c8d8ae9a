// RUN: levin-opt %s --levin-plan-memory -split-input-file -verify-diagnostics

func.func @no_kernel(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'nn.silu' op is not in a kernel; run the fuse phase first}}
  %y = nn.silu %x : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @packs_computed(%x: tensor<40x8xf32>) -> tensor<2x8x32xf32> {
  // expected-error@+1 {{'exec.pack' op packs a computed value, expected a parameter}}
  %y = exec.pack %x : tensor<40x8xf32> -> tensor<2x8x32xf32>
  return %y : tensor<2x8x32xf32>
}

// -----

// expected-error@+1 {{value of type 'tensor<?xf32>' cannot be planned, expected a static tensor of numbers that fits into memory}}
func.func @dynamic(%x: tensor<?xf32>) {
  return
}

// -----

func.func @one(%a: tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "a"})
    -> (tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "a"}) {
  return %a : tensor<4xf32>
}
// expected-error@+1 {{state 'a' has another size here than in an earlier program}}
func.func @two(%a: tensor<8xf32> {nn.role = #nn.role<state>, nn.name = "a"})
    -> (tensor<8xf32> {nn.role = #nn.role<state>, nn.name = "a"}) {
  return %a : tensor<8xf32>
}

// -----

func.func @no_such_state(%a: tensor<4xf32>) -> (tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "b"}) {
  // expected-error@+1 {{returns state 'b', which is no argument}}
  return %a : tensor<4xf32>
}
