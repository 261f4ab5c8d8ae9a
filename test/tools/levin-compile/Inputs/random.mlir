nn.parameter @w : tensor<8x32xbf16> = concat [<"w">]
func.func @layer(%x: tensor<4x32xf32> {nn.name = "x"}) -> (tensor<4x8xf32> {nn.name = "y"}) {
  %w = nn.use @w : tensor<8x32xbf16>
  %y = nn.linear %x, %w : tensor<4x32xf32>, tensor<8x32xbf16>
  return %y : tensor<4x8xf32>
}
