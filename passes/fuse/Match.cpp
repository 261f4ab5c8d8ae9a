#include "passes/fuse/KernelKind.h"
#include "passes/fuse/Passes.h"

namespace levin::fuse {
#define GEN_PASS_DEF_FUSEMATCHPASS
#include "passes/fuse/Passes.h.inc"

namespace {

struct FuseMatch : impl::FuseMatchPassBase<FuseMatch> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>()) {
      if (function.isExternal())
        continue;
      for (mlir::Operation &op : function.getBody().front())
        if (!staysOutside(&op) && !isRepeated(&op))
          op.setAttr(kindAttrName, mlir::StringAttr::get(&getContext(), stringify(classify(&op))));
    }
  }
};

} // namespace
} // namespace levin::fuse
