// The parameters of a module as the artifact lists them.
#ifndef LEVIN_CODEGEN_ARTIFACT_PARAMETERBUILDER_H
#define LEVIN_CODEGEN_ARTIFACT_PARAMETERBUILDER_H

#include "codegen/artifact/WeightIndex.h"
#include "runtime/artifact/Manifest.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/BuiltinTypes.h"

namespace levin::artifact {

/// The artifact's name for an element type; Invalid if it has none.
DType dtypeOf(mlir::Type element);
/// The artifact's form of a static tensor type.
TensorType tensorTypeOf(mlir::Type type);

/// Reads the `exec.weight`s of a planned module.
class ParameterBuilder {
public:
  ParameterBuilder(mlir::ModuleOp module, const WeightIndex &weights)
      : module(module), weights(weights) {}

  /// Fills `parameters`, `usedFiles` and `constants`.
  Status run();

  std::vector<Parameter> parameters;
  std::vector<uint32_t> usedFiles; // places in WeightIndex::files; pieces count within this list
  std::string constants;           // values of parameters that come from no file

private:
  Result<Pieces> piecesOf(mlir::Operation *parameter);
  Result<SegmentBytes> bytesOf(mlir::Operation *parameter);
  Status findUsedFiles();

  mlir::ModuleOp module;
  const WeightIndex &weights;
};

} // namespace levin::artifact

#endif // LEVIN_CODEGEN_ARTIFACT_PARAMETERBUILDER_H
