// RUN: levin-opt %s --levin-plan-memory --levin-plan-verify -split-input-file | FileCheck %s

// State is updated where it lies.
// CHECK-LABEL: exec.program @in_place
// CHECK: %[[S:.*]] = exec.arena state [8192]
// CHECK: %[[STATE:.*]] = exec.slice %[[S]] [0, 8192]
// CHECK: exec.bind state "s" %[[STATE]] : tensor<4x2x16x16xf32> role #nn.role<state>
// CHECK: exec.launch @kernels::@k grid [1, 1, 1]{{ ?}}({{.*}}, %[[STATE]], {{.*}})
// CHECK-NOT: exec.copy
module @kernels {
  func.func @k(%q: tensor<1x2x16xf32>, %slopes: tensor<2xf32>, %state: tensor<4x2x16x16xf32>,
               %starts: tensor<2xi32>, %slots: tensor<1xi32>, %past: tensor<1xi32>)
      -> (tensor<1x32xf32>, tensor<4x2x16x16xf32>) {
    %o, %s = nn.lightning_attention %q, %q, %q, %slopes state %state batch(%starts, %slots, %past)
      : (tensor<1x2x16xf32>, tensor<1x2x16xf32>, tensor<1x2x16xf32>, tensor<2xf32>,
         tensor<4x2x16x16xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
      -> (tensor<1x32xf32>, tensor<4x2x16x16xf32>)
    return %o, %s : tensor<1x32xf32>, tensor<4x2x16x16xf32>
  }
}
func.func @in_place(%q: tensor<1x2x16xf32>, %slopes: tensor<2xf32>,
                    %state: tensor<4x2x16x16xf32> {nn.role = #nn.role<state>, nn.name = "s"},
                    %starts: tensor<2xi32>, %slots: tensor<1xi32>, %past: tensor<1xi32>)
    -> (tensor<1x32xf32>, tensor<4x2x16x16xf32> {nn.role = #nn.role<state>, nn.name = "s"}) {
  %o, %s = exec.dispatch @kernels::@k(%q, %slopes, %state, %starts, %slots, %past) tied [-1, 2]
    : (tensor<1x2x16xf32>, tensor<2xf32>, tensor<4x2x16x16xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<1x32xf32>, tensor<4x2x16x16xf32>)
  return %o, %s : tensor<1x32xf32>, tensor<4x2x16x16xf32>
}

// The old state is returned as well, so the update works on a copy, which is then stored.
// CHECK-LABEL: exec.program @old_is_needed
// CHECK: exec.bind state "s" %[[STATE:.*]] : tensor<4x2x16x16xf32>
// CHECK: exec.bind output "old" %[[OLD:.*]] : tensor<4x2x16x16xf32>
// CHECK: exec.copy %[[STATE]] to %[[NEW:.*]]
// CHECK: exec.launch @kernels::@k grid [1, 1, 1]{{ ?}}({{.*}}, %[[NEW]], {{.*}})
// CHECK: exec.copy %[[STATE]] to %[[OLD]]
// CHECK: exec.copy %[[NEW]] to %[[STATE]]
func.func @old_is_needed(%q: tensor<1x2x16xf32>, %slopes: tensor<2xf32>,
                    %state: tensor<4x2x16x16xf32> {nn.role = #nn.role<state>, nn.name = "s"},
                    %starts: tensor<2xi32>, %slots: tensor<1xi32>, %past: tensor<1xi32>)
    -> (tensor<4x2x16x16xf32> {nn.name = "old"}, tensor<4x2x16x16xf32> {nn.role = #nn.role<state>, nn.name = "s"}) {
  %o, %s = exec.dispatch @kernels::@k(%q, %slopes, %state, %starts, %slots, %past) tied [-1, 2]
    : (tensor<1x2x16xf32>, tensor<2xf32>, tensor<4x2x16x16xf32>, tensor<2xi32>, tensor<1xi32>, tensor<1xi32>)
    -> (tensor<1x32xf32>, tensor<4x2x16x16xf32>)
  return %state, %s : tensor<4x2x16x16xf32>, tensor<4x2x16x16xf32>
}

// -----

// Two states are exchanged: both old ones are read before a new one is written.
// CHECK-LABEL: exec.program @exchange
// CHECK: exec.bind state "a" %[[A:.*]] : tensor<4xf32>
// CHECK: exec.bind state "b" %[[B:.*]] : tensor<4xf32>
// CHECK: exec.copy %[[B]] to %[[OLD_B:.*]]
// CHECK: exec.copy %[[A]] to %[[OLD_A:.*]]
// CHECK: exec.copy %[[OLD_B]] to %[[A]]
// CHECK: exec.copy %[[OLD_A]] to %[[B]]
func.func @exchange(%a: tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "a"},
                    %b: tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "b"})
    -> (tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "a"},
        tensor<4xf32> {nn.role = #nn.role<state>, nn.name = "b"}) {
  return %b, %a : tensor<4xf32>, tensor<4xf32>
}
