// Every op from its meaning, at awkward sizes.

func.func @embed(%ids: tensor<37xi32> {case.fill = "around 50"}, %table: tensor<50x20xbf16>)
    -> tensor<37x20xf32> attributes {case.templates = false} {
  %0 = nn.embed %ids, %table : tensor<37xi32>, tensor<50x20xbf16> -> tensor<37x20xf32>
  return %0 : tensor<37x20xf32>
}
func.func @rms_norm(%x: tensor<19x37xf32>, %w: tensor<37xf32>) -> tensor<19x37xf32>
    attributes {case.templates = false} {
  %0 = nn.rms_norm %x, %w {eps = 1.0e-05 : f64} : tensor<19x37xf32>, tensor<37xf32>
  return %0 : tensor<19x37xf32>
}
func.func @layer_norm_gelu(%x: tensor<19x37xbf16>, %w: tensor<37xf32>, %b: tensor<37xf32>) -> tensor<19x37xbf16>
    attributes {case.templates = false, case.tolerance = 8.0e-3} {
  %f = arith.extf %x : tensor<19x37xbf16> to tensor<19x37xf32>
  %0 = nn.layer_norm %f, %w, %b {eps = 1.0e-05 : f64} : tensor<19x37xf32>, tensor<37xf32>, tensor<37xf32>
  %1 = nn.gelu %0 : tensor<19x37xf32>
  %2 = arith.truncf %1 : tensor<19x37xf32> to tensor<19x37xbf16>
  return %2 : tensor<19x37xbf16>
}
func.func @math(%x: tensor<1000xf32> {case.fill = "normal 3"}) -> (tensor<1000xf32>, tensor<1000xf32>, tensor<1000xf32>)
    attributes {case.templates = false} {
  %0 = math.exp %x : tensor<1000xf32>
  %1 = math.tanh %x : tensor<1000xf32>
  %2 = math.absf %x : tensor<1000xf32>
  %3 = math.log %2 : tensor<1000xf32>
  %4 = math.sin %x : tensor<1000xf32>
  %5 = math.sqrt %2 : tensor<1000xf32>
  %6 = arith.divf %4, %5 : tensor<1000xf32>
  %7 = arith.addf %1, %3 : tensor<1000xf32>
  return %0, %7, %6 : tensor<1000xf32>, tensor<1000xf32>, tensor<1000xf32>
}
func.func @linear_silu(%x: tensor<13x48xf32>, %w: tensor<40x48xbf16>) -> tensor<13x40xf32>
    attributes {case.templates = false} {
  %1 = nn.linear %x, %w : tensor<13x48xf32>, tensor<40x48xbf16>
  %2 = nn.silu %1 : tensor<13x40xf32>
  return %2 : tensor<13x40xf32>
}
func.func @softmax(%x: tensor<5x33xf32>) -> tensor<5x33xf32> attributes {case.templates = false} {
  %e = tensor.empty() : tensor<5x33xf32>
  %0 = linalg.softmax dimension(1) ins(%x : tensor<5x33xf32>) outs(%e : tensor<5x33xf32>) -> tensor<5x33xf32>
  return %0 : tensor<5x33xf32>
}
func.func @route(%scores: tensor<21x8xf32>, %starts: tensor<5xi32> {case.fill = "list 0 3 3 10 19"})
    -> (tensor<21x2xf32>, tensor<21x2xi32>, tensor<9xi32>) attributes {case.templates = false} {
  %weights, %rows, %offsets = moe.route %scores batch(%starts) {choices = 2 : i64, normalize} : tensor<21x8xf32>, tensor<5xi32>
  return %weights, %rows, %offsets : tensor<21x2xf32>, tensor<21x2xi32>, tensor<9xi32>
}
func.func @experts(%x: tensor<21x24xf32>, %rows: tensor<21x2xi32> {case.fill = "places 42"},
                   %offsets: tensor<4xi32> {case.fill = "list 0 11 11 39"}, %w1: tensor<3x16x24xbf16>,
                   %w3: tensor<3x16x24xbf16>) -> tensor<42x16xf32> attributes {case.templates = false} {
  %0 = moe.dispatch %x by %rows : tensor<21x24xf32>, tensor<21x2xi32>
  %1 = moe.grouped_linear %0, %w1 by %offsets : tensor<42x24xf32>, tensor<3x16x24xbf16>, tensor<4xi32>
  %3 = moe.grouped_linear %0, %w3 by %offsets : tensor<42x24xf32>, tensor<3x16x24xbf16>, tensor<4xi32>
  %4 = nn.silu %1 : tensor<42x16xf32>
  %5 = arith.mulf %4, %3 : tensor<42x16xf32>
  return %5 : tensor<42x16xf32>
}
func.func @combine_residual(%y: tensor<42x24xf32>, %rows: tensor<21x2xi32> {case.fill = "places 42"},
                            %w: tensor<21x2xf32>, %h: tensor<21x24xf32>) -> tensor<21x24xf32>
    attributes {case.templates = false} {
  %0 = moe.combine %y by %rows weighted %w : tensor<42x24xf32>, tensor<21x2xi32>, tensor<21x2xf32>
  %1 = nn.residual %h, %0 {alpha = 2.0 : f64, beta = 1.0 : f64} : tensor<21x24xf32>
  return %1 : tensor<21x24xf32>
}
func.func @take_rows_mask(%x: tensor<21x24xf32>, %i: tensor<4xi32> {case.fill = "list 20 -1 3 21"}) -> tensor<4x24xf32>
    attributes {case.templates = false} {
  %0 = nn.take_rows %x, %i : tensor<21x24xf32>, tensor<4xi32>
  %1 = nn.mask_tail %0 {live = 20 : i64} : tensor<4x24xf32>
  return %1 : tensor<4x24xf32>
}
// State is updated in place, in slots out of order; a sequence without rows leaves its own alone.
func.func @lightning(%qkv: tensor<21x192xf32> {case.fill = "normal 0.5"}, %slopes: tensor<4xf32> {case.fill = "normal 0.1"},
                     %state: tensor<5x4x16x16xf32>, %starts: tensor<4xi32> {case.fill = "list 0 7 7 19"},
                     %slots: tensor<3xi32> {case.fill = "list 2 0 4"}, %past: tensor<3xi32> {case.fill = "list 5 9 0"})
    -> (tensor<21x64xf32> {case.live = 19}, tensor<5x4x16x16xf32>) attributes {case.templates = false} {
  %0:3 = nn.split_heads %qkv interleaved : tensor<21x192xf32> -> tensor<21x4x16xf32>, tensor<21x4x16xf32>, tensor<21x4x16xf32>
  %o, %s = nn.lightning_attention %0#0, %0#1, %0#2, %slopes state %state batch(%starts, %slots, %past)
    : (tensor<21x4x16xf32>, tensor<21x4x16xf32>, tensor<21x4x16xf32>, tensor<4xf32>, tensor<5x4x16x16xf32>, tensor<4xi32>, tensor<3xi32>, tensor<3xi32>) -> (tensor<21x64xf32>, tensor<5x4x16x16xf32>)
  return %o, %s : tensor<21x64xf32>, tensor<5x4x16x16xf32>
}
func.func @attention(%qkv: tensor<21x128xf32>, %starts: tensor<4xi32> {case.fill = "list 0 7 7 19"},
                     %past: tensor<3xi32> {case.fill = "list 5 9 0"}, %keys: tensor<5x2x8x16x8xf32>,
                     %values: tensor<5x2x8x8x16xf32>, %slots: tensor<3xi32> {case.fill = "list 2 0 4"})
    -> (tensor<21x64xf32> {case.live = 19}, tensor<5x2x8x16x8xf32>, tensor<5x2x8x8x16xf32>) attributes {case.templates = false} {
  %0:3 = nn.split_heads %qkv : tensor<21x128xf32> -> tensor<21x4x16xf32>, tensor<21x2x16xf32>, tensor<21x2x16xf32>
  %1 = nn.rotary %0#0 batch(%starts, %past) {theta = 1.0e+04 : f64, width = 8 : i64} : tensor<21x4x16xf32>, tensor<4xi32>, tensor<3xi32>
  %2 = nn.rotary %0#1 batch(%starts, %past) {theta = 1.0e+04 : f64, width = 8 : i64} : tensor<21x2x16xf32>, tensor<4xi32>, tensor<3xi32>
  %o, %k, %v = nn.attention %1, %2, %0#2 cache(%keys, %values) batch(%starts, %slots, %past) {scale = 0.25 : f64}
    : (tensor<21x4x16xf32>, tensor<21x2x16xf32>, tensor<21x2x16xf32>, tensor<5x2x8x16x8xf32>, tensor<5x2x8x8x16xf32>, tensor<4xi32>, tensor<3xi32>, tensor<3xi32>)
    -> (tensor<21x64xf32>, tensor<5x2x8x16x8xf32>, tensor<5x2x8x8x16xf32>)
  return %o, %k, %v : tensor<21x64xf32>, tensor<5x2x8x16x8xf32>, tensor<5x2x8x8x16xf32>
}
