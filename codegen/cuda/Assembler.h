// Source and PTX to machine code, by the CUDA toolkit.
#ifndef LEVIN_CODEGEN_CUDA_ASSEMBLER_H
#define LEVIN_CODEGEN_CUDA_ASSEMBLER_H

#include "codegen/cuda/CudaTarget.h"
#include "codegen/cuda/Toolkit.h"

#include <atomic>
#include <map>
#include <string>

namespace levin::cuda {

/// What ptxas reports of a kernel.
struct KernelFacts {
  uint32_t registers = 0, staticSharedBytes = 0, spillBytes = 0;
  bool operator==(const KernelFacts &) const = default;
};

/// One source: C++ for nvcc, or PTX.
struct DeviceSource {
  std::string header; // of codegen/cuda/kernels; C++ only
  std::string text;
  bool isPtx = false;
  bool refuseSpills = true;
  auto operator<=>(const DeviceSource &) const = default;
};

/// The kernels of one source, for ptxas.
struct DeviceObject {
  std::string ptx;
  std::vector<std::string> kernels;
};

/// The kernels of some objects.
struct DeviceImage {
  std::string cubin, ptx;
  std::map<std::string, KernelFacts> kernels;
  std::string messages; // of ptxas
};

/// The first of ptxas' `messages` that says wgmma instructions wait for each other; empty if there
/// is none.
llvm::StringRef serialisation(llvm::StringRef messages);

/// The figures in the messages of `ptxas -v`, by kernel.
std::map<std::string, KernelFacts> parseFacts(llvm::StringRef messages);

/// Runs the programs and keeps their results.
///
/// Results are kept in $XDG_CACHE_HOME/levin or ~/.cache/levin, by the digest of all that they
/// depend on; LEVIN_CACHE names another folder, and "off" keeps nothing.  A cache that cannot be
/// read or written is no error.
class Assembler {
public:
  /// `threads` is how many threads ptxas may use; 0: as many as there are processors.
  Assembler(const CudaToolkit &toolkit, const CudaTarget &target, unsigned threads = 0);

  /// PTX of `source`.  LV1032 with the message of nvcc if it refuses it.
  Result<DeviceObject> compile(const DeviceSource &source) const;

  /// Machine code of all `objects`, at once: kernels that are assembled to be linked take more
  /// registers, and their calls serialise tensor core instructions.  LV1032 with the message of
  /// ptxas if it refuses them.
  Result<DeviceImage> assemble(llvm::ArrayRef<const DeviceObject *> objects) const;

  /// How many results came from the cache.
  unsigned cacheHits() const { return hits; }

private:
  const CudaToolkit &toolkit;
  const CudaTarget &target;
  std::string cacheFolder; // empty: none
  mutable std::atomic<unsigned> hits{0};

  unsigned threads;

  Result<std::string> runNvcc(const DeviceSource &source) const;
  Result<std::pair<std::string, std::string>> runPtxas(llvm::StringRef ptx) const;
  std::string keyOf(const DeviceSource &source) const;
  std::string keyOf(llvm::StringRef ptx) const;
};

/// PTX texts as one: what is not a kernel is named apart, and line numbers are left out.
Result<std::string> joinPtx(llvm::ArrayRef<const DeviceObject *> objects, const CudaTarget &target);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_ASSEMBLER_H
