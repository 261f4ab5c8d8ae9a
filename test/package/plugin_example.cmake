# Installs the build, then builds and tests docs/examples/plugin with what was installed.
#   cmake -DSOURCE= -DBUILD= -DWORK= -DCXX= -DCC= -DLINK_FLAGS= -P plugin_example.cmake
function(run)
  execute_process(COMMAND ${ARGV} RESULT_VARIABLE status)
  if(NOT status EQUAL 0)
    message(FATAL_ERROR "failed (${status}): ${ARGV}")
  endif()
endfunction()

file(REMOVE_RECURSE ${WORK})
run(${CMAKE_COMMAND} --install ${BUILD} --prefix ${WORK}/levin --strip)
# A plugin sees the installed package and nothing of the source tree.
file(COPY ${SOURCE}/docs/examples/plugin DESTINATION ${WORK})
run(${CMAKE_COMMAND} -S ${WORK}/plugin -B ${WORK}/build -G Ninja
  -DCMAKE_PREFIX_PATH=${WORK}/levin -DCMAKE_C_COMPILER=${CC} -DCMAKE_CXX_COMPILER=${CXX}
  -DCMAKE_MODULE_LINKER_FLAGS=${LINK_FLAGS} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run(${CMAKE_COMMAND} --build ${WORK}/build)
run(${CMAKE_CTEST_COMMAND} --test-dir ${WORK}/build --output-on-failure)

# The runtime alone is found where MLIR is not.
file(WRITE ${WORK}/runtime/CMakeLists.txt [[
cmake_minimum_required(VERSION 3.25)
project(Runtime LANGUAGES C CXX)
find_package(Levin REQUIRED COMPONENTS Runtime)
if(MLIR_FOUND OR NOT TARGET LevinCapi)
  message(FATAL_ERROR "the runtime component brings MLIR or no LevinCapi")
endif()
add_executable(version version.c)
target_link_libraries(version PRIVATE LevinCapi)
]])
file(WRITE ${WORK}/runtime/version.c [[
#include "runtime/capi/levin.h"
int main(void) { return levin_version()[0] == 0; }
]])
run(${CMAKE_COMMAND} -S ${WORK}/runtime -B ${WORK}/runtime/build -G Ninja
  -DCMAKE_PREFIX_PATH=${WORK}/levin -DCMAKE_C_COMPILER=${CC} -DCMAKE_CXX_COMPILER=${CXX})
run(${CMAKE_COMMAND} --build ${WORK}/runtime/build)
run(${WORK}/runtime/build/version)
