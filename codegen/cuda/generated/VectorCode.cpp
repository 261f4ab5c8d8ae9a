#include "codegen/cuda/generated/VectorCode.h"

#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <limits>

namespace levin::cuda {

namespace arith = mlir::arith;
namespace gpu = mlir::gpu;
namespace memref = mlir::memref;
namespace vector = mlir::vector;
using mlir::Type;
using mlir::Value;

static constexpr int64_t warp = 32;

// --- threads -------------------------------------------------------------------------------------

Value VectorCode::threadId() { return gpu::ThreadIdOp::create(builder, loc, gpu::Dimension::x); }
Value VectorCode::blockId() { return gpu::BlockIdOp::create(builder, loc, gpu::Dimension::x); }
void VectorCode::barrier() { gpu::BarrierOp::create(builder, loc); }

void VectorCode::waitForPredecessor() {
  using Kind = mlir::NVVM::GridDepActionKind;
  mlir::NVVM::GriddepcontrolOp::create(builder, loc, Kind::launch_dependents);
  mlir::NVVM::GriddepcontrolOp::create(builder, loc, Kind::wait);
}

void VectorCode::when(Value condition, llvm::function_ref<void()> body) {
  auto op = mlir::scf::IfOp::create(builder, loc, condition, /*withElseRegion=*/false);
  mlir::OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(&op.getThenRegion().front());
  body();
}

Value VectorCode::shared(gpu::GPUFuncOp function, int64_t count) {
  auto space = gpu::AddressSpaceAttr::get(builder.getContext(), gpu::AddressSpace::Workgroup);
  auto type = mlir::MemRefType::get({count}, f32(), mlir::MemRefLayoutAttrInterface(), space);
  return function.addWorkgroupAttribution(type, loc);
}

// --- indices -------------------------------------------------------------------------------------

Value VectorCode::index(int64_t value) {
  return arith::ConstantIndexOp::create(builder, loc, value);
}
Value VectorCode::add(Value a, Value b) { return arith::AddIOp::create(builder, loc, a, b); }
Value VectorCode::add(Value a, int64_t b) { return b == 0 ? a : add(a, index(b)); }
Value VectorCode::mul(Value a, int64_t b) {
  return b == 1 ? a : Value(arith::MulIOp::create(builder, loc, a, index(b)));
}
Value VectorCode::div(Value a, int64_t b) {
  return arith::DivUIOp::create(builder, loc, a, index(b));
}
Value VectorCode::rem(Value a, int64_t b) {
  return arith::RemUIOp::create(builder, loc, a, index(b));
}
Value VectorCode::min(Value a, int64_t b) {
  return arith::MinSIOp::create(builder, loc, a, index(b));
}
Value VectorCode::less(Value a, int64_t b) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, a, index(b));
}
Value VectorCode::isZero(Value a) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq, a, index(0));
}
Value VectorCode::isInside(Value a, int64_t extent) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::ult, a, index(extent));
}
Value VectorCode::both(Value a, Value b) { return arith::AndIOp::create(builder, loc, a, b); }
Value VectorCode::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(builder, loc, condition, yes, no);
}

// --- memory --------------------------------------------------------------------------------------

Value VectorCode::flat(Value buffer) {
  auto type = llvm::cast<mlir::MemRefType>(buffer.getType());
  if (type.getRank() == 1)
    return buffer;
  mlir::ReassociationIndices all;
  for (int64_t d = 0; d < type.getRank(); ++d)
    all.push_back(d);
  return memref::CollapseShapeOp::create(builder, loc, buffer,
                                         llvm::ArrayRef<mlir::ReassociationIndices>{all});
}

Value VectorCode::loadScalar(Value flat, Value at) {
  return memref::LoadOp::create(builder, loc, flat, at);
}

Value VectorCode::loadIndex(Value flat, Value at) {
  return arith::IndexCastOp::create(builder, loc, builder.getIndexType(), loadScalar(flat, at));
}

void VectorCode::storeScalar(Value value, Value flat, Value at) {
  memref::StoreOp::create(builder, loc, value, flat, at);
}

/// Of a vector at a multiple of its own length, in a buffer aligned to 256 bytes.
static llvm::Align alignmentOf(mlir::VectorType type) {
  uint64_t bytes = type.getNumElements() * type.getElementTypeBitWidth() / 8;
  return llvm::Align(bytes);
}

Value VectorCode::load(Value flat, Value at) {
  auto type = vectorType(llvm::cast<mlir::MemRefType>(flat.getType()).getElementType());
  return vector::LoadOp::create(builder, loc, type, flat, at, /*nontemporal=*/false,
                                alignmentOf(type));
}

void VectorCode::store(Value value, Value flat, Value at) {
  auto type = llvm::cast<mlir::VectorType>(value.getType());
  vector::StoreOp::create(builder, loc, value, flat, at, /*nontemporal=*/false, alignmentOf(type));
}

// --- float32 -------------------------------------------------------------------------------------

mlir::VectorType VectorCode::vectorType(Type element) {
  return mlir::VectorType::get({lanes}, element);
}

Value VectorCode::scalar(double value) {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(value));
}

Value VectorCode::splat(double value) {
  auto attribute = mlir::DenseElementsAttr::get(vectorType(f32()), static_cast<float>(value));
  return arith::ConstantOp::create(builder, loc, attribute);
}

Value VectorCode::constant(mlir::SplatElementsAttr splat) {
  return arith::ConstantOp::create(builder, loc,
                                   splat.resizeSplat(vectorType(splat.getElementType())));
}

Value VectorCode::broadcast(Value scalar) {
  return vector::BroadcastOp::create(builder, loc, vectorType(scalar.getType()), scalar);
}

Value VectorCode::addf(Value a, Value b) { return arith::AddFOp::create(builder, loc, a, b); }
Value VectorCode::subf(Value a, Value b) { return arith::SubFOp::create(builder, loc, a, b); }
Value VectorCode::mulf(Value a, Value b) { return arith::MulFOp::create(builder, loc, a, b); }
Value VectorCode::fma(Value a, Value b, Value c) {
  return vector::FMAOp::create(builder, loc, a, b, c);
}
Value VectorCode::inverseRoot(Value a) {
  Value root = mlir::math::SqrtOp::create(builder, loc, a, arith::FastMathFlags::afn);
  return arith::DivFOp::create(builder, loc, scalar(1), root, arith::FastMathFlags::afn);
}

Value VectorCode::toFloat(Value value, Type element) {
  Type from = mlir::getElementTypeOrSelf(value.getType());
  if (from == element)
    return value;
  Type type = vectorType(element);
  if (from.getIntOrFloatBitWidth() < element.getIntOrFloatBitWidth())
    return arith::ExtFOp::create(builder, loc, type, value);
  return arith::TruncFOp::create(builder, loc, type, value);
}

Value VectorCode::sumLanes(Value value) {
  llvm::SmallVector<Value> parts;
  for (int64_t i = 0; i < lanes; ++i)
    parts.push_back(vector::ExtractOp::create(builder, loc, value, i));
  for (size_t half = parts.size() / 2; half > 0; half /= 2)
    for (size_t i = 0; i < half; ++i)
      parts[i] = addf(parts[i], parts[i + half]);
  return parts.front();
}

Value VectorCode::sumAcrossWarp(Value value) {
  for (int64_t distance = warp / 2; distance > 0; distance /= 2) {
    auto other = gpu::ShuffleOp::create(builder, loc, value, distance, warp, gpu::ShuffleMode::XOR);
    value = addf(value, other.getShuffleResult());
  }
  return value;
}

Value VectorCode::maskTail(Value value, Value column, int64_t live) {
  auto type = llvm::cast<mlir::VectorType>(value.getType());
  llvm::SmallVector<int64_t> numbers;
  for (int64_t i = 0; i < lanes; ++i)
    numbers.push_back(i);
  auto indexVector = mlir::VectorType::get({lanes}, builder.getIndexType());
  auto steps = mlir::DenseElementsAttr::get(mlir::VectorType::get({lanes}, builder.getI64Type()),
                                            llvm::ArrayRef<int64_t>(numbers));
  Value lane = arith::ConstantOp::create(builder, loc, steps);
  lane = arith::IndexCastOp::create(builder, loc, indexVector, lane);
  Value first = vector::BroadcastOp::create(builder, loc, indexVector, column);
  Value limit = vector::BroadcastOp::create(builder, loc, indexVector, index(live));
  Value inside =
      arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt, add(first, lane), limit);
  auto lowest =
      mlir::FloatAttr::get(type.getElementType(), -std::numeric_limits<double>::infinity());
  Value infinity = arith::ConstantOp::create(builder, loc,
                                             mlir::DenseElementsAttr::get(type, lowest.getValue()));
  return select(inside, value, infinity);
}

} // namespace levin::cuda
