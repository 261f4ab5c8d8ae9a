// RUN: levin-opt %s --levin-verify-input=final -split-input-file -verify-diagnostics

func.func @recursive(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'func.call' op could not be inlined; a function may not call itself (I8)}}
  %y = func.call @recursive(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

// The loader could not check what the kernel uses as an address.
func.func @plain_argument(%x: tensor<5x4xf32>, %starts: tensor<3xi32>) -> tensor<5x2xi32> {
  // expected-error@+1 {{'moe.route' op has computed or impossible 'starts'; expected the function's argument of that role, or a constant with possible values (I9)}}
  %w, %rows, %offsets = moe.route %x batch(%starts) {choices = 2 : i64, normalize}
    : tensor<5x4xf32>, tensor<3xi32>
  return %rows : tensor<5x2xi32>
}

// -----

func.func @beyond(%x: tensor<5x4xf32>) -> tensor<5x2xi32> {
  %starts = arith.constant dense<[0, 2, 6]> : tensor<3xi32>
  // expected-error@+1 {{'moe.route' op has computed or impossible 'starts'}}
  %w, %rows, %offsets = moe.route %x batch(%starts) {choices = 2 : i64, normalize}
    : tensor<5x4xf32>, tensor<3xi32>
  return %rows : tensor<5x2xi32>
}

// -----

func.func @falls(%x: tensor<5x2x8xf32>) -> tensor<5x2x8xf32> {
  %starts = arith.constant dense<[0, 4, 3]> : tensor<3xi32>
  %past = arith.constant dense<0> : tensor<2xi32>
  // expected-error@+1 {{'nn.rotary' op has computed or impossible 'starts'}}
  %y = nn.rotary %x batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  return %y : tensor<5x2x8xf32>
}

// -----

func.func @negative_past(%x: tensor<5x2x8xf32>) -> tensor<5x2x8xf32> {
  %starts = arith.constant dense<[0, 2, 5]> : tensor<3xi32>
  %past = arith.constant dense<[0, -1]> : tensor<2xi32>
  // expected-error@+1 {{'nn.rotary' op has computed or impossible 'past'}}
  %y = nn.rotary %x batch(%starts, %past) {theta = 1.0e4 : f64, width = 8 : i64}
    : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  return %y : tensor<5x2x8xf32>
}

// -----

func.func @same_slot(%q: tensor<5x2x8xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x8x8xf32>)
    -> tensor<5x16xf32> {
  %starts = arith.constant dense<[0, 2, 5]> : tensor<3xi32>
  %slots = arith.constant dense<[1, 1]> : tensor<2xi32>
  %past = arith.constant dense<0> : tensor<2xi32>
  // expected-error@+1 {{'nn.lightning_attention' op has computed or impossible 'slots'}}
  %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>,
       tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>)
    -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return %o : tensor<5x16xf32>
}

// -----

func.func @rows(%x: tensor<5x8xf32>, %rows: tensor<5x2xi32>) -> tensor<10x8xf32> {
  // expected-error@+1 {{'moe.dispatch' op has computed or impossible 'rows'; expected that result of moe.route, or a constant with possible values (I10)}}
  %y = moe.dispatch %x by %rows : tensor<5x8xf32>, tensor<5x2xi32>
  return %y : tensor<10x8xf32>
}

// -----

func.func @offsets(%x: tensor<10x8xf32>, %w: tensor<2x6x8xbf16>) -> tensor<10x6xf32> {
  %o = arith.constant dense<[0, 4, 11]> : tensor<3xi32>
  // expected-error@+1 {{'moe.grouped_linear' op has computed or impossible 'offsets'}}
  %y = moe.grouped_linear %x, %w by %o : tensor<10x8xf32>, tensor<2x6x8xbf16>, tensor<3xi32>
  return %y : tensor<10x6xf32>
}

// -----

func.func @check(%x: tensor<4xi32>) {
  // expected-error@+1 {{'check.expect_eq' op is in a function with arguments, expected none}}
  check.expect_eq %x, %x : tensor<4xi32>
  return
}

// -----

// What is accepted: constants that are possible, and results of moe.route.
func.func @fine(%x: tensor<5x4xf32>, %y: tensor<5x8xf32>, %w: tensor<4x6x8xbf16>) -> tensor<10x6xf32> {
  %starts = arith.constant dense<[0, 2, 5]> : tensor<3xi32>
  %p, %rows, %offsets = moe.route %x batch(%starts) {choices = 2 : i64, normalize}
    : tensor<5x4xf32>, tensor<3xi32>
  %d = moe.dispatch %y by %rows : tensor<5x8xf32>, tensor<5x2xi32>
  %z = moe.grouped_linear %d, %w by %offsets : tensor<10x8xf32>, tensor<4x6x8xbf16>, tensor<5xi32>
  return %z : tensor<10x6xf32>
}

// -----

func.func private @elsewhere(tensor<4xf32>) -> tensor<4xf32>
func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  // expected-error@+1 {{'func.call' op calls @elsewhere, which has no body (I8)}}
  %y = func.call @elsewhere(%x) : (tensor<4xf32>) -> tensor<4xf32>
  return %y : tensor<4xf32>
}

// -----

func.func @f() {
  %x = arith.constant dense<1.0> : tensor<4xf32>
  %0 = arith.constant 0 : index
  %1 = arith.constant 1 : index
  %5 = arith.constant 5 : index
  scf.for %i = %0 to %5 step %1 {
    // expected-error@+1 {{'check.expect_eq' op is in a loop or branch, expected it in the function itself (I11)}}
    check.expect_eq %x, %x : tensor<4xf32>
  }
  return
}

// -----

// expected-error@+1 {{there is no function to compile that is not private (I1)}}
module {
  func.func private @f(%x: tensor<4xf32>) -> tensor<4xf32> {
    return %x : tensor<4xf32>
  }
}

// -----

// expected-error@+1 {{'func.func' op has two arguments called 'arg1' (I4)}}
func.func @f(%x: tensor<4xf32> {nn.name = "arg1"}, %y: tensor<4xf32>) {
  return
}

// -----

// expected-error@+1 {{'nn.parameter' op is called 'kernels'; expected 1 to 100 letters, digits, '.', '_' and '-', and not 'kernels' (I4)}}
nn.parameter @kernels : tensor<1xf32> = dense<0.0>
func.func @f() {
  return
}

// -----

func.func @no_page(%q: tensor<2x1x8xf32>, %c: tensor<4x1x16x8xf32>) -> tensor<2x8xf32> {
  %starts = arith.constant dense<[0, 2]> : tensor<2xi32>
  %past = arith.constant dense<0> : tensor<1xi32>
  %pages = arith.constant dense<[[1, 4]]> : tensor<1x2xi32>
  // expected-error@+1 {{'nn.paged_attention' op has computed or impossible 'pages'; expected the function's argument of that role, or a constant with possible values (I9)}}
  %o, %k, %v = nn.paged_attention %q, %q, %q cache(%c, %c) batch(%starts, %pages, %past) {scale = 0.5 : f64}
    : (tensor<2x1x8xf32>, tensor<2x1x8xf32>, tensor<2x1x8xf32>, tensor<4x1x16x8xf32>, tensor<4x1x16x8xf32>,
       tensor<2xi32>, tensor<1x2xi32>, tensor<1xi32>)
    -> (tensor<2x8xf32>, tensor<4x1x16x8xf32>, tensor<4x1x16x8xf32>)
  return %o : tensor<2x8xf32>
}
