// The elementwise ops of a kernel as C++ source, which CUDA templates instantiate as their tail.
#ifndef LEVIN_CODEGEN_CUDA_TEMPLATES_FUNCTOR_H
#define LEVIN_CODEGEN_CUDA_TEMPLATES_FUNCTOR_H

#include "runtime/artifact/Manifest.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <optional>
#include <string>
#include <vector>

namespace levin::cuda {

/// A struct of CUDA C++ for kernels/numeric.cuh (`Tail`, `finish`):
///
/// ```
/// struct NAME {
///   using Scalar = levin::kernels::Scalar;
///   static constexpr int sumCount = .., operandCount = .., resultCount = ..;
///   static constexpr Scalar operandTypes[] = {..}, resultTypes[] = {..};
///   static constexpr bool operandIsColumn[] = {..};
///   static __device__ void apply(const float *sums, const float *operands, float *results,
///                                int column);
/// };
/// ```
///
/// apply() is for one element.  It works in float32 and rounds where the kernel does; results are
/// left for the store to round.
struct ElementFunctor {
  enum class Shape {
    Tile,  // an element for each one of the results
    Column // a vector: one element for each column
  };
  struct Operand {
    unsigned argument = 0; // of the kernel, which is also the number of its binding
    artifact::DType dtype = artifact::DType::Invalid;
    Shape shape = Shape::Tile;
  };
  struct Result {
    unsigned binding = 0;
    artifact::DType dtype = artifact::DType::Invalid;
  };

  std::string source;
  std::string digest;            // of what it computes, for symbols: equal code has equal digests
  std::vector<Operand> operands; // in the order of apply()'s `operands`
  std::vector<Result> results;   // in the order of apply()'s `results`

  /// The initialiser of a levin::kernels::Tail: "{{b2, b3}, {b4}}", where `prefix` is "b".
  std::string tail(llvm::StringRef prefix) const;
};

/// The ops of `kernel` between `sums` and its results as a functor called `name`; nothing if one of
/// them is not elementwise.
///
/// `sums` are values of the kernel, all of one shape, that the template computes in float32; where
/// one is made by an nn.linear with a bias, the template leaves out the bias and apply() adds it.
/// Results that a stateful op ties to an argument are not the functor's.
std::optional<ElementFunctor> makeFunctor(mlir::func::FuncOp kernel,
                                          llvm::ArrayRef<mlir::Value> sums, llvm::StringRef name);

/// The type's name in the artifact, for the floats that kernels store; Invalid for others.
artifact::DType floatDType(mlir::Type type);
/// "levin::kernels::Scalar::BF16" and so on.
llvm::StringRef scalarName(artifact::DType dtype);
/// "float", "__nv_bfloat16" and so on: how CUDA C++ calls the type.
llvm::StringRef storageName(artifact::DType dtype);
/// 16 hexadecimal digits that depend on `text` alone.
std::string digestOf(llvm::StringRef text);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_TEMPLATES_FUNCTOR_H
