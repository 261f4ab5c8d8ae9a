#include "dialects/nn/NN.h"

using namespace mlir;

namespace levin::nn {

OpFoldResult MaskTailOp::fold(FoldAdaptor) {
  auto type = cast<RankedTensorType>(getInput().getType());
  if (getLive() == static_cast<uint64_t>(type.getDimSize(1)))
    return getInput(); // nothing is masked
  return {};
}

} // namespace levin::nn
