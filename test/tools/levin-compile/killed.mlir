// A killed compilation leaves no half-written artifact.
// RUN: rm -rf %t && mkdir -p %t
// RUN: %python %S/Inputs/kill.py %t/k.lvn levin-compile %s -o %t/k.lvn --quiet --target host-x86_64-v3 | FileCheck %s

// CHECK: killed

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.silu %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
