// RUN: rm -rf %t && mkdir -p %t
// RUN: levin-compile %s --stop-after input --quiet | FileCheck %s --check-prefix=INPUT
// RUN: levin-compile %s --stop-after specialise --quiet --buckets 8x2,1 | FileCheck %s --check-prefix=SPECIALISE
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 8x2 -o %t/fuse.mlir
// RUN: FileCheck %s --check-prefix=FUSE --input-file %t/fuse.mlir
// RUN: levin-compile %s --stop-after codegen --quiet --buckets 8x2 --target host-x86_64-v3 --dump-phases %t/dump | FileCheck %s --check-prefix=CODEGEN
// RUN: ls %t/dump %t/dump/5-codegen | FileCheck %s --check-prefix=DUMP
// RUN: levin-compile --print-pipeline | FileCheck %s --check-prefix=PIPELINE
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 1 --print-ir-after levin-fuse-group 2>&1 | FileCheck %s --check-prefix=AFTER
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 1 --time-passes 2>&1 | FileCheck %s --check-prefix=TIME
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 1 --remarks passed 2>&1 | FileCheck %s --check-prefix=PASSED
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 1 --remarks missed 2>&1 | FileCheck %s --check-prefix=MISSED
// RUN: levin-compile %s --stop-after fuse --quiet --buckets 1 --remarks all 2>&1 | FileCheck %s --check-prefixes=ALL
// RUN: levin-compile %s --stop-after specialise --quiet --buckets 1 --insert=after:specialise=levin-decompose --print-ir-after levin-decompose 2>&1 | FileCheck %s --check-prefix=INSERT

// INPUT: func.func @step
// INPUT-SAME: tensor<?xi32>
// SPECIALISE: func.func @step_8_2_2
// SPECIALISE: func.func @step_1_1_1
// FUSE: module @kernels
// FUSE: exec.dispatch @kernels::@embed_silu_8x8
// CODEGEN: exec.launch @kernels::@embed_silu_8x8 grid
// DUMP: 1-input.mlir
// DUMP: 2-specialise.mlir
// DUMP: 3-fuse.mlir
// DUMP: 4-plan.mlir
// DUMP: 5-codegen
// DUMP: embed_silu_8x8.mlir
// PIPELINE: input: a checked module without calls
// PIPELINE: levin-verify-input
// PIPELINE: specialise: static functions
// PIPELINE: fuse: kernels
// PIPELINE: levin-fuse-verify
// PIPELINE: plan: programs
// AFTER: IR Dump After {{.*}}levin-fuse-group
// AFTER: fuse.group = 0
// TIME: Execution time report
// PASSED: phases.mlir:[[#]]:8: passed: 'nn.silu' into the kernel of 'nn.embed'
// PASSED-NOT: missed
// MISSED: phases.mlir:[[#]]:8: missed: 'nn.rms_norm' not into the kernel of 'nn.embed': its kernel takes no row ops
// ALL: passed: {{.*}}nn.silu
// ALL: missed: {{.*}}nn.rms_norm
// INSERT: linalg.generic

nn.parameter @table : tensor<64x8xbf16> = concat [<"table">]
nn.parameter @norm : tensor<8xf32> = concat [<"norm">]
func.func @step(%ids: tensor<?xi32> {nn.role = #nn.role<ids>},
                %starts: tensor<?xi32> {nn.role = #nn.role<starts>},
                %slots: tensor<?xi32> {nn.role = #nn.role<slots>},
                %past: tensor<?xi32> {nn.role = #nn.role<past>},
                %rows: tensor<?xi32> {nn.role = #nn.role<rows>})
    -> (tensor<?x8xf32> {nn.role = #nn.role<logits>}) {
  %t = nn.use @table : tensor<64x8xbf16>
  %n = nn.use @norm : tensor<8xf32>
  %x = nn.embed %ids, %t : tensor<?xi32>, tensor<64x8xbf16> -> tensor<?x8xf32>
  %s = nn.silu %x : tensor<?x8xf32>
  %y = nn.rms_norm %s, %n {eps = 1.0e-5 : f64} : tensor<?x8xf32>, tensor<8xf32>
  %z = nn.take_rows %y, %rows : tensor<?x8xf32>, tensor<?xi32>
  return %z : tensor<?x8xf32>
}
