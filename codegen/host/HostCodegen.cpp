#include "codegen/host/HostCodegen.h"

#include "codegen/host/BufferKernel.h"
#include "codegen/host/Lowering.h"
#include "runtime/artifact/Limits.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Threading.h"

#include "llvm/Support/raw_ostream.h"

#include <mutex>

namespace levin::host {

static std::array<uint32_t, 3> narrowGrid(std::array<int64_t, 3> grid) {
  return {static_cast<uint32_t>(grid[0]), static_cast<uint32_t>(grid[1]),
          static_cast<uint32_t>(grid[2])};
}

namespace {
/// One kernel for one target.
struct Job {
  mlir::func::FuncOp kernel;
  const HostTarget *target;
  HostKernel result;
  std::string object;
};
} // namespace

/// Makes the buffer form of `kernel` in a module of its own and compiles it.
static mlir::LogicalResult compileKernel(Job &job, const HostCodegenOptions &options) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(job.kernel.getLoc());
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(module->getBody());
  auto kernel = llvm::cast<mlir::func::FuncOp>(builder.clone(*job.kernel));
  std::string name = kernel.getName().str(), body = name + ".body";
  auto made = emitBufferKernel(kernel, body, *job.target, options.templates);
  if (mlir::failed(made))
    return mlir::failure();
  if (made->signature.written.size() > artifact::limits::bindings)
    return job.kernel.emitError("reads and writes ")
           << made->signature.written.size() << " tensors, and a kernel may have "
           << artifact::limits::bindings
           << "; combine them in several steps, or make one tensor of them";
  HostKernel &result = job.result;
  result.name = name;
  result.written.assign(made->signature.written.begin(), made->signature.written.end());
  result.method = made->method;
  result.grid = narrowGrid(made->grid);
  result.stackBytes = stackBytesOf(made->function);
  if (result.stackBytes > artifact::limits::stackBytes)
    return job.kernel.emitError("needs ")
           << result.stackBytes << " bytes of scratch memory at once, and a kernel may have "
           << artifact::limits::stackBytes << "; split what it computes, or make its rows shorter";
  if (options.keepIr) {
    llvm::raw_string_ostream stream(result.ir);
    module->print(stream);
  }
  if (mlir::failed(lowerToLlvm(*module, body, name, static_cast<unsigned>(result.written.size()))))
    return mlir::emitError(job.kernel.getLoc(), "kernel '") << name << "' cannot be lowered";
  auto object = emitObject(*module, *job.target);
  if (mlir::failed(object))
    return mlir::emitError(job.kernel.getLoc(), "kernel '") << name << "' cannot be translated";
  job.object = std::move(*object);
  return mlir::success();
}

mlir::FailureOr<HostModule> compileKernels(mlir::ModuleOp kernels,
                                           llvm::ArrayRef<HostTarget> targets,
                                           const HostCodegenOptions &options) {
  // Kernels are made by many threads, and a dialect cannot be loaded while they run.
  kernels.getContext()
      ->loadDialect<mlir::affine::AffineDialect, mlir::arith::ArithDialect,
                    mlir::bufferization::BufferizationDialect, mlir::cf::ControlFlowDialect,
                    mlir::linalg::LinalgDialect, mlir::LLVM::LLVMDialect, mlir::math::MathDialect,
                    mlir::memref::MemRefDialect, mlir::scf::SCFDialect, mlir::tensor::TensorDialect,
                    mlir::vector::VectorDialect>();
  std::vector<Job> jobs; // by target, then by kernel
  for (const HostTarget &target : targets)
    for (auto kernel : kernels.getOps<mlir::func::FuncOp>())
      jobs.push_back({kernel, &target, {}, {}});
  std::mutex mutex;
  size_t done = 0;
  auto run = [&](Job &job) {
    mlir::LogicalResult result = compileKernel(job, options);
    std::lock_guard lock(mutex);
    ++done;
    if (options.progress && mlir::succeeded(result))
      options.progress(done, jobs.size());
    return result;
  };
  if (mlir::failed(mlir::failableParallelForEach(kernels.getContext(), jobs, run)))
    return mlir::failure();

  HostModule module;
  size_t count = targets.empty() ? 0 : jobs.size() / targets.size();
  for (auto [t, target] : llvm::enumerate(targets)) {
    std::vector<std::string> objects;
    for (size_t k = 0; k < count; ++k) {
      Job &job = jobs[t * count + k];
      objects.push_back(std::move(job.object));
      if (t == 0) {
        module.kernels.push_back(std::move(job.result));
        continue;
      }
      HostKernel &first = module.kernels[k];
      if (first.grid != job.result.grid)
        return job.kernel.emitError("has another grid for another target");
      first.stackBytes = std::max(first.stackBytes, job.result.stackBytes);
    }
    auto elf = linkShared(kernels.getLoc(), objects, target);
    if (mlir::failed(elf))
      return mlir::failure();
    module.variants.push_back({target, std::move(*elf)});
  }
  return module;
}

} // namespace levin::host
