// Short names for the ops that kernel templates are made of.
#ifndef LEVIN_CODEGEN_HOST_KERNELS_EMIT_H
#define LEVIN_CODEGEN_HOST_KERNELS_EMIT_H

#include "codegen/host/HostTarget.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"

namespace levin::host::kernels {

using llvm::ArrayRef;
using llvm::function_ref;
using llvm::SmallVector;
using llvm::StringRef;
using mlir::Type;
using mlir::Value;
using mlir::ValueRange;

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }
inline int64_t roundUp(int64_t a, int64_t b) { return ceilDiv(a, b) * b; }

/// Writes the body of a function on buffers.
///
/// Buffers are read through flat (rank 1) views and one index, so that offsets known at compile
/// time end in the addressing mode.  Loops are half open.
class Emit {
public:
  Emit(mlir::func::FuncOp function, const HostTarget &target);

  mlir::OpBuilder builder;
  mlir::Location loc;
  const int64_t lanes; // float32 in a vector register

  /// Ends the function.
  void finish();

  // --- indices ---
  Value index(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value sub(Value a, Value b);
  Value mul(Value a, int64_t b);
  Value mul(Value a, Value b);
  /// Quotient and remainder of a value that is not negative.
  Value div(Value a, int64_t b);
  Value rem(Value a, int64_t b);
  Value min(Value a, Value b);
  Value max(Value a, Value b);
  Value clamp(Value a, int64_t low, int64_t high);
  Value less(Value a, Value b); // signed
  Value select(Value condition, Value yes, Value no);
  /// a * stride + b
  Value at(Value a, int64_t stride, Value b) { return add(mul(a, stride), b); }

  // --- control flow ---
  void loop(Value from, Value to, int64_t step, function_ref<void(Value)> body);
  SmallVector<Value> loop(Value from, Value to, int64_t step, ValueRange start,
                          function_ref<SmallVector<Value>(Value, ValueRange)> body);
  void when(Value condition, function_ref<void()> yes);
  SmallVector<Value> either(Value condition, function_ref<SmallVector<Value>()> yes,
                            function_ref<SmallVector<Value>()> no);

  // --- memory ---
  /// A flat view of a buffer.
  Value flat(Value buffer);
  /// Scratch memory of `count` elements on the stack, as a flat buffer; made on entry.
  Value scratch(int64_t count, Type element = {});
  /// One element, and an int32 as an index.
  Value loadScalar(Value flat, Value at);
  Value loadIndex(Value flat, Value at);
  void storeScalar(Value value, Value flat, Value at);
  /// `count` elements as float32.  A `mask` (vector of i1) leaves out lanes, which read as 0.
  Value load(Value flat, Value at, int64_t count, Value mask = {});
  /// The same, of the buffer's own element type.
  Value loadRaw(Value flat, Value at, int64_t count, Value mask = {});
  /// Stores a vector, rounded to the buffer's element type.
  void store(Value vector, Value flat, Value at, Value mask = {});
  /// A mask of the first `live` of `count` lanes.
  Value mask(Value live, int64_t count);
  void prefetch(Value flat, Value at);

  // --- float32 ---
  Type f32() { return builder.getF32Type(); }
  mlir::VectorType vectorType(int64_t count, Type element = {});
  Value scalar(double value);
  Value splat(double value, int64_t count);
  Value broadcast(Value scalar, int64_t count);
  Value fma(Value a, Value b, Value c); // a * b + c
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value divf(Value a, Value b);
  Value maxf(Value a, Value b);
  Value expf(Value a);
  Value reduceAdd(Value vector);
  Value reduceMax(Value vector);
  /// The columns of the square matrix whose rows are given.
  SmallVector<Value> transpose(ArrayRef<Value> rows);
  /// A value of another float type or width, converted.
  Value toFloat(Value value, Type element);

  /// Runs `body` for the columns [from, to) in vectors: in whole vectors without a mask, then,
  /// unless the count is known to be a multiple of `lanes`, once with one.
  void columns(Value from, Value to, bool whole, function_ref<void(Value column, Value mask)> body);

private:
  mlir::Block *entry;
};

} // namespace levin::host::kernels

#endif // LEVIN_CODEGEN_HOST_KERNELS_EMIT_H
