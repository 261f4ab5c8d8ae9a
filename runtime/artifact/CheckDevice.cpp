// Exports that run on a GPU: launches, tensor maps, library products.
#include "runtime/artifact/Check.h"
#include "runtime/artifact/Checks.h"
#include "runtime/artifact/Limits.h"
#include "runtime/base/Checked.h"

#include <algorithm>

namespace levin::artifact::detail {

namespace {

constexpr ErrorCode bad = ErrorCode::ArtifactLaunch;

std::string textOfExtent(const std::array<uint32_t, 3> &extent) {
  return fmt::format("{} x {} x {}", extent[0], extent[1], extent[2]);
}

// All three positive and together at most `most`.
Status checkExtent(const std::array<uint32_t, 3> &extent, uint64_t most, const char *what,
                   const Path &path) {
  auto product = checkedProduct<uint32_t>(extent);
  if (product && *product != 0 && *product <= most)
    return {};
  return path.refuse(bad, "the {} is impossible", what)
      .note("have", textOfExtent(extent))
      .note("need", fmt::format("1 to {} in all", most));
}

Status checkBindingIndex(uint32_t binding, const Export &exported, const Path &path) {
  return checkIndex(binding, exported.written.size(), "bindings", path);
}

// What cuTensorMapEncodeTiled asks for.
Status checkMap(const TensorMap &map, const Export &exported, const Path &path) {
  if (exported.scratchBytes == 0 || map.binding != exported.written.size())
    LEVIN_RETURN_IF_ERROR(checkBindingIndex(map.binding, exported, Path(path, "binding")));
  LEVIN_RETURN_IF_ERROR(checkDType(map.dtype, Path(path, "dtype")));
  size_t rank = map.extents.size();
  if (rank < 1 || rank > limits::mapRank || map.strides.size() != rank - 1 ||
      map.box.size() != rank)
    return path.refuse(bad, "the box has parts of different rank")
        .note("have", fmt::format("{} extents, {} strides, {} sides", rank, map.strides.size(),
                                  map.box.size()))
        .note("need", fmt::format("1 to {} extents, one stride less", limits::mapRank));
  for (size_t i = 0; i < rank; ++i)
    if (map.extents[i] == 0 || map.extents[i] > (uint64_t(1) << 32) || map.box[i] == 0 ||
        map.box[i] > limits::mapBox)
      return path.refuse(bad, "dimension {} of the box is impossible", i)
          .note("have", fmt::format("{} of {}", map.box[i], map.extents[i]))
          .note("need", fmt::format("1 to {} of 1 to 2^32", limits::mapBox));
  uint64_t row = map.box[0] * byteSize(map.dtype);
  bool known = map.swizzle == 0 || map.swizzle == 32 || map.swizzle == 64 || map.swizzle == 128;
  bool aligned = map.offset % 16 == 0 && row % 16 == 0;
  for (uint64_t stride : map.strides)
    aligned &= stride % 16 == 0 && stride < (uint64_t(1) << 40);
  if (!known || !aligned || (map.swizzle != 0 && row > map.swizzle))
    return path.refuse(bad, "the box is not aligned as the copy engine needs it")
        .note("have",
              fmt::format("rows of {} bytes, swizzle {}, offset {}", row, map.swizzle, map.offset))
        .note("need", "multiples of 16 bytes, rows no longer than the swizzle of 32, 64 or 128");
  return {};
}

Status checkLaunch(const DeviceLaunch &launch, const Export &exported, const Path &path) {
  if (!isName(launch.symbol))
    return Path(path, "symbol")
        .refuse(ErrorCode::ArtifactName, "the name of the kernel is not allowed")
        .note("have", fmt::format("{} bytes", launch.symbol.size()))
        .note("need", fmt::format("1 to {} of A-Z a-z 0-9 . _ -", limits::nameBytes));
  LEVIN_RETURN_IF_ERROR(checkExtent(launch.grid, limits::gridPoints, "grid", Path(path, "grid")));
  LEVIN_RETURN_IF_ERROR(
      checkExtent(launch.block, limits::blockThreads, "block", Path(path, "block")));
  LEVIN_RETURN_IF_ERROR(
      checkExtent(launch.cluster, limits::clusterBlocks, "cluster", Path(path, "cluster")));
  bool divides = true;
  for (size_t i = 0; i < 3; ++i) // the runtime rounds a grid that follows the card
    divides &= (i == 0 && launch.blocksPerProcessor) || launch.grid[i] % launch.cluster[i] == 0;
  if (!divides || launch.blocksPerProcessor > 32 || launch.grid[1] > 65535 ||
      launch.grid[2] > 65535)
    return path.refuse(bad, "the grid does not consist of clusters")
        .note("have", fmt::format("{} blocks in clusters of {}, {} for each processor",
                                  textOfExtent(launch.grid), textOfExtent(launch.cluster),
                                  launch.blocksPerProcessor))
        .note("need", "whole clusters, y and z to 65535, at most 32 blocks for each processor");
  if (launch.sharedBytes > limits::sharedBytes ||
      launch.staticSharedBytes > limits::sharedBytes - launch.sharedBytes)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel needs too much shared memory")
        .note("have", fmt::format("{} + {} bytes", launch.sharedBytes, launch.staticSharedBytes))
        .note("need", fmt::format("at most {}", limits::sharedBytes));
  if (launch.scalars.size() > limits::scalars || launch.tensorMaps.size() > limits::tensorMaps)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel has too many arguments")
        .note("have", fmt::format("{} scalars, {} tensor maps", launch.scalars.size(),
                                  launch.tensorMaps.size()))
        .note("need", fmt::format("at most {} and {}", limits::scalars, limits::tensorMaps));
  for (size_t i = 0; i < launch.tensorMaps.size(); ++i)
    LEVIN_RETURN_IF_ERROR(checkMap(launch.tensorMaps[i], exported, Path(path, "tensor_maps", i)));
  return {};
}

Status checkProduct(const LibraryProduct &product, const Export &exported, const Path &path) {
  for (uint32_t binding : {product.input, product.weight, product.output})
    LEVIN_RETURN_IF_ERROR(checkBindingIndex(binding, exported, path));
  for (DType type : {product.inputType, product.weightType, product.outputType})
    LEVIN_RETURN_IF_ERROR(checkDType(type, path));
  constexpr uint64_t most = uint64_t(1) << 30;
  for (uint64_t extent : {product.m, product.n, product.k})
    if (extent == 0 || extent > most)
      return path.refuse(bad, "the product has an impossible extent")
          .note("have", fmt::format("{} x {} x {}", product.m, product.n, product.k))
          .note("need", fmt::format("1 to {} each", most));
  return {};
}

// The byte after the last that the boxes of `map` reach; nothing if it cannot be counted.
std::optional<uint64_t> endOf(const TensorMap &map) {
  std::optional<uint64_t> end = checkedMul(map.extents[0], byteSize(map.dtype));
  for (size_t i = 0; end && i < map.strides.size(); ++i) {
    auto step = checkedMul(map.extents[i + 1] - 1, map.strides[i]);
    end = step ? checkedAdd(*end, *step) : std::nullopt;
  }
  return end ? checkedAdd(*end, map.offset) : std::nullopt;
}

} // namespace

Status checkDeviceExport(const Export &exported, const Path &path) {
  if (exported.launches.size() > limits::launches)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel has too many launches")
        .note("have", fmt::format("{}", exported.launches.size()))
        .note("need", fmt::format("at most {}", limits::launches));
  if (exported.scratchBytes > limits::memory)
    return path.refuse(ErrorCode::ArtifactLimit, "the kernel needs too much scratch memory")
        .note("have", fmt::format("{} bytes", exported.scratchBytes))
        .note("need", fmt::format("at most {}", limits::memory));
  if (exported.product && !exported.launches.empty())
    return path.refuse(bad, "'{}' is both a product and launches", exported.name)
        .note("need", "one of them");
  for (size_t i = 0; i < exported.launches.size(); ++i)
    LEVIN_RETURN_IF_ERROR(checkLaunch(exported.launches[i], exported, Path(path, "launches", i)));
  return exported.product ? checkProduct(*exported.product, exported, Path(path, "product"))
                          : Status();
}

Status checkDeviceBindings(const Export &exported, std::span<const uint64_t> sizes,
                           const Path &path) {
  for (const DeviceLaunch &launch : exported.launches)
    for (const TensorMap &map : launch.tensorMaps) {
      auto end = endOf(map);
      bool isScratch = map.binding == exported.written.size();
      uint64_t size = isScratch ? exported.scratchBytes : sizes[map.binding];
      if (!end || *end > size)
        return Path(path, "bindings", map.binding)
            .refuse(bad, "a box of '{}' leaves the binding", exported.name)
            .note("have", end ? fmt::format("{} bytes", *end) : "more than 2^64 bytes")
            .note("need", fmt::format("within {}", size));
    }
  if (!exported.product)
    return {};
  const LibraryProduct &p = *exported.product;
  const std::tuple<uint32_t, DType, uint64_t, uint64_t> operands[] = {
      {p.input, p.inputType, p.m, p.k},
      {p.weight, p.weightType, p.n, p.k},
      {p.output, p.outputType, p.m, p.n}};
  for (const auto &[binding, type, rows, columns] : operands)
    if (rows * columns * byteSize(type) >
        sizes[binding]) // no overflow: each extent is at most 2^30
      return Path(path, "bindings", binding)
          .refuse(bad, "an operand of '{}' leaves the binding", exported.name)
          .note("have", fmt::format("{} x {} x {}", rows, columns, nameOf(type)))
          .note("need", fmt::format("within {} bytes", sizes[binding]));
  return {};
}

} // namespace levin::artifact::detail
