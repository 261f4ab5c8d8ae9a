// Building a step function at model level: parameters from a checkpoint, the arguments of a ragged
// batch, states, and the layers that most families share.
#ifndef LEVIN_MODELS_STEPBUILDER_H
#define LEVIN_MODELS_STEPBUILDER_H

#include "models/Checkpoint.h"

#include "dialects/nn/NN.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <optional>
#include <string>
#include <vector>

namespace levin::models {

/// A state tensor of the step: an argument and the result that replaces it.
struct StateSpec {
  std::string name; // "layer3.keys"
  mlir::RankedTensorType type;
};

/// Builds a module with the function
///     step(ids, starts, slots, past, rows, states..) -> (logits, states..)
/// on tensors whose numbers of tokens, sequences, rows, slots and blocks are dynamic.
class StepBuilder {
public:
  /// With `dtype` all matrices have that element type, else the one in which they are stored;
  /// `fallback` is the type where the checkpoint's headers were not read.
  StepBuilder(mlir::MLIRContext &context, const Checkpoint &checkpoint,
              std::optional<weights::DType> dtype, weights::DType fallback);

  mlir::OpBuilder &builder() { return build; }
  mlir::ModuleOp module() { return *root; }
  /// Location of what is built next, by the layer's name: "layer3.attention".
  void at(const std::string &name) { location = mlir::NameLoc::get(build.getStringAttr(name)); }
  mlir::Location loc() const { return location; }
  mlir::RankedTensorType tensor(llvm::ArrayRef<int64_t> shape, mlir::Type element) {
    return mlir::RankedTensorType::get(shape, element);
  }
  mlir::FloatType f32() { return build.getF32Type(); }

  /// Opens the step function; what is built from here on goes into its body.
  void begin(uint64_t vocabulary, const std::vector<StateSpec> &states);
  /// Closes it.  The module can be taken afterwards.
  void finish(mlir::Value logits);
  mlir::OwningOpRef<mlir::ModuleOp> take() { return std::move(root); }

  mlir::Value ids() { return step.getArgument(0); }
  mlir::Value starts() { return step.getArgument(1); }
  mlir::Value slots() { return step.getArgument(2); }
  mlir::Value past() { return step.getArgument(3); }
  mlir::Value rows() { return step.getArgument(4); }
  /// The state `index` of those given to begin(), as last set.
  mlir::Value state(size_t index) { return stateValues[index]; }
  void setState(size_t index, mlir::Value value) { stateValues[index] = value; }

  /// The value of a parameter made of the tensors `keys`; declared where first used.
  mlir::Value matrix(const std::string &name, llvm::ArrayRef<std::string> keys,
                     llvm::ArrayRef<int64_t> shape, nn::Join join = nn::Join::Concat);
  /// A vector, which is kept in float32: it is small, and statistics are in float32.
  mlir::Value vector(const std::string &name, const std::string &key, int64_t size);
  /// A constant vector of float32.
  mlir::Value constant(const std::string &name, llvm::ArrayRef<double> values);

  mlir::Value linear(mlir::Value input, mlir::Value weight);
  mlir::Value rmsNorm(mlir::Value input, mlir::Value weight, double eps);
  mlir::Value residual(mlir::Value input, mlir::Value layer, double alpha, double beta);
  /// Columns of a joint projection as heads of size `headDim`, `heads[i]` of them in result i.
  llvm::SmallVector<mlir::Value> splitHeads(mlir::Value input, llvm::ArrayRef<int64_t> heads,
                                            int64_t headDim, bool interleaved);

  /// Bytes of all parameters so far, in the types they have here.
  uint64_t parameterBytes() const { return bytes; }

private:
  mlir::Type elementType(llvm::ArrayRef<std::string> keys);
  mlir::Value use(llvm::StringRef name, mlir::RankedTensorType type);
  mlir::Value declare(const std::string &name, llvm::ArrayRef<std::string> keys,
                      mlir::RankedTensorType type, nn::Join join);

  mlir::OpBuilder build;
  mlir::Location location;
  mlir::OwningOpRef<mlir::ModuleOp> root;
  mlir::func::FuncOp step;
  const Checkpoint &checkpoint;
  std::optional<weights::DType> dtype;
  weights::DType fallback;
  llvm::SmallVector<mlir::Value> stateValues;
  llvm::StringMap<mlir::RankedTensorType> declared;
  uint64_t bytes = 0;
};

} // namespace levin::models

#endif // LEVIN_MODELS_STEPBUILDER_H
