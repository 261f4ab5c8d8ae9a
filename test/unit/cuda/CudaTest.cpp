// Sessions on a GPU, with a driver of the test's own (FakeDriver.h).
#include "runtime/hal/cuda/Blas.h"
#include "runtime/hal/cuda/Executable.h"
#include "runtime/session/Engine.h"
#include "runtime/session/Session.h"

#include "test/unit/cuda/FakeDriver.h"
#include "test/unit/session/ToyModel.h"

#include <gtest/gtest.h>

#include <dlfcn.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <map>
#include <random>

using namespace levin;

namespace {

const std::vector<Bucket> manyBuckets = {{1, 1, 1}, {4, 4, 4}, {16, 2, 3}, {64, 5, 8}};

std::vector<int32_t> randomTokens(size_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<int32_t> tokens(count);
  for (int32_t &token : tokens)
    token = static_cast<int32_t>(random() % toy::vocabulary);
  return tokens;
}

class CudaTest : public testing::Test {
protected:
  void SetUp() override {
    library = ::dlopen(LEVIN_FAKE_DRIVER, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(library, nullptr) << ::dlerror();
    reinterpret_cast<void (*)()>(::dlsym(library, "fakeReset"))();
    control = reinterpret_cast<fake::ControlFunction>(::dlsym(library, "fakeControl"))();
    ::setenv("LEVIN_CUDA_DRIVER", LEVIN_FAKE_DRIVER, 1);
  }
  void TearDown() override {
    session.reset();
    model.reset();
    if (!lostOnPurpose) {
      EXPECT_EQ(control->liveBytes, 0u);
      EXPECT_EQ(control->liveObjects, 0);
    }
    ::unsetenv("LEVIN_CUDA_DRIVER");
    reinterpret_cast<void (*)()>(::dlsym(library, "fakeReset"))();
    ::dlclose(library);
  }

  Status load(const ModelOptions &options = {}, const toy::Kind &kind = {true, 0}) {
    std::string path = toy::write(folder.path(), manyBuckets, kind);
    LEVIN_ASSIGN_OR_RETURN(model, Model::load(path, options));
    return {};
  }
  Status open(SessionOptions options = {2, false, 0, 0}, const toy::Kind &kind = {true, 0}) {
    LEVIN_RETURN_IF_ERROR(load({}, kind));
    LEVIN_ASSIGN_OR_RETURN(session, Session::create(model, options));
    return {};
  }

  /// Feeds `tokens` to a new slot in pieces and expects the logits of every one.
  void expectSequence(std::span<const int32_t> tokens, size_t piece) {
    int32_t slot = *session->acquireSlot();
    std::vector<float> wanted = toy::reference(tokens);
    for (size_t done = 0; done < tokens.size(); done += piece) {
      std::span<const int32_t> part = tokens.subspan(done, std::min(piece, tokens.size() - done));
      Status status = session->step(
          {{{slot, LogitsMode::All, part}}}, [&](size_t, size_t position, const float *logits) {
            for (size_t v = 0; v < toy::vocabulary; ++v)
              ASSERT_NEAR(logits[v], wanted[(done + position) * toy::vocabulary + v], 1e-5);
          });
      ASSERT_TRUE(status.ok()) << status.text();
    }
    ASSERT_TRUE(session->releaseSlot(slot).ok());
  }
  Status oneStep() {
    LEVIN_ASSIGN_OR_RETURN(int32_t slot, session->acquireSlot());
    std::vector<int32_t> tokens = {1, 2};
    return session->step({{{slot, LogitsMode::Last, tokens}}},
                         [](size_t, size_t, const float *) {});
  }

  void *library = nullptr;
  fake::Control *control = nullptr;
  bool lostOnPurpose = false;
  toy::TemporaryFolder folder;
  std::shared_ptr<const Model> model;
  std::unique_ptr<Session> session;
};

TEST_F(CudaTest, StepsGiveTheReference) {
  Status opened = open();
  ASSERT_TRUE(opened.ok()) << opened.text();
  EXPECT_EQ(model->target(), "cuda-ptx_80");
  EXPECT_EQ(model->device(), "cuda:0 (Fake GPU)");
  EXPECT_STREQ(control->lastModule, "ptx");
  for (size_t piece : {200, 7, 1})
    expectSequence(randomTokens(100, static_cast<uint32_t>(piece)), piece);
  // A graph for each bucket that was used, captured once; nothing is launched beside graphs.
  EXPECT_LE(control->graphs, manyBuckets.size());
  EXPECT_EQ(control->graphLaunches, session->statistics().runs);
  EXPECT_EQ(control->kernels, 2 * control->graphs);
  EXPECT_EQ(control->programmaticKernels, control->graphs);
}

TEST_F(CudaTest, ValidationRunsCommandsOneByOne) {
  Status opened = open({2, true, 0, 0});
  ASSERT_TRUE(opened.ok()) << opened.text();
  expectSequence(randomTokens(50, 3), 9);
  EXPECT_EQ(control->graphs, 0u);
  EXPECT_EQ(control->kernels, session->statistics().launches);
}

TEST_F(CudaTest, CallForksAndJoins) {
  Status opened = open();
  ASSERT_TRUE(opened.ok()) << opened.text();
  for (int round = 0; round < 2; ++round) {
    std::vector<float> x(24), y(24, NAN);
    for (size_t i = 0; i < x.size(); ++i)
      x[i] = static_cast<float>(i * i + static_cast<size_t>(round));
    CallTensor in{"x", {artifact::DType::F32, {24}}, std::as_writable_bytes(std::span(x))};
    CallTensor out{"y", {artifact::DType::F32, {24}}, std::as_writable_bytes(std::span(y))};
    Status status = session->call("affine", {&in, 1}, {&out, 1});
    ASSERT_TRUE(status.ok()) << status.text();
    for (size_t i = 0; i < x.size(); ++i)
      EXPECT_EQ(y[i], 3 * x[i] + static_cast<float>(i));
  }
  EXPECT_EQ(control->sideKernels, 1u); // in the one capture
}

TEST_F(CudaTest, PagesAreShared) {
  Status opened = open({2, false, 0, 0}, {true, 30});
  ASSERT_TRUE(opened.ok()) << opened.text();
  expectSequence(randomTokens(100, 5), 11);
  expectSequence(randomTokens(100, 6), 64);
}

// --- Generation ----------------------------------------------------------------------------------

class CudaEngineTest : public CudaTest {
protected:
  std::vector<Choice> generate(std::vector<int32_t> prompt, const Sampling &sampling) {
    Engine engine(*session);
    std::vector<Choice> choices;
    Request request;
    request.prompt = std::move(prompt);
    request.maxTokens = 20;
    request.sampling = sampling;
    request.onToken = [&](uint64_t, const Choice &choice) {
      choices.push_back(choice);
      return false;
    };
    EXPECT_TRUE(engine.add(std::move(request)).ok());
    Status status = engine.run();
    EXPECT_TRUE(status.ok()) << status.text();
    return choices;
  }
};

// Chosen from summaries or from rows of logits: the same.
TEST_F(CudaEngineTest, SummariesChooseAsRowsDo) {
  Status opened = open();
  ASSERT_TRUE(opened.ok()) << opened.text();
  std::vector<int32_t> prompt = {3, 1, 4, 1, 5}, greedy;
  for (const Choice &choice : generate(prompt, {}))
    greedy.push_back(choice.token);
  EXPECT_EQ(greedy, toy::greedy(prompt, 20));
  Sampling sampled;
  sampled.temperature = 1.5f;
  sampled.topK = 5;
  sampled.logprobs = 3;
  sampled.seed = 11;
  std::vector<Choice> onGpu = generate(prompt, sampled);
  session.reset();
  ASSERT_TRUE(load({}, {}).ok());
  session = std::move(*Session::create(model, {2, false, 0, 0}));
  std::vector<Choice> onHost = generate(prompt, sampled);
  ASSERT_EQ(onGpu.size(), onHost.size());
  for (size_t i = 0; i < onGpu.size(); ++i) {
    EXPECT_EQ(onGpu[i].token, onHost[i].token);
    EXPECT_NEAR(onGpu[i].logprob, onHost[i].logprob, 1e-5);
    ASSERT_EQ(onGpu[i].alternatives.size(), onHost[i].alternatives.size());
    for (size_t a = 0; a < onGpu[i].alternatives.size(); ++a)
      EXPECT_EQ(onGpu[i].alternatives[a].token, onHost[i].alternatives[a].token);
  }
}

// --- Products ------------------------------------------------------------------------------------

TEST_F(CudaTest, ProductsOfTheLibrary) {
  namespace cuda = hal::cuda;
  auto device = *cuda::Device::open(*cuda::Driver::open(), 0);
  ::setenv("LEVIN_CUBLASLT", LEVIN_FAKE_DRIVER, 1);
  auto blas = cuda::Blas::open(device);
  ASSERT_TRUE(blas.ok()) << blas.status().text();
  constexpr uint64_t m = 3, n = 5, k = 4;
  float input[m * k], weight[n * k], output[m * n];
  for (size_t i = 0; i < m * k; ++i)
    input[i] = static_cast<float>(i % 7) - 3;
  for (size_t i = 0; i < n * k; ++i)
    weight[i] = static_cast<float>(i % 5) - 2;
  cuda::CUdeviceptr bindings[] = {reinterpret_cast<cuda::CUdeviceptr>(output),
                                  reinterpret_cast<cuda::CUdeviceptr>(input),
                                  reinterpret_cast<cuda::CUdeviceptr>(weight)};
  constexpr artifact::DType f32 = artifact::DType::F32;
  artifact::LibraryProduct product{m, n, k, 1, 2, 0, f32, f32, f32};
  auto stream = cuda::makeStream(device);
  auto prepared = cuda::PreparedProduct::make(*blas, product, bindings, 0);
  ASSERT_TRUE(prepared.ok()) << prepared.status().text();
  ASSERT_TRUE(prepared->enqueue(stream->get()).ok());
  for (size_t i = 0; i < m; ++i) {
    for (size_t j = 0; j < n; ++j) {
      float sum = 0;
      for (size_t d = 0; d < k; ++d)
        sum += input[i * k + d] * weight[j * k + d];
      EXPECT_EQ(output[i * n + j], sum);
    }
  }
  product.weightType = artifact::DType::BF16;
  auto mixed = cuda::PreparedProduct::make(*blas, product, bindings, 0);
  EXPECT_EQ(mixed.status().code(), ErrorCode::ArtifactLaunch);
  ::unsetenv("LEVIN_CUBLASLT");
}

TEST_F(CudaTest, NoLibraryForProducts) {
  namespace cuda = hal::cuda;
  auto device = *cuda::Device::open(*cuda::Driver::open(), 0);
  for (const char *name : {"/nowhere/libcublasLt.so", "libm.so.6"}) {
    ::setenv("LEVIN_CUBLASLT", name, 1);
    auto blas = cuda::Blas::open(device);
    ASSERT_FALSE(blas.ok());
    EXPECT_EQ(blas.status().code(), ErrorCode::GpuLibrary) << blas.status().text(); // LV8003
  }
  ::unsetenv("LEVIN_CUBLASLT");
}

// --- Launches ------------------------------------------------------------------------------------

TEST_F(CudaTest, LaunchesHaveClustersAndTensorMaps) {
  namespace cuda = hal::cuda;
  auto device = *cuda::Device::open(*cuda::Driver::open(), 0);
  artifact::DeviceLaunch launch;
  launch.symbol = "toy_mapped";
  launch.blocksPerProcessor = 3; // of 6 multiprocessors, in whole clusters of 4
  launch.cluster = {4, 1, 1};
  launch.sharedBytes = 100000;
  artifact::TensorMap map;
  map.binding = 1;
  map.dtype = artifact::DType::BF16;
  map.swizzle = 128;
  map.offset = 32;
  map.extents = {64, 10};
  map.strides = {128};
  map.box = {64, 5};
  launch.tensorMaps = {map};
  artifact::Executable described;
  described.exports = {{"mapped", {false, true}}};
  described.exports[0].launches = {launch};
  described.variants = {{"cuda-sm_90a", artifact::CodeKind::Cubin, 0, {}},
                        {"cuda-sm_100", artifact::CodeKind::Cubin, 0, {}},
                        {"cuda-ptx_90a", artifact::CodeKind::Ptx, 1, {}}};
  auto chosen = cuda::chooseVariants(described, device->facts());
  ASSERT_TRUE(chosen.ok());
  EXPECT_EQ(*chosen, (std::vector<size_t>{0, 2}));
  // The driver refuses the first, so the second is taken.
  control->refusesCubins = true;
  std::string cubin = "\177ELF", ptx = ".version";
  auto executable = cuda::Executable::load(device, described, *chosen, [&](uint32_t segment) {
    return std::as_bytes(std::span(segment == 0 ? cubin : ptx));
  });
  ASSERT_TRUE(executable.ok()) << executable.status().text();
  EXPECT_EQ(executable->variant(), 2u);

  cuda::CUdeviceptr bindings[] = {4096, 8192};
  auto prepared = cuda::PreparedLaunch::make(*device, *executable, launch, bindings, 0);
  ASSERT_TRUE(prepared.ok()) << prepared.status().text();
  auto stream = cuda::makeStream(device);
  ASSERT_TRUE(prepared->enqueue(*device, stream->get(), false).ok());
  EXPECT_EQ(control->lastGrid[0], 16u);
  EXPECT_EQ(control->lastCluster[0], 4u);
  auto encoded = cuda::encodeTensorMap(*device, map, 8192);
  ASSERT_TRUE(encoded.ok());
  EXPECT_EQ(encoded->opaque[0], 8224u);
  EXPECT_EQ(encoded->opaque[1], (uint64_t(cuda::TensorMapBfloat16) << 32 | 2 << 8 | 3));
  map.offset = 1;
  EXPECT_EQ(cuda::encodeTensorMap(*device, map, 8192).status().code(), ErrorCode::ArtifactLaunch);

  // Nothing that the driver accepts.
  auto none = cuda::Executable::load(device, described, std::vector<size_t>{0},
                                     [&](uint32_t) { return std::as_bytes(std::span(cubin)); });
  EXPECT_EQ(none.status().code(), ErrorCode::ArtifactCode);
  // More shared memory than there is.
  described.exports[0].launches[0].sharedBytes = 300000;
  auto large = cuda::Executable::load(device, described, std::vector<size_t>{2},
                                      [&](uint32_t) { return std::as_bytes(std::span(ptx)); });
  EXPECT_EQ(large.status().code(), ErrorCode::ArtifactTarget);
}

// --- What can be wrong before anything runs ------------------------------------------------------

TEST_F(CudaTest, NoDriver) {
  ::setenv("LEVIN_CUDA_DRIVER", "/nowhere/libcuda.so.1", 1);
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::GpuDriver) << status.text(); // LV8001
}

TEST_F(CudaTest, OldDriver) {
  control->version = 11080;
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::GpuDriver);
  EXPECT_NE(status.text().find("have: a driver for CUDA 11.8"), std::string::npos) << status.text();
}

TEST_F(CudaTest, LibraryThatIsNoDriver) {
  ::setenv("LEVIN_CUDA_DRIVER", "libm.so.6", 1);
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::GpuDriver);
  EXPECT_NE(status.text().find("libm.so.6 without cuInit"), std::string::npos) << status.text();
}

TEST_F(CudaTest, NoGpu) {
  control->devices = 0;
  EXPECT_EQ(load().code(), ErrorCode::GpuMissing); // LV8002
  control->devices = 2;
  control->initCode = 100;
  EXPECT_EQ(load().code(), ErrorCode::GpuMissing);
}

TEST_F(CudaTest, GpuOfThatNumber) {
  ModelOptions options;
  options.device = "cuda:1";
  ASSERT_TRUE(load(options).ok());
  EXPECT_EQ(model->device(), "cuda:1 (Fake GPU)");
  model.reset();
  options.device = "cuda:2";
  EXPECT_EQ(load(options).code(), ErrorCode::GpuMissing);
  options.device = "cuda:x";
  EXPECT_EQ(load(options).code(), ErrorCode::OptionValue);
  options.device = "gpu";
  EXPECT_EQ(load(options).code(), ErrorCode::OptionValue);
}

TEST_F(CudaTest, WrongArchitecture) {
  control->capability = 75;
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::ArtifactTarget);
  EXPECT_NE(status.text().find("have: cuda-ptx_80"), std::string::npos) << status.text();
  EXPECT_NE(status.text().find("need: code for sm_75"), std::string::npos) << status.text();
}

TEST_F(CudaTest, ArtifactForAnotherKindOfDevice) {
  ModelOptions options;
  options.device = "host";
  EXPECT_EQ(load(options).code(), ErrorCode::ArtifactDevice); // LV3023
  options.device = "cuda:0";
  EXPECT_EQ(load(options, {}).code(), ErrorCode::ArtifactDevice);
}

TEST_F(CudaTest, TooLittleMemoryIsKnownBeforeLoading) {
  control->memory = 60 << 20;
  Status status = load();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::PlanDoesNotFit);
  EXPECT_NE(status.text().find("parameters"), std::string::npos) << status.text();
  EXPECT_EQ(control->lastModule[0], '\0') << "code was loaded first";
}

TEST_F(CudaTest, SessionsThatNoLongerFit) {
  ASSERT_TRUE(load().ok());
  control->memory = control->liveBytes + 100;
  Result<std::unique_ptr<Session>> made = Session::create(model, {2, false, 0, 0});
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.status().code(), ErrorCode::PlanDoesNotFit) << made.status().text();
}

// --- Random weights ------------------------------------------------------------------------------

TEST_F(CudaTest, RandomWeightsNeedNoFiles) {
  ModelOptions options;
  options.randomWeights = 7;
  ASSERT_TRUE(load(options).ok());
  model.reset();
  std::filesystem::remove(folder.path() + "/toy.safetensors");
  auto again = Model::load(folder.path() + "/toy.lvn", options);
  ASSERT_TRUE(again.ok()) << again.status().text();
  // Those with values keep them.
  auto made = Session::create(*again, {2, false, 0, 0});
  ASSERT_TRUE(made.ok());
  std::vector<float> x(24, 1), y(24);
  CallTensor in{"x", {artifact::DType::F32, {24}}, std::as_writable_bytes(std::span(x))};
  CallTensor out{"y", {artifact::DType::F32, {24}}, std::as_writable_bytes(std::span(y))};
  ASSERT_TRUE((*made)->call("affine", {&in, 1}, {&out, 1}).ok());
  EXPECT_EQ(y[5], 8);
  EXPECT_EQ((*again)->device(), "cuda:0 (Fake GPU)");
}

TEST_F(CudaTest, RandomWeightsAreForGpus) {
  ModelOptions options;
  options.randomWeights = 7;
  EXPECT_EQ(load(options, {}).code(), ErrorCode::OptionValue);
}

// --- Faults --------------------------------------------------------------------------------------

TEST_F(CudaTest, FaultNamesTheKernel) {
  for (bool validate : {false, true}) {
    lostOnPurpose = true;
    reinterpret_cast<void (*)()>(::dlsym(library, "fakeReset"))();
    Status opened = open({2, validate, 0, 0});
    ASSERT_TRUE(opened.ok()) << opened.text();
    std::strcpy(control->faultKernel, "toy_project");
    Status status = oneStep();
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.code(), ErrorCode::KernelFault) << status.text(); // LV8005
    EXPECT_NE(status.text().find("(toy_project)"), std::string::npos) << status.text();
    EXPECT_NE(status.text().find("where: model.head"), std::string::npos) << status.text();
    // The session says the same again.
    EXPECT_EQ(oneStep().text(), status.text());
    session.reset();
    model.reset();
  }
}

TEST_F(CudaTest, LostGpu) {
  lostOnPurpose = true;
  ASSERT_TRUE(open().ok());
  std::strcpy(control->faultKernel, "toy_recur");
  control->faultCode = 214;
  EXPECT_EQ(oneStep().code(), ErrorCode::GpuLost); // LV8006
}

TEST_F(CudaTest, OtherFailuresOfCalls) {
  lostOnPurpose = true;
  ASSERT_TRUE(open().ok());
  std::strcpy(control->faultKernel, "toy_recur");
  control->faultCode = 801;
  EXPECT_EQ(oneStep().code(), ErrorCode::GpuCall); // LV8004
}

TEST_F(CudaTest, HangIsReported) {
  lostOnPurpose = true;
  ASSERT_TRUE(open({2, false, 0, 1}).ok());
  std::strcpy(control->hangKernel, "toy_project");
  Status status = oneStep();
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), ErrorCode::GpuTimeout) << status.text(); // LV8007
  EXPECT_NE(status.text().find("(toy_project)"), std::string::npos) << status.text();
}

} // namespace
