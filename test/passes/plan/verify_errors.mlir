// RUN: levin-opt %s --levin-plan-verify -split-input-file -verify-diagnostics

exec.program @unaligned {
  %w = exec.arena workspace [4096]
  // expected-error@+1 {{'exec.slice' op at [8, 16] does not lie in its arena at a multiple of 64 (P1)}}
  %s = exec.slice %w [8, 16] live [0, 0]
}

// -----

nn.parameter @w : tensor<16xf32> = concat [<"w">]
nn.parameter @v : tensor<16xf32> = concat [<"v">]
exec.weight @w.plain from @w panels 0 at [0, 128]
// expected-error@+1 {{'exec.weight' op overlaps another weight (P1)}}
exec.weight @v.plain from @v panels 0 at [64, 64]

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
exec.program @overwritten {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 2]
  %a = exec.slice %w [64, 16] live [0, 2]
  %b = exec.slice %w [64, 16] live [0, 2]
  %c = exec.slice %w [128, 16] live [0, 2]
  exec.bind input "x" %x : tensor<4xf32>
  exec.launch @kernels::@k grid [1, 1, 1] (%x, %a)
  exec.launch @kernels::@k grid [1, 1, 1] (%x, %b)
  // expected-error@+1 {{'exec.launch' op reads bytes that were last written as another slice (P2)}}
  exec.launch @kernels::@k grid [1, 1, 1] (%a, %c)
}

// -----

exec.program @dead {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  %a = exec.slice %w [64, 16] live [0, 0]
  %b = exec.slice %w [128, 16] live [0, 1]
  exec.bind input "x" %x : tensor<4xf32>
  exec.copy %x to %a
  // expected-error@+1 {{'exec.copy' op is command 1 and touches a slice that lives from 0 to 0 (P3)}}
  exec.copy %a to %b
}

// -----

exec.program @writes_parameter {
  %p = exec.arena parameters [4096]
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  %v = exec.slice %p [0, 16] live [0, 0]
  exec.bind input "x" %x : tensor<4xf32>
  // expected-error@+1 {{'exec.copy' op writes a parameter (P4)}}
  exec.copy %x to %v
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
exec.program @too_few {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  exec.bind input "x" %x : tensor<4xf32>
  // expected-error@+1 {{'exec.launch' op has 1 bindings, its kernel needs 2 (P5)}}
  exec.launch @kernels::@k grid [1, 1, 1] (%x)
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
exec.program @too_small {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  %y = exec.slice %w [64, 8] live [0, 0]
  exec.bind input "x" %x : tensor<4xf32>
  // expected-error@+1 {{'exec.launch' op binds 8 bytes as binding 1, expected 16 (P5)}}
  exec.launch @kernels::@k grid [1, 1, 1] (%x, %y)
}

// -----

exec.program @no_output {
  %w = exec.arena workspace [4096]
  %y = exec.slice %w [64, 16] live [0, 0]
  // expected-error@+1 {{'exec.bind' op does not hold its own bytes at the end (P6)}}
  exec.bind output "y" %y : tensor<4xf32>
}

// -----

exec.program @one {
  %s = exec.arena state [4096]
}
exec.program @two {
  // expected-error@+1 {{'exec.arena' op has 64 bytes, in an earlier program 4096 (P7)}}
  %s = exec.arena state [64]
}

// -----

exec.program @one {
  %s = exec.arena state [4096]
  %a = exec.slice %s [0, 16] live [0, 0]
  exec.bind state "a" %a : tensor<4xf32>
}
exec.program @two {
  %s = exec.arena state [4096]
  %a = exec.slice %s [64, 16] live [0, 0]
  // expected-error@+1 {{'exec.bind' op places state 'a' elsewhere than an earlier program (P7)}}
  exec.bind state "a" %a : tensor<4xf32>
}

// -----

exec.program @one {
  %s = exec.arena state [4096]
  %a = exec.slice %s [0, 16] live [0, 0]
  exec.bind state "a" %a : tensor<4xf32>
  // expected-error@+1 {{'exec.bind' op places state 'b' where 'a' lies (P7)}}
  exec.bind state "b" %a : tensor<4xf32>
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    %y = nn.silu %x : tensor<4xf32>
    return %y : tensor<4xf32>
  }
}
exec.program @overlap {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  exec.bind input "x" %x : tensor<4xf32>
  // expected-error@+1 {{'exec.launch' op has the bindings 0 and 1 overlap while one is written (P8)}}
  exec.launch @kernels::@k grid [1, 1, 1] (%x, %x)
}

// -----

exec.program @copy_to_itself {
  %w = exec.arena workspace [4096]
  %x = exec.slice %w [0, 16] live [0, 0]
  exec.bind input "x" %x : tensor<4xf32>
  // expected-error@+1 {{'exec.copy' op has slices that overlap or differ in size (P8)}}
  exec.copy %x to %x
}
