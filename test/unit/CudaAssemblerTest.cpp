// How sources become one image of code, and what is refused on the way.
#include "codegen/cuda/Assembler.h"
#include "codegen/cuda/CudaCodegen.h"
#include "codegen/cuda/KernelHeaders.h"
#include "codegen/cuda/Passes.h"
#include "dialects/Dialects.h"

#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Target/LLVMIR/Dialect/All.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace levin::cuda {
namespace {

namespace fs = std::filesystem;

/// Sets a variable of the environment until the object dies.
class Variable {
public:
  Variable(const char *name, const std::string &value) : name(name) {
    if (const char *old = std::getenv(name))
      before = old;
    setenv(name, value.c_str(), 1);
  }
  ~Variable() {
    if (before)
      setenv(name, before->c_str(), 1);
    else
      unsetenv(name);
  }

private:
  const char *name;
  std::optional<std::string> before;
};

/// A folder with stand-ins for the programs of the toolkit.
class FakeToolkit : public testing::Test {
protected:
  void SetUp() override {
    auto made = TemporaryFolder::create();
    ASSERT_TRUE(made.ok());
    folder.emplace(std::move(*made));
    fs::create_directory(folder->file("bin"));
    program("nvcc", "echo .version 8.0 > \"$output\"");
  }

  /// A program that runs `body` with the path after -o in $output.
  void program(const std::string &name, const std::string &body) {
    std::string path = folder->file("bin/" + name);
    std::ofstream(path) << "#!/bin/sh\noutput=\nwhile [ $# -gt 0 ]; do\n"
                           "  [ \"$1\" = -o ] && output=\"$2\"\n  shift\ndone\n"
                        << body << "\n";
    fs::permissions(path, fs::perms::owner_all);
  }
  /// ptxas that says `messages` and writes something, and notes that it ran.
  void ptxas(const std::string &messages) {
    program("ptxas", "cat <<'END'\n" + messages + "\nEND\n[ -n \"$output\" ] || exit 0\n" +
                         "echo run >> " + folder->file("runs") + "\necho code > \"$output\"");
  }
  unsigned runs() const {
    std::ifstream stream(folder->file("runs"));
    return static_cast<unsigned>(std::count(std::istreambuf_iterator<char>(stream), {}, '\n'));
  }
  CudaToolkit toolkit() {
    Variable named("LEVIN_CUDA", folder->path());
    auto found = findCudaToolkit();
    EXPECT_TRUE(found.ok()) << found.status().text();
    return std::move(*found);
  }

  std::optional<TemporaryFolder> folder;
};

constexpr const char *cleanMessages = R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_90a'
ptxas info    : Function properties for first
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 1024 bytes smem
ptxas info    : Compiling entry function 'second' for 'sm_90a'
ptxas info    : Function properties for second
    16 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers)";

const DeviceSource ptxSource{{},
                             ".version 8.0\n.visible .entry f(\n)\n{\n\tret;\n}\n",
                             /*isPtx=*/true,
                             /*refuseSpills=*/true};

TEST(CudaFacts, AreReadKernelByKernel) {
  auto kernels = parseFacts(cleanMessages);
  ASSERT_EQ(kernels.size(), 2u);
  EXPECT_EQ(kernels["first"], (KernelFacts{40, 1024, 0}));
  EXPECT_EQ(kernels["second"], (KernelFacts{255, 0, 20}));
}

TEST(CudaToolkitSearch, SaysWhatIsMissing) { // LV2011
  Variable named("LEVIN_CUDA", "/nonexistent/cuda");
  auto found = findCudaToolkit();
  ASSERT_FALSE(found.ok());
  EXPECT_EQ(found.status().number(), 2011);
  EXPECT_NE(found.status().text().find("/nonexistent/cuda/bin/nvcc"), std::string::npos);
  EXPECT_NE(found.status().text().find("LEVIN_CUDA"), std::string::npos);
}

TEST(CudaFacts, TellOfWaitingTensorCores) {
  EXPECT_TRUE(serialisation(cleanMessages).empty());
  constexpr const char *line =
      "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async "
      "instructions are serialized due to a call in function 'f'";
  EXPECT_EQ(serialisation(std::string(cleanMessages) + "\n" + line + "\n"), line);
}

TEST_F(FakeToolkit, KeepsResultsAndSurvivesDamage) {
  ptxas("ptxas info    : Compiling entry function 'f' for 'sm_90a'\n"
        "ptxas info    : Used 12 registers");
  std::string kept = folder->file("cache");
  Variable cache("LEVIN_CACHE", kept);
  CudaToolkit programs = toolkit();
  Assembler assembler(programs, cudaTargets().back());
  auto object = assembler.compile(ptxSource);
  ASSERT_TRUE(object.ok());
  EXPECT_EQ(object->kernels, std::vector<std::string>{"f"});
  auto first = assembler.assemble({&*object}), second = assembler.assemble({&*object});
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(runs(), 1u);
  EXPECT_EQ(assembler.cacheHits(), 1u);
  EXPECT_EQ(first->cubin, second->cubin);
  EXPECT_EQ(first->kernels, second->kernels);
  EXPECT_EQ(second->kernels["f"].registers, 12u);
  // What is cut off is not there.
  for (const auto &entry : fs::directory_iterator(kept))
    fs::resize_file(entry.path(), fs::file_size(entry.path()) - 1);
  EXPECT_TRUE(assembler.assemble({&*object}).ok());
  EXPECT_EQ(runs(), 2u);
  // Another text is another result.
  DeviceObject other = *object;
  other.ptx += ".visible .entry g(\n)\n{\n}\n";
  EXPECT_TRUE(assembler.assemble({&other}).ok());
  EXPECT_EQ(runs(), 3u);
}

TEST_F(FakeToolkit, ShowsWhatAProgramSays) {
  program("ptxas", "echo 'ptxas fatal   : unresolved extern'\n[ -z \"$output\" ]");
  Variable cache("LEVIN_CACHE", "off");
  CudaToolkit programs = toolkit();
  Assembler assembler(programs, cudaTargets().back());
  auto object = assembler.compile(ptxSource);
  ASSERT_TRUE(object.ok());
  auto image = assembler.assemble({&*object});
  ASSERT_FALSE(image.ok());
  EXPECT_NE(image.status().what().find("unresolved extern"), std::string::npos);
  DeviceSource absent{"absent.cuh", "", false, true};
  EXPECT_NE(assembler.compile(absent).status().what().find("absent.cuh"), std::string::npos);
}

TEST(JoinedPtx, NamesApartWhatIsNoKernel) {
  DeviceObject first, second;
  first.ptx = ".version 8.0\n.target sm_90a\n.address_size 64\n"
              ".global .align 4 .b8 table[8] = {1, 2};\n"
              ".extern .shared .align 16 .b8 memory[];\n"
              ".func  (.param .b32 r) helper(.param .b32 a)\n{\n\tret;\n}\n"
              ".visible .entry one(\n\t.param .u64 one_param_0\n)\n{\n"
              "\tmov.u64 \t%rd1, table;\n\tcall (r), helper, (a);\n\tmov.u64 %rd2, memory;\n"
              "\t.loc 1 2 3\n\tret;\n}\n\t.file\t1 \"kernel.cu\"\n"
              ".section .debug_str\n{\n.b8 1\n}\n";
  second.ptx = "// made elsewhere\n.version 9.0\n.target sm_90a\n.address_size 64\n"
               ".extern .shared .align 16 .b8 memory[];\n"
               ".visible .entry two(\n)\n{\n\tmov.u64 %rd2, memory;\n\tret;\n}\n";
  auto joined = joinPtx({&first, &second}, cudaTargets().back());
  ASSERT_TRUE(joined.ok());
  llvm::StringRef text = *joined;
  EXPECT_TRUE(text.starts_with(".version 9.0\n.target sm_90a\n"));
  EXPECT_EQ(text.count(".version"), 1u);
  for (const char *expected :
       {"table_u0[8]", "mov.u64 \t%rd1, table_u0;", "helper_u0(.param", "call (r), helper_u0, (a)",
        "memory_u0[]", "memory_u1[]", "%rd2, memory_u1;", ".entry one(", ".entry two("})
    EXPECT_TRUE(text.contains(expected)) << expected;
  for (const char *absent : {".loc", ".file", ".section", "debug", "elsewhere"})
    EXPECT_FALSE(text.contains(absent)) << absent;
}

TEST(EmbeddedHeaders, BringWhatTheyInclude) {
  auto headers = headersFor("gemm.cuh");
  EXPECT_TRUE(headers.count("gemm.cuh") && headers.count("sm90.cuh"));
  EXPECT_TRUE(headersFor("../gemm.cuh").empty());
}

// --- kernels -------------------------------------------------------------------------------------

static mlir::DialectRegistry allDialects() {
  mlir::DialectRegistry registry;
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllToLLVMIRTranslations(registry);
  levin::registerLevinDialects(registry);
  registerCudaCodegen(registry);
  return registry;
}

/// What compileKernels() says of a norm, by programs that are stand-ins.
static std::string refusalOf(const CudaToolkit &programs) {
  mlir::MLIRContext context(allDialects());
  std::string said;
  mlir::ScopedDiagnosticHandler handler(&context, [&](mlir::Diagnostic &diagnostic) {
    said += diagnostic.str();
    return mlir::success();
  });
  auto module = mlir::parseSourceString<mlir::ModuleOp>(R"(
    func.func @norm(%x: tensor<33x192xf32>, %w: tensor<192xf32>) -> tensor<33x192xf32> {
      %0 = nn.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<33x192xf32>, tensor<192xf32>
      return %0 : tensor<33x192xf32>
    })",
                                                        &context);
  EXPECT_TRUE(module);
  EXPECT_TRUE(mlir::failed(compileKernels(*module, cudaTargets().back(), programs)));
  return said;
}

TEST_F(FakeToolkit, RefusesSpills) {
  ptxas("ptxas info    : Compiling entry function 'k_norm' for 'sm_90a'\n"
        "    8 bytes stack frame, 8 bytes spill stores, 12 bytes spill loads\n"
        "ptxas info    : Used 255 registers");
  Variable cache("LEVIN_CACHE", "off");
  EXPECT_EQ(refusalOf(toolkit()), "kernel 'norm': kernel k_norm spills 20 bytes of registers");
}

TEST_F(FakeToolkit, RefusesSerialisedTensorCores) {
  std::string line = "ptxas info    : (C7510) Potential Performance Loss: wgmma.mma_async "
                     "instructions are serialized due to a call in the function 'k_norm'";
  ptxas(line);
  Variable cache("LEVIN_CACHE", folder->file("cache"));
  for (int i = 0; i < 2; ++i) // the second time from the cache
    EXPECT_EQ(refusalOf(toolkit()),
              "kernel 'norm': ptxas serialises the tensor core instructions: " + line);
  EXPECT_EQ(runs(), 1u);
}

TEST_F(FakeToolkit, RefusesAKernelThatIsNotThere) {
  ptxas("ptxas info    : Compiling entry function 'other' for 'sm_90a'\n"
        "ptxas info    : Used 12 registers");
  Variable cache("LEVIN_CACHE", "off");
  EXPECT_EQ(refusalOf(toolkit()), "kernel 'norm': its source has no kernel 'k_norm'");
}

// --- with the toolkit ----------------------------------------------------------------------------

/// Compiles a module with the real programs, without results from before.
class RealToolkit : public testing::Test {
protected:
  void SetUp() override {
    auto found = findCudaToolkit();
    if (!found.ok())
      GTEST_SKIP() << "the CUDA toolkit is not installed";
    programs = std::move(*found);
    context.appendDialectRegistry(allDialects());
    context.loadAllAvailableDialects();
  }
  mlir::FailureOr<CudaModule> compile(const char *ir) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(ir, &context);
    EXPECT_TRUE(module);
    return compileKernels(*module, cudaTargets().back(), programs);
  }

  Variable cache{"LEVIN_CACHE", "off"};
  mlir::MLIRContext context;
  CudaToolkit programs;
};

TEST_F(RealToolkit, GivesTheSameBytesTwice) {
  constexpr const char *ir = R"(
    func.func @norm(%x: tensor<33x192xf32>, %w: tensor<192xf32>) -> tensor<33x192xf32> {
      %0 = nn.rms_norm %x, %w {eps = 1.0e-5 : f64} : tensor<33x192xf32>, tensor<192xf32>
      return %0 : tensor<33x192xf32>
    }
    func.func @multiply(%x: tensor<5x8xf32>, %w: tensor<8xf32>) -> tensor<5xf32> {
      %e = tensor.empty() : tensor<5xf32>
      %0 = linalg.matvec ins(%x, %w : tensor<5x8xf32>, tensor<8xf32>)
                         outs(%e : tensor<5xf32>) -> tensor<5xf32>
      return %0 : tensor<5xf32>
    })";
  auto first = compile(ir), second = compile(ir);
  ASSERT_TRUE(mlir::succeeded(first) && mlir::succeeded(second));
  EXPECT_FALSE(first->image.cubin.empty());
  EXPECT_TRUE(first->image.cubin == second->image.cubin);
  EXPECT_TRUE(first->image.ptx == second->image.ptx);
  EXPECT_TRUE(first->utilityImage.cubin == second->utilityImage.cubin);
  EXPECT_TRUE(first->utilityImage.ptx == second->utilityImage.ptx);
  ASSERT_EQ(first->kernels.size(), 2u);
  EXPECT_EQ(first->kernels[0].method, "rows");
  EXPECT_EQ(first->kernels[1].method, "plain");
  for (const CudaKernel &kernel : first->kernels)
    for (const artifact::DeviceLaunch &launch : kernel.launches) {
      EXPECT_GT(launch.registers, 0u);
      EXPECT_EQ(launch.spillBytes, 0u);
    }
}

TEST_F(RealToolkit, AssemblesTheJoinedPtx) {
  Assembler assembler(programs, cudaTargets().back());
  DeviceSource one{"sm90.cuh",
                   "#include \"sm90.cuh\"\n__device__ float table[4];\n"
                   "extern \"C\" __global__ void one(float *x) { x[0] = table[threadIdx.x]; }\n",
                   false, true};
  DeviceSource two = one;
  two.text = "#include \"sm90.cuh\"\n__device__ float table[8];\n"
             "extern \"C\" __global__ void two(float *x) { x[1] = table[threadIdx.x]; }\n";
  auto first = assembler.compile(one), second = assembler.compile(two);
  ASSERT_TRUE(first.ok() && second.ok());
  auto whole = assembler.assemble({&*first, &*second});
  ASSERT_TRUE(whole.ok()) << whole.status().text();
  EXPECT_TRUE(whole->kernels.count("one") && whole->kernels.count("two"));
}

TEST_F(RealToolkit, FindsARealSpill) {
  Assembler assembler(programs, cudaTargets().back());
  DeviceSource source{"sm90.cuh",
                      "#include \"sm90.cuh\"\n"
                      "extern \"C\" __global__ void __launch_bounds__(1024, 2) spill(float *x) {\n"
                      "  float v[96];\n"
                      "#pragma unroll\n"
                      "  for (int i = 0; i < 96; ++i) v[i] = x[i * 1024 + threadIdx.x];\n"
                      "  __syncthreads();\n"
                      "#pragma unroll\n"
                      "  for (int i = 0; i < 96; ++i) x[v[(i + 1) % 96] > 0 ? i : i * 3] = v[i];\n"
                      "}\n",
                      false, true};
  auto object = assembler.compile(source);
  ASSERT_TRUE(object.ok()) << object.status().text();
  auto image = assembler.assemble({&*object});
  ASSERT_TRUE(image.ok()) << image.status().text();
  EXPECT_GT(image->kernels["spill"].spillBytes, 0u);
}

} // namespace
} // namespace levin::cuda
