#include "KernelHarness.h"

#include "dialects/Dialects.h"

#include "mlir/IR/MLIRContext.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"

#include "llvm/Support/raw_ostream.h"

#include <atomic>
#include <bit>
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <limits>
#include <sys/mman.h>
#include <thread>
#include <unistd.h>

namespace levin::host {

static constexpr size_t guard = 256;
static constexpr std::byte guardByte{0xff}; // NaN as float

Buffer::Buffer(size_t bytes) : storage(bytes + 2 * guard + 64, guardByte), size(bytes) {
  auto address = reinterpret_cast<uintptr_t>(storage.data()) + guard;
  begin = storage.data() + guard + (64 - address % 64) % 64;
}

Buffer Buffer::poisoned(size_t count) {
  Buffer buffer(count * sizeof(float));
  for (float &value : buffer.as<float>())
    value = std::numeric_limits<float>::quiet_NaN();
  return buffer;
}

bool Buffer::intact() const {
  for (const std::byte &byte : storage)
    if ((&byte < begin || &byte >= begin + size) && byte != guardByte)
      return false;
  return true;
}

static mlir::MLIRContext &context() {
  static mlir::MLIRContext *context = [] {
    mlir::DialectRegistry registry;
    mlir::registerAllDialects(registry);
    mlir::registerAllExtensions(registry);
    mlir::registerAllToLLVMIRTranslations(registry);
    levin::registerLevinDialects(registry);
    auto *context = new mlir::MLIRContext(registry);
    context->loadAllAvailableDialects();
    return context;
  }();
  return *context;
}

std::unique_ptr<LoadedKernel> LoadedKernel::compile(const std::string &ir, const HostTarget &target,
                                                    bool templates) {
  auto module = mlir::parseSourceString<mlir::ModuleOp>(ir, &context());
  if (!module)
    return nullptr;
  HostCodegenOptions options;
  options.templates = templates;
  options.keepIr = true;
  auto compiled = compileKernels(*module, {target}, options);
  if (mlir::failed(compiled) || compiled->kernels.size() != 1)
    return nullptr;
  auto result = std::make_unique<LoadedKernel>();
  result->kernel = compiled->kernels[0];
  const std::string &elf = compiled->variants[0].elf;
  int file = memfd_create("kernel", MFD_CLOEXEC);
  if (file < 0 || write(file, elf.data(), elf.size()) != static_cast<ssize_t>(elf.size()))
    return nullptr;
  std::string path = "/proc/self/fd/" + std::to_string(file);
  result->library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  close(file);
  if (!result->library) {
    llvm::errs() << "dlopen: " << dlerror() << "\n";
    return nullptr;
  }
  result->function =
      reinterpret_cast<Function>(dlsym(result->library, result->kernel.name.c_str()));
  if (!result->function)
    return nullptr;
  return result;
}

LoadedKernel::~LoadedKernel() {
  if (library)
    dlclose(library);
}

void LoadedKernel::run(std::span<void *const> bindings, unsigned threads) const {
  auto [sizeX, sizeY, sizeZ] = kernel.grid;
  int64_t count = int64_t(sizeX) * sizeY * sizeZ;
  std::atomic<int64_t> next = 0;
  auto work = [&, sizeX = int64_t(sizeX), sizeY = int64_t(sizeY)] {
    for (int64_t i = next++; i < count; i = next++)
      function(bindings.data(), i % sizeX, i / sizeX % sizeY, i / (sizeX * sizeY));
  };
  std::vector<std::thread> others;
  for (unsigned i = 1; i < threads; ++i)
    others.emplace_back(work);
  work();
  for (std::thread &other : others)
    other.join();
}

void LoadedKernel::run(std::span<Buffer> bindings, unsigned threads) const {
  std::vector<void *> pointers;
  for (Buffer &buffer : bindings)
    pointers.push_back(buffer.data());
  run(std::span<void *const>(pointers), threads);
}

bool runMeaning(const std::string &ir, std::span<Buffer> bindings) {
  auto target = nativeHostTarget();
  auto kernel = target ? LoadedKernel::compile(ir, *target, /*templates=*/false) : nullptr;
  if (kernel)
    kernel->run(bindings);
  return kernel != nullptr;
}

std::vector<HostTarget> runnableTargets() {
  std::vector<HostTarget> result;
  auto native = nativeHostTarget();
  for (const HostTarget &target : hostTargets())
    if (native && target.vectorBits <= native->vectorBits)
      result.push_back(target);
  return result;
}

std::vector<float> randomFloats(std::mt19937 &generator, size_t count, float scale) {
  std::normal_distribution<float> distribution(0, scale);
  std::vector<float> values(count);
  for (float &value : values)
    value = distribution(generator);
  return values;
}

uint16_t toBFloat16(float value) {
  uint32_t bits = std::bit_cast<uint32_t>(value);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

float fromBFloat16(uint16_t bits) { return std::bit_cast<float>(uint32_t(bits) << 16); }

double relativeError(std::span<const float> a, std::span<const double> b) {
  double largest = 0, error = 0;
  for (size_t i = 0; i < b.size(); ++i) {
    if (std::isnan(a[i]) != std::isnan(b[i]))
      return std::numeric_limits<double>::infinity();
    if (std::isinf(b[i]) && a[i] == b[i])
      continue;
    largest = std::max(largest, std::abs(b[i]));
    error = std::max(error, std::abs(a[i] - b[i]));
  }
  return largest > 0 ? error / largest : error;
}

} // namespace levin::host
