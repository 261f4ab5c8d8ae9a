// Generated kernels of rows and elements, at lengths that end within a vector, a warp and a block.

func.func @norm_37(%x: tensor<19x37xf32>, %w: tensor<37xf32>) -> tensor<19x37xf32> {
  %0 = nn.rms_norm %x, %w {eps = 1.0e-05 : f64} : tensor<19x37xf32>, tensor<37xf32>
  return %0 : tensor<19x37xf32>
}
func.func @residual_norm_6144(%x: tensor<5x6144xbf16>, %y: tensor<5x6144xbf16>, %w: tensor<6144xbf16>)
    -> (tensor<5x6144xbf16>, tensor<5x6144xbf16>) attributes {case.tolerance = 8.0e-3} {
  %a = arith.extf %x : tensor<5x6144xbf16> to tensor<5x6144xf32>
  %b = arith.extf %y : tensor<5x6144xbf16> to tensor<5x6144xf32>
  %r = nn.residual %a, %b {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<5x6144xf32>
  %n = nn.rms_norm %r, %w {eps = 1.0e-05 : f64} : tensor<5x6144xf32>, tensor<6144xbf16>
  %c = arith.truncf %r : tensor<5x6144xf32> to tensor<5x6144xbf16>
  %d = arith.truncf %n : tensor<5x6144xf32> to tensor<5x6144xbf16>
  return %c, %d : tensor<5x6144xbf16>, tensor<5x6144xbf16>
}
func.func @layer_norm_gelu_1000(%x: tensor<33x1000xbf16>, %w: tensor<1000xf32>, %b: tensor<1000xf32>) -> tensor<33x1000xbf16>
    attributes {case.tolerance = 8.0e-3} {
  %f = arith.extf %x : tensor<33x1000xbf16> to tensor<33x1000xf32>
  %0 = nn.layer_norm %f, %w, %b {eps = 1.0e-05 : f64} : tensor<33x1000xf32>, tensor<1000xf32>, tensor<1000xf32>
  %1 = nn.gelu %0 : tensor<33x1000xf32>
  %2 = arith.truncf %1 : tensor<33x1000xf32> to tensor<33x1000xbf16>
  return %2 : tensor<33x1000xbf16>
}
func.func @take_norm_192(%x: tensor<21x192xbf16>, %i: tensor<5xi32> {case.fill = "list 20 -1 3 21 7"}, %w: tensor<192xf32>) -> tensor<5x192xf32> {
  %0 = nn.take_rows %x, %i : tensor<21x192xbf16>, tensor<5xi32>
  %f = arith.extf %0 : tensor<5x192xbf16> to tensor<5x192xf32>
  %1 = nn.rms_norm %f, %w {eps = 1.0e-05 : f64} : tensor<5x192xf32>, tensor<192xf32>
  return %1 : tensor<5x192xf32>
}
func.func @combine_two_norms(%y: tensor<66x520xf32>, %rows: tensor<33x2xi32> {case.fill = "places 66"}, %p: tensor<33x2xf32>,
                  %h: tensor<33x520xf32>, %a: tensor<520xf32>, %b: tensor<520xbf16>) -> (tensor<33x520xf32>, tensor<33x520xf32>) {
  %m = moe.combine %y by %rows weighted %p : tensor<66x520xf32>, tensor<33x2xi32>, tensor<33x2xf32>
  %x = nn.residual %h, %m {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<33x520xf32>
  %n = nn.rms_norm %x, %a {eps = 1.0e-2 : f64} : tensor<33x520xf32>, tensor<520xf32>
  %g = nn.sigmoid %h : tensor<33x520xf32>
  %q = arith.mulf %n, %g : tensor<33x520xf32>
  %s = arith.addf %q, %x : tensor<33x520xf32>
  %z = nn.rms_norm %s, %b {eps = 1.0e-6 : f64} : tensor<33x520xf32>, tensor<520xbf16>
  return %n, %z : tensor<33x520xf32>, tensor<33x520xf32>
}
func.func @embed_20(%ids: tensor<37xi32> {case.fill = "around 50"}, %table: tensor<50x20xbf16>) -> tensor<37x20xf32> {
  %0 = nn.embed %ids, %table : tensor<37xi32>, tensor<50x20xbf16> -> tensor<37x20xf32>
  return %0 : tensor<37x20xf32>
}
func.func @dispatch_24(%x: tensor<21x24xbf16>, %rows: tensor<21x2xi32> {case.fill = "list 3 -1 0 1 2 5 4 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30 31 32 33 34 35 36 37 38 39 40"})
    -> (tensor<42x24xbf16> {case.live = 41}) {
  %f = arith.extf %x : tensor<21x24xbf16> to tensor<21x24xf32>
  %0 = moe.dispatch %f by %rows : tensor<21x24xf32>, tensor<21x2xi32>
  %c = arith.truncf %0 : tensor<42x24xf32> to tensor<42x24xbf16>
  return %c : tensor<42x24xbf16>
}
func.func @gate_odd(%x: tensor<7x13xf32>, %y: tensor<7x13xf32>) -> tensor<7x13xf32> {
  %0 = nn.sigmoid %x : tensor<7x13xf32>
  %1 = arith.mulf %0, %y : tensor<7x13xf32>
  return %1 : tensor<7x13xf32>
}
func.func @silu_mul_bf16(%x: tensor<33x264xbf16>, %y: tensor<33x264xbf16>) -> tensor<33x264xbf16> attributes {case.tolerance = 8.0e-3} {
  %a = arith.extf %x : tensor<33x264xbf16> to tensor<33x264xf32>
  %b = arith.extf %y : tensor<33x264xbf16> to tensor<33x264xf32>
  %0 = nn.silu %a : tensor<33x264xf32>
  %1 = arith.mulf %0, %b : tensor<33x264xf32>
  %2 = arith.truncf %1 : tensor<33x264xf32> to tensor<33x264xbf16>
  return %2 : tensor<33x264xbf16>
}
func.func @mask_tail_flat(%x: tensor<5x40xf32>) -> tensor<5x40xf32> {
  %1 = nn.mask_tail %x {live = 37 : i64} : tensor<5x40xf32>
  return %1 : tensor<5x40xf32>
}
func.func @math_3d(%x: tensor<3x5x66xf32> {case.fill = "normal 3"}) -> (tensor<3x5x66xf32>, tensor<3x5x66xf32>, tensor<3x5x66xf32>) {
  %0 = math.exp %x : tensor<3x5x66xf32>
  %1 = math.tanh %x : tensor<3x5x66xf32>
  %2 = math.absf %x : tensor<3x5x66xf32>
  %3 = math.log %2 : tensor<3x5x66xf32>
  %4 = math.sin %x : tensor<3x5x66xf32>
  %5 = math.sqrt %2 : tensor<3x5x66xf32>
  %6 = arith.divf %4, %5 : tensor<3x5x66xf32>
  %7 = arith.addf %1, %3 : tensor<3x5x66xf32>
  return %0, %7, %6 : tensor<3x5x66xf32>, tensor<3x5x66xf32>, tensor<3x5x66xf32>
}
func.func @i32(%x: tensor<77xi32> {case.fill = "below 1000"}, %y: tensor<77xi32> {case.fill = "below 1000"}) -> tensor<77xi32> {
  %0 = arith.muli %x, %y : tensor<77xi32>
  return %0 : tensor<77xi32>
}

// Tables that are converted as their rows are read.
func.func @combine_narrow(%y: tensor<66x520xbf16>, %rows: tensor<33x2xi32> {case.fill = "places 66"}, %p: tensor<33x2xf32>,
                  %h: tensor<33x520xbf16>) -> tensor<33x520xbf16> attributes {case.tolerance = 8.0e-3} {
  %e = arith.extf %y : tensor<66x520xbf16> to tensor<66x520xf32>
  %g = arith.extf %h : tensor<33x520xbf16> to tensor<33x520xf32>
  %m = moe.combine %e by %rows weighted %p : tensor<66x520xf32>, tensor<33x2xi32>, tensor<33x2xf32>
  %x = nn.residual %g, %m {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<33x520xf32>
  %z = arith.truncf %x : tensor<33x520xf32> to tensor<33x520xbf16>
  return %z : tensor<33x520xbf16>
}
func.func @take_norm_narrow(%x: tensor<21x192xbf16>, %i: tensor<5xi32> {case.fill = "list 20 -1 3 21 7"}, %w: tensor<192xf32>) -> tensor<5x192xf32> {
  %f = arith.extf %x : tensor<21x192xbf16> to tensor<21x192xf32>
  %0 = nn.take_rows %f, %i : tensor<21x192xf32>, tensor<5xi32>
  %1 = nn.rms_norm %0, %w {eps = 1.0e-05 : f64} : tensor<5x192xf32>, tensor<192xf32>
  return %1 : tensor<5x192xf32>
}

// Rates.
func.func @time_gate(%x: tensor<8192x8192xbf16>, %y: tensor<8192x8192xbf16>) -> tensor<8192x8192xbf16> attributes {case.timed} {
  %a = arith.extf %x : tensor<8192x8192xbf16> to tensor<8192x8192xf32>
  %b = arith.extf %y : tensor<8192x8192xbf16> to tensor<8192x8192xf32>
  %0 = nn.silu %a : tensor<8192x8192xf32>
  %1 = arith.mulf %0, %b : tensor<8192x8192xf32>
  %2 = arith.truncf %1 : tensor<8192x8192xf32> to tensor<8192x8192xbf16>
  return %2 : tensor<8192x8192xbf16>
}
func.func @time_add_f32(%x: tensor<8192x6144xf32>, %y: tensor<8192x6144xf32>) -> tensor<8192x6144xf32> attributes {case.timed} {
  %1 = arith.addf %x, %y : tensor<8192x6144xf32>
  return %1 : tensor<8192x6144xf32>
}
func.func @time_copy_bf16(%x: tensor<8192x6144xbf16>) -> tensor<8192x6144xbf16> attributes {case.timed} {
  %1 = arith.negf %x : tensor<8192x6144xbf16>
  return %1 : tensor<8192x6144xbf16>
}
func.func @time_norm_bf16(%x: tensor<8192x6144xbf16>, %w: tensor<6144xbf16>) -> tensor<8192x6144xbf16> attributes {case.timed} {
  %a = arith.extf %x : tensor<8192x6144xbf16> to tensor<8192x6144xf32>
  %n = nn.rms_norm %a, %w {eps = 1.0e-05 : f64} : tensor<8192x6144xf32>, tensor<6144xbf16>
  %d = arith.truncf %n : tensor<8192x6144xf32> to tensor<8192x6144xbf16>
  return %d : tensor<8192x6144xbf16>
}
func.func @time_norm_8192(%x: tensor<8192x8192xbf16>, %w: tensor<8192xbf16>) -> tensor<8192x8192xbf16> attributes {case.timed} {
  %a = arith.extf %x : tensor<8192x8192xbf16> to tensor<8192x8192xf32>
  %n = nn.rms_norm %a, %w {eps = 1.0e-05 : f64} : tensor<8192x8192xf32>, tensor<8192xbf16>
  %d = arith.truncf %n : tensor<8192x8192xf32> to tensor<8192x8192xbf16>
  return %d : tensor<8192x8192xbf16>
}
func.func @time_residual_norm(%x: tensor<8192x6144xbf16>, %y: tensor<8192x6144xbf16>, %w: tensor<6144xbf16>)
    -> (tensor<8192x6144xbf16>, tensor<8192x6144xbf16>) attributes {case.timed} {
  %a = arith.extf %x : tensor<8192x6144xbf16> to tensor<8192x6144xf32>
  %b = arith.extf %y : tensor<8192x6144xbf16> to tensor<8192x6144xf32>
  %r = nn.residual %a, %b {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<8192x6144xf32>
  %n = nn.rms_norm %r, %w {eps = 1.0e-05 : f64} : tensor<8192x6144xf32>, tensor<6144xbf16>
  %c = arith.truncf %r : tensor<8192x6144xf32> to tensor<8192x6144xbf16>
  %d = arith.truncf %n : tensor<8192x6144xf32> to tensor<8192x6144xbf16>
  return %c, %d : tensor<8192x6144xbf16>, tensor<8192x6144xbf16>
}
func.func @time_combine_residual(%y: tensor<16384x6144xbf16>, %rows: tensor<8192x2xi32> {case.fill = "places 16384"}, %p: tensor<8192x2xf32>,
                  %h: tensor<8192x6144xbf16>) -> tensor<8192x6144xbf16> attributes {case.timed} {
  %a = arith.extf %h : tensor<8192x6144xbf16> to tensor<8192x6144xf32>
  %m = moe.combine %y by %rows weighted %p : tensor<16384x6144xbf16>, tensor<8192x2xi32>, tensor<8192x2xf32>
  %b = arith.extf %m : tensor<8192x6144xbf16> to tensor<8192x6144xf32>
  %x = nn.residual %a, %b {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<8192x6144xf32>
  %d = arith.truncf %x : tensor<8192x6144xf32> to tensor<8192x6144xbf16>
  return %d : tensor<8192x6144xbf16>
}
func.func @time_norm_one_row(%x: tensor<1x6144xbf16>, %w: tensor<6144xbf16>) -> tensor<1x6144xbf16> attributes {case.timed} {
  %a = arith.extf %x : tensor<1x6144xbf16> to tensor<1x6144xf32>
  %n = nn.rms_norm %a, %w {eps = 1.0e-05 : f64} : tensor<1x6144xf32>, tensor<6144xbf16>
  %d = arith.truncf %n : tensor<1x6144xf32> to tensor<1x6144xbf16>
  return %d : tensor<1x6144xbf16>
}
