// A model of two layers, written by hand: y = W2 silu(W1 x + b1), for a batch of four rows.
//
//   levin-compile docs/examples/models/two_layers.mlir -o two_layers.lvn
//   levin-run call two_layers.lvn --entry forward --input x=1,2,3,4,5,6,7,8 --output y=print
module {
  nn.parameter @w1 : tensor<3x2xf32> = dense<[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5]]>
  nn.parameter @b1 : tensor<3xf32> = dense<[0.0, 0.0, -1.0]>
  nn.parameter @w2 : tensor<2x3xf32> = dense<[[1.0, 1.0, 0.0], [0.0, 0.0, 2.0]]>

  func.func @forward(%x: tensor<4x2xf32> {nn.name = "x"}) -> (tensor<4x2xf32> {nn.name = "y"}) {
    %w1 = nn.use @w1 : tensor<3x2xf32>
    %b1 = nn.use @b1 : tensor<3xf32>
    %w2 = nn.use @w2 : tensor<2x3xf32>
    %a = nn.linear %x, %w1 bias %b1 : tensor<4x2xf32>, tensor<3x2xf32>, tensor<3xf32>
    %h = nn.silu %a : tensor<4x3xf32>
    %y = nn.linear %h, %w2 : tensor<4x3xf32>, tensor<2x3xf32>
    return %y : tensor<4x2xf32>
  }
}
