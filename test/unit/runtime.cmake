# hal, session, capi.

# Kernels of a model made by hand, linked as code generation links its own.
set(LEVIN_TOY_KERNELS ${CMAKE_CURRENT_BINARY_DIR}/toy_kernels.so)
add_custom_command(OUTPUT ${LEVIN_TOY_KERNELS}
  COMMAND ${CMAKE_C_COMPILER} -O2 -fPIC -fno-builtin -ffreestanding -fno-stack-protector
    -fno-asynchronous-unwind-tables -shared -nostdlib -Wl,--hash-style=gnu -Wl,-z,relro
    -Wl,-z,separate-code -Wl,--build-id=none -fuse-ld=lld
    ${CMAKE_CURRENT_SOURCE_DIR}/session/toy_kernels.c -o ${LEVIN_TOY_KERNELS}
  DEPENDS session/toy_kernels.c VERBATIM)
add_custom_target(LevinToyKernels DEPENDS ${LEVIN_TOY_KERNELS})
add_library(LevinToyModel STATIC session/ToyModel.cpp)
add_dependencies(LevinToyModel LevinToyKernels)
target_compile_definitions(LevinToyModel PRIVATE LEVIN_TOY_KERNELS="${LEVIN_TOY_KERNELS}")
target_link_libraries(LevinToyModel PUBLIC LevinSession LevinArtifactWriter GTest::gtest)

levin_add_unit_test(hal-test
  hal/HostTest.cpp
  hal/ThreadPoolTest.cpp
  LIBS LevinHal)
target_compile_definitions(hal-test PRIVATE LEVIN_TOY_KERNELS="${LEVIN_TOY_KERNELS}")
add_dependencies(hal-test LevinToyKernels)

levin_add_unit_test(session-test
  session/EngineTest.cpp
  session/LoaderTest.cpp
  session/ProgramTest.cpp
  session/SamplerTest.cpp
  session/SessionTest.cpp
  session/StepPlanTest.cpp
  LIBS LevinToyModel)

# A driver of GPUs that works on the memory of the host.
add_library(levin-fake-driver MODULE cuda/fake_driver.cpp)
target_link_libraries(levin-fake-driver PRIVATE LevinRuntimeFlags)
target_compile_options(levin-fake-driver PRIVATE -fvisibility=hidden)
levin_add_unit_test(cuda-test
  cuda/CudaTest.cpp
  cuda/TypesTest.cpp
  LIBS LevinToyModel)
find_path(LEVIN_CUDA_INCLUDE cuda.h PATHS /usr/local/cuda/include)
if(LEVIN_CUDA_INCLUDE)
  target_include_directories(cuda-test SYSTEM PRIVATE ${LEVIN_CUDA_INCLUDE})
endif()
target_compile_definitions(cuda-test PRIVATE
  LEVIN_FAKE_DRIVER="$<TARGET_FILE:levin-fake-driver>")
add_dependencies(cuda-test levin-fake-driver)
levin_add_unit_test(bench-test
  cuda/MeterTest.cpp
  LIBS LevinToyModel LevinBenchParts)
target_compile_definitions(bench-test PRIVATE
  LEVIN_FAKE_DRIVER="$<TARGET_FILE:levin-fake-driver>")
add_dependencies(bench-test levin-fake-driver)

levin_add_unit_test(capi-test
  capi/CapiTest.cpp
  LIBS LevinToyModel LevinCapi)

# The example of docs/c-api.md, in C and against the shared library.
add_executable(generate-example ${PROJECT_SOURCE_DIR}/docs/examples/c/generate.c)
target_include_directories(generate-example PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_options(generate-example PRIVATE -std=c11 -Wall -Wextra -pedantic)
target_link_libraries(generate-example PRIVATE levin_shared)
levin_add_unit_test(capi-example-test
  capi/ExampleTest.cpp
  LIBS LevinToyModel)
target_compile_definitions(capi-example-test PRIVATE
  LEVIN_EXAMPLE="$<TARGET_FILE:generate-example>"
  LEVIN_SHARED_LIBRARY="$<TARGET_FILE:levin_shared>")
add_dependencies(capi-example-test generate-example levin_shared)
