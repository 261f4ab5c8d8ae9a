#include "codegen/cuda/CudaCodegen.h"

#include "codegen/cuda/Assembler.h"
#include "codegen/cuda/DeviceKernel.h"
#include "codegen/cuda/KernelHeaders.h"
#include "codegen/cuda/Lowering.h"
#include "runtime/artifact/Limits.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Tensor/IR/Tensor.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Threading.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/ThreadPool.h"
#include "llvm/Support/raw_ostream.h"

#include <map>
#include <mutex>

namespace levin::cuda {

static constexpr llvm::StringLiteral utilityHeader = "utility.cuh";

namespace {
/// One kernel on its way to code.
struct Job {
  mlir::func::FuncOp kernel;
  CudaKernel result;
  std::vector<DeviceSource> sources; // none for a product of a library
};

/// One source, and the kernels that need it.
struct Unit {
  DeviceSource source;
  mlir::Location loc; // of the first
  std::string user;   // its name
  std::optional<Result<DeviceObject>> object;
};
} // namespace

/// Plans `job`, and makes PTX where the code is ours.
static mlir::LogicalResult planKernel(Job &job, const CudaTarget &target,
                                      const CudaCodegenOptions &options) {
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(job.kernel.getLoc());
  mlir::OpBuilder builder = mlir::OpBuilder::atBlockEnd(module->getBody());
  auto kernel = llvm::cast<mlir::func::FuncOp>(builder.clone(*job.kernel));
  Replace replace = !options.templates  ? Replace::Nothing
                    : options.useCublas ? Replace::Library
                                        : Replace::Kernels;
  auto made = emitDeviceKernel(kernel, target, replace);
  if (mlir::failed(made))
    return mlir::failure();
  CudaKernel &result = job.result;
  result.name = job.kernel.getName().str();
  result.written.assign(made->signature.written.begin(), made->signature.written.end());
  result.method = made->method;
  if (result.written.size() > artifact::limits::bindings)
    return job.kernel.emitError("reads and writes ")
           << result.written.size() << " tensors, and a kernel may have "
           << artifact::limits::bindings
           << "; combine them in several steps, or make one tensor of them";
  if (made->plan) {
    KernelPlan &plan = *made->plan;
    result.launches = std::move(plan.launches);
    result.scratchBytes = plan.scratchBytes;
    result.product = plan.product;
    std::vector<std::string> sources = std::move(plan.moreSources);
    if (!plan.source.empty())
      sources.insert(sources.begin(), std::move(plan.source));
    for (std::string &source : sources) {
      if (options.keepIr)
        result.ir += source;
      job.sources.push_back({plan.header, "#include \"" + plan.header + "\"\n\n" + source,
                             /*isPtx=*/false, /*refuseSpills=*/true});
    }
    return mlir::success();
  }
  DeviceCode &code = made->code;
  result.launches = std::move(code.launches);
  result.scratchBytes = code.scratchBytes;
  if (options.keepIr) {
    llvm::raw_string_ostream stream(result.ir);
    code.module->print(stream);
  }
  if (mlir::failed(lowerToNvvm(code.module, result.written)))
    return mlir::emitError(job.kernel.getLoc(), "kernel '") << result.name << "' cannot be lowered";
  auto ptx = emitPtx(code.module, target);
  if (mlir::failed(ptx))
    return mlir::emitError(job.kernel.getLoc(), "kernel '")
           << result.name << "' cannot be translated";
  job.sources.push_back({{}, std::move(*ptx), /*isPtx=*/true, code.refuseSpills});
  return mlir::success();
}

/// Shows a failure of the toolkit at the kernel that met it.
static mlir::LogicalResult report(mlir::Location loc, llvm::StringRef kernel,
                                  const Status &status) {
  mlir::InFlightDiagnostic error = mlir::emitError(loc, "kernel '")
                                   << kernel << "': " << status.what();
  return error;
}

/// Compiles all sources, several at a time.
static void compileUnits(std::vector<Unit> &units, const Assembler &assembler,
                         const CudaCodegenOptions &options) {
  std::mutex mutex;
  size_t done = 0;
  llvm::DefaultThreadPool pool(llvm::hardware_concurrency(options.threads));
  for (Unit &unit : units)
    pool.async([&] {
      Result<DeviceObject> object = assembler.compile(unit.source);
      std::lock_guard lock(mutex);
      unit.object = std::move(object);
      if (options.progress)
        options.progress(++done, units.size());
    });
  pool.wait();
}

/// Refuses what ptxas says of the kernels of `unit`.
static mlir::LogicalResult checkUnit(const Unit &unit, const DeviceImage &image) {
  llvm::StringRef serialised = serialisation(image.messages);
  for (const std::string &symbol : (*unit.object)->kernels) {
    if (serialised.contains("'" + symbol + "'"))
      return report(unit.loc, unit.user,
                    makeError(ErrorCode::PassFailed,
                              "ptxas serialises the tensor core instructions: {}",
                              serialised.str()));
    auto facts = image.kernels.find(symbol);
    if (facts != image.kernels.end() && facts->second.spillBytes && unit.source.refuseSpills)
      return report(unit.loc, unit.user,
                    makeError(ErrorCode::PassFailed, "kernel {} spills {} bytes of registers",
                              symbol, facts->second.spillBytes));
  }
  return mlir::success();
}

/// One image of all `units`, and what ptxas said of each symbol.
static mlir::LogicalResult assembleImage(mlir::Location loc, const std::vector<Unit> &units,
                                         const Assembler &assembler, CudaImage &image,
                                         std::map<std::string, KernelFacts> &facts) {
  llvm::SmallVector<const DeviceObject *> objects;
  llvm::StringSet<> symbols;
  for (const Unit &unit : units) {
    if (!unit.object->ok())
      return report(unit.loc, unit.user, unit.object->status());
    const DeviceObject &object = **unit.object;
    objects.push_back(&object);
    for (const std::string &symbol : object.kernels)
      if (!symbols.insert(symbol).second)
        return mlir::emitError(unit.loc, "kernel '")
               << unit.user << "': two sources define the symbol '" << symbol << "'";
  }
  if (objects.empty())
    return mlir::success();
  auto made = assembler.assemble(objects);
  if (!made.ok())
    return mlir::emitError(loc) << made.status().what();
  for (const Unit &unit : units)
    if (mlir::failed(checkUnit(unit, *made)))
      return mlir::failure();
  if (llvm::StringRef line = serialisation(made->messages); !line.empty())
    return mlir::emitError(loc, "ptxas serialises tensor core instructions: ") << line;
  facts = std::move(made->kernels);
  image = {std::move(made->cubin), std::move(made->ptx)};
  return mlir::success();
}

/// Fills in what ptxas said of each launch, and checks that the target can run it.
static mlir::LogicalResult completeLaunches(mlir::Location loc, CudaKernel &kernel,
                                            const CudaTarget &target,
                                            const std::map<std::string, KernelFacts> &facts) {
  for (artifact::DeviceLaunch &launch : kernel.launches) {
    auto found = facts.find(launch.symbol);
    if (found == facts.end())
      return mlir::emitError(loc, "kernel '")
             << kernel.name << "': its source has no kernel '" << launch.symbol << "'";
    launch.registers = found->second.registers;
    launch.staticSharedBytes = found->second.staticSharedBytes;
    launch.spillBytes = found->second.spillBytes;
    if (launch.sharedBytes + launch.staticSharedBytes > target.sharedBytes)
      return mlir::emitError(loc, "kernel '")
             << kernel.name << "' needs " << launch.sharedBytes + launch.staticSharedBytes
             << " bytes of shared memory, and a block has " << target.sharedBytes;
    uint64_t threads = uint64_t(launch.block[0]) * launch.block[1] * launch.block[2];
    if (threads * launch.registers > 65536)
      return mlir::emitError(loc, "kernel '")
             << kernel.name << "': its " << threads << " threads of " << launch.registers
             << " registers do not fit a processor";
  }
  return mlir::success();
}

/// The threads of a block that the kernel `symbol` of `ptx` is made for (its launch bounds); 0 if
/// it has none.
static uint32_t threadsOf(llvm::StringRef ptx, llvm::StringRef symbol) {
  llvm::StringRef kernel = ptx.split((".entry " + symbol + "(").str()).second;
  kernel = kernel.take_until([](char c) { return c == '{'; });
  uint32_t threads = 0;
  kernel.split(".maxntid ").second.consumeInteger(10, threads);
  return threads;
}

/// The kernels that the runtime launches itself.
static mlir::LogicalResult compileUtilities(mlir::Location loc, const Assembler &assembler,
                                            const CudaTarget &target, CudaModule &module) {
  if (headersFor(utilityHeader).empty())
    return mlir::success();
  std::vector<Unit> units;
  units.push_back(
      {DeviceSource{utilityHeader.str(), "#include \"utility.cuh\"\n"}, loc, "utility", {}});
  units.front().object = assembler.compile(units.front().source);
  std::map<std::string, KernelFacts> facts;
  if (mlir::failed(assembleImage(loc, units, assembler, module.utilityImage, facts)))
    return mlir::failure();
  for (const auto &[symbol, fact] : facts) {
    CudaKernel kernel;
    kernel.name = symbol;
    kernel.method = "utility";
    kernel.launches.resize(1);
    kernel.launches[0].symbol = symbol;
    kernel.launches[0].block[0] = threadsOf((*units.front().object)->ptx, symbol);
    if (mlir::failed(completeLaunches(loc, kernel, target, facts)))
      return mlir::failure();
    module.utilities.push_back(std::move(kernel));
  }
  return mlir::success();
}

mlir::FailureOr<CudaModule> compileKernels(mlir::ModuleOp kernels, const CudaTarget &target,
                                           const CudaToolkit &toolkit,
                                           const CudaCodegenOptions &options) {
  // Kernels are made by many threads, and a dialect cannot be loaded while they run.
  kernels.getContext()
      ->loadDialect<mlir::affine::AffineDialect, mlir::arith::ArithDialect,
                    mlir::bufferization::BufferizationDialect, mlir::cf::ControlFlowDialect,
                    mlir::gpu::GPUDialect, mlir::linalg::LinalgDialect, mlir::LLVM::LLVMDialect,
                    mlir::math::MathDialect, mlir::memref::MemRefDialect, mlir::NVVM::NVVMDialect,
                    mlir::scf::SCFDialect, mlir::tensor::TensorDialect, mlir::ub::UBDialect,
                    mlir::vector::VectorDialect>();
  std::vector<Job> jobs;
  for (auto kernel : kernels.getOps<mlir::func::FuncOp>())
    jobs.push_back({kernel, {}, {}});
  if (mlir::failed(mlir::failableParallelForEach(
          kernels.getContext(), jobs, [&](Job &job) { return planKernel(job, target, options); })))
    return mlir::failure();

  std::vector<Unit> units; // each source once, in the order of first use
  std::map<DeviceSource, size_t> known;
  for (Job &job : jobs)
    for (const DeviceSource &source : job.sources)
      if (known.emplace(source, units.size()).second)
        units.push_back({source, job.kernel.getLoc(), job.result.name, {}});
  Assembler assembler(toolkit, target, options.threads);
  compileUnits(units, assembler, options);
  CudaModule module;
  std::map<std::string, KernelFacts> facts;
  if (mlir::failed(assembleImage(kernels.getLoc(), units, assembler, module.image, facts)))
    return mlir::failure();
  for (Job &job : jobs) {
    if (mlir::failed(completeLaunches(job.kernel.getLoc(), job.result, target, facts)))
      return mlir::failure();
    module.kernels.push_back(std::move(job.result));
  }
  if (mlir::failed(compileUtilities(kernels.getLoc(), assembler, target, module)))
    return mlir::failure();
  return module;
}

} // namespace levin::cuda
