// The LLVM dialect -> LLVM IR -> optimised object -> shared object.
#include "codegen/host/HostCodegen.h"
#include "codegen/host/Lowering.h"

#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Export.h"

#include "llvm/IR/LLVMContext.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/IR/Module.h"
#include "llvm/IR/Verifier.h"
#include "llvm/IRReader/IRReader.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Object/ObjectFile.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Program.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/SourceMgr.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/Target/TargetMachine.h"
#include "llvm/Target/TargetOptions.h"

#include <cstdlib>
#include <mutex>

namespace levin::host {

static constexpr llvm::StringLiteral hostTriple = "x86_64-unknown-linux-gnu";

// LLVM may turn loops into these calls, and a shared object without dependencies must bring them.
static constexpr llvm::StringLiteral memoryFunctions = R"(
define hidden ptr @memcpy(ptr returned %to, ptr %from, i64 %n) #0 {
  %r = call { ptr, ptr, i64 } asm sideeffect "rep movsb",
      "={di},={si},={cx},0,1,2,~{memory},~{dirflag},~{fpsr},~{flags}"(ptr %to, ptr %from, i64 %n)
  ret ptr %to
}
define hidden ptr @memset(ptr returned %to, i32 %value, i64 %n) #0 {
  %byte = trunc i32 %value to i8
  %r = call { ptr, i64 } asm sideeffect "rep stosb",
      "={di},={cx},0,1,{al},~{memory},~{dirflag},~{fpsr},~{flags}"(ptr %to, i64 %n, i8 %byte)
  ret ptr %to
}
define hidden ptr @memmove(ptr returned %to, ptr %from, i64 %n) #0 {
entry:
  %t = ptrtoint ptr %to to i64
  %f = ptrtoint ptr %from to i64
  %distance = sub i64 %t, %f
  %forward = icmp uge i64 %distance, %n
  br i1 %forward, label %up, label %down
up:
  %r = call { ptr, ptr, i64 } asm sideeffect "rep movsb",
      "={di},={si},={cx},0,1,2,~{memory},~{dirflag},~{fpsr},~{flags}"(ptr %to, ptr %from, i64 %n)
  ret ptr %to
down:
  %any = icmp ne i64 %n, 0
  br i1 %any, label %loop, label %done
loop:
  %i = phi i64 [ %n, %down ], [ %next, %loop ]
  %next = sub i64 %i, 1
  %source = getelementptr i8, ptr %from, i64 %next
  %target = getelementptr i8, ptr %to, i64 %next
  %value = load i8, ptr %source
  store i8 %value, ptr %target
  %more = icmp ne i64 %next, 0
  br i1 %more, label %loop, label %done
done:
  ret ptr %to
}
attributes #0 = { nounwind noinline "no-builtins" }
)";

static std::unique_ptr<llvm::TargetMachine> createMachine(const HostTarget &target,
                                                          std::string &error) {
  static std::once_flag once;
  std::call_once(once, [] {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    LLVMInitializeX86AsmParser(); // the memory functions hold assembly
  });
  llvm::Triple triple(hostTriple);
  const llvm::Target *found = llvm::TargetRegistry::lookupTarget(triple, error);
  if (!found)
    return nullptr;
  llvm::TargetOptions options;
  options.AllowFPOpFusion = llvm::FPOpFusion::Standard;
  return std::unique_ptr<llvm::TargetMachine>(
      found->createTargetMachine(triple, target.cpu, "", options, llvm::Reloc::PIC_, std::nullopt,
                                 llvm::CodeGenOptLevel::Aggressive));
}

static void optimise(llvm::Module &module, llvm::TargetMachine &machine) {
  llvm::PipelineTuningOptions tuning;
  tuning.LoopVectorization = true;
  tuning.SLPVectorization = true;
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

static mlir::FailureOr<std::string> compile(mlir::Location loc, llvm::Module &module,
                                            const HostTarget &target) {
  std::string error;
  std::unique_ptr<llvm::TargetMachine> machine = createMachine(target, error);
  if (!machine)
    return mlir::emitError(loc, "no code generator for x86-64: ") << error;
  module.setTargetTriple(machine->getTargetTriple());
  module.setDataLayout(machine->createDataLayout());
  module.setPICLevel(llvm::PICLevel::BigPIC);
  for (llvm::Function &function : module) {
    if (function.isDeclaration())
      continue;
    function.addFnAttr("target-cpu", target.cpu);
    function.addFnAttr("prefer-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr("min-legal-vector-width", std::to_string(target.vectorBits));
    function.addFnAttr(llvm::Attribute::NoUnwind);
  }
  optimise(module, *machine);
  llvm::SmallVector<char, 0> bytes;
  llvm::raw_svector_ostream stream(bytes);
  llvm::legacy::PassManager passes;
  if (machine->addPassesToEmitFile(passes, stream, nullptr, llvm::CodeGenFileType::ObjectFile))
    return mlir::emitError(loc, "the code generator cannot write object files");
  passes.run(module);
  return std::string(bytes.begin(), bytes.end());
}

/// Names that `object` uses and neither has nor gets from the memory functions.
static llvm::SmallVector<std::string> missingSymbols(llvm::StringRef object) {
  llvm::SmallVector<std::string> missing;
  auto file = llvm::object::ObjectFile::createObjectFile(llvm::MemoryBufferRef(object, "kernel"));
  if (!file) {
    llvm::consumeError(file.takeError());
    return missing;
  }
  for (const llvm::object::SymbolRef &symbol : (*file)->symbols()) {
    auto flags = symbol.getFlags();
    auto name = symbol.getName();
    if (!flags || !name) {
      llvm::consumeError(flags.takeError());
      llvm::consumeError(name.takeError());
      continue;
    }
    if ((*flags & llvm::object::SymbolRef::SF_Undefined) && !name->empty() &&
        !llvm::is_contained({"memcpy", "memset", "memmove"}, *name))
      missing.push_back(name->str());
  }
  return missing;
}

mlir::FailureOr<std::string> emitObject(mlir::ModuleOp module, const HostTarget &target) {
  llvm::LLVMContext context;
  std::unique_ptr<llvm::Module> translated = mlir::translateModuleToLLVMIR(module, context);
  if (!translated)
    return mlir::failure();
  auto object = compile(module.getLoc(), *translated, target);
  if (mlir::failed(object))
    return mlir::failure();
  llvm::SmallVector<std::string> missing = missingSymbols(*object);
  if (!missing.empty())
    return mlir::emitError(module.getLoc(), "needs the function '")
           << missing.front()
           << "', which the host target does not have; mathematical functions exist for f32, so "
              "compute in f32 and convert";
  return object;
}

/// The object with memcpy and the like.
static mlir::FailureOr<std::string> emitMemoryFunctions(mlir::Location loc,
                                                        const HostTarget &target) {
  llvm::LLVMContext context;
  llvm::SMDiagnostic diagnostic;
  auto buffer = llvm::MemoryBuffer::getMemBuffer(memoryFunctions, "memory");
  std::unique_ptr<llvm::Module> module = llvm::parseIR(*buffer, diagnostic, context);
  if (!module)
    return mlir::emitError(loc, "memory functions do not parse: ") << diagnostic.getMessage();
  return compile(loc, *module, target);
}

// --- linking -------------------------------------------------------------------------------------

std::string findHostLinker() {
  if (const char *named = std::getenv("LEVIN_LINKER"))
    return llvm::sys::fs::can_execute(named) ? named : "";
  for (llvm::StringRef name : {"ld.lld-22", "ld.lld"}) {
    auto path = llvm::sys::findProgramByName(name, {LEVIN_LLVM_TOOLS_DIR});
    if (!path)
      path = llvm::sys::findProgramByName(name);
    if (path)
      return *path;
  }
  return {};
}

namespace {
/// A folder that vanishes with the object.
struct TemporaryFolder {
  llvm::SmallString<128> path;
  ~TemporaryFolder() {
    if (!path.empty())
      llvm::sys::fs::remove_directories(path);
  }
  std::string file(const llvm::Twine &name) const { return (path + "/" + name).str(); }
};
} // namespace

static bool writeFile(const std::string &path, llvm::StringRef bytes) {
  std::error_code error;
  llvm::raw_fd_ostream stream(path, error);
  if (error)
    return false;
  stream << bytes;
  stream.close();
  return !stream.has_error();
}

mlir::FailureOr<std::string> linkShared(mlir::Location loc, llvm::ArrayRef<std::string> objects,
                                        const HostTarget &target) {
  std::string linker = findHostLinker();
  if (linker.empty())
    return mlir::emitError(loc, "the linker ld.lld is not installed");
  auto memory = emitMemoryFunctions(loc, target);
  if (mlir::failed(memory))
    return mlir::failure();
  TemporaryFolder folder;
  if (llvm::sys::fs::createUniqueDirectory("levin-link", folder.path))
    return mlir::emitError(loc, "cannot create a temporary folder");
  // A response file: there may be more objects than a command line holds.
  std::string list;
  bool written = true;
  for (auto [i, object] : llvm::enumerate(objects)) {
    std::string path = folder.file(llvm::Twine(i) + ".o");
    written = written && writeFile(path, object);
    list += path + "\n";
  }
  written = written && writeFile(folder.file("memory.o"), *memory);
  list += folder.file("memory.o") + "\n";
  written = written && writeFile(folder.file("objects.txt"), list);
  if (!written)
    return mlir::emitError(loc, "cannot write to the temporary folder ") << folder.path;
  std::string response = "@" + folder.file("objects.txt"), output = folder.file("kernels.so"),
              messages = folder.file("messages.txt");
  llvm::SmallVector<llvm::StringRef> arguments{linker,
                                               "-shared",
                                               "--no-undefined",
                                               "-z",
                                               "text",
                                               "-z",
                                               "now",
                                               "-z",
                                               "relro",
                                               "-z",
                                               "noexecstack",
                                               "-z",
                                               "separate-code",
                                               "--build-id=none",
                                               "--hash-style=gnu",
                                               "--gc-sections",
                                               "-s",
                                               "-o",
                                               output,
                                               response};
  std::optional<llvm::StringRef> redirects[] = {llvm::StringRef(), llvm::StringRef(messages),
                                                llvm::StringRef(messages)};
  std::string error;
  int status = llvm::sys::ExecuteAndWait(linker, arguments, std::nullopt, redirects, 0, 0, &error);
  if (status != 0) {
    auto text = llvm::MemoryBuffer::getFile(messages);
    std::string shown = text ? (*text)->getBuffer().substr(0, 2000).str() : error;
    return mlir::emitError(loc, "kernels use a function that the host target does not have; ")
           << "the linker says: " << shown;
  }
  auto result = llvm::MemoryBuffer::getFile(output);
  if (!result)
    return mlir::emitError(loc, "the linker wrote nothing");
  return (*result)->getBuffer().str();
}

} // namespace levin::host
