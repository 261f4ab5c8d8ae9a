// RUN: levin-opt %s --levin-cuda-emit-kernels | FileCheck %s
// RUN: levin-opt %s --levin-cuda-emit-kernels="templates=false" | FileCheck %s --check-prefix=GENERIC

module @kernels {
  // Rows of 6144 go to blocks of 384 threads with two vectors of 8 each; a row is read once, and
  // its sum crosses the warps through shared memory.
  // CHECK-LABEL: gpu.module @k_residual_norm_module
  // CHECK-SAME: cuda.method = "rows"
  // CHECK: gpu.func @k_residual_norm(%{{.*}}: memref<5x6144xbf16>, %{{.*}}: memref<5x6144xbf16>, %{{.*}}: memref<6144xbf16>, %{{.*}}: memref<5x6144xbf16>)
  // CHECK-SAME: workgroup(%{{.*}}: memref<12xf32, #gpu.address_space<workgroup>>)
  // CHECK-SAME: cuda.block = array<i32: 384, 1, 1>, cuda.grid = array<i32: 5, 1, 1>
  // CHECK: nvvm.griddepcontrol wait
  // CHECK-COUNT-6: vector.load {{.*}} {alignment = 16 : i64} : {{.*}}vector<8xbf16>
  // CHECK-NOT: vector.load
  // CHECK-COUNT-5: gpu.shuffle xor
  // CHECK: gpu.barrier
  // CHECK-NOT: gpu.barrier
  // CHECK: gpu.return
  // From the decomposition: each structured op is a launch, and what lies between is scratch.
  // GENERIC-LABEL: gpu.module @k_residual_norm_module
  // GENERIC-SAME: cuda.method = "plain"
  // GENERIC: gpu.func @k_residual_norm_0({{.*}}, %[[SCRATCH:.*]]: memref<{{[0-9]+}}xi8>) kernel
  // GENERIC: memref.view %[[SCRATCH]]
  // GENERIC: gpu.func @k_residual_norm_1
  // GENERIC: gpu.func @k_residual_norm_2
  // GENERIC: gpu.func @k_residual_norm_3
  // GENERIC-SAME: cuda.grid = array<i32: 120, 1, 1>
  func.func @residual_norm(%x: tensor<5x6144xbf16>, %y: tensor<5x6144xbf16>, %w: tensor<6144xbf16>) -> tensor<5x6144xbf16> {
    %a = arith.extf %x : tensor<5x6144xbf16> to tensor<5x6144xf32>
    %b = arith.extf %y : tensor<5x6144xbf16> to tensor<5x6144xf32>
    %r = nn.residual %a, %b {alpha = 2.0 : f64, beta = 0.5 : f64} : tensor<5x6144xf32>
    %n = nn.rms_norm %r, %w {eps = 1.0e-05 : f64} : tensor<5x6144xf32>, tensor<6144xbf16>
    %d = arith.truncf %n : tensor<5x6144xf32> to tensor<5x6144xbf16>
    return %d : tensor<5x6144xbf16>
  }

  // A short row belongs to a warp; eight of them make a block, and no memory is shared.
  // CHECK-LABEL: gpu.module @k_take_norm_module
  // CHECK-SAME: cuda.method = "rows"
  // CHECK-NOT: workgroup
  // CHECK: cuda.block = array<i32: 256, 1, 1>, cuda.grid = array<i32: 2, 1, 1>
  // CHECK-COUNT-5: gpu.shuffle xor
  // CHECK-NOT: gpu.barrier
  func.func @take_norm(%x: tensor<21x192xf32>, %i: tensor<9xi32>, %w: tensor<192xf32>) -> tensor<9x192xf32> {
    %0 = nn.take_rows %x, %i : tensor<21x192xf32>, tensor<9xi32>
    %1 = nn.rms_norm %0, %w {eps = 1.0e-05 : f64} : tensor<9x192xf32>, tensor<192xf32>
    return %1 : tensor<9x192xf32>
  }

  // What has neither norm nor gather knows no rows: 4096 x 4096 elements in 2048 blocks, four
  // vectors a thread.
  // CHECK-LABEL: gpu.module @k_gate_module
  // CHECK-SAME: cuda.method = "elements"
  // CHECK: cuda.block = array<i32: 256, 1, 1>, cuda.grid = array<i32: 2048, 1, 1>
  // CHECK-COUNT-8: vector.load {{.*}} {alignment = 16 : i64} : {{.*}}vector<8xbf16>
  // CHECK-COUNT-4: vector.store {{.*}} {alignment = 16 : i64} : {{.*}}vector<8xbf16>
  // CHECK-NOT: vector.store
  func.func @gate(%x: tensor<4096x4096xbf16>, %y: tensor<4096x4096xbf16>) -> tensor<4096x4096xbf16> {
    %a = arith.extf %x : tensor<4096x4096xbf16> to tensor<4096x4096xf32>
    %b = arith.extf %y : tensor<4096x4096xbf16> to tensor<4096x4096xf32>
    %0 = nn.sigmoid %a : tensor<4096x4096xf32>
    %1 = arith.mulf %0, %b : tensor<4096x4096xf32>
    %2 = arith.truncf %1 : tensor<4096x4096xf32> to tensor<4096x4096xbf16>
    return %2 : tensor<4096x4096xbf16>
  }

  // Loops that data bounds run in one block, which waits around each write.  State is updated in
  // place: it has one binding.
  // GENERIC-LABEL: gpu.module @k_state_module
  // GENERIC-NOT: 3x2x8x8xf32>{{.*}}3x2x8x8xf32>{{.*}}kernel
  // GENERIC: cuda.block = array<i32: 512, 1, 1>, cuda.grid = array<i32: 1, 1, 1>
  // GENERIC: scf.for
  // GENERIC: gpu.barrier
  // GENERIC-NOT: linalg.
  // GENERIC: gpu.return
  func.func @state(%x: tensor<5x2x8xf32>, %slopes: tensor<2xf32>, %state: tensor<3x2x8x8xf32>,
                   %starts: tensor<3xi32>, %slots: tensor<2xi32>, %past: tensor<2xi32>)
      -> (tensor<5x16xf32>, tensor<3x2x8x8xf32>) {
    %o, %s = nn.lightning_attention %x, %x, %x, %slopes state %state batch(%starts, %slots, %past)
      : (tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<5x2x8xf32>, tensor<2xf32>, tensor<3x2x8x8xf32>, tensor<3xi32>, tensor<2xi32>, tensor<2xi32>) -> (tensor<5x16xf32>, tensor<3x2x8x8xf32>)
    return %o, %s : tensor<5x16xf32>, tensor<3x2x8x8xf32>
  }
}
