// RUN: levin-opt %s --levin-decompose -verify-diagnostics

func.func @f(%x: tensor<?x8xf32>) -> tensor<?x8xf32> {
  // expected-error @+1 {{'nn.silu' op has a value of type 'tensor<?x8xf32>', expected static shapes to decompose it; run levin-specialise first}}
  %0 = nn.silu %x : tensor<?x8xf32>
  return %0 : tensor<?x8xf32>
}
