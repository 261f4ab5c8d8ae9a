#include "passes/pipelines/Passes.h"

#include "dialects/check/Check.h"

namespace levin::pipelines {
#define GEN_PASS_DEF_CHECKTOOUTPUTSPASS
#include "passes/pipelines/Passes.h.inc"

namespace {

using mlir::OpBuilder;
using mlir::Value;
using namespace mlir::arith;

// Whether `actual` differs from `expected`, as i1.
Value differs(OpBuilder &b, mlir::Location loc, Value actual, Value expected) {
  if (!llvm::isa<mlir::FloatType>(actual.getType()))
    return CmpIOp::create(b, loc, CmpIPredicate::ne, actual, expected);
  Value unequal = CmpFOp::create(b, loc, CmpFPredicate::UNE, actual, expected);
  Value actualIsNumber = CmpFOp::create(b, loc, CmpFPredicate::ORD, actual, actual);
  Value expectedIsNumber = CmpFOp::create(b, loc, CmpFPredicate::ORD, expected, expected);
  Value notBothNan = OrIOp::create(b, loc, actualIsNumber, expectedIsNumber);
  return AndIOp::create(b, loc, unequal, notBothNan);
}

Value asF64(OpBuilder &b, mlir::Location loc, Value value) {
  if (value.getType().isF64())
    return value;
  return ExtFOp::create(b, loc, b.getF64Type(), value);
}

// Whether |actual - expected| exceeds atol + rtol |expected| or is no number, as i1.
Value isFar(OpBuilder &b, mlir::Location loc, Value actual, Value expected, double atol,
            double rtol) {
  actual = asF64(b, loc, actual);
  expected = asF64(b, loc, expected);
  auto constant = [&](double value) -> Value {
    return ConstantOp::create(b, loc, b.getF64FloatAttr(value));
  };
  Value difference = SubFOp::create(b, loc, actual, expected);
  Value distance = mlir::math::AbsFOp::create(b, loc, difference);
  Value size = mlir::math::AbsFOp::create(b, loc, expected);
  Value relative = MulFOp::create(b, loc, size, constant(rtol));
  Value bound = AddFOp::create(b, loc, relative, constant(atol));
  return CmpFOp::create(b, loc, CmpFPredicate::UGT, distance, bound);
}

// The number of elements for which `isViolation` holds, as tensor<i64>.
Value count(OpBuilder &b, mlir::Location loc, Value actual, Value expected,
            llvm::function_ref<Value(OpBuilder &, Value, Value)> isViolation) {
  auto type = llvm::cast<mlir::RankedTensorType>(actual.getType());
  auto rank = static_cast<unsigned>(type.getRank());
  Value zero = ConstantOp::create(b, loc, b.getI64IntegerAttr(0));
  Value init = mlir::tensor::EmptyOp::create(b, loc, llvm::ArrayRef<int64_t>(), b.getI64Type());
  init = mlir::linalg::FillOp::create(b, loc, zero, init).getResult(0);
  auto identity = b.getMultiDimIdentityMap(rank);
  llvm::SmallVector<mlir::AffineMap> maps = {identity, identity,
                                             mlir::AffineMap::get(rank, 0, b.getContext())};
  llvm::SmallVector<mlir::utils::IteratorType> iterators(rank,
                                                         mlir::utils::IteratorType::reduction);
  auto sum = mlir::linalg::GenericOp::create(
      b, loc, init.getType(), mlir::ValueRange{actual, expected}, init, maps, iterators,
      [&](OpBuilder &body, mlir::Location at, mlir::ValueRange elements) {
        Value violated = isViolation(body, elements[0], elements[1]);
        Value one = ExtUIOp::create(body, at, body.getI64Type(), violated);
        Value total = AddIOp::create(body, at, elements[2], one);
        mlir::linalg::YieldOp::create(body, at, total);
      });
  return sum.getResult(0);
}

Value countViolations(OpBuilder &b, mlir::Operation &op) {
  if (auto equal = llvm::dyn_cast<check::ExpectEqOp>(op))
    return count(b, op.getLoc(), equal.getActual(), equal.getExpected(),
                 [&](OpBuilder &body, Value actual, Value expected) {
                   return differs(body, op.getLoc(), actual, expected);
                 });
  auto close = llvm::cast<check::ExpectCloseOp>(op);
  return count(b, op.getLoc(), close.getActual(), close.getExpected(),
               [&](OpBuilder &body, Value actual, Value expected) {
                 return isFar(body, op.getLoc(), actual, expected,
                              close.getAtol().convertToDouble(), close.getRtol().convertToDouble());
               });
}

struct CheckToOutputs : impl::CheckToOutputsPassBase<CheckToOutputs> {
  void runOnOperation() override {
    for (auto function : getOperation().getOps<mlir::func::FuncOp>())
      if (!function.isExternal())
        convert(function);
  }

  static void convert(mlir::func::FuncOp function) {
    mlir::Block &body = function.getBody().front();
    mlir::Operation *terminator = body.getTerminator();
    unsigned number = 0;
    for (mlir::Operation &op : llvm::make_early_inc_range(body)) {
      if (!llvm::isa<check::ExpectEqOp, check::ExpectCloseOp>(op))
        continue;
      OpBuilder builder(&op);
      Value violations = countViolations(builder, op);
      auto attributes = builder.getDictionaryAttr(builder.getNamedAttr(
          "nn.name", builder.getStringAttr("violations_" + std::to_string(number++))));
      (void)function.insertResult(function.getNumResults(), violations.getType(), attributes);
      terminator->insertOperands(terminator->getNumOperands(), violations);
      op.erase();
    }
  }
};

} // namespace
} // namespace levin::pipelines
