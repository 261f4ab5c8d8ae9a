// The programs of the CUDA toolkit that code generation runs.
#ifndef LEVIN_CODEGEN_CUDA_TOOLKIT_H
#define LEVIN_CODEGEN_CUDA_TOOLKIT_H

#include "runtime/base/Status.h"

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallString.h"
#include "llvm/ADT/StringRef.h"

#include <string>
#include <vector>

namespace levin::cuda {

struct CudaToolkit {
  std::string nvcc, ptxas; // paths
  std::string version;     // what ptxas says of itself
};

/// The toolkit in the folder that LEVIN_CUDA or else CUDA_HOME names; without them that of the
/// programs in PATH, or /usr/local/cuda.  LV2011 if one of the programs is absent or does not run.
Result<CudaToolkit> findCudaToolkit();

/// A private folder that vanishes with the object.
class TemporaryFolder {
public:
  /// Makes the folder; LV2004 if that fails.
  static Result<TemporaryFolder> create();
  TemporaryFolder(TemporaryFolder &&other) : folder(std::exchange(other.folder, {})) {}
  TemporaryFolder &operator=(TemporaryFolder &&) = delete;
  ~TemporaryFolder();

  const std::string &path() const { return folder; }
  std::string file(llvm::StringRef name) const { return folder + "/" + name.str(); }
  /// Writes a file of the folder; LV2004.
  Status write(llvm::StringRef name, llvm::StringRef bytes) const;
  /// Reads one; LV2011, for what a program should have left there.
  Result<std::string> read(llvm::StringRef name) const;

private:
  explicit TemporaryFolder(std::string folder) : folder(std::move(folder)) {}
  std::string folder;
};

struct Run {
  int status = 0; // of the program; negative if it did not run or was killed
  std::string output;
};

/// Runs `program` with `arguments`, without a shell; its output goes through a file of `folder`.
Run runProgram(llvm::StringRef program, llvm::ArrayRef<std::string> arguments,
               const TemporaryFolder &folder);

} // namespace levin::cuda

#endif // LEVIN_CODEGEN_CUDA_TOOLKIT_H
