#include "codegen/host/kernels/Emit.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

namespace levin::host::kernels {

namespace arith = mlir::arith;
namespace memref = mlir::memref;
namespace scf = mlir::scf;
namespace vector = mlir::vector;

Emit::Emit(mlir::func::FuncOp function, const HostTarget &target)
    : builder(mlir::OpBuilder::atBlockEnd(&function.getBody().front())), loc(function.getLoc()),
      lanes(target.floatLanes()), entry(&function.getBody().front()) {}

void Emit::finish() { mlir::func::ReturnOp::create(builder, loc); }

// --- indices -------------------------------------------------------------------------------------

Value Emit::index(int64_t value) { return arith::ConstantIndexOp::create(builder, loc, value); }

Value Emit::add(Value a, Value b) { return arith::AddIOp::create(builder, loc, a, b); }
Value Emit::add(Value a, int64_t b) { return b == 0 ? a : add(a, index(b)); }
Value Emit::sub(Value a, Value b) { return arith::SubIOp::create(builder, loc, a, b); }
Value Emit::mul(Value a, Value b) { return arith::MulIOp::create(builder, loc, a, b); }
Value Emit::mul(Value a, int64_t b) { return b == 1 ? a : mul(a, index(b)); }
Value Emit::div(Value a, int64_t b) { return arith::DivUIOp::create(builder, loc, a, index(b)); }
Value Emit::rem(Value a, int64_t b) { return arith::RemUIOp::create(builder, loc, a, index(b)); }
Value Emit::min(Value a, Value b) { return arith::MinSIOp::create(builder, loc, a, b); }
Value Emit::max(Value a, Value b) { return arith::MaxSIOp::create(builder, loc, a, b); }

Value Emit::clamp(Value a, int64_t low, int64_t high) {
  return max(min(a, index(high)), index(low));
}

Value Emit::less(Value a, Value b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, b);
}

Value Emit::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(builder, loc, condition, yes, no);
}

// --- control flow --------------------------------------------------------------------------------

SmallVector<Value> Emit::loop(Value from, Value to, int64_t step, ValueRange start,
                              function_ref<SmallVector<Value>(Value, ValueRange)> body) {
  auto op = scf::ForOp::create(builder, loc, from, to, index(step), start,
                               [&](mlir::OpBuilder &, mlir::Location, Value i, ValueRange carried) {
                                 SmallVector<Value> next = body(i, carried);
                                 scf::YieldOp::create(builder, loc, next);
                               });
  return SmallVector<Value>(op.getResults());
}

void Emit::loop(Value from, Value to, int64_t step, function_ref<void(Value)> body) {
  loop(from, to, step, ValueRange(), [&](Value i, ValueRange) {
    body(i);
    return SmallVector<Value>();
  });
}

void Emit::when(Value condition, function_ref<void()> yes) {
  scf::IfOp::create(builder, loc, condition, [&](mlir::OpBuilder &, mlir::Location) {
    yes();
    scf::YieldOp::create(builder, loc);
  });
}

SmallVector<Value> Emit::either(Value condition, function_ref<SmallVector<Value>()> yes,
                                function_ref<SmallVector<Value>()> no) {
  auto op = scf::IfOp::create(
      builder, loc, condition,
      [&](mlir::OpBuilder &, mlir::Location) { scf::YieldOp::create(builder, loc, yes()); },
      [&](mlir::OpBuilder &, mlir::Location) { scf::YieldOp::create(builder, loc, no()); });
  return SmallVector<Value>(op.getResults());
}

// --- memory --------------------------------------------------------------------------------------

Value Emit::flat(Value buffer) {
  auto type = llvm::cast<mlir::MemRefType>(buffer.getType());
  if (type.getRank() == 1)
    return buffer;
  mlir::ReassociationIndices all;
  for (int64_t d = 0; d < type.getRank(); ++d)
    all.push_back(d);
  return memref::CollapseShapeOp::create(builder, loc, buffer,
                                         ArrayRef<mlir::ReassociationIndices>{all});
}

Value Emit::scratch(int64_t count, Type element) {
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(entry);
  auto type = mlir::MemRefType::get({count}, element ? element : f32());
  return memref::AllocaOp::create(builder, loc, type, builder.getI64IntegerAttr(64));
}

Value Emit::loadScalar(Value flat, Value at) {
  return memref::LoadOp::create(builder, loc, flat, at);
}

Value Emit::loadIndex(Value flat, Value at) {
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), loadScalar(flat, at));
}

void Emit::storeScalar(Value value, Value flat, Value at) {
  memref::StoreOp::create(builder, loc, value, flat, at);
}

Value Emit::loadRaw(Value flat, Value at, int64_t count, Value mask) {
  Type element = llvm::cast<mlir::MemRefType>(flat.getType()).getElementType();
  auto type = vectorType(count, element);
  if (!mask)
    return vector::LoadOp::create(builder, loc, type, flat, at);
  Value zero = arith::ConstantOp::create(builder, loc, builder.getZeroAttr(type));
  return vector::MaskedLoadOp::create(builder, loc, type, flat, at, mask, zero);
}

Value Emit::load(Value flat, Value at, int64_t count, Value mask) {
  return toFloat(loadRaw(flat, at, count, mask), f32());
}

void Emit::store(Value vector, Value flat, Value at, Value mask) {
  Type element = llvm::cast<mlir::MemRefType>(flat.getType()).getElementType();
  vector = toFloat(vector, element);
  if (mask && element.isBF16()) {
    // Processors without bfloat16 arithmetic have no masked store of it either: LLVM would widen
    // and call a library to narrow.  Its bits are integers to them.
    auto type = llvm::cast<mlir::VectorType>(vector.getType());
    Type i64 = builder.getI64Type();
    Value bits = arith::BitcastOp::create(builder, loc, type.clone(builder.getI16Type()), vector);
    Value begin = memref::ExtractAlignedPointerAsIndexOp::create(builder, loc, flat);
    Value address = arith::IndexCastOp::create(builder, loc, i64, add(begin, mul(at, 2)));
    Value place = mlir::LLVM::IntToPtrOp::create(
        builder, loc, mlir::LLVM::LLVMPointerType::get(builder.getContext()), address);
    mlir::LLVM::MaskedStoreOp::create(builder, loc, bits, place, mask, /*alignment=*/2);
  } else if (mask)
    vector::MaskedStoreOp::create(builder, loc, flat, at, mask, vector);
  else
    vector::StoreOp::create(builder, loc, vector, flat, at);
}

Value Emit::mask(Value live, int64_t count) {
  return vector::CreateMaskOp::create(builder, loc, vectorType(count, builder.getI1Type()), live);
}

void Emit::prefetch(Value flat, Value at) {
  memref::PrefetchOp::create(builder, loc, flat, at, /*isWrite=*/false, /*localityHint=*/3,
                             /*isDataCache=*/true);
}

// --- float32 -------------------------------------------------------------------------------------

mlir::VectorType Emit::vectorType(int64_t count, Type element) {
  return mlir::VectorType::get({count}, element ? element : f32());
}

Value Emit::scalar(double value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
}

Value Emit::splat(double value, int64_t count) {
  auto attribute = mlir::DenseElementsAttr::get(vectorType(count), static_cast<float>(value));
  return arith::ConstantOp::create(builder, loc, attribute);
}

Value Emit::broadcast(Value scalar, int64_t count) {
  return vector::BroadcastOp::create(builder, loc, vectorType(count, scalar.getType()), scalar);
}

Value Emit::fma(Value a, Value b, Value c) {
  if (llvm::isa<mlir::VectorType>(a.getType()))
    return vector::FMAOp::create(builder, loc, a, b, c);
  return mlir::math::FmaOp::create(builder, loc, a, b, c);
}

Value Emit::addf(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value Emit::subf(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value Emit::mulf(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value Emit::divf(Value a, Value b) { return arith::DivFOp::create(builder, loc, a, b); }

// maxnum drops a NaN, which is cheap on x86 and what masks of -inf need.
Value Emit::maxf(Value a, Value b) { return arith::MaxNumFOp::create(builder, loc, a, b); }
Value Emit::expf(Value a) { return mlir::math::ExpOp::create(builder, loc, a); }

Value Emit::reduceAdd(Value vector) {
  return vector::ReductionOp::create(builder, loc, vector::CombiningKind::ADD, vector,
                                     arith::FastMathFlags::reassoc);
}

Value Emit::reduceMax(Value vector) {
  return vector::ReductionOp::create(builder, loc, vector::CombiningKind::MAXNUMF, vector);
}

SmallVector<Value> Emit::transpose(ArrayRef<Value> rows) {
  // Each stage exchanges the blocks of `half` rows and columns beside the diagonal.
  SmallVector<Value> values(rows);
  auto size = static_cast<int64_t>(rows.size());
  for (int64_t half = 1; half < size; half *= 2) {
    SmallVector<int64_t> upper, lower;
    for (int64_t j = 0; j < size; ++j) {
      upper.push_back(j & half ? size + j - half : j);
      lower.push_back(j & half ? size + j : j + half);
    }
    for (int64_t i = 0; i < size; ++i) {
      if (i & half)
        continue;
      Value a = values[i], b = values[i + half];
      values[i] = vector::ShuffleOp::create(builder, loc, a, b, upper);
      values[i + half] = vector::ShuffleOp::create(builder, loc, a, b, lower);
    }
  }
  return values;
}

Value Emit::toFloat(Value value, Type element) {
  Type type = value.getType(), from = mlir::getElementTypeOrSelf(type);
  if (from == element)
    return value;
  Type to = element;
  if (auto shaped = llvm::dyn_cast<mlir::VectorType>(type))
    to = shaped.clone(element);
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, to, value);
  if (from.getIntOrFloatBitWidth() > element.getIntOrFloatBitWidth())
    return arith::TruncFOp::create(builder, loc, to, value);
  // Between the two 16-bit types: by way of float32.
  return toFloat(toFloat(value, f32()), element);
}

void Emit::columns(Value from, Value to, bool whole,
                   function_ref<void(Value column, Value mask)> body) {
  if (whole)
    return loop(from, to, lanes, [&](Value c) { body(c, {}); });
  Value count = sub(to, from);
  Value end = add(from, mul(div(count, lanes), lanes));
  loop(from, end, lanes, [&](Value c) { body(c, {}); });
  when(less(end, to), [&] { body(end, mask(sub(to, end), lanes)); });
}

} // namespace levin::host::kernels
