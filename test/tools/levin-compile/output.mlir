// An artifact takes the place of a file only, never of a pipe or device; text may go there.
// RUN: rm -rf %t && mkdir -p %t && mkfifo %t/pipe
// RUN: not levin-compile %s --quiet -o %t/pipe 2>&1 | FileCheck %s --check-prefix=PIPE
// RUN: test -p %t/pipe
// RUN: levin-compile %s --quiet --stop-after fuse -o /dev/stdout | FileCheck %s --check-prefix=TEXT

// PIPE: error LV2004: cannot write '{{.*}}pipe': it is a device, pipe or socket, not a file
// TEXT: module @kernels

// A link is followed and stays a link.
// RUN: levin-compile %s --quiet -o %t/a.lvn && ln -s a.lvn %t/link.lvn && rm %t/a.lvn && touch %t/a.lvn
// RUN: levin-compile %s --quiet -o %t/link.lvn
// RUN: test -L %t/link.lvn && test -s %t/a.lvn
// RUN: levin-run call %t/a.lvn --quiet --entry f --input x=1,2 | FileCheck %s
// CHECK: y: i32[2] = 2 4
func.func @f(%x: tensor<2xi32> {nn.name = "x"}) -> (tensor<2xi32> {nn.name = "y"}) {
  %y = arith.addi %x, %x : tensor<2xi32>
  return %y : tensor<2xi32>
}
