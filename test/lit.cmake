# The lit suite: everything under test/ that ends in .mlir or .test.  Included by test/CMakeLists.txt.
find_program(LEVIN_LIT lit HINTS ${LLVM_TOOLS_BINARY_DIR} REQUIRED)
find_program(LEVIN_PYTHON python3 REQUIRED)
list(GET LLVM_INCLUDE_DIRS 0 LLVM_MAIN_INCLUDE)
configure_file(${CMAKE_CURRENT_LIST_DIR}/lit.site.cfg.py.in
  ${PROJECT_BINARY_DIR}/test/lit.site.cfg.py @ONLY)

# Plugins for the tests of levin-opt: a good one, and one for each way to be refused.
function(levin_add_test_plugin name)
  add_library(${name} MODULE ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/tools/levin-opt/Inputs/${name}.cpp)
  target_precompile_headers(${name} REUSE_FROM LevinIrPch)
  set_target_properties(${name} PROPERTIES PREFIX ""
    LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/test/plugins)
endfunction()
levin_add_test_plugin(GoodPlugin)
levin_add_test_plugin(PassPlugin)
levin_add_test_plugin(WrongApiPlugin)
levin_add_test_plugin(WrongLevinPlugin)
levin_add_test_plugin(WrongLlvmPlugin)

set(LEVIN_LIT_DEPENDS levin-opt levin-lsp-server GoodPlugin PassPlugin WrongApiPlugin
  WrongLevinPlugin WrongLlvmPlugin)
foreach(tool levin-compile levin-import levin-inspect levin-run)
  if(TARGET ${tool})
    list(APPEND LEVIN_LIT_DEPENDS ${tool})
  endif()
endforeach()
# Builds what the tests need and runs them; `ctest` runs them on what is built.
add_custom_target(check-quick
  COMMAND ${LEVIN_LIT} -sv ${PROJECT_BINARY_DIR}/test
  DEPENDS ${LEVIN_LIT_DEPENDS} USES_TERMINAL)
add_test(NAME lit COMMAND ${LEVIN_LIT} -sv ${PROJECT_BINARY_DIR}/test)
add_test(NAME lit-roundtrip COMMAND ${CMAKE_COMMAND} -E env LEVIN_OPT_ROUNDTRIP=1
  ${LEVIN_LIT} -sv --filter=dialects ${PROJECT_BINARY_DIR}/test)
set_tests_properties(lit lit-roundtrip PROPERTIES LABELS lit)

# The installed package: an out-of-tree plugin, and the runtime without LLVM.  Needs a full build.
add_test(NAME package COMMAND ${CMAKE_COMMAND} -DSOURCE=${PROJECT_SOURCE_DIR}
  -DBUILD=${PROJECT_BINARY_DIR} -DWORK=${PROJECT_BINARY_DIR}/test/package
  -DCC=${CMAKE_C_COMPILER} -DCXX=${CMAKE_CXX_COMPILER} -DLAUNCHER=${CMAKE_CXX_COMPILER_LAUNCHER}
  -DLINK_FLAGS=${CMAKE_MODULE_LINKER_FLAGS}
  -P ${CMAKE_CURRENT_LIST_DIR}/package/plugin_example.cmake)
set_tests_properties(package PROPERTIES LABELS package)
