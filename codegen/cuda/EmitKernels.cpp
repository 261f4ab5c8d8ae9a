#include "codegen/cuda/DeviceKernel.h"
#include "codegen/cuda/Lowering.h"
#include "codegen/cuda/Passes.h"
#include "codegen/host/Passes.h"

#include "mlir/Dialect/Affine/IR/AffineOps.h"
#include "mlir/Dialect/Bufferization/IR/Bufferization.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/UB/IR/UBOps.h"
#include "mlir/Target/LLVMIR/Dialect/GPU/GPUToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/NVVM/NVVMToLLVMIRTranslation.h"

#include "llvm/Support/FileSystem.h"
#include "llvm/Support/raw_ostream.h"

namespace levin::cuda {

void registerCudaCodegen(mlir::DialectRegistry &registry) {
  host::registerHostCodegen(registry);
  registry.insert<mlir::cf::ControlFlowDialect, mlir::gpu::GPUDialect, mlir::LLVM::LLVMDialect,
                  mlir::NVVM::NVVMDialect, mlir::ub::UBDialect>();
  mlir::registerGPUDialectTranslation(registry);
  mlir::registerNVVMDialectTranslation(registry);
}

#define GEN_PASS_DEF_EMITKERNELSPASS
#include "codegen/cuda/Passes.h.inc"

namespace {

struct EmitKernels : impl::EmitKernelsPassBase<EmitKernels> {
  using EmitKernelsPassBase::EmitKernelsPassBase;

  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    EmitKernelsPassBase::getDependentDialects(registry);
    registerCudaCodegen(registry);
  }

  mlir::LogicalResult write(mlir::Location loc, const llvm::Twine &name, llvm::StringRef text) {
    std::error_code error = llvm::sys::fs::create_directories(folder);
    if (!error) {
      llvm::raw_fd_ostream stream((folder + "/" + name).str(), error);
      if (!error)
        stream << text;
    }
    if (error)
      return mlir::emitError(loc, "cannot write in '") << folder << "': " << error.message();
    return mlir::success();
  }

  /// Notes how each launch of `code` is made.
  void annotate(const DeviceCode &code) {
    mlir::Builder builder(&getContext());
    auto numbers = [&](const std::array<uint32_t, 3> &values) {
      llvm::SmallVector<int32_t> list(values.begin(), values.end());
      return builder.getDenseI32ArrayAttr(list);
    };
    mlir::gpu::GPUModuleOp module = code.module;
    module->setAttr("cuda.method", builder.getStringAttr(code.method));
    for (const artifact::DeviceLaunch &launch : code.launches) {
      mlir::Operation *function = module.lookupSymbol(launch.symbol);
      function->setAttr("cuda.grid", numbers(launch.grid));
      function->setAttr("cuda.block", numbers(launch.block));
    }
  }

  mlir::LogicalResult show(mlir::func::FuncOp kernel, const CudaTarget &known) {
    std::string name = kernel.getName().str();
    auto made = emitDeviceKernel(kernel, known, templates ? Replace::Kernels : Replace::Nothing);
    if (mlir::failed(made))
      return mlir::failure();
    if (made->plan) {
      kernel->setAttr("cuda.method", mlir::StringAttr::get(&getContext(), made->method));
      if (folder.empty() || made->plan->product)
        return mlir::success();
      std::string text = "#include \"" + made->plan->header + "\"\n\n" + made->plan->source;
      for (const std::string &source : made->plan->moreSources)
        text += "\n" + source;
      return write(kernel.getLoc(), name + ".cu", text);
    }
    annotate(made->code);
    if (folder.empty())
      return mlir::success();
    mlir::OwningOpRef<mlir::ModuleOp> parent = mlir::ModuleOp::create(made->code.module.getLoc());
    auto builder = mlir::OpBuilder::atBlockEnd(parent->getBody());
    auto copy = llvm::cast<mlir::gpu::GPUModuleOp>(builder.clone(*made->code.module));
    std::vector<bool> written(made->signature.written.begin(), made->signature.written.end());
    if (mlir::failed(lowerToNvvm(copy, written)))
      return mlir::failure();
    auto ptx = emitPtx(copy, known);
    if (mlir::failed(ptx))
      return mlir::failure();
    return write(made->code.module.getLoc(), name + ".ptx", *ptx);
  }

  void runOnOperation() override {
    auto known = lookupCudaTarget(target);
    if (!known) {
      getOperation().emitError("target '") << target << "' is unknown";
      return signalPassFailure();
    }
    for (auto kernel : llvm::to_vector(getOperation().getOps<mlir::func::FuncOp>()))
      if (mlir::failed(show(kernel, *known)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace levin::cuda
