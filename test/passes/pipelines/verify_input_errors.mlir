// RUN: levin-opt %s --levin-verify-input -split-input-file -verify-diagnostics

func.func @f() {
  return
}
// expected-error@+1 {{'builtin.module' op is no function and no nn.parameter (I1)}}
module @inner {
}

// -----

func.func @dialect(%x: tensor<4xf32>) {
  // expected-error@+1 {{'bufferization.to_buffer' op is not of a dialect that the pipeline takes}}
  %m = bufferization.to_buffer %x : tensor<4xf32> to memref<4xf32>
  return
}

// -----

// expected-error@+1 {{'func.func' op @blocks has no body of one block (I3)}}
func.func @blocks() {
  func.call @blocks() : () -> ()
  %x = scf.execute_region -> i32 {
    %c = arith.constant 1 : i32
    scf.yield %c : i32
  }
  return
^next:
  return
}

// -----

// expected-error@+1 {{'func.func' op @scalar takes or returns 'i32', expected tensors of rank 8 at most of i1, i8, ui8, i16, i32, i64, ui64 or floats without empty extents (I3)}}
func.func @scalar(%x: i32) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @empty takes or returns 'tensor<0xf32>'}}
func.func @empty(%x: tensor<0xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @narrow takes or returns 'tensor<4xi4>'}}
func.func @narrow(%x: tensor<4xi4>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @words takes or returns 'tensor<4xui32>'}}
func.func @words(%x: tensor<4xui32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @deep takes or returns 'tensor<1x1x1x1x1x1x1x1x1xf32>'}}
func.func @deep(%x: tensor<1x1x1x1x1x1x1x1x1xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op is called '..'; expected 1 to 128 letters}}
func.func @".."() {
  return
}

// -----

// expected-error@+1 {{'func.func' op argument 0 is called '.'; expected 1 to 128 letters}}
func.func @dot(%x: tensor<4xf32> {nn.name = "."}) {
  return
}

// -----

// expected-error@+1 {{'; expected 1 to 100 letters, digits, '.', '_' and '-', and not 'kernels' (I4)}}
func.func @a23456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_123456789_12345678901(%x: tensor<?xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op is called 'kernels'; expected 1 to 128 letters}}
func.func @kernels() {
  return
}

// -----

// expected-error@+1 {{'nn.parameter' op is called 'a b'; expected 1 to 100 letters}}
nn.parameter @"a b" : tensor<4xf32> = dense<1.0>

// -----

// expected-error@+1 {{'func.func' op argument 0 is called 'a/b'; expected 1 to 128 letters, digits, '.', '_' and '-' (I4)}}
func.func @name(%x: tensor<4xf32> {nn.name = "a/b"}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op has two results called 'y' (I4)}}
func.func @twice(%x: tensor<4xf32>) -> (tensor<4xf32> {nn.name = "y"}, tensor<4xf32> {nn.name = "y"}) {
  return %x, %x : tensor<4xf32>, tensor<4xf32>
}

// -----

// expected-error@+1 {{'func.func' op @no_slots has 0 arguments of the role 'slots', a step has one (I5)}}
func.func @no_slots(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                    %starts: tensor<?xi32> {nn.role = #nn.role<starts>}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @two_ids has 2 arguments of the role 'ids', a step has one (I5)}}
func.func @two_ids(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                   %more: tensor<?xi32> {nn.role = #nn.role<ids>}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op has 'tensor<?xi32>' as 'pages', expected int32 of rank 2 (I5)}}
func.func @flat_pages(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}, %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                      %slots: tensor<?xi32> {nn.role = #nn.role<slots>}, %past: tensor<?xi32> {nn.role = #nn.role<past>},
                      %rows: tensor<?xi32> {nn.role = #nn.role<rows>}, %pages: tensor<?xi32> {nn.role = #nn.role<pages>}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @two_pages has 2 arguments of the role 'pages', a step has at most one (I5)}}
func.func @two_pages(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}, %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                     %slots: tensor<?xi32> {nn.role = #nn.role<slots>}, %past: tensor<?xi32> {nn.role = #nn.role<past>},
                     %rows: tensor<?xi32> {nn.role = #nn.role<rows>}, %pages: tensor<?x?xi32> {nn.role = #nn.role<pages>},
                     %more: tensor<?x?xi32> {nn.role = #nn.role<pages>}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @no_logits has 0 results of the role 'logits', a step has one (I5)}}
func.func @no_logits(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                     %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                     %slots: tensor<?xi32> {nn.role = #nn.role<slots>},
                     %past: tensor<?xi32> {nn.role = #nn.role<past>},
                     %rows: tensor<?xi32> {nn.role = #nn.role<rows>}) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @extra has argument 5 without a role}}
func.func @extra(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                 %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                 %slots: tensor<?xi32> {nn.role = #nn.role<slots>},
                 %past: tensor<?xi32> {nn.role = #nn.role<past>},
                 %rows: tensor<?xi32> {nn.role = #nn.role<rows>}, %x: tensor<4xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op @plain has dynamic extents and is no step (I6)}}
func.func @plain(%x: tensor<?xf32>) {
  return
}

// -----

// expected-error@+1 {{'func.func' op has state without a name as argument 5; give it an nn.name (I7)}}
func.func @unnamed(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                   %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                   %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                   %past: tensor<2xi32> {nn.role = #nn.role<past>},
                   %rows: tensor<2xi32> {nn.role = #nn.role<rows>},
                   %s: tensor<4x4xf32> {nn.role = #nn.role<state>},
                   %l: tensor<4x4xf32> {nn.role = #nn.role<state>, nn.name = "l"})
    -> (tensor<4x4xf32> {nn.role = #nn.role<logits>}) {
  return %s : tensor<4x4xf32>
}

// -----

// expected-error@+1 {{'func.func' op takes state 's' and does not return it (I7)}}
func.func @lost(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                %past: tensor<2xi32> {nn.role = #nn.role<past>},
                %rows: tensor<2xi32> {nn.role = #nn.role<rows>},
                %s: tensor<4x4xf32> {nn.role = #nn.role<state>, nn.name = "s"})
    -> (tensor<4x4xf32> {nn.role = #nn.role<logits>}) {
  return %s : tensor<4x4xf32>
}

// -----

// expected-error@+1 {{'func.func' op returns state 't', for which no argument, or another result, stands (I7)}}
func.func @unknown(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                   %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                   %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                   %past: tensor<2xi32> {nn.role = #nn.role<past>},
                   %rows: tensor<2xi32> {nn.role = #nn.role<rows>},
                   %s: tensor<4x4xf32> {nn.role = #nn.role<state>, nn.name = "s"})
    -> (tensor<4x4xf32> {nn.role = #nn.role<logits>},
        tensor<4x4xf32> {nn.role = #nn.role<state>, nn.name = "t"}) {
  return %s, %s : tensor<4x4xf32>, tensor<4x4xf32>
}

// -----

func.func @static_step(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                  %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                  %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                  %past: tensor<2xi32> {nn.role = #nn.role<past>},
                  %rows: tensor<2xi32> {nn.role = #nn.role<rows>})
    -> (tensor<2x4xf32> {nn.role = #nn.role<logits>}) {
  %l = arith.constant dense<0.0> : tensor<2x4xf32>
  return %l : tensor<2x4xf32>
}
// expected-error@+1 {{'func.func' op @dynamic_step is a step beside @static_step; a step with dynamic extents must be the only one (I6)}}
func.func @dynamic_step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                  %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                  %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                  %past: tensor<2xi32> {nn.role = #nn.role<past>},
                  %rows: tensor<2xi32> {nn.role = #nn.role<rows>})
    -> (tensor<2x4xf32> {nn.role = #nn.role<logits>}) {
  %l = arith.constant dense<0.0> : tensor<2x4xf32>
  return %l : tensor<2x4xf32>
}

// -----

// expected-error@+1 {{the family is called 'a b'; expected 1 to 128 letters, digits, '.', '_' and '-' (I12)}}
module attributes {nn.family = "a b"} {
func.func @f() {
  return
}
}

// -----

// expected-error@+1 {{token 4 of nn.begin_token or nn.end_tokens is not one of the 4 of the vocabulary (I12)}}
module attributes {nn.end_tokens = array<i64: 3, 4>} {
func.func @step(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                  %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                  %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                  %past: tensor<2xi32> {nn.role = #nn.role<past>},
                  %rows: tensor<2xi32> {nn.role = #nn.role<rows>})
    -> (tensor<2x4xf32> {nn.role = #nn.role<logits>}) {
  %l = arith.constant dense<0.0> : tensor<2x4xf32>
  return %l : tensor<2x4xf32>
}
}

// -----

// expected-error@+1 {{token 4294967296 of nn.begin_token or nn.end_tokens is not one of the 4 of the vocabulary (I12)}}
module attributes {nn.begin_token = 4294967296 : i64} {
func.func @step(%ids: tensor<4xi32> {nn.role = #nn.role<ids>},
                  %starts: tensor<3xi32> {nn.role = #nn.role<starts>},
                  %slots: tensor<2xi32> {nn.role = #nn.role<slots>},
                  %past: tensor<2xi32> {nn.role = #nn.role<past>},
                  %rows: tensor<2xi32> {nn.role = #nn.role<rows>})
    -> (tensor<2x4xf32> {nn.role = #nn.role<logits>}) {
  %l = arith.constant dense<0.0> : tensor<2x4xf32>
  return %l : tensor<2x4xf32>
}
}
