// Compiles the functions of an MLIR file for a GPU, runs what they mean on this machine, and
// writes both for cuda-run-cases.
//
// usage: cuda-write-cases INPUT.mlir OUTPUT
//
// Arguments are random, or what their attribute case.fill says: "normal SCALE", "below LIMIT"
// (integers from 0), "around LIMIT" (integers, some out of range), "places ROWS" (each row once,
// some choices without one), "list A B ..".  A result's case.live is the number of rows that must
// be as expected (all).  Of a function: case.tolerance, case.timed (large, not compared), and
// case.templates = false to compile the decomposition.
#include "CaseFile.h"
#include "KernelHarness.h"

#include "codegen/cuda/CudaCodegen.h"
#include "codegen/cuda/Passes.h"
#include "dialects/Dialects.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"

#include "llvm/Support/raw_ostream.h"

#include <fstream>
#include <numeric>

using namespace levin;
using artifact::DType;

static DType dtypeOf(mlir::Type type) {
  if (type.isF32())
    return DType::F32;
  if (type.isBF16())
    return DType::BF16;
  if (type.isF16())
    return DType::F16;
  if (type.isInteger(32))
    return DType::I32;
  if (type.isInteger(64))
    return DType::I64;
  return type.isInteger(8) ? DType::U8 : DType::F8E4M3;
}

namespace {
struct Filler {
  std::mt19937 generator{11};

  std::string fill(mlir::RankedTensorType type, llvm::StringRef how);

private:
  std::string floats(mlir::RankedTensorType type, float scale);
  std::vector<int32_t> integers(int64_t count, llvm::ArrayRef<llvm::StringRef> words);
};
} // namespace

template <typename T> static std::string bytesOf(const std::vector<T> &values) {
  return {reinterpret_cast<const char *>(values.data()), values.size() * sizeof(T)};
}

std::string Filler::floats(mlir::RankedTensorType type, float scale) {
  std::vector<float> values = host::randomFloats(generator, type.getNumElements(), scale);
  if (type.getElementType().isF32())
    return bytesOf(values);
  if (type.getElementType().isBF16()) {
    std::vector<uint16_t> narrow;
    for (float value : values)
      narrow.push_back(host::toBFloat16(value));
    return bytesOf(narrow);
  }
  if (type.getElementType().isF16()) {
    std::vector<uint16_t> narrow;
    for (float value : values) {
      llvm::APFloat half(value);
      bool lost = false;
      half.convert(llvm::APFloat::IEEEhalf(), llvm::APFloat::rmNearestTiesToEven, &lost);
      narrow.push_back(static_cast<uint16_t>(half.bitcastToAPInt().getZExtValue()));
    }
    return bytesOf(narrow);
  }
  // Bytes of a quantised weight; no float8 that is no number.
  std::vector<uint8_t> bytes;
  for (int64_t i = 0; i < type.getNumElements(); ++i)
    bytes.push_back(static_cast<uint8_t>(generator() & 0xf7));
  return bytesOf(bytes);
}

std::vector<int32_t> Filler::integers(int64_t count, llvm::ArrayRef<llvm::StringRef> words) {
  std::vector<int32_t> values(count);
  auto number = [&](size_t i) {
    int32_t value = 0;
    if (i < words.size())
      words[i].getAsInteger(10, value);
    return value;
  };
  if (words[0] == "list") {
    for (int64_t i = 0; i < count; ++i)
      values[i] = number(i + 1);
  } else if (words[0] == "places") {
    std::vector<int32_t> rows(number(1));
    std::iota(rows.begin(), rows.end(), 0);
    std::shuffle(rows.begin(), rows.end(), generator);
    for (int64_t i = 0; i < count; ++i)
      values[i] = generator() % 7 == 0 ? -1 : rows[i % rows.size()];
  } else {
    int32_t limit = number(1), margin = words[0] == "around" ? 2 : 0;
    for (int32_t &value : values)
      value = static_cast<int32_t>(generator() % (limit + 2 * margin)) - margin;
  }
  return values;
}

std::string Filler::fill(mlir::RankedTensorType type, llvm::StringRef how) {
  llvm::SmallVector<llvm::StringRef> words;
  how.split(words, ' ', -1, /*KeepEmpty=*/false);
  if (words.empty())
    words.push_back("below");
  if (type.getElementType().isInteger(32))
    return bytesOf(integers(type.getNumElements(), words));
  double scale = 1;
  if (words[0] == "normal" && words.size() > 1)
    words[1].getAsDouble(scale);
  return floats(type, static_cast<float>(scale));
}

/// A binding of `type` that nothing has written: NaN, or a pattern.
static std::string poison(mlir::RankedTensorType type) {
  size_t bytes = static_cast<size_t>(type.getNumElements()) *
                 artifact::byteSize(dtypeOf(type.getElementType()));
  return std::string(bytes, '\xff');
}

namespace {
/// What is known of a function before its attributes are taken away.
struct Request {
  std::string name;
  bool templates = true, timed = false;
  double tolerance = 1e-5;
  std::vector<std::string> fills;
  std::vector<int64_t> live;
};
} // namespace

static Request takeRequest(mlir::func::FuncOp function) {
  Request request;
  request.name = function.getName().str();
  if (auto flag = function->getAttrOfType<mlir::BoolAttr>("case.templates"))
    request.templates = flag.getValue();
  request.timed = function->hasAttr("case.timed");
  if (auto number = function->getAttrOfType<mlir::FloatAttr>("case.tolerance"))
    request.tolerance = number.getValueAsDouble();
  for (unsigned i = 0; i < function.getNumArguments(); ++i) {
    auto fill = function.getArgAttrOfType<mlir::StringAttr>(i, "case.fill");
    request.fills.push_back(fill ? fill.str() : "");
  }
  for (unsigned i = 0; i < function.getNumResults(); ++i) {
    auto live = function.getResultAttrOfType<mlir::IntegerAttr>(i, "case.live");
    request.live.push_back(live ? live.getInt() : -1);
  }
  for (const char *name : {"case.templates", "case.timed", "case.tolerance"})
    function->removeAttr(name);
  function.removeArgAttrsAttr();
  function.removeResAttrsAttr();
  return request;
}

/// Compiles `function` alone and adds it to `file`.
static bool addCase(mlir::func::FuncOp function, const cuda::CudaToolkit &toolkit,
                    test::CaseFile &file) {
  Request request = takeRequest(function);
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(function.getLoc());
  mlir::OpBuilder::atBlockEnd(module->getBody()).clone(*function);
  std::string ir;
  llvm::raw_string_ostream(ir) << *module;
  cuda::CudaCodegenOptions options;
  options.templates = request.templates;
  auto made = cuda::compileKernels(*module, cuda::cudaTargets().back(), toolkit, options);
  if (mlir::failed(made))
    return false;
  const cuda::CudaKernel &kernel = made->kernels.front();
  artifact::Export code;
  code.name = kernel.name;
  code.written = kernel.written;
  code.launches = kernel.launches;
  code.scratchBytes = kernel.scratchBytes;
  if (kernel.product) {
    llvm::errs() << request.name << ": a product of a library cannot be run here\n";
    return false;
  }
  test::Case one;
  one.name = request.name;
  one.method = kernel.method;
  one.executable = static_cast<uint32_t>(file.executables.size());
  one.tolerance = request.tolerance;
  one.timed = request.timed;
  artifact::Executable executable;
  executable.exports.push_back(code);
  executable.variants.push_back({cuda::cudaTargets().back().name,
                                 artifact::CodeKind::Cubin,
                                 static_cast<uint32_t>(file.segments.size()),
                                 {}});
  file.executables.push_back(executable);
  file.segments.push_back(made->image.cubin);

  Filler filler;
  std::vector<host::Buffer> buffers;
  std::vector<mlir::RankedTensorType> types;
  std::vector<int64_t> live;
  auto add = [&](mlir::Type type, std::string bytes, int64_t rows) {
    auto tensor = llvm::cast<mlir::RankedTensorType>(type);
    test::CaseBinding binding;
    binding.dtype = dtypeOf(tensor.getElementType());
    binding.count = static_cast<uint64_t>(tensor.getNumElements());
    binding.liveCount = rows < 0 ? binding.count : binding.count / tensor.getDimSize(0) * rows;
    if (!request.timed) {
      buffers.emplace_back(bytes.size());
      std::memcpy(buffers.back().data(), bytes.data(), bytes.size());
    }
    if (!request.timed || binding.dtype == DType::I32)
      binding.before = std::move(bytes);
    one.bindings.push_back(std::move(binding));
  };
  for (auto [type, fill] : llvm::zip(function.getArgumentTypes(), request.fills)) {
    auto tensor = llvm::cast<mlir::RankedTensorType>(type);
    bool ship = !request.timed || tensor.getElementType().isInteger(32);
    add(type, ship ? filler.fill(tensor, fill) : "", -1);
  }
  size_t results = kernel.written.size() - function.getNumArguments();
  for (size_t i = 0; i < results; ++i) {
    // Results without a binding of their own come last or not at all in these files.
    auto type = llvm::cast<mlir::RankedTensorType>(function.getResultTypes()[i]);
    add(type, request.timed ? "" : poison(type), request.live[i]);
  }
  if (!request.timed) {
    if (!host::runMeaning(ir, buffers))
      return false;
    for (auto [i, binding] : llvm::enumerate(one.bindings))
      if (kernel.written[i])
        binding.expected.assign(reinterpret_cast<const char *>(buffers[i].data()),
                                binding.before.size());
  }
  llvm::outs() << request.name << ": " << kernel.method << ", " << kernel.launches.size()
               << " launches\n";
  file.cases.push_back(std::move(one));
  return true;
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  levin::registerLevinDialects(registry);
  cuda::registerCudaCodegen(registry);
  mlir::MLIRContext context(registry);
  context.allowUnregisteredDialects();
  auto module = mlir::parseSourceFile<mlir::ModuleOp>(argv[1], &context);
  if (!module)
    return 1;
  auto toolkit = cuda::findCudaToolkit();
  if (!toolkit.ok()) {
    llvm::errs() << toolkit.status().text();
    return 1;
  }
  test::CaseFile file;
  bool good = true;
  for (auto function : module->getOps<mlir::func::FuncOp>())
    good = addCase(function, *toolkit, file) && good;
  std::string bytes;
  test::Archive archive(bytes, /*writing=*/true);
  archive(file);
  std::ofstream stream(argv[2], std::ios::binary);
  stream << bytes;
  return good && stream.flush() ? 0 : 1;
}
