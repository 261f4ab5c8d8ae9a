#include "codegen/cuda/DeviceCode.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/xxhash.h"

namespace levin::cuda {

namespace gpu = mlir::gpu;

std::string symbolFor(llvm::StringRef name) {
  std::string symbol = "k_";
  bool changed = false;
  for (char c : name) {
    bool allowed = llvm::isAlnum(c) || c == '_';
    changed |= !allowed;
    symbol += allowed ? c : '_';
  }
  if (changed)
    symbol += "_" + llvm::utohexstr(llvm::xxh3_64bits(name), /*LowerCase=*/true);
  return symbol;
}

gpu::GPUFuncOp createDeviceKernel(mlir::OpBuilder &builder, gpu::GPUModuleOp module,
                                  llvm::StringRef symbol, mlir::TypeRange bindings,
                                  uint64_t scratchBytes, uint32_t threads) {
  llvm::SmallVector<mlir::Type> types(bindings);
  if (scratchBytes)
    types.push_back(
        mlir::MemRefType::get({static_cast<int64_t>(scratchBytes)}, builder.getI8Type()));
  builder.setInsertionPointToEnd(module.getBody());
  auto function =
      gpu::GPUFuncOp::create(builder, module.getLoc(), symbol, builder.getFunctionType(types, {}));
  function->setAttr(gpu::GPUDialect::getKernelFuncAttrName(), builder.getUnitAttr());
  function.setKnownBlockSize(llvm::ArrayRef<int32_t>{static_cast<int32_t>(threads), 1, 1});
  builder.setInsertionPointToStart(&function.getBody().front());
  return function;
}

static mlir::Value blockTimes(mlir::OpBuilder &b, mlir::Location loc, mlir::Value factor) {
  mlir::Value size = gpu::BlockDimOp::create(b, loc, gpu::Dimension::x);
  return mlir::arith::MulIOp::create(b, loc, factor, size);
}

mlir::Value gridThread(mlir::OpBuilder &b, mlir::Location loc) {
  mlir::Value block = gpu::BlockIdOp::create(b, loc, gpu::Dimension::x);
  mlir::Value thread = gpu::ThreadIdOp::create(b, loc, gpu::Dimension::x);
  return mlir::arith::AddIOp::create(b, loc, blockTimes(b, loc, block), thread);
}

mlir::Value gridThreads(mlir::OpBuilder &b, mlir::Location loc) {
  return blockTimes(b, loc, gpu::GridDimOp::create(b, loc, gpu::Dimension::x));
}

} // namespace levin::cuda
