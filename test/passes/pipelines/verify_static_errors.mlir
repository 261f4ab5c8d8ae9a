// RUN: levin-opt %s --levin-verify-static -split-input-file -verify-diagnostics

func.func @dynamic(%x: tensor<?xf32>) -> tensor<?xf32> {
  // expected-error@+1 {{'nn.silu' op has a value of type 'tensor<?xf32>', expected static extents of at least 1 (S1)}}
  %y = nn.silu %x : tensor<?xf32>
  return %y : tensor<?xf32>
}

// -----

func.func @empty(%x: tensor<0xf32>) -> tensor<0xf32> {
  // expected-error@+1 {{has a value of type 'tensor<0xf32>', expected static extents of at least 1 (S1)}}
  %y = nn.silu %x : tensor<0xf32>
  return %y : tensor<0xf32>
}

// -----

func.func @check(%x: tensor<4xi32>) {
  // expected-error@+1 {{'check.expect_eq' op is left after it should have been replaced (S2)}}
  check.expect_eq %x, %x : tensor<4xi32>
  return
}

// -----

// expected-error@+1 {{is no function of one block (S3)}}
func.func private @elsewhere(%x: tensor<4xf32>)
