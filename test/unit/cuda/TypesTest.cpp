// The declarations of the driver against the toolkit's own, where it is installed.
#include <gtest/gtest.h>

#if __has_include(<cuda.h>)
#include <cuda.h>

#include "runtime/hal/cuda/Types.h"

namespace ours = levin::hal::cuda;

static_assert(sizeof(ours::CUdeviceptr) == sizeof(CUdeviceptr));
static_assert(sizeof(ours::CUtensorMap) == sizeof(CUtensorMap));
static_assert(alignof(ours::CUtensorMap) % alignof(CUtensorMap) == 0); // 64 before CUDA 13
static_assert(sizeof(ours::CUlaunchConfig) == sizeof(CUlaunchConfig));
static_assert(offsetof(ours::CUlaunchConfig, hStream) == offsetof(CUlaunchConfig, hStream));
static_assert(offsetof(ours::CUlaunchConfig, numAttrs) == offsetof(CUlaunchConfig, numAttrs));
static_assert(sizeof(ours::CUlaunchAttribute) == sizeof(CUlaunchAttribute));
static_assert(offsetof(ours::CUlaunchAttribute, value) == offsetof(CUlaunchAttribute, value));

TEST(CudaTypes, ValuesAreTheToolkits) {
  EXPECT_EQ(int(ours::OutOfMemoryCode), CUDA_ERROR_OUT_OF_MEMORY);
  EXPECT_EQ(int(ours::NoDevice), CUDA_ERROR_NO_DEVICE);
  EXPECT_EQ(int(ours::InvalidImage), CUDA_ERROR_INVALID_IMAGE);
  EXPECT_EQ(int(ours::NoBinaryForGpu), CUDA_ERROR_NO_BINARY_FOR_GPU);
  EXPECT_EQ(int(ours::EccUncorrectable), CUDA_ERROR_ECC_UNCORRECTABLE);
  EXPECT_EQ(int(ours::InvalidPtx), CUDA_ERROR_INVALID_PTX);
  EXPECT_EQ(int(ours::NvlinkUncorrectable), CUDA_ERROR_NVLINK_UNCORRECTABLE);
  EXPECT_EQ(int(ours::JitCompilerNotFound), CUDA_ERROR_JIT_COMPILER_NOT_FOUND);
  EXPECT_EQ(int(ours::UnsupportedPtxVersion), CUDA_ERROR_UNSUPPORTED_PTX_VERSION);
  EXPECT_EQ(int(ours::NotReady), CUDA_ERROR_NOT_READY);
  EXPECT_EQ(int(ours::IllegalAddress), CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_EQ(int(ours::LaunchTimeout), CUDA_ERROR_LAUNCH_TIMEOUT);
  EXPECT_EQ(int(ours::AssertFailed), CUDA_ERROR_ASSERT);
  EXPECT_EQ(int(ours::HardwareStackError), CUDA_ERROR_HARDWARE_STACK_ERROR);
  EXPECT_EQ(int(ours::LaunchFailed), CUDA_ERROR_LAUNCH_FAILED);
  EXPECT_EQ(int(ours::MultiprocessorCount), CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT);
  EXPECT_EQ(int(ours::ComputeCapabilityMajor), CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR);
  EXPECT_EQ(int(ours::ComputeCapabilityMinor), CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR);
  EXPECT_EQ(int(ours::MaxSharedMemoryPerBlockOptin),
            CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN);
  EXPECT_EQ(int(ours::MaxDynamicSharedSizeBytes), CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES);
  EXPECT_EQ(int(ours::NonPortableClusterSizeAllowed),
            CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED);
  EXPECT_EQ(int(ours::JitErrorLogBuffer), CU_JIT_ERROR_LOG_BUFFER);
  EXPECT_EQ(int(ours::JitErrorLogBufferSizeBytes), CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES);
  EXPECT_EQ(int(ours::streamNonBlocking), CU_STREAM_NON_BLOCKING);
  EXPECT_EQ(int(ours::eventDisableTiming), CU_EVENT_DISABLE_TIMING);
  EXPECT_EQ(int(ours::hostAllocPortable), CU_MEMHOSTALLOC_PORTABLE);
  EXPECT_EQ(int(ours::captureModeRelaxed), CU_STREAM_CAPTURE_MODE_RELAXED);
  EXPECT_EQ(int(ours::TensorMapUint8), CU_TENSOR_MAP_DATA_TYPE_UINT8);
  EXPECT_EQ(int(ours::TensorMapInt32), CU_TENSOR_MAP_DATA_TYPE_INT32);
  EXPECT_EQ(int(ours::TensorMapFloat16), CU_TENSOR_MAP_DATA_TYPE_FLOAT16);
  EXPECT_EQ(int(ours::TensorMapFloat32), CU_TENSOR_MAP_DATA_TYPE_FLOAT32);
  EXPECT_EQ(int(ours::TensorMapBfloat16), CU_TENSOR_MAP_DATA_TYPE_BFLOAT16);
  EXPECT_EQ(int(ours::tensorMapPromoteL2To256), CU_TENSOR_MAP_L2_PROMOTION_L2_256B);
  EXPECT_EQ(int(ours::ClusterDimension), CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION);
  EXPECT_EQ(int(ours::ProgrammaticStreamSerialization),
            CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION);
}
#else
TEST(CudaTypes, ValuesAreTheToolkits) { GTEST_SKIP() << "cuda.h is not installed"; }
#endif
