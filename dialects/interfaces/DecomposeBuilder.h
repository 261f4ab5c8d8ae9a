// Short names for the upstream ops that decompositions are made of.
#ifndef LEVIN_DIALECTS_INTERFACES_DECOMPOSEBUILDER_H
#define LEVIN_DIALECTS_INTERFACES_DECOMPOSEBUILDER_H

#include "mlir/IR/AffineMap.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/ImplicitLocOpBuilder.h"

namespace levin {

/// `number` as a constant of `type`, a float type or a vector of one.
mlir::Value createFloat(mlir::OpBuilder &builder, mlir::Location loc, mlir::Type type,
                        double number);

/// `1 / (1 + exp(-x))`, for a scalar or a vector.
mlir::Value createSigmoid(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// `x / (1 + exp(-x))`, for a scalar or a vector.
mlir::Value createSilu(mlir::OpBuilder &builder, mlir::Location loc, mlir::Value x);

/// Builds a decomposition.  Arithmetic on floats is in float32 whatever the elements of the
/// tensors are: values are cast when they are read and when they are written (to f8E4M3FN with the
/// largest number in place of what is beyond it).  State and results
/// that data decides are built by loops that carry tensors, each written in place.
class DecomposeBuilder : public mlir::ImplicitLocOpBuilder {
public:
  using Value = mlir::Value;
  using ValueRange = mlir::ValueRange;
  /// The body of an element: takes one element of each input (floats as float32) and gives the
  /// element of the result.
  using ElementBody = llvm::function_ref<Value(ValueRange)>;
  /// The body of a reduction: takes the accumulator and one element of each input.
  using ReduceBody = llvm::function_ref<Value(Value, ValueRange)>;
  /// The body of a loop: takes its counter and what it carries, and gives what it carries on.
  using LoopBody = llvm::function_ref<llvm::SmallVector<Value>(Value, ValueRange)>;

  DecomposeBuilder(mlir::OpBuilder &builder, mlir::Operation *op)
      : ImplicitLocOpBuilder(op->getLoc(), builder) {}

  // Scalars.
  Value index(int64_t number);
  Value i32(int64_t number);
  Value f32(double number);
  Value toF32(Value value);
  Value fromF32(Value value, mlir::Type type);
  Value toIndex(Value integer);
  Value add(Value a, Value b);
  Value sub(Value a, Value b);
  Value mul(Value a, Value b);
  Value minimum(Value a, Value b);
  /// `value` (index) moved into `low .. high`.
  Value clamp(Value value, Value low, Value high);
  /// Whether `value` (index) lies in `0 .. extent-1`.
  Value isInside(Value value, int64_t extent);

  // Tensors.
  Value empty(llvm::ArrayRef<int64_t> shape, mlir::Type element);
  Value filled(llvm::ArrayRef<int64_t> shape, mlir::Type element, double number);
  /// All elements of `tensor` set to 0.
  Value zeroed(Value tensor);
  /// Element of an int32 tensor, as an index.
  Value readIndex(Value tensor, ValueRange position);
  /// Element of a tensor; a float as float32.
  Value read(Value tensor, ValueRange position);
  /// `tensor` with one element set; a float32 is cast.
  Value write(Value tensor, ValueRange position, Value element);
  /// The box of `tensor` that begins at `offsets`, without dimensions beyond `sizes`: extents of 1
  /// are dropped until the box has the rank of `shape`.
  Value slice(Value tensor, llvm::ArrayRef<mlir::OpFoldResult> offsets,
              llvm::ArrayRef<int64_t> sizes, llvm::ArrayRef<int64_t> shape);
  /// `tensor` with that box replaced.
  Value unslice(Value part, Value tensor, llvm::ArrayRef<mlir::OpFoldResult> offsets,
                llvm::ArrayRef<int64_t> sizes);

  // Loops over tensors.
  /// Each element of the result (in the elements and shape of `init`, whose contents are not read)
  /// from those of `inputs` that `maps` name.
  Value elementwise(ValueRange inputs, llvm::ArrayRef<mlir::AffineMap> maps, Value init,
                    ElementBody body);
  /// The same with identity maps.
  Value elementwise(ValueRange inputs, Value init, ElementBody body);
  /// `part` cast to the elements of `init`, which gives the place.
  Value copyInto(Value part, Value init);
  /// Accumulates into `init` (float32).  `maps` has one map for each input and at last that of
  /// `init`; dimensions that it lacks are reduced.
  Value reduce(ValueRange inputs, llvm::ArrayRef<mlir::AffineMap> maps, Value init,
               ReduceBody body);
  /// for i in low .. high-1
  llvm::SmallVector<Value> loop(Value low, Value high, ValueRange carried, LoopBody body);
  /// Carries `carried` through `body` where `condition` holds.
  llvm::SmallVector<Value> onlyIf(Value condition, ValueRange carried,
                                  llvm::function_ref<llvm::SmallVector<Value>()> body);

  // Maps of `dims` dimensions.
  mlir::AffineMap identity(unsigned dims);
  mlir::AffineMap map(unsigned dims, llvm::ArrayRef<unsigned> results);
};

/// Where the sequences of a ragged batch lie.
struct RaggedBatch {
  DecomposeBuilder &builder;
  mlir::Value starts; // [S + 1]
  int64_t tokens;

  /// First row of sequence `s` and the row behind its last, inside the tokens.
  std::pair<mlir::Value, mlir::Value> rows(mlir::Value s);
  int64_t sequences() const {
    return llvm::cast<mlir::RankedTensorType>(starts.getType()).getDimSize(0) - 1;
  }
};

} // namespace levin

#endif // LEVIN_DIALECTS_INTERFACES_DECOMPOSEBUILDER_H
