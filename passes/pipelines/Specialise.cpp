#include "passes/pipelines/Passes.h"

#include "dialects/interfaces/Interfaces.h"
#include "dialects/nn/NN.h"

#include "mlir/IR/Matchers.h"
#include "mlir/Interfaces/DestinationStyleOpInterface.h"

#include "llvm/Support/FormatVariadic.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_SPECIALISEPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

using mlir::failure;
using mlir::LogicalResult;
using mlir::Operation;
using mlir::RankedTensorType;
using mlir::success;
using mlir::Type;
using mlir::Value;
using mlir::func::FuncOp;

struct Extents {
  int64_t tokens, sequences, rows, slots, blocks, pages;
};

bool isDynamic(Type type) {
  auto tensor = llvm::dyn_cast<RankedTensorType>(type);
  return tensor && !tensor.hasStaticShape();
}

// Whether `argument` is a cache in pages that all sequences share.
bool isPool(mlir::BlockArgument argument) {
  return llvm::any_of(argument.getUses(), [](mlir::OpOperand &use) {
    auto attention = llvm::dyn_cast<nn::PagedAttentionOp>(use.getOwner());
    return attention &&
           (&use == &attention.getKeysMutable() || &use == &attention.getValuesMutable());
  });
}

// The type of an argument of `role` in a bucket.
Type specialise(RankedTensorType type, nn::Role role, bool isPool, const Extents &extents) {
  llvm::SmallVector<int64_t> shape(type.getShape());
  for (auto [dim, extent] : llvm::enumerate(shape)) {
    if (!mlir::ShapedType::isDynamic(extent))
      continue;
    switch (role) {
    case nn::Role::Ids:
      extent = extents.tokens;
      break;
    case nn::Role::Starts:
      extent = extents.sequences + 1;
      break;
    case nn::Role::Slots:
    case nn::Role::Past:
      extent = extents.sequences;
      break;
    case nn::Role::Rows:
    case nn::Role::Logits:
      extent = extents.rows;
      break;
    case nn::Role::State:
      extent = dim != 0 ? extents.blocks : isPool ? extents.pages : extents.slots;
      break;
    case nn::Role::Pages:
      extent = dim == 0 ? extents.sequences : extents.blocks;
      break;
    }
  }
  return type.clone(shape);
}

// Folds `op` if it computes extents, so that types can follow from them; true if it is gone.
bool foldScalars(Operation *op) {
  auto isScalar = [](Type type) { return type.isIntOrIndex(); };
  if (op->getNumRegions() != 0 || op->getNumResults() == 0 ||
      !llvm::all_of(op->getResultTypes(), isScalar) || op->hasTrait<mlir::OpTrait::ConstantLike>())
    return false;
  mlir::OpBuilder builder(op);
  llvm::SmallVector<Value> folded;
  if (mlir::failed(builder.tryFold(op, folded)) || folded.empty())
    return false;
  op->replaceAllUsesWith(folded);
  op->erase();
  return true;
}

// What an op without inference says of a result: its dynamic extents are those of operand 0, all
// of them if the ranks agree, else the rows.
std::optional<Type> followFirstOperand(Operation *op, RankedTensorType result) {
  auto operand = op->getNumOperands()
                     ? llvm::dyn_cast<RankedTensorType>(op->getOperand(0).getType())
                     : RankedTensorType();
  if (!operand || operand.getRank() == 0)
    return std::nullopt;
  llvm::SmallVector<int64_t> shape(result.getShape());
  for (auto [dim, extent] : llvm::enumerate(shape)) {
    if (!mlir::ShapedType::isDynamic(extent))
      continue;
    if (dim != 0 && operand.getRank() != result.getRank())
      return std::nullopt;
    extent = operand.getDimSize(dim);
  }
  return result.clone(shape);
}

// The types of the results of `op`, whose operands have their new types.
llvm::SmallVector<Type> resultTypes(Operation *op) {
  llvm::SmallVector<Type> types(op->getResultTypes());
  if (auto empty = llvm::dyn_cast<mlir::tensor::EmptyOp>(op)) {
    llvm::SmallVector<int64_t> shape;
    for (mlir::OpFoldResult size : empty.getMixedSizes())
      shape.push_back(mlir::getConstantIntValue(size).value_or(mlir::ShapedType::kDynamic));
    return {empty.getType().clone(shape)};
  }
  if (auto infer = llvm::dyn_cast<mlir::InferTypeOpInterface>(op)) {
    llvm::SmallVector<Type> inferred;
    if (mlir::succeeded(infer.inferReturnTypes(op->getContext(), op->getLoc(), op->getOperands(),
                                               op->getAttrDictionary(), op->getPropertiesStorage(),
                                               op->getRegions(), inferred)) &&
        inferred.size() == types.size())
      return inferred;
  }
  auto stateful = llvm::dyn_cast<StatefulOpInterface>(op);
  auto destination = llvm::dyn_cast<mlir::DestinationStyleOpInterface>(op);
  for (auto [index, type] : llvm::enumerate(types)) {
    if (stateful)
      if (auto tied = stateful.getTiedOperand(static_cast<unsigned>(index))) {
        type = op->getOperand(*tied).getType();
        continue;
      }
    if (destination && index < static_cast<size_t>(destination.getNumDpsInits())) {
      type = destination.getDpsInitOperand(static_cast<int64_t>(index))->get().getType();
      continue;
    }
    auto tensor = llvm::dyn_cast<RankedTensorType>(type);
    if (tensor && !tensor.hasStaticShape())
      type = followFirstOperand(op, tensor).value_or(type);
  }
  return types;
}

LogicalResult inferAgain(Operation &op) {
  if (foldScalars(&op))
    return success();
  llvm::SmallVector<Type> types = resultTypes(&op);
  for (auto [result, type] : llvm::zip(op.getResults(), types)) {
    if (isDynamic(type))
      return op.emitOpError("still makes ")
             << type << " in a bucket; its extents do not follow from its operands";
    result.setType(type);
  }
  // A static tensor.empty takes no extents.
  if (auto empty = llvm::dyn_cast<mlir::tensor::EmptyOp>(op))
    op.setOperands({});
  if (auto cast = llvm::dyn_cast<mlir::tensor::CastOp>(op);
      cast && cast.getType() == cast.getSource().getType()) {
    cast.replaceAllUsesWith(cast.getSource());
    op.erase();
    return success();
  }
  for (mlir::Region &region : op.getRegions())
    for (mlir::Block &block : region)
      for (Type type : block.getArgumentTypes())
        if (isDynamic(type))
          return op.emitOpError("carries ") << type << ", which no bucket makes static";
  return success();
}

LogicalResult specialiseBody(FuncOp function, const Extents &extents) {
  mlir::Block &body = function.getBody().front();
  for (mlir::BlockArgument argument : body.getArguments()) {
    if (!isDynamic(argument.getType()))
      continue;
    auto role = function.getArgAttrOfType<nn::RoleAttr>(argument.getArgNumber(), "nn.role");
    if (!role)
      return function.emitOpError("has the dynamic argument ")
             << argument.getArgNumber() << " without a role, so no bucket gives its extents";
    argument.setType(specialise(llvm::cast<RankedTensorType>(argument.getType()), role.getValue(),
                                isPool(argument), extents));
  }
  for (Operation &op : llvm::make_early_inc_range(body.without_terminator()))
    if (mlir::failed(inferAgain(op)))
      return failure();
  mlir::OpBuilder builder(function.getContext());
  function.setFunctionType(
      builder.getFunctionType(body.getArgumentTypes(), body.getTerminator()->getOperandTypes()));
  return success();
}

struct Specialise : impl::SpecialisePassBase<Specialise> {
  using SpecialisePassBase::SpecialisePassBase;

  void runOnOperation() override {
    llvm::SmallVector<FuncOp> dynamic;
    for (auto function : getOperation().getOps<FuncOp>())
      if (!function.isExternal() && function.isPublic() &&
          llvm::any_of(
              llvm::concat<const Type>(function.getArgumentTypes(), function.getResultTypes()),
              isDynamic))
        dynamic.push_back(function);
    if (!dynamic.empty() && mlir::failed(verifyOptions()))
      return signalPassFailure();
    for (FuncOp function : dynamic)
      if (mlir::failed(expand(function)))
        return signalPassFailure();
  }

  LogicalResult verifyOptions() {
    auto refuse = [&](const llvm::Twine &what) {
      return getOperation().emitError("levin-specialise: ") << what;
    };
    if (tokens.empty() || tokens.size() != sequences.size() || tokens.size() != rows.size())
      return refuse("tokens, sequences and rows need one entry for each bucket");
    if (slots < 1 || blocks < 1 || pages < 0)
      return refuse("slots and blocks must be at least 1, pages not negative");
    for (auto [t, s, r] : llvm::zip(tokens, sequences, rows))
      if (s < 1 || s > t || r < 1 || r > t || s > slots)
        return refuse(llvm::formatv("the bucket {0}x{1}x{2} is impossible: sequences and rows are "
                                    "at least 1 and at most the tokens, sequences at most the {3} "
                                    "slots",
                                    t, s, r, int64_t(slots))
                          .str());
    return success();
  }

  LogicalResult expand(FuncOp function) {
    mlir::OpBuilder builder(function);
    for (auto [t, s, r] : llvm::zip(tokens, sequences, rows)) {
      auto copy = llvm::cast<FuncOp>(builder.clone(*function));
      copy.setSymName(llvm::formatv("{0}_{1}_{2}_{3}", function.getSymName(), t, s, r).str());
      int64_t pool = pages == 0 ? slots * blocks : int64_t(pages);
      if (mlir::failed(specialiseBody(copy, {t, s, r, slots, blocks, pool})))
        return failure();
    }
    function.erase();
    return success();
  }
};

} // namespace
} // namespace levin::pipelines
