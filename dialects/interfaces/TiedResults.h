// Which results of a kernel update an argument in place.
#ifndef LEVIN_DIALECTS_INTERFACES_TIEDRESULTS_H
#define LEVIN_DIALECTS_INTERFACES_TIEDRESULTS_H

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace levin {

/// For each result of `kernel` the argument that it is an update of (through any number of
/// StatefulOpInterface ops), or -1.
llvm::SmallVector<int64_t> tiedResults(mlir::func::FuncOp kernel);

} // namespace levin

#endif // LEVIN_DIALECTS_INTERFACES_TIEDRESULTS_H
