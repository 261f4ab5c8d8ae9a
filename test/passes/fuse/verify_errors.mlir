// RUN: levin-opt %s --levin-fuse-verify -split-input-file -verify-diagnostics

func.func @outside(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'nn.silu' op is outside of every kernel (F1)}}
  %y = nn.silu %x : tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @packs_computed(%x: tensor<40x8xf32>) -> tensor<2x8x32xf32> {
  // expected-error@+1 {{'exec.pack' op is outside of every kernel (F1)}}
  %y = exec.pack %x : tensor<40x8xf32> -> tensor<2x8x32xf32>
  return %y : tensor<2x8x32xf32>
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error@+1 {{'nn.silu' op still has an attribute of the fuse phase (F2)}}
    %y = nn.silu %x {fuse.group = 0 : i64} : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

nn.parameter @w : tensor<4xf32> = concat [<"w">]
module @kernels {
  nn.parameter @w : tensor<4xf32> = concat [<"w">]
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    // expected-error@+1 {{'nn.use' op is inside of a kernel, expected its value as an argument (F3)}}
    %y = nn.use @w : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'exec.dispatch' op is tied [0], its kernel updates [-1] (F4)}}
  %y = exec.dispatch @kernels::@k(%x) tied [0] : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f() {
  return
}
module @kernels {
  // expected-error@+1 {{'func.func' op is dispatched nowhere (F5)}}
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
