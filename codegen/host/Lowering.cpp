// Buffers, loops and vectors -> the LLVM dialect.
#include "codegen/host/Lowering.h"

#include "dialects/interfaces/ExpandFloat8.h"

#include "mlir/Conversion/AffineToStandard/AffineToStandard.h"
#include "mlir/Conversion/ArithToLLVM/ArithToLLVM.h"
#include "mlir/Conversion/ControlFlowToLLVM/ControlFlowToLLVM.h"
#include "mlir/Conversion/FuncToLLVM/ConvertFuncToLLVMPass.h"
#include "mlir/Conversion/IndexToLLVM/IndexToLLVM.h"
#include "mlir/Conversion/MathToLLVM/MathToLLVM.h"
#include "mlir/Conversion/MemRefToLLVM/MemRefToLLVM.h"
#include "mlir/Conversion/Passes.h"
#include "mlir/Conversion/ReconcileUnrealizedCasts/ReconcileUnrealizedCasts.h"
#include "mlir/Conversion/SCFToControlFlow/SCFToControlFlow.h"
#include "mlir/Conversion/VectorToLLVM/ConvertVectorToLLVMPass.h"
#include "mlir/Conversion/VectorToSCF/VectorToSCF.h"
#include "mlir/Dialect/Affine/Transforms/Passes.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Arith/Transforms/Passes.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Linalg/Passes.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/Math/Transforms/Passes.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Dialect/MemRef/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/GreedyPatternRewriteDriver.h"
#include "mlir/Transforms/Passes.h"

#include <numbers>

namespace levin::host {

uint64_t stackBytesOf(mlir::func::FuncOp function) {
  uint64_t bytes = 16384; // spills and saved registers
  function.walk([&](mlir::memref::AllocaOp op) {
    mlir::MemRefType type = op.getType();
    if (type.hasStaticShape())
      bytes +=
          static_cast<uint64_t>(type.getNumElements()) * ((type.getElementTypeBitWidth() + 7) / 8) +
          64;
  });
  return bytes;
}

namespace {

/// log10(x) = log2(x) log10(2): the logarithm that has a polynomial.
struct ExpandLog10 : mlir::OpRewritePattern<mlir::math::Log10Op> {
  using OpRewritePattern::OpRewritePattern;

  mlir::LogicalResult matchAndRewrite(mlir::math::Log10Op op,
                                      mlir::PatternRewriter &rewriter) const override {
    mlir::Type type = op.getType();
    mlir::TypedAttr factor = rewriter.getFloatAttr(mlir::getElementTypeOrSelf(type),
                                                   std::numbers::ln2 / std::numbers::ln10);
    if (auto shaped = llvm::dyn_cast<mlir::ShapedType>(type))
      factor = mlir::SplatElementsAttr::get(shaped, factor);
    mlir::Value scale = mlir::arith::ConstantOp::create(rewriter, op.getLoc(), factor);
    mlir::Value power = mlir::math::Log2Op::create(rewriter, op.getLoc(), op.getOperand());
    rewriter.replaceOpWithNewOp<mlir::arith::MulFOp>(op, power, scale);
    return mlir::success();
  }
};

/// exp, tanh, erf and the like become polynomials: a kernel has no library to call.  bfloat16 and
/// f8E4M3FN are converted by integer arithmetic, which every target has.
struct ExpandMath : mlir::PassWrapper<ExpandMath, mlir::OperationPass<mlir::func::FuncOp>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(ExpandMath)

  llvm::StringRef getArgument() const override { return "levin-host-expand-math"; }
  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    registry.insert<mlir::arith::ArithDialect, mlir::math::MathDialect>();
  }
  void runOnOperation() override {
    mlir::RewritePatternSet patterns(&getContext());
    auto always = [](llvm::StringRef) { return true; };
    mlir::populateMathF32ExpansionPatterns(patterns, always);
    mlir::populateMathPolynomialApproximationPatterns(patterns, always);
    mlir::math::populateExpansionPatterns(patterns,
                                          {"powf", "fpowi", "exp2", "round", "clampf", "tan",
                                           "sinh", "cosh", "asinh", "acosh", "atanh"});
    patterns.add<ExpandLog10>(&getContext());
    mlir::arith::populateCeilFloorDivExpandOpsPatterns(patterns);
    mlir::arith::populateExpandBFloat16Patterns(patterns);
    populateExpandFloat8Patterns(patterns);
    if (mlir::failed(mlir::applyPatternsGreedily(getOperation(), std::move(patterns))))
      signalPassFailure();
  }
};

} // namespace

static void buildToLlvm(mlir::PassManager &manager) {
  mlir::OpPassManager &function = manager.nest<mlir::func::FuncOp>();
  function.addPass(mlir::createConvertLinalgToLoopsPass());
  function.addPass(mlir::createLoopInvariantCodeMotionPass());
  // bfloat16 is for storing: computing in it would need a library.
  function.addPass(mlir::arith::createArithEmulateUnsupportedFloats({{"bf16"}, "f32"}));
  function.addPass(mlir::math::createMathExtendToSupportedTypes({{"f16"}, "f32"}));
  function.addPass(std::make_unique<ExpandMath>());
  function.addPass(mlir::createConvertVectorToSCFPass());
  function.addPass(mlir::memref::createExpandStridedMetadataPass());
  function.addPass(mlir::createLowerAffinePass());
  function.addPass(mlir::createCanonicalizerPass());
  function.addPass(mlir::createCSEPass());
  manager.addPass(mlir::createSCFToControlFlowPass());
  manager.addPass(mlir::createConvertMathToLLVMPass());
  mlir::ConvertVectorToLLVMPassOptions vector;
  vector.reassociateFPReductions = true;
  vector.vectorTransposeLowering = mlir::vector::VectorTransposeLowering::Shuffle1D;
  manager.addPass(mlir::createConvertVectorToLLVMPass(vector));
  manager.addPass(mlir::createConvertIndexToLLVMPass());
  manager.addPass(mlir::createArithToLLVMConversionPass());
  manager.addPass(mlir::createFinalizeMemRefToLLVMConversionPass());
  mlir::ConvertFuncToLLVMPassOptions functions;
  functions.useBarePtrCallConv = true;
  manager.addPass(mlir::createConvertFuncToLLVMPass(functions));
  manager.addPass(mlir::createConvertControlFlowToLLVMPass());
  manager.addPass(mlir::createUBToLLVMConversionPass());
  manager.addPass(mlir::createReconcileUnrealizedCastsPass());
  manager.addPass(mlir::createCanonicalizerPass());
  manager.addPass(mlir::createCSEPass());
}

/// Refuses an op that no conversion took.
static mlir::LogicalResult verifyLowered(mlir::ModuleOp module) {
  auto result = module.walk([](mlir::Operation *op) {
    if (llvm::isa<mlir::ModuleOp>(op) ||
        llvm::isa_and_present<mlir::LLVM::LLVMDialect>(op->getDialect()))
      return mlir::WalkResult::advance();
    op->emitOpError("of ") << op->getOperandTypes()
                           << " has no code on the host; mathematical functions exist for f32, so "
                              "compute in f32 and convert";
    return mlir::WalkResult::interrupt();
  });
  return mlir::failure(result.wasInterrupted());
}

/// `void name(ptr bindings, i64 x, i64 y, i64 z)` loads the pointers and calls `body`.
static void addExport(mlir::ModuleOp module, mlir::LLVM::LLVMFuncOp body, llvm::StringRef name,
                      unsigned bindings) {
  mlir::OpBuilder builder(module.getContext());
  builder.setInsertionPointToEnd(module.getBody());
  mlir::Location loc = body.getLoc();
  auto pointer = mlir::LLVM::LLVMPointerType::get(builder.getContext());
  mlir::Type i64 = builder.getI64Type();
  auto type = mlir::LLVM::LLVMFunctionType::get(mlir::LLVM::LLVMVoidType::get(builder.getContext()),
                                                {pointer, i64, i64, i64});
  auto function = mlir::LLVM::LLVMFuncOp::create(builder, loc, name, type);
  builder.setInsertionPointToStart(function.addEntryBlock(builder));
  llvm::SmallVector<mlir::Value> arguments;
  for (unsigned i = 0; i < bindings; ++i) {
    mlir::Value place =
        mlir::LLVM::GEPOp::create(builder, loc, pointer, pointer, function.getArgument(0),
                                  llvm::ArrayRef<mlir::LLVM::GEPArg>{i});
    arguments.push_back(mlir::LLVM::LoadOp::create(builder, loc, pointer, place));
  }
  for (unsigned d = 1; d <= 3; ++d)
    arguments.push_back(function.getArgument(d));
  mlir::LLVM::CallOp::create(builder, loc, body, arguments);
  mlir::LLVM::ReturnOp::create(builder, loc, mlir::ValueRange{});
}

mlir::LogicalResult lowerToLlvm(mlir::ModuleOp module, llvm::StringRef body, llvm::StringRef name,
                                unsigned bindings) {
  mlir::PassManager manager(module.getContext());
  manager.enableVerifier(false);
  buildToLlvm(manager);
  if (mlir::failed(manager.run(module)) || mlir::failed(verifyLowered(module)))
    return mlir::failure();
  auto function = module.lookupSymbol<mlir::LLVM::LLVMFuncOp>(body);
  function.setLinkage(mlir::LLVM::Linkage::Internal);
  function.setAlwaysInline(true);
  mlir::Builder builder(module.getContext());
  for (unsigned i = 0; i < bindings; ++i) {
    // The loader's checks hold both: slices are 64-byte aligned, and what a launch writes
    // overlaps none of its other bindings.
    function.setArgAttr(i, mlir::LLVM::LLVMDialect::getAlignAttrName(),
                        builder.getI64IntegerAttr(64));
    function.setArgAttr(i, mlir::LLVM::LLVMDialect::getNoAliasAttrName(), builder.getUnitAttr());
  }
  addExport(module, function, name, bindings);
  return mlir::success();
}

} // namespace levin::host
