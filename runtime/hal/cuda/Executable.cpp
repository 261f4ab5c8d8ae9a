#include "runtime/hal/cuda/Executable.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace levin::hal::cuda {

using artifact::CodeKind;

// --- Choosing and loading ------------------------------------------------------------------------

/// 90 and whether there is a letter behind it, of "cuda-sm_90a" or "cuda-ptx_90a".
static std::optional<std::pair<int, bool>> architectureOf(std::string_view target,
                                                          std::string_view prefix) {
  if (!target.starts_with(prefix))
    return std::nullopt;
  target.remove_prefix(prefix.size());
  int number = 0;
  auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), number);
  if (error != std::errc())
    return std::nullopt;
  return std::pair(number, end != target.data() + target.size());
}

/// Whether code for `number` runs on `capability`.  With a letter it is for that one only; machine
/// code without is for the same major number, code to be compiled for all that are newer.
static bool runsOn(std::pair<int, bool> architecture, int capability, CodeKind kind) {
  auto [number, exact] = architecture;
  if (exact)
    return number == capability;
  return number <= capability && (kind == CodeKind::Ptx || number / 10 == capability / 10);
}

Result<std::vector<size_t>> chooseVariants(const artifact::Executable &executable,
                                           const DeviceFacts &device) {
  std::vector<size_t> chosen;
  std::string have;
  for (CodeKind kind : {CodeKind::Cubin, CodeKind::Ptx}) {
    for (size_t i = 0; i < executable.variants.size(); ++i) {
      const artifact::Variant &variant = executable.variants[i];
      if (variant.kind != kind)
        continue;
      have += (have.empty() ? "" : ", ") + variant.target;
      auto architecture =
          architectureOf(variant.target, kind == CodeKind::Ptx ? "cuda-ptx_" : "cuda-sm_");
      if (architecture && runsOn(*architecture, device.capability, kind))
        chosen.push_back(i);
    }
  }
  if (chosen.empty())
    return makeError(ErrorCode::ArtifactTarget, "the artifact holds no code for this GPU")
        .note("have", have.empty() ? "no code for a GPU" : have)
        .note("need", fmt::format("code for sm_{}, which {} has", device.capability, device.name))
        .note("fix", "compile for the architecture of this GPU, or use another GPU");
  return chosen;
}

/// Whether another variant may be accepted where this one was refused.
static bool isRefusal(CUresult code) {
  return code == InvalidImage || code == NoBinaryForGpu || code == InvalidPtx ||
         code == JitCompilerNotFound || code == UnsupportedPtxVersion;
}

Result<Executable>
Executable::load(const std::shared_ptr<Device> &device, const artifact::Executable &executable,
                 std::span<const size_t> variants,
                 const std::function<std::span<const std::byte>(uint32_t segment)> &segment) {
  const Driver &driver = device->driver();
  std::string refused;
  for (size_t variant : variants) {
    const artifact::Variant &code = executable.variants[variant];
    std::span<const std::byte> bytes = segment(code.segment);
    std::string text; // the driver compiles text up to its first NUL
    const void *image = bytes.data();
    if (code.kind == CodeKind::Ptx) {
      text.assign(reinterpret_cast<const char *>(bytes.data()), bytes.size());
      image = text.c_str();
    }
    std::array<char, 4096> log{};
    int options[] = {JitErrorLogBuffer, JitErrorLogBufferSizeBytes};
    void *values[] = {log.data(), reinterpret_cast<void *>(log.size() - 1)};
    CUmodule module = nullptr;
    CUresult result = driver.functions().cuModuleLoadDataEx(&module, image, 2, options, values);
    if (isRefusal(result)) {
      std::string_view why(log.data());
      refused += fmt::format("{}{}: {}{}{}", refused.empty() ? "" : "; ", code.target,
                             driver.textOf(result), why.empty() ? "" : ": ",
                             why.substr(0, std::min<size_t>(why.find('\n'), 300)));
      continue;
    }
    LEVIN_RETURN_IF_ERROR(driver.check(result, "cuModuleLoadDataEx"));
    Executable out;
    out.module = Module(device, module);
    out.loaded = variant;
    LEVIN_RETURN_IF_ERROR(out.prepare(*device, executable));
    return out;
  }
  return makeError(ErrorCode::ArtifactCode, "the driver refuses the code of the artifact")
      .note("have", refused)
      .note("need",
            fmt::format("code that a driver for CUDA {} accepts", versionText(driver.version())))
      .note("fix", "install a newer driver, or compile the artifact again with an older toolkit");
}

Status Executable::prepare(const Device &device, const artifact::Executable &executable) {
  struct Needs {
    uint32_t shared = 0;
    bool largeCluster = false;
  };
  std::map<std::string, Needs, std::less<>> needs;
  for (const artifact::Export &exported : executable.exports) {
    for (const artifact::DeviceLaunch &launch : exported.launches) {
      Needs &need = needs[launch.symbol];
      need.shared = std::max(need.shared, launch.sharedBytes);
      need.largeCluster |= launch.cluster[0] * launch.cluster[1] * launch.cluster[2] > 8;
    }
  }
  const Driver &driver = device.driver();
  for (const auto &[symbol, need] : needs) {
    CUfunction function = nullptr;
    CUresult found =
        driver.functions().cuModuleGetFunction(&function, module.get(), symbol.c_str());
    if (found != Success)
      return makeError(ErrorCode::ArtifactCode, "the code of {} does not define '{}'",
                       executable.variants[loaded].target, symbol)
          .note("have", driver.textOf(found))
          .note("fix", "compile the artifact again");
    if (need.shared > device.facts().sharedBytes)
      return makeError(ErrorCode::ArtifactTarget, "kernel '{}' needs more shared memory", symbol)
          .note("have", fmt::format("{} bytes a block on {}", device.facts().sharedBytes,
                                    device.facts().name))
          .note("need", fmt::format("{} bytes", need.shared))
          .note("fix", "compile for the architecture of this GPU");
    constexpr uint32_t always = 48 * 1024; // what a kernel may use without being allowed to
    if (need.shared > always)
      LEVIN_RETURN_IF_ERROR(LEVIN_CUDA(driver, cuFuncSetAttribute, function,
                                       MaxDynamicSharedSizeBytes, static_cast<int>(need.shared)));
    if (need.largeCluster)
      LEVIN_RETURN_IF_ERROR(
          LEVIN_CUDA(driver, cuFuncSetAttribute, function, NonPortableClusterSizeAllowed, 1));
    functions[symbol] = function;
  }
  return {};
}

CUfunction Executable::find(const std::string &symbol) const {
  auto place = functions.find(symbol);
  return place == functions.end() ? nullptr : place->second;
}

// --- Tensor maps ---------------------------------------------------------------------------------

static std::optional<TensorMapType> tensorMapType(artifact::DType type) {
  using artifact::DType;
  switch (type) {
  case DType::I1:
  case DType::I8:
  case DType::U8:
  case DType::F8E4M3:
    return TensorMapUint8;
  case DType::I16:
    return TensorMapUint16;
  case DType::I32:
    return TensorMapInt32;
  case DType::I64:
    return TensorMapInt64;
  case DType::U64:
    return TensorMapUint64;
  case DType::F16:
    return TensorMapFloat16;
  case DType::BF16:
    return TensorMapBfloat16;
  case DType::F32:
    return TensorMapFloat32;
  case DType::F64:
    return TensorMapFloat64;
  case DType::Invalid:
    break;
  }
  return std::nullopt;
}

Result<CUtensorMap> encodeTensorMap(const Device &device, const artifact::TensorMap &map,
                                    CUdeviceptr address) {
  auto bad = [&](std::string have) {
    return makeError(ErrorCode::ArtifactLaunch, "a tensor map of a launch cannot be made")
        .note("have", std::move(have));
  };
  size_t rank = map.extents.size();
  auto type = tensorMapType(map.dtype);
  if (!type || rank == 0 || rank > 5 || map.box.size() != rank || map.strides.size() + 1 != rank)
    return bad(fmt::format("rank {}, {} strides, a box of rank {}, {}", rank, map.strides.size(),
                           map.box.size(), nameOf(map.dtype)));
  int swizzle = map.swizzle == 0 ? 0 : map.swizzle == 32 ? 1 : map.swizzle == 64 ? 2 : 3;
  const uint32_t ones[5] = {1, 1, 1, 1, 1};
  CUtensorMap encoded{};
  CUresult code = device.functions().cuTensorMapEncodeTiled(
      &encoded, *type, static_cast<uint32_t>(rank),
      reinterpret_cast<void *>(static_cast<uintptr_t>(address + map.offset)), map.extents.data(),
      map.strides.data(), map.box.data(), ones, 0, swizzle, tensorMapPromoteL2To256, 0);
  if (code == Success)
    return encoded;
  return bad(fmt::format("extents {}, strides {}, box {}, swizzle {}: {}",
                         fmt::join(map.extents, "x"), fmt::join(map.strides, "x"),
                         fmt::join(map.box, "x"), map.swizzle, device.driver().textOf(code)));
}

// --- Launches ------------------------------------------------------------------------------------

Result<PreparedLaunch> PreparedLaunch::make(const Device &device, const Executable &executable,
                                            const artifact::DeviceLaunch &launch,
                                            std::span<const CUdeviceptr> bindings,
                                            CUdeviceptr scratch) {
  PreparedLaunch out;
  out.function = executable.find(launch.symbol);
  if (!out.function)
    return makeError(ErrorCode::ArtifactLaunch, "a launch names a kernel that is not there")
        .note("have", launch.symbol);
  CUlaunchConfig &config = out.config;
  config.gridDimX = launch.grid[0];
  if (launch.blocksPerProcessor != 0) { // whole clusters
    config.gridDimX = launch.blocksPerProcessor * device.facts().multiprocessors;
    config.gridDimX -= config.gridDimX % launch.cluster[0];
  }
  config.gridDimY = launch.grid[1];
  config.gridDimZ = launch.grid[2];
  config.blockDimX = launch.block[0];
  config.blockDimY = launch.block[1];
  config.blockDimZ = launch.block[2];
  config.sharedMemBytes = launch.sharedBytes;
  for (int d = 0; d < 3; ++d)
    out.clusterSize[d] = launch.cluster[static_cast<size_t>(d)];
  out.cluster = out.clusterSize[0] * out.clusterSize[1] * out.clusterSize[2] > 1;
  out.programmatic = launch.programmatic;
  for (const artifact::TensorMap &map : launch.tensorMaps) {
    bool isScratch = scratch != 0 && map.binding == bindings.size();
    if (map.binding >= bindings.size() && !isScratch)
      return makeError(ErrorCode::ArtifactLaunch, "a tensor map names a binding that is not there")
          .note("have", fmt::format("{} of {}", map.binding, bindings.size()));
    CUdeviceptr address = isScratch ? scratch : bindings[map.binding];
    LEVIN_ASSIGN_OR_RETURN(CUtensorMap encoded, encodeTensorMap(device, map, address));
    out.maps.push_back(encoded);
  }
  out.words.assign(bindings.begin(), bindings.end());
  if (scratch != 0)
    out.words.push_back(scratch);
  for (int64_t scalar : launch.scalars)
    out.words.push_back(static_cast<uint64_t>(scalar));
  return out;
}

Status PreparedLaunch::enqueue(const Device &device, CUstream stream, bool afterKernel) const {
  // The driver copies the values during the call.
  std::vector<void *> parameters;
  parameters.reserve(maps.size() + words.size());
  for (const CUtensorMap &map : maps)
    parameters.push_back(const_cast<CUtensorMap *>(&map));
  for (const uint64_t &word : words)
    parameters.push_back(const_cast<uint64_t *>(&word));
  CUlaunchAttribute attributes[2]{};
  CUlaunchConfig call = config;
  call.hStream = stream;
  call.attrs = attributes;
  if (cluster) {
    CUlaunchAttribute &attribute = attributes[call.numAttrs++];
    attribute.id = ClusterDimension;
    attribute.value.cluster = {clusterSize[0], clusterSize[1], clusterSize[2]};
  }
  if (programmatic && afterKernel) {
    CUlaunchAttribute &attribute = attributes[call.numAttrs++];
    attribute.id = ProgrammaticStreamSerialization;
    attribute.value.programmatic = 1;
  }
  return LEVIN_CUDA(device.driver(), cuLaunchKernelEx, &call, function, parameters.data(), nullptr);
}

} // namespace levin::hal::cuda
