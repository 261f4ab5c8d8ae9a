// An op that adds to a constant, an argument or a parameter is cut into tiles; each grid point adds
// to its own.
// RUN: rm -rf %t && mkdir -p %t
// RUN: levin-compile %s -o %t/tiles.lvn --quiet
// RUN: levin-run check %t/tiles.lvn 2>&1 | FileCheck %s
// RUN: levin-run check %t/tiles.lvn --threads 1 2>&1 | FileCheck %s
// RUN: levin-inspect %t/tiles.lvn --section commands | FileCheck %s --check-prefix=GRID

// CHECK: 3 passed, 0 failed
// GRID: conv_2d_nchw_fchw_2x5x9x11 2x5x1
// GRID: matmul_64x64 32x1x1
// GRID: forall_64x64 1x1x1

nn.parameter @image : tensor<2x3x11x13xf32> = dense<0.5>
nn.parameter @filter : tensor<5x3x3x3xf32> = dense<2.0>
nn.parameter @left : tensor<64x64xi32> = dense<2>
nn.parameter @start : tensor<64x64xi32> = dense<7>

func.func @constant() {
  %x = nn.use @image : tensor<2x3x11x13xf32>
  %w = nn.use @filter : tensor<5x3x3x3xf32>
  %c = arith.constant dense<1.0> : tensor<2x5x9x11xf32>
  %y = linalg.conv_2d_nchw_fchw ins(%x, %w : tensor<2x3x11x13xf32>, tensor<5x3x3x3xf32>)
                                outs(%c : tensor<2x5x9x11xf32>) -> tensor<2x5x9x11xf32>
  %expected = arith.constant dense<28.0> : tensor<2x5x9x11xf32>
  check.expect_eq %y, %expected : tensor<2x5x9x11xf32>
  return
}
func.func @parameter() {
  %x = nn.use @left : tensor<64x64xi32>
  %c = nn.use @start : tensor<64x64xi32>
  %y = linalg.matmul ins(%x, %x : tensor<64x64xi32>, tensor<64x64xi32>)
                     outs(%c : tensor<64x64xi32>) -> tensor<64x64xi32>
  %expected = arith.constant dense<263> : tensor<64x64xi32>
  check.expect_eq %y, %expected : tensor<64x64xi32>
  return
}
// A loop over threads in the input is no grid.
func.func @forall() {
  %x = nn.use @left : tensor<64x64xi32>
  %y = scf.forall (%i) in (63) shared_outs(%o = %x) -> (tensor<64x64xi32>) {
    %s = tensor.extract_slice %x[%i, 0] [1, 64] [1, 1] : tensor<64x64xi32> to tensor<1x64xi32>
    %t = arith.addi %s, %s : tensor<1x64xi32>
    scf.forall.in_parallel {
      tensor.parallel_insert_slice %t into %o[%i, 0] [1, 64] [1, 1] : tensor<1x64xi32> into tensor<64x64xi32>
    }
  }
  %row = arith.constant dense<4> : tensor<63x64xi32>
  %last = arith.constant dense<2> : tensor<1x64xi32>
  %expected = tensor.concat dim(0) %row, %last : (tensor<63x64xi32>, tensor<1x64xi32>) -> tensor<64x64xi32>
  check.expect_eq %y, %expected : tensor<64x64xi32>
  return
}
