#include "runtime/session/CudaModel.h"

#include "runtime/base/Checked.h"
#include "runtime/hal/HostMemory.h"
#include "runtime/session/ParameterLoader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

namespace levin {

namespace cuda = hal::cuda;
using artifact::ArenaKind;
using artifact::DType;

// --- The plan ------------------------------------------------------------------------------------

CudaPlan::CudaPlan(const artifact::Manifest &manifest) {
  for (const artifact::Arena &arena : manifest.arenas)
    (arena.kind == ArenaKind::Parameters ? parameters
     : arena.kind == ArenaKind::State    ? state
                                         : workspace) += arena.size;
  for (const artifact::Executable &executable : manifest.executables) {
    for (const artifact::Export &exported : executable.exports) {
      scratch = std::max(scratch, exported.scratchBytes);
      if (exported.product)
        products = cuda::blasWorkspaceBytes;
    }
  }
  constexpr uint64_t nodeBytes = uint64_t(8) << 10;
  for (const artifact::Program &program : manifest.programs)
    for (const artifact::RankProgram &rank : program.ranks)
      for (const artifact::Stream &stream : rank.streams)
        graphs += stream.items.size() * nodeBytes;
}

static Status checkFits(const artifact::Manifest &manifest, const cuda::Device &device,
                        uint64_t maxMemory) {
  LEVIN_ASSIGN_OR_RETURN(uint64_t free, device.freeMemory());
  CudaPlan plan(manifest);
  // Code is there twice while it is loaded; kernels that spill want room for all their threads.
  uint64_t code = uint64_t(64) << 20;
  for (const artifact::Segment &segment : manifest.segments)
    code += segment.size;
  uint64_t need = plan.parameters + plan.session() + code;
  uint64_t have = maxMemory != 0 ? std::min(maxMemory, free) : free;
  if (need <= have)
    return {};
  return makeError(ErrorCode::PlanDoesNotFit, "the model does not fit the memory of the GPU")
      .note("have", fmt::format("{} of {} bytes free on {}", have, device.facts().memory,
                                device.facts().name))
      .note("need", fmt::format("{} bytes: parameters {}, state {}, workspace {}, scratch {}, "
                                "products {}, graphs and code {}",
                                need, plan.parameters, plan.state, plan.workspace, plan.scratch,
                                plan.products, plan.graphs + code))
      .note("fix", "end other programs on the GPU (nvidia-smi lists them), or compile with fewer "
                   "--slots, a smaller --max-context, smaller --buckets or quantised weights");
}

// --- Code ----------------------------------------------------------------------------------------

Result<std::unique_ptr<CudaModel>> CudaModel::load(const artifact::Artifact &file, int index,
                                                   uint64_t maxMemory) {
  const artifact::Manifest &manifest = file.manifest();
  auto model = std::make_unique<CudaModel>();
  LEVIN_ASSIGN_OR_RETURN(auto driver, cuda::Driver::open());
  LEVIN_ASSIGN_OR_RETURN(model->device, cuda::Device::open(std::move(driver), index));
  std::vector<std::vector<size_t>> variants;
  bool products = false;
  for (const artifact::Executable &executable : manifest.executables) {
    LEVIN_ASSIGN_OR_RETURN(std::vector<size_t> chosen,
                           cuda::chooseVariants(executable, model->device->facts()));
    variants.push_back(std::move(chosen));
    for (const artifact::Export &exported : executable.exports)
      products |= exported.product.has_value();
  }
  LEVIN_RETURN_IF_ERROR(checkFits(manifest, *model->device, maxMemory));
  if (products) {
    LEVIN_ASSIGN_OR_RETURN(model->blas, cuda::Blas::open(model->device));
  }
  for (size_t i = 0; i < manifest.executables.size(); ++i) {
    LEVIN_ASSIGN_OR_RETURN(
        cuda::Executable executable,
        cuda::Executable::load(model->device, manifest.executables[i], variants[i],
                               [&](uint32_t segment) { return file.segmentBytes(segment); }));
    model->executables.push_back(std::move(executable));
  }
  return model;
}

// --- Parameters ----------------------------------------------------------------------------------

namespace {

/// Copies what workers write to the device.  Each has a stream and two buffers: while one is
/// copied, the other is filled.
class StagedTarget final : public ParameterTarget {
public:
  StagedTarget(std::shared_ptr<cuda::Device> device, const cuda::DeviceMemory &memory)
      : device(std::move(device)), memory(memory) {}

  Status prepare(unsigned workers) {
    for (unsigned w = 0; w < workers; ++w) {
      Worker worker;
      LEVIN_ASSIGN_OR_RETURN(worker.stream, cuda::makeStream(device));
      for (Buffer &buffer : worker.buffers) {
        LEVIN_ASSIGN_OR_RETURN(buffer.copied, cuda::makeEvent(device));
        LEVIN_RETURN_IF_ERROR(resize(buffer, usualBytes));
      }
      this->workers.push_back(std::move(worker));
    }
    return {};
  }

  uint64_t size() const override { return memory.size(); }

  Result<std::byte *> begin(uint64_t worker, uint64_t, uint64_t bytes) override {
    LEVIN_RETURN_IF_ERROR(device->activate());
    Buffer &buffer = workers[worker].buffers[workers[worker].next];
    LEVIN_RETURN_IF_ERROR(wait(buffer.copied.get()));
    if (buffer.memory.size() < bytes)
      LEVIN_RETURN_IF_ERROR(resize(buffer, bytes));
    return buffer.memory.data();
  }

  Status end(uint64_t worker, uint64_t offset, uint64_t bytes) override {
    Worker &self = workers[worker];
    Buffer &buffer = self.buffers[self.next];
    self.next ^= 1;
    CUstreamOf stream = self.stream.get();
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuMemcpyHtoDAsync, memory.address() + offset,
                                     buffer.memory.data(), bytes, stream));
    return LEVIN_CUDA(device->driver(), cuEventRecord, buffer.copied.get(), stream);
  }

  /// Waits for all copies.
  Status finish() {
    for (Worker &worker : workers)
      for (Buffer &buffer : worker.buffers)
        LEVIN_RETURN_IF_ERROR(wait(buffer.copied.get()));
    return {};
  }

private:
  using CUstreamOf = cuda::CUstream;
  static constexpr uint64_t usualBytes = uint64_t(1) << 20; // the size of most parts
  struct Buffer {
    cuda::PinnedMemory memory;
    cuda::Event copied;
  };
  struct Worker {
    cuda::Stream stream;
    std::array<Buffer, 2> buffers;
    size_t next = 0;
  };

  Status resize(Buffer &buffer, uint64_t bytes) {
    buffer.memory = {};
    LEVIN_ASSIGN_OR_RETURN(buffer.memory,
                           cuda::PinnedMemory::allocate(device, bytes, "copies to the GPU"));
    return {};
  }
  Status wait(cuda::CUevent event) {
    return LEVIN_CUDA(device->driver(), cuEventSynchronize, event);
  }

  std::shared_ptr<cuda::Device> device;
  const cuda::DeviceMemory &memory;
  std::vector<Worker> workers;
};

} // namespace

Status CudaModel::loadParameters(const artifact::Artifact &file, const WeightFiles &files,
                                 const ModelOptions &options) {
  const artifact::Manifest &manifest = file.manifest();
  LEVIN_RETURN_IF_ERROR(device->activate());
  LEVIN_ASSIGN_OR_RETURN(parameters, cuda::DeviceMemory::allocate(
                                         device, CudaPlan(manifest).parameters, "parameters"));
  LEVIN_ASSIGN_OR_RETURN(auto pool, hal::ThreadPool::create(options.threads));
  LoadWork work;
  work.segment = [&](uint32_t segment) { return file.segmentBytes(segment); };
  work.verifyDigests = options.verifyDigests;
  work.segmentsOnly = options.randomWeights.has_value();
  if (options.progress && !work.segmentsOnly)
    work.progress = [&](uint64_t done, uint64_t total) {
      options.progress("weights", done, total);
    };
  StagedTarget target(device, parameters);
  LEVIN_RETURN_IF_ERROR(target.prepare(pool->threads()));
  Status loaded = levin::loadParameters(manifest, files, target, *pool, work);
  LEVIN_RETURN_IF_ERROR(device->activate());
  Status finished = target.finish(); // before the buffers go, in any case
  LEVIN_RETURN_IF_ERROR(std::move(loaded));
  LEVIN_RETURN_IF_ERROR(std::move(finished));
  return options.randomWeights ? fillRandom(manifest, *options.randomWeights, options) : Status();
}

// --- Random parameters ---------------------------------------------------------------------------

namespace {

/// How a parameter is filled: the kind of fill_random and its scale.
struct Filling {
  int64_t kind = 0;
  float scale = 1;
};

/// What the scales of a quantised matrix must be so that its elements are as those of others: 1
/// over the deviation of uniform integers times the root of its width.
float scaleOf(const artifact::Manifest &manifest, std::string_view scales) {
  std::string_view matrix = scales.substr(0, scales.size() - std::string_view("scales").size());
  if (!matrix.empty())
    matrix.remove_suffix(1); // what stands between
  for (const artifact::Parameter &parameter : manifest.parameters) {
    if (parameter.name != matrix || parameter.type.shape.empty())
      continue;
    bool packed = parameter.type.dtype == DType::U8; // two of 4 bits in a byte
    double deviation = packed ? 4.6 : 73.9;
    double width = static_cast<double>(parameter.type.shape.back()) * (packed ? 2 : 1);
    return static_cast<float>(1 / (deviation * std::sqrt(std::max(1.0, width))));
  }
  return 0.0005f;
}

/// Matrices get normal values that keep the length of a vector, vectors ones, quantised weights any
/// bytes, and their scales what makes matrices of the same kind of them.
std::optional<Filling> fillingOf(const artifact::Manifest &manifest,
                                 const artifact::Parameter &parameter) {
  const auto &shape = parameter.type.shape;
  double width = shape.empty() ? 1 : static_cast<double>(std::max<uint64_t>(1, shape.back()));
  int64_t kind = 0;
  switch (parameter.type.dtype) {
  case DType::F32:
    kind = 0;
    break;
  case DType::BF16:
    kind = 1;
    break;
  case DType::F16:
    kind = 2;
    break;
  case DType::I8:
  case DType::U8:
    return Filling{3, 1};
  default:
    return std::nullopt;
  }
  constexpr int64_t constant = 4; // and the kind of the type
  if (std::string_view(parameter.name).ends_with("scales"))
    return Filling{constant + kind, scaleOf(manifest, parameter.name)};
  if (shape.size() < 2)
    return Filling{constant + kind, 1};
  return Filling{kind, static_cast<float>(1 / std::sqrt(width))};
}

/// A seed for the parameter `name`: FNV-1a over its bytes, begun with the seed of all.
int64_t seedOf(uint64_t seed, std::string_view name) {
  uint64_t hash = 0xcbf29ce484222325u ^ (seed * 0x9e3779b97f4a7c15u);
  for (char c : name)
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return static_cast<int64_t>(hash);
}

} // namespace

Status CudaModel::fillRandom(const artifact::Manifest &manifest, uint64_t seed,
                             const ModelOptions &options) {
  LEVIN_ASSIGN_OR_RETURN(Utility fill, findUtility(manifest, "fill_random"));
  LEVIN_ASSIGN_OR_RETURN(cuda::Stream stream, cuda::makeStream(device));
  LEVIN_ASSIGN_OR_RETURN(cuda::Event done, cuda::makeEvent(device));
  uint64_t filled = 0;
  for (const artifact::Parameter &parameter : manifest.parameters) {
    filled += parameter.size;
    if (std::holds_alternative<artifact::SegmentBytes>(parameter.source) || parameter.size == 0)
      continue;
    auto filling = fillingOf(manifest, parameter);
    if (!filling || !fitsWithin(parameter.offset, parameter.size, parameters.size()))
      return makeError(ErrorCode::ArtifactParameter, "parameter '{}' cannot be random",
                       parameter.name)
          .note("have", textOf(parameter.type));
    uint64_t count = parameter.size / byteSize(parameter.type.dtype);
    uint64_t words[] = {parameters.address() + parameter.offset, count,
                        static_cast<uint64_t>(filling->kind),
                        std::bit_cast<uint32_t>(filling->scale),
                        static_cast<uint64_t>(seedOf(seed, parameter.name))};
    uint64_t blocks =
        std::min<uint64_t>(8 * device->facts().multiprocessors, count / fill.threads + 1);
    LEVIN_RETURN_IF_ERROR(fill.launch(*device, static_cast<unsigned>(blocks), words, stream.get()));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuEventRecord, done.get(), stream.get()));
    LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(device->driver(), cuEventSynchronize, done.get()));
    if (options.progress)
      options.progress("random weights", filled, parameters.size());
  }
  return {};
}

Result<CudaModel::Utility> CudaModel::findUtility(const artifact::Manifest &manifest,
                                                  std::string_view name) const {
  for (size_t i = 0; i < manifest.executables.size(); ++i) {
    for (const artifact::Export &exported : manifest.executables[i].exports) {
      if (exported.name != name || exported.launches.size() != 1)
        continue;
      const artifact::DeviceLaunch &launch = exported.launches[0];
      return Utility{executables[i].find(launch.symbol), launch.block[0], launch.sharedBytes};
    }
  }
  return makeError(ErrorCode::NotInArtifact, "the artifact has no kernel '{}'", name)
      .note("fix", "compile it again");
}

Status CudaModel::Utility::launch(const cuda::Device &device, unsigned blocks,
                                  std::span<uint64_t> words, cuda::CUstream stream) const {
  std::vector<void *> arguments;
  for (uint64_t &word : words)
    arguments.push_back(&word);
  cuda::CUlaunchConfig config{blocks, 1, 1, threads, 1, 1, sharedBytes, stream, nullptr, 0};
  return LEVIN_CUDA(device.driver(), cuLaunchKernelEx, &config, function, arguments.data(),
                    nullptr);
}

} // namespace levin
