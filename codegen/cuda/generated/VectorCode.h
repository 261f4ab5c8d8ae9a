// Short names for the ops that generated kernels are made of.
#ifndef LEVIN_CODEGEN_CUDA_GENERATED_VECTORCODE_H
#define LEVIN_CODEGEN_CUDA_GENERATED_VECTORCODE_H

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/Builders.h"

namespace levin::cuda {

/// Writes the body of a device kernel that works on vectors of `lanes` elements.
class VectorCode {
public:
  using Type = mlir::Type;
  using Value = mlir::Value;

  VectorCode(mlir::OpBuilder &builder, mlir::Location loc, int64_t lanes)
      : builder(builder), loc(loc), lanes(lanes) {}

  mlir::OpBuilder &builder;
  mlir::Location loc; // of the ops that are made
  const int64_t lanes;

  // --- threads ---
  Value threadId();
  Value blockId();
  void barrier();
  /// Lets the next kernel begin to start, and waits until those before have ended.
  void waitForPredecessor();
  void when(Value condition, llvm::function_ref<void()> body);
  /// `count` floats of shared memory.
  Value shared(mlir::gpu::GPUFuncOp function, int64_t count);

  // --- indices ---
  Value index(int64_t value);
  Value add(Value a, Value b);
  Value add(Value a, int64_t b);
  Value mul(Value a, int64_t b);
  /// Quotient and remainder of a value that is not negative.
  Value div(Value a, int64_t b);
  Value rem(Value a, int64_t b);
  Value min(Value a, int64_t b);
  Value less(Value a, int64_t b);
  Value isZero(Value a);
  /// Whether 0 <= a < extent.
  Value isInside(Value a, int64_t extent);
  Value both(Value a, Value b);
  Value select(Value condition, Value yes, Value no);

  // --- memory ---
  /// A flat view of a buffer.
  Value flat(Value buffer);
  Value loadScalar(Value flat, Value at);
  Value loadIndex(Value flat, Value at); // an int32
  void storeScalar(Value value, Value flat, Value at);
  /// A vector of the buffer's elements, from an offset that is a multiple of `lanes`.
  Value load(Value flat, Value at);
  void store(Value vector, Value flat, Value at);

  // --- float32 ---
  Type f32() { return builder.getF32Type(); }
  mlir::VectorType vectorType(Type element);
  Value scalar(double value);
  Value splat(double value);
  Value constant(mlir::SplatElementsAttr splat);
  Value broadcast(Value scalar);
  Value addf(Value a, Value b);
  Value subf(Value a, Value b);
  Value mulf(Value a, Value b);
  Value fma(Value a, Value b, Value c); // a * b + c
  /// 1 / sqrt(a) of a normal number, within 2 units in the last place.
  Value inverseRoot(Value a);
  /// A vector converted to another float type.
  Value toFloat(Value vector, Type element);
  /// The elements of a vector, added in pairs of halves.
  Value sumLanes(Value vector);
  /// The sum over the threads of a warp, in each of them.
  Value sumAcrossWarp(Value scalar);
  /// `vector`, with -infinity at columns from `live` on; its first is `column`.
  Value maskTail(Value vector, Value column, int64_t live);
};

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_GENERATED_VECTORCODE_H
