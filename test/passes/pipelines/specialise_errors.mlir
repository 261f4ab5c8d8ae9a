// RUN: levin-opt %s --levin-specialise="tokens=8 sequences=2 rows=2 slots=4 blocks=5" -split-input-file -verify-diagnostics
// RUN: not levin-opt %s --levin-specialise="tokens=8 sequences=9 rows=2" 2>&1 | FileCheck %s --check-prefix=BUCKET
// RUN: not levin-opt %s --levin-specialise="tokens=8,9 sequences=2 rows=2" 2>&1 | FileCheck %s --check-prefix=LISTS
// RUN: not levin-opt %s --levin-specialise="tokens=8 sequences=2 rows=2 slots=0" 2>&1 | FileCheck %s --check-prefix=SLOTS

// BUCKET: the bucket 8x9x2 is impossible
// LISTS: tokens, sequences and rows need one entry for each bucket
// SLOTS: slots and blocks must be at least 1

func.func @computed(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}) -> tensor<?xi32> {
  %c0 = arith.constant 0 : index
  %i = tensor.extract %ids[%c0] : tensor<?xi32>
  %n = arith.index_cast %i : i32 to index
  // expected-error@+1 {{'tensor.empty' op still makes 'tensor<?xi32>' in a bucket; its extents do not follow from its operands}}
  %e = tensor.empty(%n) : tensor<?xi32>
  return %e : tensor<?xi32>
}

// -----

// expected-error@+1 {{has the dynamic argument 1 without a role, so no bucket gives its extents}}
func.func @no_role(%ids: tensor<?xi32> {nn.role = #nn.role<ids>}, %x: tensor<?xf32>) -> tensor<?xf32> {
  return %x : tensor<?xf32>
}
