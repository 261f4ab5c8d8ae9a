// RUN: levin-opt %s --load-plugin=%test_plugins/GoodPlugin.so --test-count-ops 2>&1 | FileCheck %s
// RUN: levin-opt %s --load-plugin %test_plugins/GoodPlugin.so --test-count-ops 2>&1 | FileCheck %s
// RUN: levin-opt %s --load-plugin=%test_plugins/GoodPlugin.so \
// RUN:   --load-pass-plugin=%test_plugins/PassPlugin.so --hello 2>&1 | FileCheck %s --check-prefix=HELLO

// CHECK: remark: holds 4 ops
// HELLO: remark: hello
func.func @f() {
  "good.op"() : () -> ()
  return
}
