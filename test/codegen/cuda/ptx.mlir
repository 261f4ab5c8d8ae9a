// RUN: rm -rf %t && levin-opt %s --levin-cuda-emit-kernels="folder=%t" > %t.mlir
// RUN: FileCheck %s --check-prefix=NORM < %t/norm.ptx
// RUN: FileCheck %s --check-prefix=SILU < %t/silu.ptx
// RUN: rm -rf %t.again && levin-opt %s --levin-cuda-emit-kernels="folder=%t.again" > %t.mlir
// RUN: diff -r %t %t.again

module @kernels {
  // Each access is of 16 bytes, reads go through the read-only path, and nothing is kept in local
  // memory.
  // NORM: .target sm_90a
  // NORM: .visible .entry k_norm(
  // NORM: .maxntid 192
  // NORM-NOT: .local
  // NORM: griddepcontrol.wait
  // NORM-COUNT-8: ld.global.nc.v4.b32
  // NORM-NOT: ld.global
  // NORM: shfl.sync.bfly.b32
  // NORM: bar.sync
  // NORM-NOT: ld.global
  // NORM-COUNT-4: st.global.v4.b32
  // NORM-NOT: st.global
  // NORM: ret;
  func.func @norm(%x: tensor<2048x6144xbf16>, %w: tensor<6144xbf16>) -> tensor<2048x6144xbf16> {
    %a = arith.extf %x : tensor<2048x6144xbf16> to tensor<2048x6144xf32>
    %n = nn.rms_norm %a, %w {eps = 1.0e-05 : f64} : tensor<2048x6144xf32>, tensor<6144xbf16>
    %d = arith.truncf %n : tensor<2048x6144xf32> to tensor<2048x6144xbf16>
    return %d : tensor<2048x6144xbf16>
  }

  // The exponential is one instruction for each element beside its reduction, and so is the
  // quotient; nothing is called.
  // SILU: .visible .entry k_silu(
  // SILU-COUNT-4: ex2.approx.f32
  // SILU: div.approx.f32
  // SILU-NOT: call
  // SILU: st.global.v4.b32
  func.func @silu(%x: tensor<64x100xf32>) -> tensor<64x100xf32> {
    %0 = nn.silu %x : tensor<64x100xf32>
    return %0 : tensor<64x100xf32>
  }
}
