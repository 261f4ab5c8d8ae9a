// RUN: levin-opt %s --canonicalize | FileCheck %s

// CHECK-LABEL: func.func @there_and_back
// CHECK-SAME: (%[[W:.*]]: tensor<40x8xbf16>)
// CHECK-NEXT: return %[[W]]
func.func @there_and_back(%w: tensor<40x8xbf16>) -> tensor<40x8xbf16> {
  %0 = exec.pack %w : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
  %1 = exec.unpack %0 : tensor<2x8x32xbf16> -> tensor<40x8xbf16>
  return %1 : tensor<40x8xbf16>
}

// Rows past the matrix would be lost or made up: other extents stay.
// CHECK-LABEL: func.func @other_extents
// CHECK: exec.pack
// CHECK: exec.unpack
func.func @other_extents(%w: tensor<40x8xbf16>) -> tensor<41x8xbf16> {
  %0 = exec.pack %w : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
  %1 = exec.unpack %0 : tensor<2x8x32xbf16> -> tensor<41x8xbf16>
  return %1 : tensor<41x8xbf16>
}
