// Integers reach a function and the screen with all their digits, or are refused.
// RUN: rm -rf %t && mkdir -p %t
// RUN: levin-compile %s -o %t/m.lvn --quiet
// RUN: levin-run call %t/m.lvn --entry keep --quiet --input b=127,-128 \
// RUN:   --input u=18446744073709551615,9223372036854775808 \
// RUN:   --input s=-9223372036854775808,9223372036854775807 --input t=1,0 | FileCheck %s
// CHECK-DAG: b2: i8[2] = 127 -128
// CHECK-DAG: u2: ui64[2] = 18446744073709551615 9223372036854775808
// CHECK-DAG: s2: i64[2] = -9223372036854775808 9223372036854775807
// CHECK-DAG: t2: i1[2] = 1 0

// RUN: not levin-run call %t/m.lvn --entry keep --quiet --input b=128,0 --input u=0,0 \
// RUN:   --input s=0,0 --input t=0,0 2>&1 | FileCheck %s --check-prefix=WIDE
// WIDE: error LV2002: the value of input 'b' cannot be read
// WIDE: have: '128'
// RUN: not levin-run call %t/m.lvn --entry keep --quiet --input b=0,0 --input u=0,-1 \
// RUN:   --input s=0,0 --input t=0,0 2>&1 | FileCheck %s --check-prefix=SIGN
// SIGN: error LV2002: the value of input 'u' cannot be read
// RUN: not levin-run call %t/m.lvn --entry keep --quiet --input b=0,0 --input u=0,0 \
// RUN:   --input s=0,1.5 --input t=0,0 2>&1 | FileCheck %s --check-prefix=PART
// PART: have: '1.5'
// RUN: not levin-run call %t/m.lvn --entry keep --quiet --input b=0,0 --input u=0,0 \
// RUN:   --input s=0,0 --input t=2,0 2>&1 | FileCheck %s --check-prefix=TRUTH
// TRUTH: error LV2002: the value of input 't' cannot be read

func.func @keep(%b: tensor<2xi8> {nn.name = "b"}, %u: tensor<2xui64> {nn.name = "u"},
                %s: tensor<2xi64> {nn.name = "s"}, %t: tensor<2xi1> {nn.name = "t"})
    -> (tensor<2xi8> {nn.name = "b2"}, tensor<2xui64> {nn.name = "u2"},
        tensor<2xi64> {nn.name = "s2"}, tensor<2xi1> {nn.name = "t2"}) {
  return %b, %u, %s, %t : tensor<2xi8>, tensor<2xui64>, tensor<2xi64>, tensor<2xi1>
}
