// Kernels that are products of one input with matrices, and elementwise ops of them.
#ifndef LEVIN_CODEGEN_CUDA_TEMPLATES_GEMMGROUP_H
#define LEVIN_CODEGEN_CUDA_TEMPLATES_GEMMGROUP_H

#include "codegen/cuda/CudaTarget.h"
#include "codegen/cuda/KernelTemplate.h"
#include "codegen/cuda/templates/Functor.h"

namespace levin::cuda {

/// What such a kernel consists of.  Numbers are those of the kernel's arguments.
struct GemmGroup {
  unsigned tokens = 0; // [tokens, k]
  artifact::DType tokenType = artifact::DType::Invalid;
  std::optional<unsigned> places; // [tokens, choices]: rows are copies of tokens
  int64_t sourceRows = 0, choices = 1;
  llvm::SmallVector<unsigned> weights; // [n, k] or [experts, n, k], one or two of one type
  artifact::DType weightType = artifact::DType::Invalid; // Invalid where they are quantised
  struct Quantised {
    llvm::SmallVector<unsigned> scales; // [.., n, k / group] of each weight
    artifact::DType scaleType = artifact::DType::Invalid;
    int64_t bits = 8, group = 0; // 4 bits: [.., n, k / 2] of pairs
  };
  std::optional<Quantised> quantised;
  std::optional<unsigned> offsets; // [experts + 1] of grouped products
  int64_t rows = 0, n = 0, k = 0, experts = 1;
  unsigned bindings = 0; // of the kernel
  ElementFunctor tail;   // of the products' sums in the order of `weights`

  /// How many rows an expert gets if all get as many.
  int64_t rowsOfExpert() const { return (rows + experts - 1) / experts; }
};

/// The parts of `kernel`; nothing if it is something else.  The functor is called "Element".
std::optional<GemmGroup> analyseGemm(mlir::func::FuncOp kernel);
/// The same for a kernel whose weights are all quantised.
std::optional<GemmGroup> analyseQuantisedGemm(mlir::func::FuncOp kernel);

/// "void *b0, void *b1, .." of every binding.
std::string bindingParameters(const GemmGroup &group);

/// Gives the kernels of `source`, which call themselves NAME, a name of `prefix` and a digest of
/// `source`, and returns it.
std::string nameByContent(std::string &source, llvm::StringRef prefix);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_TEMPLATES_GEMMGROUP_H
