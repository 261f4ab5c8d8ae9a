// RUN: levin-opt %s --verify-roundtrip | FileCheck %s
// RUN: levin-opt %s --mlir-print-op-generic | levin-opt | FileCheck %s

nn.parameter @w : tensor<40x8xbf16> = concat [<"w">]
// CHECK: exec.weight @w.panels32 from @w panels 32 at [0, 1024]
exec.weight @w.panels32 from @w panels 32 at [0, 1024]
// CHECK: exec.weight @w.plain from @w panels 0 at [1024, 640]
exec.weight @w.plain from @w panels 0 at [1024, 640]

module @kernels {
  func.func @k(%w: tensor<2x8x32xbf16>, %x: tensor<4xf32>) -> (tensor<4xf32>, tensor<40x8xbf16>) {
    // CHECK: exec.unpack %{{.*}} : tensor<2x8x32xbf16> -> tensor<40x8xbf16>
    %0 = exec.unpack %w : tensor<2x8x32xbf16> -> tensor<40x8xbf16>
    return %x, %0 : tensor<4xf32>, tensor<40x8xbf16>
  }
  func.func @m(%x: memref<4xf32> {exec.written}) {
    return
  }
}

// CHECK-LABEL: func.func @tensors
func.func @tensors(%w: tensor<40x8xbf16>, %x: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: exec.pack %{{.*}} : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
  %0 = exec.pack %w : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
  // CHECK: exec.dispatch @kernels::@k(%{{.*}}, %{{.*}}) tied [1, -1] : (tensor<2x8x32xbf16>, tensor<4xf32>) -> (tensor<4xf32>, tensor<40x8xbf16>)
  %1:2 = exec.dispatch @kernels::@k(%0, %x) tied [1, -1]
    : (tensor<2x8x32xbf16>, tensor<4xf32>) -> (tensor<4xf32>, tensor<40x8xbf16>)
  return %1#0 : tensor<4xf32>
}

// CHECK-LABEL: exec.program @step bucket [8, 2, 2]
exec.program @step bucket [8, 2, 2] {
  // CHECK: exec.arena parameters [1664]
  // CHECK: %[[STATE:.*]] = exec.arena state [64]
  // CHECK: %[[WORK:.*]] = exec.arena workspace [4096]
  %p = exec.arena parameters [1664]
  %t = exec.arena state [64]
  %a = exec.arena workspace [4096]
  // CHECK: exec.slice %[[STATE]] [0, 64] live [0, 1]
  %s = exec.slice %t [0, 64] live [0, 1]
  %i = exec.slice %a [0, 64] live [0, 1]
  %o = exec.slice %a [64, 64] live [0, 1]
  // CHECK: exec.bind input "ids" %{{.*}} : tensor<16xi32> role #nn.role<ids>
  exec.bind input "ids" %i : tensor<16xi32> role #nn.role<ids>
  // CHECK: exec.bind output "y" %{{.*}} : tensor<16xf32>
  exec.bind output "y" %o : tensor<16xf32>
  // CHECK: exec.bind state "layer0.state" %{{.*}} : tensor<16xf32>
  exec.bind state "layer0.state" %s : tensor<16xf32>
  // CHECK: exec.launch @kernels::@m grid [2, 1, 1](%{{.*}})
  exec.launch @kernels::@m grid [2, 1, 1] (%o)
  // CHECK: exec.copy %{{.*}} to %{{.*}}
  exec.copy %i to %o
}

// CHECK-LABEL: exec.program @plain {
exec.program @plain {
}
