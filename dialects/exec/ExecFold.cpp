#include "dialects/exec/Exec.h"

using namespace mlir;

namespace levin::exec {

OpFoldResult UnpackOp::fold(FoldAdaptor) {
  auto pack = getPanels().getDefiningOp<PackOp>();
  if (pack && pack.getMatrix().getType() == getType())
    return pack.getMatrix();
  return {};
}

} // namespace levin::exec
