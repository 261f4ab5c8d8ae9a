// Whatever a weight file holds, its header is refused, or every tensor of it can be read.
#include "runtime/weights/Safetensors.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

using namespace levin;
using namespace levin::weights;

extern "C" size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t maxSize);

static void require(bool condition, const char *what) {
  if (condition)
    return;
  std::fprintf(stderr, "violated: %s\n", what);
  std::abort();
}

// A file that holds `data` and has no name.
class MemoryFile {
public:
  MemoryFile(const uint8_t *data, size_t size) : fd(::memfd_create("fuzz", MFD_CLOEXEC)) {
    require(fd >= 0 && ::write(fd, data, size) == static_cast<ssize_t>(size), "a memory file");
  }
  ~MemoryFile() { ::close(fd); }
  std::string path() const { return fmt::format("/proc/self/fd/{}", fd); }

private:
  int fd;
};

// A box within `tensor` that depends on its size, so that the corpus reaches many.
static Box boxOf(const TensorInfo &tensor, std::mt19937 &random) {
  Box box;
  for (uint64_t extent : tensor.shape) {
    uint64_t start = extent ? random() % extent : 0;
    box.start.push_back(start);
    box.size.push_back(extent ? 1 + random() % (extent - start) : 0);
  }
  return box;
}

static void readTensor(const Safetensors &file, const TensorInfo &tensor, std::mt19937 &random) {
  std::vector<std::byte> all(tensor.bytes);
  require(file.read(tensor, all).ok(), "a tensor can be read");
  Box box = boxOf(tensor, random);
  uint64_t bytes = byteSize(tensor.dtype);
  for (uint64_t extent : box.size)
    bytes *= extent;
  std::vector<std::byte> part(bytes);
  require(file.readBox(tensor, box, part).ok(), "a box can be read");
  if (!box.size.empty()) { // one element more than there is
    box.start[0] = tensor.shape[0];
    box.size[0] = 1;
    require(!file.readBox(tensor, box, part).ok(), "a box outside is refused");
  }
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  MemoryFile memory(data, size);
  auto file = Safetensors::open(memory.path());
  if (!file.ok()) {
    require(file.status().exitStatus() == 1, "a refusal is numbered LV1xxx");
    return 0;
  }
  std::mt19937 random(static_cast<unsigned>(size));
  size_t tensors = 0;
  for (const TensorInfo &tensor : file->tensors()) {
    require(file->find(tensor.name) != nullptr, "a tensor is found by its name");
    if (++tensors <= 16)
      readTensor(*file, tensor, random);
  }
  return 0;
}

// The largest number that the header holds, a candidate for the length of the data.
static uint64_t largestNumber(const std::string &header) {
  uint64_t largest = 0;
  for (size_t i = 0; i < header.size(); ++i)
    if (header[i] >= '0' && header[i] <= '9') {
      uint64_t value = std::strtoull(header.c_str() + i, nullptr, 10);
      if (value < 4096)
        largest = std::max(largest, value);
      while (i < header.size() && header[i] >= '0' && header[i] <= '9')
        ++i;
    }
  return largest;
}

// Mutates the JSON, then makes the length before it and the data after it fit.
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t maxSize,
                                          unsigned seed) {
  uint64_t length = 0;
  if (size >= 8)
    std::memcpy(&length, data, 8);
  if (seed % 4 == 0 || size < 8 || length > size - 8)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::string header(reinterpret_cast<char *>(data) + 8, length);
  header.resize(length + 64);
  header.resize(LLVMFuzzerMutate(reinterpret_cast<uint8_t *>(header.data()), length, length + 64));
  length = header.size();
  std::string out(reinterpret_cast<char *>(&length), 8);
  out += header;
  out.resize(out.size() +
             (seed % 4 == 1 ? size - std::min<size_t>(size, 8 + length) : largestNumber(header)));
  if (out.size() > maxSize)
    return LLVMFuzzerMutate(data, size, maxSize);
  std::memcpy(data, out.data(), out.size());
  return out.size();
}
