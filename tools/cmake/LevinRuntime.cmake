# Rules for the runtime and the tools that need neither LLVM nor exceptions.
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(Threads REQUIRED)
find_package(PkgConfig REQUIRED)
find_program(LEVIN_FLATC flatc REQUIRED)

add_library(LevinRuntimeFlags INTERFACE)
target_include_directories(LevinRuntimeFlags INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR};${PROJECT_BINARY_DIR}>"
  "$<INSTALL_INTERFACE:include>")
target_compile_features(LevinRuntimeFlags INTERFACE cxx_std_20)
target_link_libraries(LevinRuntimeFlags INTERFACE fmt::fmt-header-only)
if(LEVIN_SANITIZE)
  add_compile_options(-fsanitize=${LEVIN_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${LEVIN_SANITIZE})
endif()

# A static library of the runtime: never LLVM, never exceptions.
function(levin_add_runtime_library name)
  add_library(${name} STATIC ${ARGN})
  target_link_libraries(${name} PUBLIC LevinRuntimeFlags)
  target_compile_options(${name} PRIVATE -fno-exceptions -fno-rtti -fvisibility=hidden
    -Wall -Wextra -Wno-unused-parameter -ffunction-sections -fdata-sections)
endfunction()

# A program of the runtime.
function(levin_add_runtime_tool name)
  add_executable(${name} ${ARGN})
  target_link_libraries(${name} PRIVATE LevinRuntimeFlags)
  # Said here since the compiler's flags, which hold for every folder after it, say otherwise.
  target_compile_options(${name} PRIVATE -fexceptions -frtti -Wall -Wextra -Wno-unused-parameter)
  target_link_options(${name} PRIVATE -Wl,--gc-sections)
endfunction()
