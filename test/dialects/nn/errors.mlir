// One case for each constraint of the ops and attributes.
// RUN: levin-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'nn.parameter' op has neither a join nor a value, expected one of them (C1)}}
"nn.parameter"() {sym_name = "w", type = tensor<2xf32>} : () -> ()

// -----

// expected-error @+1 {{'nn.parameter' op has a join and a value, expected one of them (C1)}}
"nn.parameter"() {sym_name = "w", type = tensor<2xf32>, join = #nn<join concat>, pieces = [#nn.piece<"a">], value = dense<0.0> : tensor<2xf32>} : () -> ()

// -----

// expected-error @+1 {{'nn.parameter' op joins no piece, expected at least one (C1)}}
nn.parameter @w : tensor<2xf32> = concat []

// -----

// expected-error @+1 {{'nn.parameter' op has pieces but no join; say 'concat' or 'stack' (C1)}}
"nn.parameter"() {sym_name = "w", type = tensor<2xf32>, pieces = [#nn.piece<"a">], value = dense<0.0> : tensor<2xf32>} : () -> ()

// -----

// expected-error @+1 {{'nn.parameter' op has a value of type 'tensor<3xf32>', expected 'tensor<2xf32>' (C2)}}
"nn.parameter"() {sym_name = "w", type = tensor<2xf32>, value = dense<0.0> : tensor<3xf32>} : () -> ()

// -----

// expected-error @+1 {{'nn.parameter' op has type 'tensor<?xf32>', expected a static shape and float or integer elements (C3)}}
nn.parameter @w : tensor<?xf32> = concat [<"a">]

// -----

// expected-error @+1 {{the piece names no tensor, expected a key of the checkpoint}}
nn.parameter @w : tensor<2xf32> = concat [<"">]

// -----

// expected-error @+1 {{the box of 'a' has 2 starts and 1 sizes, expected one of each a dimension}}
nn.parameter @w : tensor<2xf32> = concat [<"a" at [0, 0] of [2]>]

// -----

// expected-error @+1 {{the box of 'a' has start -1 and size 2, expected a start of at least 0 and a size of at least 1}}
nn.parameter @w : tensor<2xf32> = concat [<"a" at [-1] of [2]>]

// -----

func.func @f() {
  // expected-error @+1 {{'nn.use' op uses @w, which is no nn.parameter; declare it in the module (C1)}}
  %0 = nn.use @w : tensor<2xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
nn.parameter @w : tensor<3xf32> = concat [<"a">]
func.func @f() {
  // expected-error @+1 {{'nn.use' op gives 'tensor<2xf32>', expected 'tensor<3xf32>' as the parameter has (C2)}}
  %0 = nn.use @w : tensor<2xf32>
  return
}

// -----

// expected-error @+1 {{has nn.role "ids", expected a #nn.role<..>, such as #nn.role<ids>}}
func.func @f(%x: tensor<2xi32> {nn.role = "ids"}) {
  return
}

// -----

// expected-error @+1 {{has nn.name 3 : i64, expected a string}}
func.func @f(%x: tensor<2xi32>) -> (tensor<2xi32> {nn.name = 3}) {
  return %x : tensor<2xi32>
}

// -----

func.func @f(%i: tensor<3xi32>, %t: tensor<9x8xf32>) {
  // expected-error @+1 {{'nn.embed' op gives 'tensor<3x7xf32>', expected 3 rows of 8 columns (C1)}}
  %0 = nn.embed %i, %t : tensor<3xi32>, tensor<9x8xf32> -> tensor<3x7xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x9xf32>) {
  // expected-error @+1 {{'nn.linear' op has a weight of type 'tensor<6x9xf32>', expected 8 columns as in the input 'tensor<?x8xf32>' (C1)}}
  %0 = nn.linear %x, %w : tensor<?x8xf32>, tensor<6x9xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<6x8xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{'nn.linear' op has a bias of type 'tensor<8xf32>', expected 6 entries, one for each row of the weight 'tensor<6x8xf32>' (C2)}}
  %0 = nn.linear %x, %w bias %b : tensor<?x8xf32>, tensor<6x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<7xf32>) {
  // expected-error @+1 {{'nn.rms_norm' op scales or shifts by a 'tensor<7xf32>', expected 8 entries, one for each column of 'tensor<?x8xf32>' (C1)}}
  %0 = nn.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<7xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{'nn.rms_norm' op has eps 0.000000e+00 : f64, expected a positive number (C2)}}
  %0 = nn.rms_norm %x, %w {eps = 0.0 : f64} : tensor<?x8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>, %b: tensor<7xf32>) {
  // expected-error @+1 {{'nn.layer_norm' op scales or shifts by a 'tensor<7xf32>', expected 8 entries, one for each column of 'tensor<?x8xf32>' (C1)}}
  %0 = nn.layer_norm %x, %w, %b {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<7xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<8xf32>) {
  // expected-error @+1 {{'nn.layer_norm' op has eps 0x7FF8000000000000 : f64, expected a positive number (C2)}}
  %0 = nn.layer_norm %x, %w, %w {eps = 0x7FF8000000000000 : f64} : tensor<?x8xf32>, tensor<8xf32>, tensor<8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>) {
  // expected-error @+1 {{'nn.mask_tail' op leaves 9 columns live, expected 1 to 8 (C1)}}
  %0 = nn.mask_tail %x {live = 9 : i64} : tensor<?x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x?xf32>) {
  // expected-error @+1 {{'nn.mask_tail' op leaves 0 columns live, expected 1 to ? (C1)}}
  %0 = nn.mask_tail %x {live = 0 : i64} : tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<5x48xf32>) {
  // expected-error @+1 {{'nn.split_heads' op gives heads of size 4 and 8, expected one size (C1)}}
  %0:2 = nn.split_heads %x : tensor<5x48xf32> -> tensor<5x2x8xf32>, tensor<5x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<5x48xf32>) {
  // expected-error @+1 {{'nn.split_heads' op gives heads of 32 columns together, expected the 48 of 'tensor<5x48xf32>' (C1)}}
  %0:2 = nn.split_heads %x : tensor<5x48xf32> -> tensor<5x2x8xf32>, tensor<5x2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<5x48xf32>) {
  // expected-error @+1 {{'nn.split_heads' op has no result, expected heads that make up the 48 columns (C1)}}
  "nn.split_heads"(%x) : (tensor<5x48xf32>) -> ()
  return
}

// -----

func.func @f(%x: tensor<5x48xf32>) {
  // expected-error @+1 {{'nn.split_heads' op gives 'tensor<5x2x8xf16>', expected 5 rows of 'f32' (C2)}}
  %0:2 = nn.split_heads %x : tensor<5x48xf32> -> tensor<5x4x8xf32>, tensor<5x2x8xf16>
  return
}

// -----

func.func @f(%x: tensor<5x48xf32>) {
  // expected-error @+1 {{'nn.split_heads' op interleaves 4 with 2 heads, expected equally many (C3)}}
  %0:2 = nn.split_heads %x interleaved : tensor<5x48xf32> -> tensor<5x4x8xf32>, tensor<5x2x8xf32>
  return
}

// -----

func.func @f(%x: tensor<5x2x8xf32>, %s: tensor<3xi32>, %p: tensor<2xi32>, %q: tensor<3xi32>) {
  // expected-error @+1 {{'nn.rotary' op rotates 3 channels, expected an even number from 2 to 8 (C1)}}
  %0 = nn.rotary %x batch(%s, %p) {theta = 1.0e4 : f64, width = 3 : i64} : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  return
}

// -----

func.func @f(%x: tensor<5x2x8xf32>, %s: tensor<3xi32>, %p: tensor<2xi32>, %q: tensor<3xi32>) {
  // expected-error @+1 {{'nn.rotary' op rotates 10 channels, expected an even number from 2 to 8 (C1)}}
  %0 = nn.rotary %x batch(%s, %p) {theta = 1.0e4 : f64, width = 10 : i64} : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  return
}

// -----

func.func @f(%x: tensor<5x2x8xf32>, %s: tensor<3xi32>, %p: tensor<2xi32>, %q: tensor<3xi32>) {
  // expected-error @+1 {{'nn.rotary' op has theta -1.000000e+00 : f64, expected a positive number (C2)}}
  %0 = nn.rotary %x batch(%s, %p) {theta = -1.0 : f64, width = 8 : i64} : tensor<5x2x8xf32>, tensor<3xi32>, tensor<2xi32>
  return
}

// -----

func.func @f(%x: tensor<5x2x8xf32>, %s: tensor<3xi32>, %p: tensor<2xi32>, %q: tensor<3xi32>) {
  // expected-error @+1 {{'nn.rotary' op has starts of type 'tensor<3xi32>', expected one entry more than past 'tensor<3xi32>' (C3)}}
  %0 = nn.rotary %x batch(%s, %q) {theta = 1.0e4 : f64, width = 8 : i64} : tensor<5x2x8xf32>, tensor<3xi32>, tensor<3xi32>
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x1x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has queries of type 'tensor<5x2x8xf32>' beside 'tensor<5x1x8xf32>', expected one shape (C1)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x1x8xf32>, tensor<5x1x8xf32>, tensor<2xf32>, tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op gives 'tensor<5x15xf32>', expected 5 rows of 16 columns (C2)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x15xf32>, tensor<4x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x7xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has state 'tensor<4x2x8x7xf32>' and gives 'tensor<4x2x8x7xf32>', expected [slots, 2, 8, 8] for both (C3)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<4x2x8x7xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<4x2x8x7xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has state 'tensor<4x2x8x8xf32>' and gives 'tensor<3x2x8x8xf32>', expected [slots, 2, 8, 8] for both (C3)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<3x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<3xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has slopes of type 'tensor<3xf32>', expected 2, one a head (C4)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<3xf32>, tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<2xi32>, %b: tensor<2xi32>, %p: tensor<2xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has starts of type 'tensor<2xi32>', slots of type 'tensor<2xi32>' and past of type 'tensor<2xi32>', expected S + 1, S and S entries (C5)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<4x2x8x8xf32>, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x2x8xf32>, %k: tensor<5x2x8xf32>, %l: tensor<2xf32>, %st: tensor<4x2x8x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<1xi32>) {
  // expected-error @+1 {{'nn.lightning_attention' op has starts of type 'tensor<3xi32>', slots of type 'tensor<2xi32>' and past of type 'tensor<1xi32>', expected S + 1, S and S entries (C5)}}
  %o, %n = nn.lightning_attention %q, %k, %k, %l state %st batch(%a, %b, %p) : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<4x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<1xi32>) -> (tensor<5x16xf32>, tensor<4x2x8x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x3x8xf32>, %v: tensor<5x3x8xf32>, %c: tensor<4x2x3x8x16xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op has q 'tensor<5x4x8xf32>', k 'tensor<5x3x8xf32>' and v 'tensor<5x3x8xf32>', expected [tokens, H, D] and twice [tokens, G, D] with G a divisor of H (C1)}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.35 : f64} : (tensor<5x4x8xf32>, tensor<5x3x8xf32>, tensor<5x3x8xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x9xf32>, %c: tensor<4x2x3x8x16xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op has q 'tensor<5x4x8xf32>', k 'tensor<5x2x8xf32>' and v 'tensor<5x2x9xf32>', expected}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.35 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x9xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %c: tensor<4x2x3x8x16xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op gives 'tensor<5x31xf32>', expected 5 rows of 32 columns (C2)}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.35 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x31xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %c: tensor<4x2x3x16x8xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op has keys 'tensor<4x2x3x16x8xf32>' and values 'tensor<4x2x3x16x8xf32>', expected [slots, 2, blocks, 8, B] and [slots, 2, blocks, B, 8], updated ones alike (C3)}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.35 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<4x2x3x16x8xf32>, tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<4x2x3x16x8xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %c: tensor<4x2x3x8x16xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<2xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op has starts of type 'tensor<2xi32>', slots of type 'tensor<2xi32>' and past of type 'tensor<2xi32>', expected S + 1, S and S entries (C4)}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.35 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>, tensor<2xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @f(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %v: tensor<5x2x8xf32>, %c: tensor<4x2x3x8x16xf32>, %d: tensor<4x2x3x16x8xf32>,
             %a: tensor<3xi32>, %b: tensor<2xi32>) {
  // expected-error @+1 {{'nn.attention' op has scale 0.000000e+00 : f64, expected a positive number (C5)}}
  %o, %n, %m = nn.attention %q, %k, %v cache(%c, %d) batch(%a, %b, %b) {scale = 0.0 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<4x2x3x8x16xf32>, tensor<4x2x3x16x8xf32>)
  return
}

// -----

func.func @paged_heads(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has q 'tensor<5x4x8xf32>', k 'tensor<5x3x8xf32>' and v 'tensor<5x3x8xf32>', expected [tokens, H, D] and twice [tokens, G, D] with G a divisor of H (C1)}}
  %o, %n, %m = nn.paged_attention %q, %x, %x cache(%c, %c) batch(%a, %p, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x3x8xf32>, tensor<5x3x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return
}

// -----

func.func @paged_output(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op gives 'tensor<5x31xf32>', expected 5 rows of 32 columns (C2)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%c, %c) batch(%a, %p, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x31xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return
}

// -----

func.func @paged_cache(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has keys 'tensor<9x2x8x16xf32>' and values 'tensor<9x2x8x16xf32>', expected twice [pages, 2, B, 8], updated ones alike (C3)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%d, %d) batch(%a, %p, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x8x16xf32>, tensor<9x2x8x16xf32>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x8x16xf32>, tensor<9x2x8x16xf32>)
  return
}

// -----

func.func @paged_types(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has keys 'tensor<9x2x16x8xf32>' and values 'tensor<9x2x16x8xbf16>', expected twice [pages, 2, B, 8], updated ones alike (C3)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%c, %e) batch(%a, %p, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xbf16>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xbf16>)
  return
}

// -----

func.func @paged_batch(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has starts of type 'tensor<3xi32>', pages of type 'tensor<3x4xi32>' and past of type 'tensor<2xi32>', expected S + 1, S x M and S entries (C4)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%c, %c) batch(%a, %r, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>, tensor<3xi32>, tensor<3x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return
}

// -----

func.func @paged_starts(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has starts of type 'tensor<2xi32>', pages of type 'tensor<2x4xi32>' and past of type 'tensor<2xi32>', expected S + 1, S x M and S entries (C4)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%c, %c) batch(%b, %p, %b) {scale = 0.5 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>, tensor<2xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return
}

// -----

func.func @paged_scale(%q: tensor<5x4x8xf32>, %k: tensor<5x2x8xf32>, %x: tensor<5x3x8xf32>, %c: tensor<9x2x16x8xf32>, %d: tensor<9x2x8x16xf32>, %e: tensor<9x2x16x8xbf16>, %a: tensor<3xi32>, %b: tensor<2xi32>, %p: tensor<2x4xi32>, %r: tensor<3x4xi32>) {
  // expected-error @+1 {{'nn.paged_attention' op has scale 0.000000e+00 : f64, expected a positive number (C5)}}
  %o, %n, %m = nn.paged_attention %q, %k, %k cache(%c, %c) batch(%a, %p, %b) {scale = 0.0 : f64} : (tensor<5x4x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>, tensor<3xi32>, tensor<2x4xi32>, tensor<2xi32>) -> (tensor<5x32xf32>, tensor<9x2x16x8xf32>, tensor<9x2x16x8xf32>)
  return
}

// -----

func.func @dequantize_group(%q: tensor<3x8xi8>, %s: tensor<3x2xbf16>) {
  // expected-error @+1 {{'nn.dequantize' op has group 5, expected a divisor of the columns of 'tensor<3x8xf32>' (C1)}}
  %w = nn.dequantize %q, %s {group = 5 : i64} : tensor<3x8xi8>, tensor<3x2xbf16> -> tensor<3x8xf32>
  return
}

// -----

func.func @dequantize_shape(%q: tensor<3x7xi8>, %s: tensor<3x2xbf16>) {
  // expected-error @+1 {{'nn.dequantize' op widens 'tensor<3x7xi8>' to 'tensor<3x8xf32>', expected its shape (C2)}}
  %w = nn.dequantize %q, %s {group = 4 : i64} : tensor<3x7xi8>, tensor<3x2xbf16> -> tensor<3x8xf32>
  return
}

// -----

func.func @dequantize_packed(%q: tensor<3x8xui8>, %s: tensor<3x2xbf16>) {
  // expected-error @+1 {{'nn.dequantize' op widens 'tensor<3x8xui8>' to 'tensor<3x8xf32>', expected half of its columns (C2)}}
  %w = nn.dequantize %q, %s {group = 4 : i64} : tensor<3x8xui8>, tensor<3x2xbf16> -> tensor<3x8xf32>
  return
}

// -----

func.func @dequantize_scales(%q: tensor<3x8xi8>, %s: tensor<3x3xbf16>) {
  // expected-error @+1 {{'nn.dequantize' op has scales 'tensor<3x3xbf16>', expected one for each 4 columns of 'tensor<3x8xf32>' (C3)}}
  %w = nn.dequantize %q, %s {group = 4 : i64} : tensor<3x8xi8>, tensor<3x3xbf16> -> tensor<3x8xf32>
  return
}
