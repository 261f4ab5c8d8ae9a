#include "codegen/cuda/Lowering.h"

#include "codegen/cuda/MathExpansion.h"

#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/GPUToNVVM/GPUToNVVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/LLVMCommon/ConversionTarget.h"
#include "mlir/Conversion/LLVMCommon/TypeConverter.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "mlir/Transforms/Passes.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

#include <mutex>

namespace levin::cuda {

static constexpr llvm::StringLiteral deviceTriple = "nvptx64-nvidia-cuda";

// The first version of PTX with sm_90a.
static constexpr llvm::StringLiteral ptxFeature = "+ptx80";

// --- to the LLVM dialect -------------------------------------------------------------------------

namespace {

/// Everything left becomes the LLVM dialect at once.  Upstream's pass for this also refuses LLVM's
/// own square root and rounding, which PTX has, in favour of a library that is not there.
struct ConvertToNvvm
    : mlir::PassWrapper<ConvertToNvvm, mlir::OperationPass<mlir::gpu::GPUModuleOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ConvertToNvvm)

  llvm::StringRef getArgument() const override { return "levin-cuda-convert-to-nvvm"; }
  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    registry.insert<mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect>();
  }
  void runOnOperation() override {
    mlir::MLIRContext &context = getContext();
    mlir::LowerToLLVMOptions options(&context);
    options.useBarePtrCallConv = true;
    mlir::LLVMTypeConverter converter(&context, options);
    mlir::configureGpuToNVVMTypeConverter(converter);
    mlir::RewritePatternSet patterns(&context);
    mlir::populateGpuToNVVMConversionPatterns(converter, patterns);
    mlir::arith::populateArithToLLVMConversionPatterns(converter, patterns);
    mlir::cf::populateControlFlowToLLVMConversionPatterns(converter, patterns);
    mlir::index::populateIndexToLLVMConversionPatterns(converter, patterns);
    mlir::populateFinalizeMemRefToLLVMConversionPatterns(converter, patterns);
    mlir::populateVectorToLLVMConversionPatterns(converter, patterns);
    mlir::LLVMConversionTarget target(context);
    target.addLegalDialect<mlir::NVVM::NVVMDialect>();
    target.addIllegalDialect<mlir::gpu::GPUDialect>();
    target.addLegalOp<mlir::gpu::GPUModuleOp>();
    if (mlir::failed(mlir::applyPartialConversion(getOperation(), target, std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

static void buildToNvvm(mlir::PassManager &manager) {
  manager.addPass(mlir::createLoopInvariantCodeMotionPass());
  addMathExpansion(manager);
  manager.addPass(mlir::createConvertVectorToSCFPass());
  manager.addPass(mlir::memref::createExpandStridedMetadataPass());
  manager.addPass(mlir::createLowerAffinePass());
  manager.addPass(mlir::createCanonicalizerPass());
  manager.addPass(mlir::createCSEPass());
  manager.addPass(mlir::createSCFToControlFlowPass());
  manager.addPass(mlir::createConvertMathToLLVMPass());
  manager.addPass(mlir::createConvertVectorToLLVMPass());
  manager.addPass(std::make_unique<ConvertToNvvm>());
  manager.addPass(mlir::createUBToLLVMConversionPass());
  manager.addPass(mlir::createReconcileUnrealizedCastsPass());
  manager.addPass(mlir::createCanonicalizerPass());
  manager.addPass(mlir::createCSEPass());
}

/// Refuses an op that no conversion took.
static mlir::LogicalResult verifyLowered(mlir::gpu::GPUModuleOp module) {
  auto result = module.walk([&](mlir::Operation *op) {
    if (op == module ||
        llvm::isa_and_present<mlir::LLVM::LLVMDialect, mlir::NVVM::NVVMDialect>(op->getDialect()))
      return mlir::WalkResult::advance();
    op->emitOpError("of ") << op->getOperandTypes() << " has no code on the GPU";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(result.wasInterrupted());
}

mlir::LogicalResult lowerToNvvm(mlir::gpu::GPUModuleOp module, const std::vector<bool> &written) {
  mlir::PassManager manager(module.getContext(), mlir::gpu::GPUModuleOp::getOperationName());
  manager.enableVerifier(false);
  buildToNvvm(manager);
  if (mlir::failed(manager.run(module)) || mlir::failed(verifyLowered(module)))
    return mlir::failure();
  mlir::Builder builder(module.getContext());
  using Dialect = mlir::LLVM::LLVMDialect;
  for (auto function : module.getOps<mlir::LLVM::LLVMFuncOp>())
    for (unsigned i = 0; i < function.getNumArguments(); ++i) {
      // The loader's checks hold both: slices are 256-byte aligned, and what a launch writes
      // overlaps none of its other bindings.
      function.setArgAttr(i, Dialect::getAlignAttrName(), builder.getI64IntegerAttr(256));
      // What the threads of a block write for each other is no secret of one of them.
      if (i >= written.size() || written[i])
        continue;
      function.setArgAttr(i, Dialect::getNoAliasAttrName(), builder.getUnitAttr());
      function.setArgAttr(i, Dialect::getReadonlyAttrName(), builder.getUnitAttr());
    }
  return mlir::success();
}

// --- to PTX --------------------------------------------------------------------------------------

static std::unique_ptr<llvm::TargetMachine> createMachine(const CudaTarget &target,
                                                          std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeNVPTXTargetInfo();
    LLVMInitializeNVPTXTarget();
    LLVMInitializeNVPTXTargetMC();
    LLVMInitializeNVPTXAsmPrinter();
  });
  llvm::Triple triple(deviceTriple);
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Fast;
  return std::unique_ptr<llvm::TargetMachine>(
      found->createTargetMachine(triple, target.chip, ptxFeature, options, std::nullopt,
                                 std::nullopt, llvm::CodeGenOptLevel::Aggressive));
}

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopUnrolling = true;
  llvm::LoopAnalysisManager loops;
  llvm::FunctionAnalysisManager functions;
  llvm::CGSCCAnalysisManager graphs;
  llvm::ModuleAnalysisManager modules;
  llvm::PassBuilder builder(&machine, tuning);
  builder.registerModuleAnalyses(modules);
  builder.registerCGSCCAnalyses(graphs);
  builder.registerFunctionAnalyses(functions);
  builder.registerLoopAnalyses(loops);
  builder.crossRegisterProxies(loops, functions, graphs, modules);
  builder.buildPerModuleDefaultPipeline(llvm::OptimizationLevel::O2).run(module, modules);
}

mlir::FailureOr<std::string> emitPtx(mlir::gpu::GPUModuleOp source, const CudaTarget &target) {
  llvm::LLVMContext context;
  mlir::Location loc = source.getLoc();
  std::unique_ptr<llvm::Module> module = mlir::translateModuleToLLVMIR(source, context);
  if (!module)
    return mlir::failure();
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return mlir::emitError(loc, "no code generator for PTX: ") << error;
  module->setTargetTriple(machine->getTargetTriple());
  module->setDataLayout(machine->createDataLayout());
  optimise(*module, *machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::AssemblyFile))
    return mlir::emitError(loc, "the code generator cannot write PTX");
  passes.run(*module);
  return std::string(bytes.begin(), bytes.end());
}

} // namespace levin::cuda
