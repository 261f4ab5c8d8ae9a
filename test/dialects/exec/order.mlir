// Commands write the program's memory: no generic pass drops, merges or reorders them.
// RUN: levin-opt %s --canonicalize --cse --loop-invariant-code-motion | FileCheck %s

module @kernels {
  func.func @k(%x: memref<16xf32> {exec.written}) {
    return
  }
}

// CHECK-LABEL: exec.program @p
// CHECK: exec.launch
// CHECK: exec.copy
// CHECK: exec.launch
// CHECK: exec.copy
exec.program @p {
  %a = exec.arena workspace [128]
  %s = exec.slice %a [0, 64] live [0, 3]
  %t = exec.slice %a [64, 64] live [0, 3]
  exec.launch @kernels::@k grid [1, 1, 1] (%s)
  exec.copy %s to %t
  exec.launch @kernels::@k grid [1, 1, 1] (%s)
  exec.copy %s to %t
}
