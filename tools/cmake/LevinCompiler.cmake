# Rules for everything that handles IR.
find_package(MLIR 22.1 REQUIRED CONFIG) # LLVM accepts an equal major.minor only
list(APPEND CMAKE_MODULE_PATH "${MLIR_CMAKE_DIR}" "${LLVM_CMAKE_DIR}")
include(TableGen)
include(AddLLVM)
include(AddMLIR)
separate_arguments(LLVM_DEFINITIONS_LIST NATIVE_COMMAND ${LLVM_DEFINITIONS})

# The runtime's libraries are made before this point, so none of what follows touches them.
add_definitions(${LLVM_DEFINITIONS_LIST})
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-exceptions> $<$<COMPILE_LANGUAGE:CXX>:-fno-rtti>)
include_directories(SYSTEM ${LLVM_INCLUDE_DIRS} ${MLIR_INCLUDE_DIRS})
include_directories(${PROJECT_SOURCE_DIR} ${PROJECT_BINARY_DIR})
set(CMAKE_BUILD_RPATH ${LLVM_LIBRARY_DIRS})
set(CMAKE_INSTALL_RPATH ${LLVM_LIBRARY_DIRS})

# Precompiled headers hold nearly all of the compile time.  Their users must have the same flags,
# so these come before every target; templates instantiated in the header and no time stamp make
# it fit for ccache (CCACHE_SLOPPINESS: CMakePresets.json).
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-instantiate-templates>
    "$<$<COMPILE_LANGUAGE:CXX>:SHELL:-Xclang -fno-pch-timestamp>")
endif()
set(LEVIN_IR_HEADERS
  <mlir/Bytecode/BytecodeOpInterface.h> <mlir/IR/Builders.h>
  <mlir/IR/BuiltinOps.h> <mlir/IR/BuiltinTypes.h> <mlir/IR/Dialect.h>
  <mlir/IR/DialectImplementation.h> <mlir/IR/OpImplementation.h>
  <mlir/IR/PatternMatch.h> <mlir/IR/SymbolTable.h>
  <mlir/Interfaces/InferTypeOpInterface.h>
  <mlir/Interfaces/SideEffectInterfaces.h> <mlir/Pass/Pass.h>
  <llvm/ADT/TypeSwitch.h> <fmt/format.h>)
add_library(LevinIrPch OBJECT ${PROJECT_SOURCE_DIR}/tools/cmake/pch.cpp)
target_link_libraries(LevinIrPch PRIVATE fmt::fmt-header-only)
target_precompile_headers(LevinIrPch PRIVATE ${LEVIN_IR_HEADERS})

# For passes and code generation: the dialects that most of them build.
add_library(LevinPassPch OBJECT ${PROJECT_SOURCE_DIR}/tools/cmake/pch.cpp)
target_link_libraries(LevinPassPch PRIVATE fmt::fmt-header-only)
target_precompile_headers(LevinPassPch PRIVATE ${LEVIN_IR_HEADERS}
  <mlir/Dialect/Arith/IR/Arith.h> <mlir/Dialect/Func/IR/FuncOps.h>
  <mlir/Dialect/Linalg/IR/Linalg.h> <mlir/Dialect/Math/IR/Math.h>
  <mlir/Dialect/MemRef/IR/MemRef.h> <mlir/Dialect/SCF/IR/SCF.h>
  <mlir/Dialect/Tensor/IR/Tensor.h> <mlir/Dialect/Vector/IR/VectorOps.h>
  <mlir/Transforms/GreedyPatternRewriteDriver.h>)

# levin_add_library(NAME [PASSES] files...): a library of the compiler; PASSES uses the larger
# precompiled header.
function(levin_add_library name)
  cmake_parse_arguments(ARG "PASSES" "" "" ${ARGN})
  add_library(${name} STATIC ${ARG_UNPARSED_ARGUMENTS})
  if(ARG_PASSES)
    target_precompile_headers(${name} REUSE_FROM LevinPassPch)
  else()
    target_precompile_headers(${name} REUSE_FROM LevinIrPch)
  endif()
  target_link_libraries(${name} PUBLIC MLIR LLVM LevinBase) # both: MLIR alone lacks llvm::cl
  if(LevinTablegenTargets)
    add_dependencies(${name} ${LevinTablegenTargets})
  endif()
endfunction()

# A program of the compiler.
function(levin_add_tool name)
  add_executable(${name} ${ARGN})
  # The precompiled header is for -fPIC; CMake would give an executable -fPIE.
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
  target_compile_options(${name} PRIVATE -fPIC)
  target_precompile_headers(${name} REUSE_FROM LevinPassPch)
  target_link_libraries(${name} PRIVATE MLIR LLVM LevinBase)
endfunction()
