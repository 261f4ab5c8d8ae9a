// What a library that extends the tools exports.
//
// `levin-opt --load-plugin=p.so` and `levin-compile --load-plugin=p.so` open the library, call
// levinPluginInfo(), compare the versions and let the plugin register passes and dialects.  A
// plugin links nothing of LLVM, MLIR or Levin: it finds them in the tool that opens it.
#ifndef LEVIN_DIALECTS_PLUGIN_H
#define LEVIN_DIALECTS_PLUGIN_H

#include "dialects/Version.h"

#include "mlir/IR/DialectRegistry.h"
#include "llvm/Config/llvm-config.h"

#include <cstdint>

/// Changes when LevinPluginInfo does.
#define LEVIN_PLUGIN_API_VERSION 1

extern "C" {
struct LevinPluginInfo {
  uint32_t apiVersion;                               // LEVIN_PLUGIN_API_VERSION
  const char *name;                                  // of the plugin
  const char *levinVersion;                          // LEVIN_VERSION_STRING
  const char *llvmVersion;                           // LLVM_VERSION_STRING
  void (*registerPasses)();                          // or null
  void (*registerDialects)(mlir::DialectRegistry &); // or null
};
}

/// The plugin's own record: `extern "C" const LevinPluginInfo *levinPluginInfo()`.
using LevinPluginEntry = const LevinPluginInfo *(*)();

/// Defines levinPluginInfo() for a plugin that was compiled with this header.
#define LEVIN_PLUGIN(pluginName, passes, dialects)                                                 \
  extern "C" __attribute__((visibility("default"))) const LevinPluginInfo *levinPluginInfo() {     \
    static const LevinPluginInfo info{LEVIN_PLUGIN_API_VERSION, pluginName, LEVIN_VERSION_STRING,  \
                                      LLVM_VERSION_STRING,      passes,     dialects};             \
    return &info;                                                                                  \
  }

#endif // LEVIN_DIALECTS_PLUGIN_H
