// Safetensors files: 8 bytes of header length (little endian), a JSON header, the tensors' bytes.
//
// Only the header is read and checked here; bytes of tensors are read on request.  A header is
// refused unless the tensors tile the data part without hole or overlap and each is as long as its
// type and shape say.
#ifndef LEVIN_RUNTIME_WEIGHTS_SAFETENSORS_H
#define LEVIN_RUNTIME_WEIGHTS_SAFETENSORS_H

#include "runtime/base/File.h"
#include "runtime/base/Status.h"
#include "runtime/weights/DType.h"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace levin::weights {

/// The longest header that is read, in bytes (as the reference implementation).
inline constexpr uint64_t maxHeaderBytes = 100'000'000;

struct TensorInfo {
  std::string name;
  DType dtype = DType::F32;
  std::vector<uint64_t> shape; // row-major; empty for a scalar
  uint64_t offset = 0;         // of the first byte, from the start of the file
  uint64_t bytes = 0;

  uint64_t elements() const { return bytes / byteSize(dtype); }
};

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors; // by offset, then by name
  std::map<std::string, std::string> metadata;

  const TensorInfo *find(std::string_view name) const;

  /// Parses the start of a file of `fileSize` bytes.  `prefix` holds at least the 8 length bytes
  /// and the header.  `file` names the file in messages (LV1010).
  static Result<SafetensorsHeader> parse(std::string_view prefix, uint64_t fileSize,
                                         std::string_view file);

private:
  friend class Safetensors;
  void index();
  std::vector<uint32_t> byName; // places in `tensors`, sorted by name
};

/// A part of a tensor: `size[d]` elements from `start[d]` in each dimension.
struct Box {
  std::vector<uint64_t> start, size;
};

class Safetensors {
public:
  /// Reads the header of `file`, which stays open for reading tensors.
  static Result<Safetensors> open(File file);
  static Result<Safetensors> open(const std::string &path);

  const SafetensorsHeader &header() const { return contents; }
  const std::vector<TensorInfo> &tensors() const { return contents.tensors; }
  const TensorInfo *find(std::string_view name) const { return contents.find(name); }
  const File &file() const { return source; }

  /// All bytes of `tensor` into `target`, which must be exactly as long.
  Status read(const TensorInfo &tensor, std::span<std::byte> target) const;

  /// The elements of `box`, densely packed in row-major order, into `target`.
  Status readBox(const TensorInfo &tensor, const Box &box, std::span<std::byte> target) const;

private:
  File source;
  SafetensorsHeader contents;
};

/// A tensor to write; `data` holds elements(shape) values of `dtype`, little endian.
struct TensorToWrite {
  std::string name;
  DType dtype = DType::F32;
  std::vector<uint64_t> shape;
  std::span<const std::byte> data;
};

/// Writes a safetensors file that appears under `path` only when complete.
/// Failures: LV2009 if a name repeats or a length does not fit its shape, LV2004 on output.
Status writeSafetensors(const std::string &path, std::span<const TensorToWrite> tensors,
                        const std::map<std::string, std::string> &metadata = {});

/// "[2, 3]".
std::string shapeText(std::span<const uint64_t> shape);

} // namespace levin::weights

#endif // LEVIN_RUNTIME_WEIGHTS_SAFETENSORS_H
