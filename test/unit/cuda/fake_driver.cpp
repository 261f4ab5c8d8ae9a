// See FakeDriver.h.  Streams run what they are given at once, unless they are captured.
#include "test/unit/cuda/FakeDriver.h"

#include "runtime/hal/cuda/Types.h"
#include "test/unit/cuda/FakeKernels.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

using namespace levin::fake;
using namespace levin::hal::cuda;

#define FAKE extern "C" __attribute__((visibility("default")))

namespace {

levin::fake::Control control;
std::mutex mutex; // of everything here
int sticky = 0;   // what every call answers once the context is lost
bool hung = false;

struct FakeGraph {
  std::vector<std::function<void()>> operations;
};
struct FakeStream {
  FakeGraph *capture = nullptr;
  bool begun = false; // the one whose capture was asked for
};
struct FakeEvent {
  FakeGraph *capture = nullptr;
  FakeStream *recordedOn = nullptr;
};
std::map<CUdeviceptr, size_t> allocations;
std::set<FakeStream *> streams;
FakeStream *captured = nullptr;
std::set<FakeStream *> unjoined; // streams with operations that the captured one does not wait for

constexpr int notSupported = 801, unjoinedCapture = 904;

// --- Kernels of the toy model --------------------------------------------------------------------

template <typename T> T argument(void **parameters, int index) {
  T value;
  std::memcpy(&value, parameters[index], sizeof(T));
  return value;
}

struct Kernel {
  const char *name;
  size_t parameters;
};
constexpr Kernel kernels[] = {{"toy_recur", 7},   {"toy_paged", 7}, {"toy_project", 4},
                              {"toy_scale", 6},   {"toy_place", 2}, {"toy_fill", 5},
                              {"toy_summary", 4}, {"toy_mapped", 3}};

void execute(const Kernel &kernel, const CUlaunchConfig &config, const Arguments &arguments) {
  std::string_view name = kernel.name;
  if (name == control.faultKernel)
    sticky = control.faultCode;
  if (name == control.hangKernel)
    hung = true;
  if (sticky || hung)
    return;
  for (unsigned y = 0; y < config.gridDimY; ++y) {
    for (unsigned x = 0; x < config.gridDimX; ++x) {
      if (name == "toy_recur")
        recur(arguments, x);
      else if (name == "toy_paged")
        paged(arguments, x);
      else if (name == "toy_summary")
        summary(arguments, x);
      else if (name == "toy_project")
        project(arguments, x, y);
    }
  }
  if (name == "toy_scale")
    scale(arguments);
  else if (name == "toy_place")
    place(arguments);
  else if (name == "toy_fill")
    fillRandom(arguments);
}

// --- Streams -------------------------------------------------------------------------------------

FakeStream *streamOf(CUstream stream) { return reinterpret_cast<FakeStream *>(stream); }

/// Runs `operation`, or notes it in the graph that is being captured.
CUresult perform(CUstream stream, std::function<void()> operation) {
  if (sticky)
    return sticky;
  if (FakeGraph *graph = streamOf(stream)->capture) {
    graph->operations.push_back(std::move(operation));
    if (!streamOf(stream)->begun)
      unjoined.insert(streamOf(stream));
  } else if (!hung) {
    operation();
  }
  return sticky;
}

void *pointer(CUdeviceptr address) { return reinterpret_cast<void *>(address); }

/// A copy of the host's memory that is read when the operation runs, as a copy engine does.
CUresult copy(void *target, const void *source, size_t bytes, CUstream stream) {
  return perform(stream, [=] { std::memcpy(target, source, bytes); });
}

// What is still there when a test has lost the device, on purpose.
std::map<void *, std::function<void()>> owned;

template <typename T> T *make(T value = {}) {
  ++control.liveObjects;
  T *object = new T(std::move(value));
  owned[object] = [object] { delete object; };
  return object;
}
template <typename T> CUresult destroy(void *object) {
  --control.liveObjects;
  owned.erase(object);
  delete static_cast<T *>(object);
  return 0;
}

} // namespace

#define LOCK std::lock_guard<std::mutex> lock(mutex)

FAKE levin::fake::Control *fakeControl() { return &control; }
/// Forgets everything.
FAKE void fakeReset() {
  LOCK;
  for (auto &[object, free] : owned)
    free();
  owned.clear();
  allocations.clear();
  streams.clear();
  control = {};
  sticky = 0;
  hung = false;
  captured = nullptr;
  unjoined.clear();
}

// --- The driver's functions ----------------------------------------------------------------------

FAKE CUresult cuInit(unsigned) { return control.initCode; }
FAKE CUresult cuDriverGetVersion(int *version) {
  *version = control.version;
  return 0;
}
FAKE CUresult cuGetErrorName(CUresult code, const char **name) {
  *name = code == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS" : "CUDA_ERROR_OTHER";
  return 0;
}
FAKE CUresult cuGetErrorString(CUresult, const char **text) {
  *text = "as the test wanted";
  return 0;
}
FAKE CUresult cuDeviceGetCount(int *count) {
  *count = control.devices;
  return 0;
}
FAKE CUresult cuDeviceGet(CUdevice *device, int index) {
  *device = index;
  return 0;
}
FAKE CUresult cuDeviceGetName(char *name, int length, CUdevice) {
  std::strncpy(name, "Fake GPU", static_cast<size_t>(length));
  return 0;
}
FAKE CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice) {
  *value = attribute == ComputeCapabilityMajor   ? control.capability / 10
           : attribute == ComputeCapabilityMinor ? control.capability % 10
           : attribute == MultiprocessorCount    ? 6
                                                 : 200000;
  return 0;
}
FAKE CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
  *bytes = control.memory;
  return 0;
}
FAKE CUresult cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  LOCK;
  ++control.liveObjects;
  *context = reinterpret_cast<CUcontext>(&control);
  return 0;
}
FAKE CUresult cuDevicePrimaryCtxRelease_v2(CUdevice) {
  LOCK;
  --control.liveObjects;
  return 0;
}
FAKE CUresult cuCtxSetCurrent(CUcontext) { return 0; }

FAKE CUresult cuMemGetInfo_v2(size_t *free, size_t *total) {
  LOCK;
  *total = control.memory;
  *free = control.memory - control.liveBytes;
  return sticky;
}
FAKE CUresult cuMemAlloc_v2(CUdeviceptr *address, size_t bytes) {
  LOCK;
  if (bytes > control.memory - control.liveBytes)
    return OutOfMemoryCode;
  void *memory = std::aligned_alloc(256, (bytes + 255) / 256 * 256);
  std::memset(memory, 0xee, bytes);
  *address = reinterpret_cast<CUdeviceptr>(memory);
  owned[memory] = [memory] { std::free(memory); };
  allocations[*address] = bytes;
  control.liveBytes += bytes;
  return sticky;
}
FAKE CUresult cuMemFree_v2(CUdeviceptr address) {
  LOCK;
  control.liveBytes -= allocations[address];
  allocations.erase(address);
  owned.erase(pointer(address));
  std::free(pointer(address));
  return 0;
}
FAKE CUresult cuMemHostAlloc(void **address, size_t bytes, unsigned) {
  LOCK;
  ++control.liveObjects;
  void *memory = *address = std::malloc(bytes);
  owned[memory] = [memory] { std::free(memory); };
  return 0;
}
FAKE CUresult cuMemFreeHost(void *address) {
  LOCK;
  --control.liveObjects;
  owned.erase(address);
  std::free(address);
  return 0;
}
FAKE CUresult cuMemHostGetDevicePointer_v2(CUdeviceptr *device, void *address, unsigned) {
  *device = reinterpret_cast<CUdeviceptr>(address);
  return 0;
}
FAKE CUresult cuMemcpyHtoDAsync_v2(CUdeviceptr target, const void *source, size_t bytes,
                                   CUstream stream) {
  LOCK;
  return copy(pointer(target), source, bytes, stream);
}
FAKE CUresult cuMemcpyDtoHAsync_v2(void *target, CUdeviceptr source, size_t bytes,
                                   CUstream stream) {
  LOCK;
  return copy(target, pointer(source), bytes, stream);
}
FAKE CUresult cuMemcpyDtoDAsync_v2(CUdeviceptr target, CUdeviceptr source, size_t bytes,
                                   CUstream stream) {
  LOCK;
  return copy(pointer(target), pointer(source), bytes, stream);
}
FAKE CUresult cuMemsetD8Async(CUdeviceptr target, unsigned char value, size_t bytes,
                              CUstream stream) {
  LOCK;
  return perform(stream, [=] { std::memset(pointer(target), value, bytes); });
}
/// Writes even after a kernel failed or hangs never happen.
FAKE CUresult cuMemsetD32Async(CUdeviceptr target, unsigned value, size_t count, CUstream stream) {
  LOCK;
  return perform(stream, [=] {
    if (!sticky && !hung)
      std::fill_n(static_cast<unsigned *>(pointer(target)), count, value);
  });
}

FAKE CUresult cuStreamCreate(CUstream *stream, unsigned) {
  LOCK;
  auto *made = make<FakeStream>();
  streams.insert(made);
  *stream = reinterpret_cast<CUstream>(made);
  return sticky;
}
FAKE CUresult cuStreamDestroy_v2(CUstream stream) {
  LOCK;
  streams.erase(streamOf(stream));
  return destroy<FakeStream>(stream);
}
FAKE CUresult cuStreamQuery(CUstream) {
  LOCK;
  return sticky ? sticky : hung ? CUresult(NotReady) : 0;
}
FAKE CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
  LOCK;
  auto *recorded = reinterpret_cast<FakeEvent *>(event);
  if (recorded->capture)
    streamOf(stream)->capture = recorded->capture;
  if (streamOf(stream)->begun)
    unjoined.erase(recorded->recordedOn);
  return sticky;
}
FAKE CUresult cuStreamBeginCapture_v2(CUstream stream, int) {
  LOCK;
  streamOf(stream)->capture = make<FakeGraph>();
  streamOf(stream)->begun = true;
  captured = streamOf(stream);
  return sticky;
}
FAKE CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph) {
  LOCK;
  FakeGraph *made = streamOf(stream)->capture;
  *graph = reinterpret_cast<CUgraph>(made);
  for (FakeStream *other : streams)
    if (other->capture == made)
      *other = {};
  captured = nullptr;
  return unjoined.empty() ? sticky : unjoinedCapture;
}
FAKE CUresult cuEventCreate(CUevent *event, unsigned) {
  LOCK;
  *event = reinterpret_cast<CUevent>(make<FakeEvent>());
  return sticky;
}
FAKE CUresult cuEventDestroy_v2(CUevent event) {
  LOCK;
  return destroy<FakeEvent>(event);
}
FAKE CUresult cuEventRecord(CUevent event, CUstream stream) {
  LOCK;
  *reinterpret_cast<FakeEvent *>(event) = {streamOf(stream)->capture, streamOf(stream)};
  return sticky;
}
FAKE CUresult cuEventElapsedTime(float *milliseconds, CUevent, CUevent) {
  *milliseconds = 0.125f;
  return sticky;
}
FAKE CUresult cuEventSynchronize(CUevent) { return sticky; }
FAKE CUresult cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, int *, void **) {
  LOCK;
  bool cubin = std::memcmp(image, "\177ELF", 4) == 0;
  if (cubin && control.refusesCubins)
    return NoBinaryForGpu;
  std::strcpy(control.lastModule, cubin ? "cubin" : "ptx");
  *module = reinterpret_cast<CUmodule>(make<int>());
  return sticky;
}
FAKE CUresult cuModuleUnload(CUmodule module) {
  LOCK;
  return destroy<int>(module);
}
FAKE CUresult cuModuleGetFunction(CUfunction *function, CUmodule, const char *name) {
  for (const Kernel &kernel : kernels) {
    if (std::strcmp(kernel.name, name) != 0)
      continue;
    *function = reinterpret_cast<CUfunction>(const_cast<Kernel *>(&kernel));
    return 0;
  }
  return 500;
}
FAKE CUresult cuFuncSetAttribute(CUfunction, int, int) { return 0; }
FAKE CUresult cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters,
                               void **) {
  LOCK;
  const Kernel &kernel = *reinterpret_cast<const Kernel *>(function);
  ++control.kernels;
  bool side = captured && streamOf(config->hStream) != captured;
  control.sideKernels += side;
  std::fill_n(control.lastCluster, 3, 1u);
  for (unsigned i = 0; i < config->numAttrs; ++i) {
    const CUlaunchAttribute &attribute = config->attrs[i];
    if (attribute.id == ClusterDimension) {
      control.lastCluster[0] = attribute.value.cluster.x;
      control.lastCluster[1] = attribute.value.cluster.y;
      control.lastCluster[2] = attribute.value.cluster.z;
    }
    control.programmaticKernels += attribute.id == ProgrammaticStreamSerialization;
  }
  control.lastGrid[0] = config->gridDimX;
  control.lastGrid[1] = config->gridDimY;
  control.lastGrid[2] = config->gridDimZ;
  Arguments arguments;
  if (std::string_view(kernel.name) != "toy_mapped")
    for (size_t i = 0; i < kernel.parameters; ++i)
      arguments.words.push_back(argument<uint64_t>(parameters, static_cast<int>(i)));
  CUlaunchConfig copied = *config;
  return perform(config->hStream, [=] { execute(kernel, copied, arguments); });
}

FAKE CUresult cuGraphInstantiateWithFlags(CUgraphExec *executable, CUgraph graph,
                                          unsigned long long) {
  LOCK;
  ++control.graphs;
  *executable =
      reinterpret_cast<CUgraphExec>(make<FakeGraph>(*reinterpret_cast<FakeGraph *>(graph)));
  return sticky;
}
FAKE CUresult cuGraphDestroy(CUgraph graph) {
  LOCK;
  return destroy<FakeGraph>(graph);
}
FAKE CUresult cuGraphExecDestroy(CUgraphExec executable) {
  LOCK;
  return destroy<FakeGraph>(executable);
}
FAKE CUresult cuGraphUpload(CUgraphExec, CUstream) { return sticky; }
FAKE CUresult cuGraphLaunch(CUgraphExec executable, CUstream) {
  LOCK;
  ++control.graphLaunches;
  for (const std::function<void()> &operation :
       reinterpret_cast<FakeGraph *>(executable)->operations)
    if (!sticky && !hung)
      operation();
  return 0; // failures show when one waits
}
FAKE CUresult cuTensorMapEncodeTiled(CUtensorMap *map, int type, uint32_t rank, void *address,
                                     const uint64_t *extents, const uint64_t *strides,
                                     const uint32_t *box, const uint32_t *, int, int swizzle, int,
                                     int) {
  if (reinterpret_cast<uintptr_t>(address) % 16 != 0)
    return 1;
  map->opaque[0] = reinterpret_cast<uintptr_t>(address);
  map->opaque[1] = static_cast<uint64_t>(type) << 32 | rank << 8 | static_cast<uint32_t>(swizzle);
  for (uint32_t i = 0; i < rank; ++i) {
    map->opaque[2 + i] = extents[i];
    map->opaque[7 + i] = box[i];
    if (i > 0)
      map->opaque[11 + i] = strides[i - 1];
  }
  return 0;
}

// --- cuBLASLt ------------------------------------------------------------------------------------

namespace {
struct FakeLayout {
  int type = 0;
  uint64_t rows = 0, columns = 0;
};
double elementAt(const void *base, int type, uint64_t index) {
  if (type == 0)
    return static_cast<const float *>(base)[index];
  uint32_t bits = uint32_t(static_cast<const uint16_t *>(base)[index]) << 16; // bf16
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}
} // namespace

FAKE int cublasLtCreate(void **handle) {
  *handle = make<int>();
  return 0;
}
FAKE int cublasLtDestroy(void *handle) { return destroy<int>(handle); }
FAKE int cublasLtMatmulDescCreate(void **description, int compute, int scale) {
  *description = make<int>();
  return compute == 68 && scale == 0 ? 0 : 15;
}
FAKE int cublasLtMatmulDescDestroy(void *description) { return destroy<int>(description); }
FAKE int cublasLtMatmulDescSetAttribute(void *, int attribute, const void *value, size_t) {
  return attribute == 3 && *static_cast<const int *>(value) == 1 ? 0 : 15; // A is transposed
}
FAKE int cublasLtMatrixLayoutCreate(void **layout, int type, uint64_t rows, uint64_t columns,
                                    int64_t leading) {
  auto *made = make<FakeLayout>();
  *made = {type, rows, columns};
  *layout = made;
  return leading == static_cast<int64_t>(rows) ? 0 : 15;
}
FAKE int cublasLtMatrixLayoutDestroy(void *layout) { return destroy<FakeLayout>(layout); }
FAKE int cublasLtMatmulPreferenceCreate(void **preference) {
  *preference = make<int>();
  return 0;
}
FAKE int cublasLtMatmulPreferenceDestroy(void *preference) { return destroy<int>(preference); }
FAKE int cublasLtMatmulPreferenceSetAttribute(void *, int, const void *, size_t) { return 0; }
FAKE int cublasLtMatmulAlgoGetHeuristic(void *, void *, void *, void *, void *, void *, void *, int,
                                        void *, int *count) {
  *count = 1;
  return 0;
}
/// d[n, m] = a[k, n]^T b[k, m], by columns.
FAKE int cublasLtMatmul(void *, void *, const void *, const void *a, void *aLayout, const void *b,
                        void *bLayout, const void *, const void *, void *, void *d, void *,
                        const void *, void *, size_t, CUstream stream) {
  LOCK;
  FakeLayout left = *static_cast<FakeLayout *>(aLayout),
             right = *static_cast<FakeLayout *>(bLayout);
  return perform(stream, [=] {
    for (uint64_t column = 0; column < right.columns; ++column) {
      for (uint64_t row = 0; row < left.columns; ++row) {
        double sum = 0;
        for (uint64_t k = 0; k < left.rows; ++k)
          sum += elementAt(a, left.type, row * left.rows + k) *
                 elementAt(b, right.type, column * right.rows + k);
        static_cast<float *>(d)[column * left.columns + row] = static_cast<float>(sum);
      }
    }
  });
}
