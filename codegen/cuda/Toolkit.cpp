#include "codegen/cuda/Toolkit.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/raw_ostream.h"

#include <cstdlib>

namespace levin::cuda {

static constexpr const char *usualFolder = "/usr/local/cuda";

/// The folder that holds bin/nvcc, and where its name comes from.
static std::pair<std::string, std::string> toolkitFolder() {
  for (const char *variable : {"LEVIN_CUDA", "CUDA_HOME"})
    if (const char *named = std::getenv(variable); named && *named)
      return {named, variable};
  if (auto found = llvm::sys::findProgramByName("nvcc")) {
    llvm::SmallString<128> real;
    if (!llvm::sys::fs::real_path(*found, real))
      return {llvm::sys::path::parent_path(llvm::sys::path::parent_path(real)).str(), "PATH"};
  }
  return {usualFolder, "the usual place"};
}

Result<CudaToolkit> findCudaToolkit() {
  auto [folder, origin] = toolkitFolder();
  CudaToolkit toolkit;
  for (auto [name, path] : {std::pair{"nvcc", &toolkit.nvcc}, std::pair{"ptxas", &toolkit.ptxas}}) {
    *path = folder + "/bin/" + name;
    if (!llvm::sys::fs::can_execute(*path))
      return makeError(ErrorCode::ToolMissing, "the CUDA toolkit is not installed: there is no {}",
                       *path)
          .note("have", "folder " + folder + ", from " + origin)
          .note("fix", "install CUDA 13, or name its folder in LEVIN_CUDA; no GPU is needed");
  }
  LEVIN_ASSIGN_OR_RETURN(TemporaryFolder temporary, TemporaryFolder::create());
  Run run = runProgram(toolkit.ptxas, {"--version"}, temporary);
  if (run.status != 0)
    return makeError(ErrorCode::ToolMissing, "{} does not run", toolkit.ptxas)
        .note("have", run.output)
        .note("fix", "repair the CUDA toolkit, or name another in LEVIN_CUDA");
  toolkit.version = run.output;
  return toolkit;
}

Result<TemporaryFolder> TemporaryFolder::create() {
  llvm::SmallString<128> path;
  if (std::error_code error = llvm::sys::fs::createUniqueDirectory("levin-cuda", path))
    return makeError(ErrorCode::OutputFile, "cannot create a temporary folder: {}", error.message())
        .note("fix", "name a folder that can be written in TMPDIR");
  return TemporaryFolder(path.str().str());
}

TemporaryFolder::~TemporaryFolder() {
  if (!folder.empty())
    llvm::sys::fs::remove_directories(folder);
}

Status TemporaryFolder::write(llvm::StringRef name, llvm::StringRef bytes) const {
  std::error_code error;
  llvm::raw_fd_ostream stream(file(name), error);
  if (!error) {
    stream << bytes;
    stream.close();
    error = stream.error();
    stream.clear_error();
  }
  if (error)
    return makeError(ErrorCode::OutputFile, "cannot write {}: {}", file(name), error.message());
  return {};
}

Result<std::string> TemporaryFolder::read(llvm::StringRef name) const {
  auto buffer = llvm::MemoryBuffer::getFile(file(name), /*IsText=*/false,
                                            /*RequiresNullTerminator=*/false);
  if (!buffer)
    return makeError(ErrorCode::ToolMissing, "a program left no {}: {}", file(name),
                     buffer.getError().message());
  return (*buffer)->getBuffer().str();
}

Run runProgram(llvm::StringRef program, llvm::ArrayRef<std::string> arguments,
               const TemporaryFolder &folder) {
  std::string messages = folder.file("messages.txt");
  llvm::SmallVector<llvm::StringRef> words{program};
  words.append(arguments.begin(), arguments.end());
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(messages),
                                                llvm::StringRef(messages)};
  std::string error;
  Run run;
  run.status = llvm::sys::ExecuteAndWait(program, words, std::nullopt, redirects, 0, 0, &error);
  if (auto text = llvm::MemoryBuffer::getFile(messages))
    run.output = (*text)->getBuffer().str();
  run.output += error;
  return run;
}

} // namespace levin::cuda
