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

/// The kernels of one source.
struct DeviceObject {
  std::string ptx, cubin; // the latter relocatable
  std::map<std::string, KernelFacts> kernels;
};

/// One source: C++ for nvcc, or PTX.
struct DeviceSource {
  std::string header; // of codegen/cuda/kernels; C++ only
  std::string text;
  bool isPtx = false;
  bool refuseSpills = true;
  auto operator<=>(const DeviceSource &) const = default;
};

/// The figures in the messages of `ptxas -v`, by kernel.
std::map<std::string, KernelFacts> parseFacts(llvm::StringRef messages);

/// Runs the programs and keeps their results.
///
/// Results are kept in $XDG_CACHE_HOME/levin or ~/.cache/levin, by the digest of all that they
/// depend on; LEVIN_CACHE names another folder, and "off" keeps nothing.  A cache that cannot be
/// read or written is no error.
class Assembler {
public:
  Assembler(const CudaToolkit &toolkit, const CudaTarget &target);

  /// Machine code of `source`.  LV1032 with the program's message if it refuses the source, if
  /// wgmma instructions are serialised, or if registers spill where they must not.
  Result<DeviceObject> assemble(const DeviceSource &source) const;

  /// One cubin of all `objects`, in order.
  Result<std::string> link(llvm::ArrayRef<const DeviceObject *> objects) const;

  /// How many results came from the cache.
  unsigned cacheHits() const { return hits; }

private:
  const CudaToolkit &toolkit;
  const CudaTarget &target;
  std::string cacheFolder; // empty: none
  mutable std::atomic<unsigned> hits{0};

  Result<DeviceObject> run(const DeviceSource &source) const;
  std::string keyOf(const DeviceSource &source) const;
};

/// PTX texts as one: what is not a kernel is named apart, and line numbers are left out.
Result<std::string> joinPtx(llvm::ArrayRef<const DeviceObject *> objects, const CudaTarget &target);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_ASSEMBLER_H
