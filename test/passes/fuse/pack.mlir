// RUN: levin-opt %s --levin-fuse-pack | FileCheck %s
// RUN: levin-opt %s --levin-fuse-pack=panel-rows=16 | FileCheck %s --check-prefix=P16
// RUN: not levin-opt %s --levin-fuse-pack=panel-rows=0 2>&1 | FileCheck %s --check-prefix=ZERO

// ZERO: panel-rows is 0, expected at least 1

nn.parameter @w : tensor<40x8xbf16> = concat [<"w">]
nn.parameter @e : tensor<4x40x8xbf16> = concat [<"e">]

// Both products read one packed copy.
// CHECK-LABEL: @shared
func.func @shared(%x: tensor<4x8xf32>) -> (tensor<4x40xf32>, tensor<4x40xf32>) {
  // CHECK: %[[W:.*]] = nn.use @w
  // CHECK: %[[P:.*]] = exec.pack %[[W]] : tensor<40x8xbf16> -> tensor<2x8x32xbf16>
  // P16: exec.pack {{.*}} -> tensor<3x8x16xbf16>
  // CHECK-NOT: exec.pack
  %w = nn.use @w : tensor<40x8xbf16>
  // CHECK: %[[A:.*]] = exec.unpack %[[P]] {fuse.group = 0 : i64}
  // CHECK: nn.linear %{{.*}}, %[[A]]
  %a = nn.linear %x, %w {fuse.group = 0 : i64} : tensor<4x8xf32>, tensor<40x8xbf16>
  // CHECK: %[[B:.*]] = exec.unpack %[[P]] {fuse.group = 1 : i64}
  // CHECK: nn.linear %{{.*}}, %[[B]]
  %b = nn.linear %x, %w {fuse.group = 1 : i64} : tensor<4x8xf32>, tensor<40x8xbf16>
  return %a, %b : tensor<4x40xf32>, tensor<4x40xf32>
}

// CHECK-LABEL: @experts
func.func @experts(%x: tensor<4x8xf32>, %o: tensor<5xi32>) -> tensor<4x40xf32> {
  // CHECK: exec.pack {{.*}} : tensor<4x40x8xbf16> -> tensor<4x2x8x32xbf16>
  %w = nn.use @e : tensor<4x40x8xbf16>
  %a = moe.grouped_linear %x, %w by %o : tensor<4x8xf32>, tensor<4x40x8xbf16>, tensor<5xi32>
  return %a : tensor<4x40xf32>
}

// A table that rows are looked up in keeps its layout, and so does a computed matrix.
// CHECK-LABEL: @plain
func.func @plain(%ids: tensor<4xi32>, %m: tensor<16x8xf32>) -> tensor<4x16xf32> {
  // CHECK-NOT: exec.pack
  %t = nn.use @w : tensor<40x8xbf16>
  %x = nn.embed %ids, %t : tensor<4xi32>, tensor<40x8xbf16> -> tensor<4x8xf32>
  %y = nn.linear %x, %m : tensor<4x8xf32>, tensor<16x8xf32>
  return %y : tensor<4x16xf32>
}
