// Kernels with their inputs and what should come of them, on their way to a machine with a GPU.
//
// Written where the compiler is, run where the GPU is.  The file is binary, made and read on the
// same kind of machine.
#ifndef LEVIN_TEST_CONFORMANCE_CUDA_CASEFILE_H
#define LEVIN_TEST_CONFORMANCE_CUDA_CASEFILE_H

#include "runtime/artifact/Manifest.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

namespace levin::test {

struct CaseBinding {
  artifact::DType dtype = artifact::DType::Invalid;
  uint64_t count = 0;           // elements
  std::string before, expected; // bytes; `expected` is empty for what is not written
  uint64_t liveCount = 0;       // elements from the begin that must be as expected
};

struct Case {
  std::string name, method;
  uint32_t executable = 0, exportIndex = 0;
  double tolerance = 0; // of the largest difference over the largest value
  bool timed = false;
  std::vector<CaseBinding> bindings;
};

struct CaseFile {
  std::vector<artifact::Executable> executables;
  std::vector<std::string> segments;
  std::vector<Case> cases;
};

/// Writes to or reads from `bytes`, by the same functions.
class Archive {
public:
  explicit Archive(std::string &bytes, bool writing) : bytes(bytes), writing(writing) {}

  template <typename T>
    requires std::is_arithmetic_v<T> || std::is_enum_v<T>
  void operator()(T &value) {
    raw(&value, sizeof value);
  }
  void operator()(std::string &text) {
    size(text);
    raw(text.data(), text.size());
  }
  void operator()(std::vector<bool> &flags) {
    size(flags);
    for (size_t i = 0; i < flags.size(); ++i) {
      bool flag = flags[i];
      (*this)(flag);
      flags[i] = flag;
    }
  }
  template <typename T> void operator()(std::vector<T> &list) {
    size(list);
    for (T &element : list)
      (*this)(element);
  }
  template <typename T, size_t n> void operator()(std::array<T, n> &list) {
    for (T &element : list)
      (*this)(element);
  }
  void operator()(artifact::TensorMap &map) {
    all(map.binding, map.dtype, map.swizzle, map.offset, map.extents, map.strides, map.box);
  }
  void operator()(artifact::DeviceLaunch &launch) {
    all(launch.symbol, launch.grid, launch.block, launch.cluster, launch.blocksPerProcessor,
        launch.sharedBytes, launch.scalars, launch.tensorMaps, launch.concurrent,
        launch.programmatic, launch.registers, launch.staticSharedBytes, launch.spillBytes);
  }
  void operator()(artifact::Export &code) {
    all(code.name, code.written, code.minAlignment, code.stackBytes, code.launches,
        code.scratchBytes);
  }
  void operator()(artifact::Variant &variant) {
    all(variant.target, variant.kind, variant.segment, variant.cpuFeatures);
  }
  void operator()(artifact::Executable &executable) {
    all(executable.exports, executable.variants);
  }
  void operator()(CaseBinding &binding) {
    all(binding.dtype, binding.count, binding.before, binding.expected, binding.liveCount);
  }
  void operator()(Case &one) {
    all(one.name, one.method, one.executable, one.exportIndex, one.tolerance, one.timed,
        one.bindings);
  }
  void operator()(CaseFile &file) { all(file.executables, file.segments, file.cases); }

  bool ok() const { return good; }

private:
  std::string &bytes;
  bool writing, good = true;
  size_t at = 0;

  template <typename... T> void all(T &...values) { ((*this)(values), ...); }
  template <typename T> void size(T &container) {
    uint64_t count = container.size();
    (*this)(count);
    if (!writing)
      container.resize(count <= bytes.size() ? count : 0);
  }
  void raw(void *data, size_t length) {
    if (writing) {
      bytes.append(static_cast<const char *>(data), length);
      return;
    }
    good = good && length <= bytes.size() - at;
    if (!good)
      return;
    std::memcpy(data, bytes.data() + at, length);
    at += length;
  }
};

} // namespace levin::test

#endif // LEVIN_TEST_CONFORMANCE_CUDA_CASEFILE_H
