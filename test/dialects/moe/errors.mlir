// One case for each constraint of the ops and attributes.
// RUN: levin-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<5x4xf32>, %s: tensor<3xi32>) {
  // expected-error @+1 {{'moe.route' op makes 5 choices, expected 1 to 4, the number of experts (C1)}}
  %w, %r, %o = moe.route %x batch(%s) {choices = 5 : i64} : tensor<5x4xf32>, tensor<3xi32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %s: tensor<3xi32>) {
  // expected-error @+1 {{'moe.route' op has no number of choices, expected 'choices = N : i64' of at least 1 (C1)}}
  %w, %r, %o = moe.route %x batch(%s) {choices = 0 : i64} : tensor<5x4xf32>, tensor<3xi32>
  return
}

// -----

func.func @f(%x: tensor<5x4xf32>, %s: tensor<3xi32>) {
  // expected-error @+1 {{'moe.route' op has no number of choices, expected 'choices = N : i64' of at least 1 (C1)}}
  %w, %r, %o = moe.route %x batch(%s) : tensor<5x4xf32>, tensor<3xi32>
  return
}

// -----

func.func @f(%x: tensor<5x8xf32>, %r: tensor<4x2xi32>) {
  // expected-error @+1 {{'moe.dispatch' op has rows of type 'tensor<4x2xi32>', expected 5 rows, one a token of 'tensor<5x8xf32>' (C1)}}
  %0 = moe.dispatch %x by %r : tensor<5x8xf32>, tensor<4x2xi32>
  return
}

// -----

func.func @f(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w: tensor<4x6x7xf32>) {
  // expected-error @+1 {{'moe.grouped_linear' op has a weight of type 'tensor<4x6x7xf32>', expected 8 columns as in the input 'tensor<10x8xf32>' (C1)}}
  %0 = moe.grouped_linear %x, %w by %o : tensor<10x8xf32>, tensor<4x6x7xf32>, tensor<5xi32>
  return
}

// -----

func.func @f(%x: tensor<10x8xf32>, %o: tensor<4xi32>, %w: tensor<4x6x8xf32>) {
  // expected-error @+1 {{'moe.grouped_linear' op has offsets of type 'tensor<4xi32>', expected one entry more than the 4 experts of 'tensor<4x6x8xf32>' (C2)}}
  %0 = moe.grouped_linear %x, %w by %o : tensor<10x8xf32>, tensor<4x6x8xf32>, tensor<4xi32>
  return
}

// -----

func.func @f(%x: tensor<10x8xf32>, %o: tensor<5xi32>, %w: tensor<4x6x8xf32>) {
  // expected-error @+1 {{'moe.experts' op has weights 'tensor<4x6x8xf32>', 'tensor<4x6x8xf32>' and 'tensor<4x6x8xf32>', expected [E, f, d] twice and [E, d, f] with d = 8 (C1)}}
  %0 = moe.experts %x by %o gate %w up %w down %w : tensor<10x8xf32>, tensor<5xi32>, tensor<4x6x8xf32>, tensor<4x6x8xf32>, tensor<4x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<10x8xf32>, %o: tensor<6xi32>, %w: tensor<4x6x8xf32>, %v: tensor<4x8x6xf32>) {
  // expected-error @+1 {{'moe.experts' op has offsets of type 'tensor<6xi32>', expected one entry more than the 4 experts of 'tensor<4x6x8xf32>' (C2)}}
  %0 = moe.experts %x by %o gate %w up %w down %v : tensor<10x8xf32>, tensor<6xi32>, tensor<4x6x8xf32>, tensor<4x6x8xf32>, tensor<4x8x6xf32>
  return
}

// -----

func.func @f(%y: tensor<10x8xf32>, %r: tensor<5x2xi32>, %w: tensor<5x3xf32>) {
  // expected-error @+1 {{'moe.combine' op has weights 'tensor<5x3xf32>' and rows 'tensor<5x2xi32>', expected one shape (C1)}}
  %0 = moe.combine %y by %r weighted %w : tensor<10x8xf32>, tensor<5x2xi32>, tensor<5x3xf32>
  return
}
