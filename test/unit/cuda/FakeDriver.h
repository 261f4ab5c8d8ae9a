// A driver library made for tests: the functions of libcuda.so.1 that the runtime calls, on the
// memory of the host, with the kernels of the toy model.  Tests set what it pretends to be and see
// what was asked of it.
#ifndef LEVIN_TEST_UNIT_CUDA_FAKEDRIVER_H
#define LEVIN_TEST_UNIT_CUDA_FAKEDRIVER_H

#include <cstdint>

namespace levin::fake {

struct Control {
  // What it pretends to be.
  int version = 13000;
  int devices = 2;
  int capability = 90;
  int initCode = 0; // of cuInit
  uint64_t memory = uint64_t(1) << 30;
  bool refusesCubins = false;
  char faultKernel[64] = {}; // ends the context with faultCode when it runs
  int faultCode = 700;
  char hangKernel[64] = {}; // never ends

  // What happened.
  uint64_t liveBytes = 0; // of device memory
  int64_t liveObjects = 0;
  uint64_t graphs = 0, graphLaunches = 0, kernels = 0;
  uint64_t sideKernels = 0;         // on another stream than the one that was captured
  uint64_t programmaticKernels = 0; // with that attribute
  uint32_t lastCluster[3] = {}, lastGrid[3] = {};
  char lastModule[32] = {}; // "cubin" or "ptx"
};

/// Of the library at LEVIN_FAKE_DRIVER; its symbol is "fakeControl".
using ControlFunction = Control *(*)();

} // namespace levin::fake

#endif // LEVIN_TEST_UNIT_CUDA_FAKEDRIVER_H
