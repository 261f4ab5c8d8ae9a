#include "passes/pipelines/Passes.h"

#include "dialects/nn/NN.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_PAGECACHESPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

using mlir::failure;
using mlir::LogicalResult;
using mlir::RankedTensorType;
using mlir::success;
using mlir::Value;
using mlir::func::FuncOp;

bool hasRole(FuncOp function, unsigned argument, nn::Role role) {
  auto attr = function.getArgAttrOfType<nn::RoleAttr>(argument, "nn.role");
  return attr && attr.getValue() == role;
}

// What a pool is made of.
struct PoolShape {
  int64_t pageTokens, pages;
  mlir::Type element;
};

// Pages the caches of one step.
class Paging {
public:
  Paging(FuncOp function, const PoolShape &shape)
      : function(function), shape(shape), block(function.getBody().front()) {}

  LogicalResult run() {
    for (auto attention : block.getOps<nn::AttentionOp>()) {
      if (mlir::failed(check(attention)))
        return failure();
      attentions.push_back(attention);
    }
    if (attentions.empty())
      return success();
    Value pages = addPages();
    for (nn::AttentionOp attention : attentions)
      replace(attention, pages);
    mlir::OpBuilder builder(function.getContext());
    function.setFunctionType(builder.getFunctionType(block.getArgumentTypes(),
                                                     block.getTerminator()->getOperandTypes()));
    return success();
  }

private:
  // A cache must be state that passes through attentions only.
  LogicalResult check(nn::AttentionOp attention) {
    auto isOwn = [&](Value cache, bool isKeys) {
      auto earlier = cache.getDefiningOp<nn::AttentionOp>();
      auto argument = llvm::dyn_cast<mlir::BlockArgument>(cache);
      bool fromHere = earlier ? cache == (isKeys ? earlier.getNewKeys() : earlier.getNewValues())
                              : argument && argument.getOwner() == &block &&
                                    hasRole(function, argument.getArgNumber(), nn::Role::State);
      return fromHere && llvm::all_of(cache.getUses(), [&](mlir::OpOperand &use) {
               auto reader = llvm::dyn_cast<nn::AttentionOp>(use.getOwner());
               return use.getOwner() == block.getTerminator() ||
                      (reader &&
                       &use == &(isKeys ? reader.getKeysMutable() : reader.getValuesMutable()));
             });
    };
    if (!isOwn(attention.getKeys(), true) || !isOwn(attention.getValues(), false))
      return attention.emitOpError("has a cache that is no state of the step, or that others than "
                                   "attentions read; it cannot lie in pages");
    llvm::ArrayRef<int64_t> keys = attention.getKeys().getType().getShape();
    int64_t context = keys[2] * keys[4];
    if (!attentions.empty() && context != contextTokens)
      return attention.emitOpError("keeps ")
             << context << " tokens of a sequence, an earlier one " << contextTokens
             << "; caches that share pages keep equally many";
    contextTokens = context;
    slots = keys[0];
    return success();
  }

  int64_t pagesOfContext() const { return llvm::divideCeil(contextTokens, shape.pageTokens); }

  // Adds the argument before the first state.
  Value addPages() {
    unsigned at = 0;
    while (at < function.getNumArguments() && !hasRole(function, at, nn::Role::State))
      ++at;
    mlir::MLIRContext *context = function.getContext();
    int64_t sequences = attentions.front().getPast().getType().getDimSize(0);
    auto type =
        RankedTensorType::get({sequences, pagesOfContext()}, mlir::IntegerType::get(context, 32));
    mlir::Builder builder(context);
    auto attributes = builder.getDictionaryAttr(
        builder.getNamedAttr("nn.role", nn::RoleAttr::get(context, nn::Role::Pages)));
    [[maybe_unused]] LogicalResult done =
        function.insertArgument(at, type, attributes, function.getLoc());
    return function.getArgument(at);
  }

  void replace(nn::AttentionOp attention, Value pages) {
    int64_t groups = attention.getK().getType().getDimSize(1);
    int64_t size = attention.getQ().getType().getDimSize(2);
    int64_t count = shape.pages ? shape.pages : slots * pagesOfContext();
    auto pool = RankedTensorType::get({count, groups, shape.pageTokens, size}, shape.element);
    attention.getKeys().setType(pool);
    attention.getValues().setType(pool);
    mlir::OpBuilder builder(attention);
    auto paged = nn::PagedAttentionOp::create(
        builder, attention.getLoc(), attention.getOutput().getType(), pool, pool, attention.getQ(),
        attention.getK(), attention.getV(), attention.getKeys(), attention.getValues(),
        attention.getStarts(), pages, attention.getPast(), attention.getScaleAttr());
    attention.replaceAllUsesWith(paged);
    attention.erase();
  }

  FuncOp function;
  PoolShape shape;
  mlir::Block &block;
  llvm::SmallVector<nn::AttentionOp> attentions;
  int64_t contextTokens = 0, slots = 0;
};

struct PageCaches : impl::PageCachesPassBase<PageCaches> {
  using PageCachesPassBase::PageCachesPassBase;

  void runOnOperation() override {
    mlir::Builder builder(&getContext());
    auto element = llvm::StringSwitch<mlir::Type>(type)
                       .Case("f32", builder.getF32Type())
                       .Case("bf16", builder.getBF16Type())
                       .Case("f8", mlir::Float8E4M3FNType::get(&getContext()))
                       .Default(mlir::Type());
    if (!element || pageTokens < 1 || pages < 0) {
      getOperation().emitError("levin-page-caches: page-tokens is ")
          << int64_t(pageTokens) << ", pages " << int64_t(pages) << " and type '" << type.getValue()
          << "', expected at least 1, at least 0, and f32, bf16 or f8";
      return signalPassFailure();
    }
    for (auto function : getOperation().getOps<FuncOp>())
      if (isStep(function) && mlir::failed(Paging(function, {pageTokens, pages, element}).run()))
        return signalPassFailure();
  }

  // Only steps have state; tests make their own caches.
  static bool isStep(FuncOp function) {
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      if (hasRole(function, i, nn::Role::Slots))
        return !function.isExternal();
    return false;
  }
};

} // namespace
} // namespace levin::pipelines
