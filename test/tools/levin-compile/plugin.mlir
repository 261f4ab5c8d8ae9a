// A plugin's pass runs after a phase, and the phase's closing pass once more.
// RUN: levin-compile %s --quiet --stop-after fuse --load-plugin=%test_plugins/GoodPlugin.so --insert=after:fuse=test-count-ops 2>&1 | FileCheck %s
// RUN: levin-compile --print-pipeline --load-plugin=%test_plugins/GoodPlugin.so --insert=after:fuse=test-count-ops | FileCheck %s --check-prefix=PIPELINE
// RUN: not levin-compile %s --quiet --load-plugin=%test_plugins/WrongLlvmPlugin.so 2>&1 | FileCheck %s --check-prefix=LLVM

// CHECK: remark: {{.*}}holds {{[0-9]+}} ops
// CHECK: exec.dispatch
// PIPELINE: levin-fuse-form-kernels,levin-fuse-verify,test-count-ops,levin-fuse-verify
// LLVM: error LV2005: plugin '{{.*}}WrongLlvmPlugin.so' cannot be loaded
// LLVM: need: LLVM

func.func @f(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = nn.silu %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
