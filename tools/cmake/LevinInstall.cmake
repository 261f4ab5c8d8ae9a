# What `cmake --install` puts where, and the package that find_package(Levin) finds.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Headers keep their paths below include/levin, where #include "dialects/nn/NN.h" finds them.
set(LEVIN_INSTALL_INCLUDE ${CMAKE_INSTALL_INCLUDEDIR}/levin)
set(LEVIN_INSTALL_BIN ${CMAKE_INSTALL_BINDIR})
set(LEVIN_INSTALL_CMAKE ${CMAKE_INSTALL_LIBDIR}/cmake/Levin)
set(LEVIN_MLIR_VERSION ${LLVM_VERSION_MAJOR}.${LLVM_VERSION_MINOR})

# Sets `result` to the libraries and programs made in `directory` and below.
function(levin_targets_in directory result)
  set(found)
  get_property(targets DIRECTORY ${directory} PROPERTY BUILDSYSTEM_TARGETS)
  foreach(target ${targets})
    get_target_property(type ${target} TYPE)
    if(type MATCHES "^(STATIC_LIBRARY|SHARED_LIBRARY|INTERFACE_LIBRARY|EXECUTABLE)$")
      list(APPEND found ${target})
    endif()
  endforeach()
  get_property(below DIRECTORY ${directory} PROPERTY SUBDIRECTORIES)
  foreach(child ${below})
    levin_targets_in(${child} more)
    list(APPEND found ${more})
  endforeach()
  set(${result} ${found} PARENT_SCOPE)
endfunction()

# levin_install(EXPORT targets...)
function(levin_install export)
  install(TARGETS ${ARGN} EXPORT ${export}
    RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR}
    INCLUDES DESTINATION ${LEVIN_INSTALL_INCLUDE})
  install(EXPORT ${export} DESTINATION ${LEVIN_INSTALL_CMAKE})
endfunction()

# levin_install_headers(folders...): headers, .td files and generated headers.
function(levin_install_headers)
  foreach(folder ${ARGN})
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/${folder} ${PROJECT_BINARY_DIR}/${folder}
      DESTINATION ${LEVIN_INSTALL_INCLUDE}
      FILES_MATCHING PATTERN "*.h" PATTERN "*.td" PATTERN "*.def" PATTERN "*.fbs"
      PATTERN "*.h.inc" PATTERN "CMakeFiles" EXCLUDE)
  endforeach()
endfunction()

levin_targets_in(${PROJECT_SOURCE_DIR}/runtime runtime)
levin_targets_in(${PROJECT_SOURCE_DIR}/tools/common support)
levin_install(LevinRuntimeTargets LevinRuntimeFlags ${runtime} ${support})
levin_install_headers(runtime tools/common)
# For programs in C that are built without CMake.
install(FILES ${PROJECT_SOURCE_DIR}/runtime/capi/levin.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(tools)
foreach(tool levin-run levin-bench levin-inspect)
  if(TARGET ${tool})
    list(APPEND tools ${tool})
  endif()
endforeach()
install(TARGETS ${tools} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

if(LEVIN_BUILD_COMPILER)
  set(compiler)
  foreach(folder dialects passes codegen models tools/levin-opt tools/levin-lsp-server
      tools/levin-import tools/levin-compile)
    levin_targets_in(${PROJECT_SOURCE_DIR}/${folder} found)
    list(APPEND compiler ${found})
  endforeach()
  levin_install(LevinCompilerTargets ${compiler})
  levin_install_headers(dialects passes codegen models)
endif()

configure_package_config_file(${PROJECT_SOURCE_DIR}/tools/cmake/LevinConfig.cmake.in
  ${PROJECT_BINARY_DIR}/cmake/LevinConfig.cmake
  INSTALL_DESTINATION ${LEVIN_INSTALL_CMAKE}
  PATH_VARS LEVIN_INSTALL_INCLUDE LEVIN_INSTALL_BIN)
# Before 1.0 a minor version may change anything.
write_basic_package_version_file(${PROJECT_BINARY_DIR}/cmake/LevinConfigVersion.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/cmake/LevinConfig.cmake
  ${PROJECT_BINARY_DIR}/cmake/LevinConfigVersion.cmake DESTINATION ${LEVIN_INSTALL_CMAKE})
