// One case for each constraint of the ops and attributes.
// RUN: levin-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<40x8xbf16>) {
  // expected-error @+1 {{'exec.pack' op goes between 'tensor<40x8xbf16>' and 'tensor<1x8x32xbf16>', expected [.., n, k] and [.., ceil(n / P), k, P] of one element type (C1)}}
  %0 = exec.pack %x : tensor<40x8xbf16> -> tensor<1x8x32xbf16>
  return
}

// -----

func.func @f(%x: tensor<40x8xbf16>) {
  // expected-error @+1 {{'exec.pack' op goes between 'tensor<40x8xbf16>' and 'tensor<2x8x32xf32>', expected [.., n, k] and [.., ceil(n / P), k, P] of one element type (C1)}}
  %0 = exec.pack %x : tensor<40x8xbf16> -> tensor<2x8x32xf32>
  return
}

// -----

func.func @f(%x: tensor<40xbf16>) {
  // expected-error @+1 {{'exec.pack' op goes between 'tensor<40xbf16>' and 'tensor<2x8x32xbf16>', expected [.., n, k] and [.., ceil(n / P), k, P] of one element type (C1)}}
  %0 = exec.pack %x : tensor<40xbf16> -> tensor<2x8x32xbf16>
  return
}

// -----

func.func @f(%x: tensor<2x8x32xbf16>) {
  // expected-error @+1 {{'exec.unpack' op goes between 'tensor<65x8xbf16>' and 'tensor<2x8x32xbf16>', expected [.., n, k] and [.., ceil(n / P), k, P] of one element type (C1)}}
  %0 = exec.unpack %x : tensor<2x8x32xbf16> -> tensor<65x8xbf16>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'exec.dispatch' op calls @kernels::@k, which is no function of a module @kernels here (C1)}}
  %0 = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
  return %x : tensor<4xf32>
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'exec.dispatch' op calls @k, which is no function of a module @kernels here (C1)}}
  %0 = exec.dispatch @k(%x) tied [-1] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'exec.dispatch' op ties 0 results, expected an entry for each of 1 (C2)}}
  %0 = exec.dispatch @kernels::@k(%x) tied [] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

module @kernels {
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'exec.dispatch' op ties result 0 of type 'tensor<4xf32>' to operand 1, expected -1 or an operand of that type (C2)}}
  %0 = exec.dispatch @kernels::@k(%x) tied [1] : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

module @kernels {
  // expected-note @+1 {{the kernel is ('tensor<4xf32>') -> ('tensor<4xf32>')}}
  func.func @k(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}
func.func @f(%x: tensor<5xf32>) {
  // expected-error @+1 {{'exec.dispatch' op calls @kernels::@k with ('tensor<5xf32>') -> ('tensor<4xf32>'), expected the kernel's type (C3)}}
  %0 = exec.dispatch @kernels::@k(%x) tied [-1] : (tensor<5xf32>) -> tensor<4xf32>
  return
}

// -----

// expected-error @+1 {{'exec.weight' op is from @w, which is no nn.parameter; declare it in the module (C1)}}
exec.weight @w.panels from @w panels 32 at [0, 64]

// -----

nn.parameter @w : tensor<8x4xf32> = concat [<"w">]
// expected-error @+1 {{'exec.weight' op lies at [0], expected an offset and a size of at least 0 (C2)}}
exec.weight @w.panels from @w panels 32 at [0]

// -----

nn.parameter @w : tensor<8x4xf32> = concat [<"w">]
// expected-error @+1 {{'exec.weight' op lies at [-64, 64], expected an offset and a size of at least 0 (C2)}}
exec.weight @w.panels from @w panels 32 at [-64, 64]

// -----

nn.parameter @w : tensor<8x4xf32> = concat [<"w">]
// expected-error @+1 {{'exec.weight' op has panels of -1 rows, expected at least 0 (C3)}}
exec.weight @w.panels from @w panels -1 at [0, 64]

// -----

exec.program @p {
  // expected-error @+1 {{'exec.arena' op has extent [-1], expected one size in bytes of at least 0 (C1)}}
  %a = exec.arena workspace [-1]
}

// -----

exec.program @p {
  // expected-error @+1 {{'exec.arena' op has extent [1, 2], expected one size in bytes of at least 0 (C1)}}
  %a = exec.arena state [1, 2]
}

// -----

exec.program @p {
  // expected-note @+1 {{the arena}}
  %a = exec.arena workspace [128]
  // expected-error @+1 {{'exec.slice' op ends at byte 192, expected at most 128, the size of its arena (C1)}}
  %s = exec.slice %a [64, 128] live [0, 0]
}

// -----

exec.program @p {
  %a = exec.arena workspace [128]
  // expected-error @+1 {{'exec.slice' op lies at [9223372036854775807, 1], expected an offset and a size of at least 0 (C1)}}
  %s = exec.slice %a [9223372036854775807, 1] live [0, 0]
}

// -----

exec.program @p {
  %a = exec.arena workspace [128]
  // expected-error @+1 {{'exec.slice' op is live in [2, 1], expected a first command and one not before it (C2)}}
  %s = exec.slice %a [0, 64] live [2, 1]
}

// -----

exec.program @p {
  %a = exec.arena workspace [128]
  // expected-note @+1 {{the slice}}
  %s = exec.slice %a [0, 64] live [0, 0]
  // expected-error @+1 {{'exec.bind' op binds 'tensor<17xf32>' of 68 bytes, expected a slice that holds them, found one of 64 (C1)}}
  exec.bind input "x" %s : tensor<17xf32>
}

// -----

exec.program @p {
  %a = exec.arena workspace [128]
  %s = exec.slice %a [0, 64] live [0, 0]
  // expected-error @+1 {{'exec.bind' op binds 'tensor<4294967296x4294967296xf32>', expected a size below 2^63 bytes (C1)}}
  exec.bind input "x" %s : tensor<4294967296x4294967296xf32>
}

// -----

exec.program @p {
  %a = exec.arena workspace [128]
  %s = exec.slice %a [0, 64] live [0, 0]
  // expected-error @+1 {{'exec.launch' op has grid [2, 0, 1], expected three positive extents (C1)}}
  exec.launch @kernels::@k grid [2, 0, 1] (%s)
}

// -----

// expected-error @+1 {{'exec.arena' op expects parent op 'exec.program'}}
%a = exec.arena workspace [128]
