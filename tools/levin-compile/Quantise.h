// Computes the tensors of quantised matrices from a checkpoint.
#ifndef LEVIN_TOOLS_LEVINCOMPILE_QUANTISE_H
#define LEVIN_TOOLS_LEVINCOMPILE_QUANTISE_H

#include "codegen/artifact/WeightIndex.h"
#include "passes/pipelines/Pipelines.h"
#include "runtime/base/Status.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace levin::compile {

/// What a file of quantised tensors is called beside "model.lvn": "model.quantised.safetensors".
std::string quantisedFileOf(const std::string &artifact);

/// Whether `name` is that of such a file, which is no part of a checkpoint.
bool isQuantisedFile(std::string_view name);

/// Parses "experts=int4g64,attn=int8" into `target`.  LV2002 for text of another form.
Status parseQuantisation(std::string_view text, pipelines::TargetOptions &target);

/// The text that parseQuantisation() would read; empty if nothing is quantised.
std::string textOf(const pipelines::TargetOptions &target);

/// Matrices of one kind: how far they are from what they were made of, and their bytes.
struct QuantisedKind {
  std::string name;      // "experts int8"
  uint64_t matrices = 0; // parameters
  double errorSum = 0;   // of |made - source| / |source|, root of the sum of squares
  double worst = 0;
  std::string worstName; // of the parameter
  uint64_t bytesBefore = 0, bytesAfter = 0;

  /// "experts int8: 32 matrices, error 0.52 % (worst 0.61 %: layer3.experts.w2), 8.1 MiB -> 4.1
  /// MiB"
  std::string text() const;
};

/// Writes the tensors of all parameters with `nn.source` to `path`, which appears when it is
/// complete, and adds them to `index`.  Integers are the nearest, ties to even, to the number over
/// its scale, which is the largest magnitude of the group over 127 or 7, rounded to bfloat16.
/// `progress` is told of tensors done, of how many.  Nothing is written if there is no such
/// parameter.
/// Failures: LV1012, LV1014, LV1015 for tensors that do not fit, LV1032 for one that is not finite,
/// LV2004 on output.
Result<std::vector<QuantisedKind>>
quantiseWeights(mlir::ModuleOp module, artifact::WeightIndex &index, const std::string &path,
                const std::function<void(uint64_t done, uint64_t total)> &progress);

} // namespace levin::compile

#endif // LEVIN_TOOLS_LEVINCOMPILE_QUANTISE_H
