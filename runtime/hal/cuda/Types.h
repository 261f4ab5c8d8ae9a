// What the CUDA driver's binary interface is made of, declared here so that building needs no
// toolkit.  Names and values are those of cuda.h; a test compares them where that file exists.
#ifndef LEVIN_RUNTIME_HAL_CUDA_TYPES_H
#define LEVIN_RUNTIME_HAL_CUDA_TYPES_H

#include <cstddef>
#include <cstdint>

namespace levin::hal::cuda {

using CUresult = int;
using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;
using CUevent = struct CUevent_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;

/// Results that mean something of their own here.
enum Code : CUresult {
  Success = 0,
  OutOfMemoryCode = 2,
  NoDevice = 100,
  InvalidDevice = 101,
  InvalidImage = 200,
  NoBinaryForGpu = 209,
  EccUncorrectable = 214,
  InvalidPtx = 218,
  NvlinkUncorrectable = 220,
  JitCompilerNotFound = 221,
  UnsupportedPtxVersion = 222,
  NotReady = 600,
  IllegalAddress = 700,
  LaunchTimeout = 702,
  AssertFailed = 710,
  HardwareStackError = 714,
  LaunchFailed = 719,
};

enum DeviceAttribute : int {
  MultiprocessorCount = 16,
  ComputeCapabilityMajor = 75,
  ComputeCapabilityMinor = 76,
  MaxSharedMemoryPerBlockOptin = 97,
};
enum FunctionAttribute : int { MaxDynamicSharedSizeBytes = 8, NonPortableClusterSizeAllowed = 14 };
enum JitOption : int { JitErrorLogBuffer = 5, JitErrorLogBufferSizeBytes = 6 };

inline constexpr unsigned streamNonBlocking = 1, eventDisableTiming = 2, hostAllocPortable = 1;
inline constexpr int captureModeRelaxed = 2;

/// CUtensorMap: what cuTensorMapEncodeTiled makes, a kernel's parameter.
struct alignas(128) CUtensorMap {
  uint64_t opaque[16];
};
enum TensorMapType : int {
  TensorMapUint8,
  TensorMapUint16,
  TensorMapUint32,
  TensorMapInt32,
  TensorMapUint64,
  TensorMapInt64,
  TensorMapFloat16,
  TensorMapFloat32,
  TensorMapFloat64,
  TensorMapBfloat16,
};
inline constexpr int tensorMapPromoteL2To256 = 3;

enum LaunchAttributeId : int { ClusterDimension = 4, ProgrammaticStreamSerialization = 6 };
struct CUlaunchAttribute {
  int id;
  char pad[4];
  union {
    char bytes[64];
    struct {
      unsigned x, y, z;
    } cluster;
    int programmatic;
  } value;
};
struct CUlaunchConfig {
  unsigned gridDimX, gridDimY, gridDimZ;
  unsigned blockDimX, blockDimY, blockDimZ;
  unsigned sharedMemBytes;
  CUstream hStream;
  CUlaunchAttribute *attrs;
  unsigned numAttrs;
};

} // namespace levin::hal::cuda

#endif // LEVIN_RUNTIME_HAL_CUDA_TYPES_H
